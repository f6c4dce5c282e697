import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import type { Layer } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { bytesSource } from "../../registry/source.ts";
import { startPush } from "./export_push.ts";

function layerOf(text: string): Layer {
  const bytes = new TextEncoder().encode(text);
  const digest = digestOf(bytes);
  return {
    diffId: digest,
    descriptor: { mediaType: MediaType.ociLayer, digest, size: bytes.byteLength },
    blob: () => Promise.resolve(bytesSource(bytes)),
  };
}

Deno.test("layers go out as they come, at most four at once, each content once", async () => {
  const to = memoryRegistry();
  const push = to.pushBlob.bind(to);
  let running = 0;
  let most = 0;
  const asked: string[] = [];
  to.pushBlob = async (...all) => {
    asked.push(all[1].digest);
    most = Math.max(most, ++running);
    await Promise.resolve();
    try {
      return await push(...all);
    } finally {
      running--;
    }
  };
  await using early = startPush(to, "app", quietContext());
  const layers = Array.from({ length: 12 }, (_, at) => layerOf(`layer ${at % 10}`));
  for (const layer of layers) early.add(layer);
  await early.done();
  assert.equal(asked.length, 10);
  assert.equal(new Set(asked).size, 10);
  assert.ok(most <= 4, `${most} at once`);
  for (const layer of layers) assert.ok(await to.blob("app", layer.descriptor.digest));
});

Deno.test("what fails is told when all is asked for, and disposing ends the rest", async () => {
  const to = memoryRegistry();
  const begun = Promise.withResolvers<void>();
  let ended = 0;
  to.pushBlob = async (_repository, _descriptor, _source, options) => {
    begun.resolve();
    await new Promise<void>((resolve) =>
      options?.signal?.addEventListener("abort", () => resolve())
    );
    ended++;
    throw options?.signal?.reason;
  };
  {
    await using early = startPush(to, "app", quietContext());
    for (let at = 0; at < 6; at++) early.add(layerOf(`layer ${at}`));
    await begun.promise;
  }
  assert.equal(ended, 4, "the other two never began");

  to.pushBlob = () => Promise.reject(new Error("full"));
  await using early = startPush(to, "app", quietContext());
  early.add(layerOf("one"));
  await assert.rejects(early.done(), /full/);
});
