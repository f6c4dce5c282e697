/** The store against a model: whatever is done to both, in any order, a place in memory answers the same. */
import { deepEqual, equal } from "node:assert/strict";
import { join } from "node:path";
import fc from "../oci/property_testing.ts";
import { encodeJson } from "../image.ts";
import { memoryRegistry } from "../memory.ts";
import { digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import type { Registry } from "../registry.ts";
import { describeBytes, sampleBytes } from "../registry_suite_testing.ts";
import { bytesSource } from "../source.ts";
import { tempDir } from "../temp_testing.ts";
import { openStore, type Store } from "./store.ts";

const REPOSITORIES = ["a", "a/b", "c"];
const TAGS = ["v1", "v2", "latest"];
const DAY = 24 * 60 * 60 * 1000;

/** Small ones lie in the metadata, the others in files. */
const BLOBS = [10, 64 * 1024, 64 * 1024 + 1, 80_000].map((size) => sampleBytes(size, size));
const CONFIG = encodeJson({ os: "linux", rootfs: { diff_ids: [] } });

function imageOf(blob: number, subject: number | undefined): Uint8Array<ArrayBuffer> {
  return encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: describeBytes(CONFIG, MediaType.ociConfig),
    layers: [describeBytes(BLOBS[blob]!, MediaType.ociLayer)],
    ...(subject === undefined
      ? {}
      : { subject: describeBytes(imageOf(subject, undefined), MediaType.ociManifest) }),
  });
}

type Act =
  | { readonly kind: "blob" | "deleteBlob"; readonly repository: string; readonly blob: number }
  | {
    readonly kind: "image";
    readonly repository: string;
    readonly blob: number;
    readonly subject: number | undefined;
    readonly tags: readonly string[];
  }
  | { readonly kind: "deleteTag"; readonly repository: string; readonly tag: string }
  | { readonly kind: "deleteImage"; readonly repository: string; readonly blob: number }
  | { readonly kind: "gc" | "reopen" };

const repository = fc.constantFrom(...REPOSITORIES);
const blob = fc.nat({ max: BLOBS.length - 1 });
const acts: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ kind: fc.constantFrom("blob" as const, "deleteBlob" as const), repository, blob }),
  {
    arbitrary: fc.record({
      kind: fc.constant("image" as const),
      repository,
      blob,
      subject: fc.option(blob, { nil: undefined }),
      tags: fc.subarray(TAGS),
    }),
    weight: 4,
  },
  fc.record({ kind: fc.constant("deleteTag" as const), repository, tag: fc.constantFrom(...TAGS) }),
  fc.record({ kind: fc.constant("deleteImage" as const), repository, blob }),
  fc.record({ kind: fc.constantFrom("gc" as const, "reopen" as const) }),
);

/** The outcome as a value: an error is its code. */
async function outcome(act: () => Promise<unknown>): Promise<unknown> {
  try {
    return await act();
  } catch (error) {
    if (isOciError(error)) return error.code;
    throw error;
  }
}

async function apply(registry: Registry, act: Act): Promise<unknown> {
  switch (act.kind) {
    case "blob": {
      const bytes = BLOBS[act.blob]!;
      await registry.pushBlob(act.repository, describeBytes(bytes), bytesSource(bytes));
      return; // the store takes from elsewhere what memory reads again
    }
    case "deleteBlob":
      return await registry.deleteBlob(act.repository, digestOf(BLOBS[act.blob]!));
    case "image": {
      await registry.pushBlob(act.repository, describeBytes(CONFIG), bytesSource(CONFIG));
      const bytes = imageOf(act.blob, act.subject);
      const { tags } = act;
      return await registry.pushManifest(
        act.repository,
        { mediaType: MediaType.ociManifest, bytes },
        { tags },
      );
    }
    case "deleteTag":
      return await registry.deleteManifest(act.repository, act.tag);
    case "deleteImage":
      return await registry.deleteManifest(act.repository, digestOf(imageOf(act.blob, undefined)));
  }
}

/** All that can be asked. */
async function observe(registry: Registry): Promise<unknown> {
  const seen: unknown[] = [await Array.fromAsync(registry.repositories())];
  for (const name of REPOSITORIES) {
    // Whether a repository without images is known is the place's own affair.
    const tags = await outcome(() => Array.fromAsync(registry.tags(name)));
    seen.push(tags === "NAME_UNKNOWN" ? [] : tags);
    for (const tag of TAGS) seen.push(await registry.stat(name, tag));
    for (const [at, bytes] of BLOBS.entries()) {
      seen.push((await registry.blob(name, digestOf(bytes)))?.size);
      const digest = digestOf(imageOf(at, undefined));
      seen.push(await registry.stat(name, digest));
      const referrers = await registry.referrers(name, digest);
      seen.push(referrers.map((entry) => entry.digest).sort());
    }
  }
  return seen;
}

Deno.test("store: R-11 any sequence of pushes, deletes, collections and reopenings is as in the model", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(acts, { maxLength: 25 }), async (sequence) => {
      const dir = await Deno.makeTempDir();
      const path = join(dir, "store");
      let now = Date.now();
      const open = () => openStore(path, { now: () => new Date(now) });
      let store: Store = await open();
      const model = memoryRegistry();
      try {
        for (const act of sequence) {
          if (act.kind === "gc") {
            now += DAY; // everything is old, but nothing that is visible may go
            await store.gc({ keepUntagged: true, graceMs: 2 * DAY });
          } else if (act.kind === "reopen") {
            await store[Symbol.asyncDispose]();
            store = await open();
          } else {
            deepEqual(
              await outcome(() => apply(store, act)),
              await outcome(() => apply(model, act)),
              act.kind,
            );
          }
        }
        deepEqual(await observe(store), await observe(model));
      } finally {
        await store[Symbol.asyncDispose]();
        await Deno.remove(dir, { recursive: true });
      }
    }),
    { numRuns: 60, endOnFailure: true },
  );
});

Deno.test("store: R-11 pushes, deletes and collections at once leave only whole images", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const [one, two] = [await openStore(join(dir, "store")), await openStore(join(dir, "store"))];
  let turn = 0;
  const pusher = async (store: Store) => {
    for (let round = 0; round < 40; round++) {
      const at = turn++ % BLOBS.length;
      const repository = REPOSITORIES[turn % REPOSITORIES.length]!;
      const tags = [TAGS[turn % TAGS.length]!];
      await apply(store, { kind: "blob", repository, blob: at });
      await apply(store, { kind: "image", repository, blob: at, subject: undefined, tags });
      // Not in the last round: whoever ends last leaves the image that is looked for below.
      if (round % 3 === 1) await store.deleteManifest(repository, tags[0]!);
      if (round % 7 === 0) await store.gc({ graceMs: 0 });
    }
  };
  await Promise.all([pusher(one), pusher(two), pusher(one), pusher(two)]);
  let images = 0;
  for await (const name of one.repositories()) {
    for await (const tag of two.tags(name)) {
      const raw = await one.manifest(name, tag);
      const layer = JSON.parse(new TextDecoder().decode(raw!.bytes)).layers[0];
      const source = await two.blob(name, layer.digest);
      equal((await new Response(await source!.open()).arrayBuffer()).byteLength, layer.size);
      images++;
    }
  }
  equal(images > 0, true);
  await one[Symbol.asyncDispose]();
  await two[Symbol.asyncDispose]();
});
