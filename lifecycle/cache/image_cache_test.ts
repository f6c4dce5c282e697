import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { readImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { collect } from "../../registry/source.ts";
import { writeLayer } from "../../registry/layer/write_layer.ts";
import { filesLayer } from "../../registry/layer/fixed_layers.ts";
import type { Registry } from "../../registry/registry.ts";
import { CacheLayerError, EMPTY_CACHE_METADATA } from "./cache.ts";
import type { CacheMetadata } from "../file/lifecycle_metadata.ts";
import { openImageCache } from "./image_cache.ts";

const platform = { os: "linux", architecture: "amd64" };
const EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

async function scene(): Promise<
  AsyncDisposable & {
    readonly registry: ReturnType<typeof memoryRegistry>;
    readonly open: (
      options?: { deleteOld?: boolean; reference?: string },
    ) => ReturnType<typeof openImageCache>;
    readonly lines: string[];
  }
> {
  const registry = memoryRegistry();
  const scratch = await Deno.makeTempDir();
  const lines: string[] = [];
  const { log } = quietContext();
  return {
    registry,
    lines,
    open: ({ deleteOld = false, reference = "latest" } = {}) =>
      openImageCache({
        place: { registry, repository: "cache", reference, name: "registry.example/cache" },
        platform,
        scratch,
        deleteOld,
        log: { ...log, info: (line) => lines.push(line) },
      }),
    [Symbol.asyncDispose]: () => Deno.remove(scratch, { recursive: true }),
  };
}

function tar(text: string) {
  const files = new Map([["/layers/bp/l/file", new TextEncoder().encode(text)]]);
  return filesLayer(files, { owner: { uid: 1, gid: 1 } });
}

async function add(cache: Awaited<ReturnType<typeof openImageCache>>, ...texts: string[]) {
  const draft = await cache.draft();
  const shas = [];
  for (const text of texts) {
    shas.push(
      await draft.add(async (sink, compression) =>
        (await writeLayer(tar(text), sink, { compression })).diffId
      ),
    );
  }
  const layers = Object.fromEntries(shas.map((sha, at) => [`l${at}`, layer(sha)]));
  const metadata: CacheMetadata = {
    sbom: { sha: "" },
    buildpacks: [{ key: "a/bp", version: "1", layers }],
  };
  await draft.commit(metadata);
  return { shas, metadata };
}

const layer = (sha: string) => ({ sha, data: null, build: true, launch: false, cache: true });

const image = (registry: Registry, reference = "latest") =>
  readImage(registry, "cache", reference, platform);

Deno.test("CA-6 an OCI image with the document as a label; layers come back verified", async () => {
  await using at = await scene();
  assert.deepEqual(await (await at.open()).metadata(), EMPTY_CACHE_METADATA);
  const { shas, metadata } = await add(await at.open(), "one", "two");
  const made = (await image(at.registry))!;
  assert.equal(made.raw.mediaType, "application/vnd.oci.image.manifest.v1+json");
  assert.equal(made.config.os, "linux");
  assert.equal(made.config.created, "1980-01-01T00:00:01Z");
  assert.deepEqual(made.config.history, [
    { created: "1980-01-01T00:00:01Z" },
    { created: "1980-01-01T00:00:01Z" },
  ]);
  assert.deepEqual(made.config.rootfs.diff_ids, shas);
  assert.match(labelOf(made.config, "io.buildpacks.lifecycle.cache.metadata")!, /^\{"sbom":/);
  const cache = await at.open();
  assert.equal(JSON.stringify(await cache.metadata()), JSON.stringify(metadata));
  const bytes = await collect(await (await cache.layer(shas[1]!)).open(), 1 << 20);
  assert.equal(digestOf(bytes), shas[1]);
});

Deno.test("CA-7 no layers become one of 1024 zero bytes, under its own media type", async () => {
  await using at = await scene();
  await (await (await at.open()).draft()).commit(EMPTY_CACHE_METADATA);
  const made = (await image(at.registry))!;
  assert.deepEqual(made.config.rootfs.diff_ids, [EMPTY]);
  assert.equal(made.manifest.layers[0]!.digest, EMPTY);
  assert.equal(made.manifest.layers[0]!.mediaType, "application/vnd.oci.image.layer.v1.tar");
});

Deno.test("CA-8 the old image goes when it is asked for, and only when it differs", async () => {
  for (const deleteOld of [true, false]) {
    await using at = await scene();
    await add(await at.open(), "one");
    const old = (await image(at.registry))!.raw.digest;
    await add(await at.open({ deleteOld }), "one");
    assert.ok(await image(at.registry, old), "the same image stays");
    await add(await at.open({ deleteOld }), "two");
    assert.equal(await image(at.registry, old) === undefined, deleteOld);
    assert.ok(await image(at.registry));
  }
});

Deno.test("CA-9 CA-4 what contradicts itself or cannot be decoded is an empty cache", async () => {
  await using at = await scene();
  await add(await at.open(), "one");
  const good = (await image(at.registry))!;
  await at.registry.deleteBlob("cache", good.manifest.config.digest);
  assert.deepEqual(await (await at.open()).metadata(), EMPTY_CACHE_METADATA);
  assert.deepEqual(at.lines, [
    'Ignoring cache image "registry.example/cache" because it was corrupt',
  ]);
});

Deno.test("CA-11 a layer that is kept is listed once, and not sent again", async () => {
  await using at = await scene();
  const { shas, metadata } = await add(await at.open(), "one", "two");
  const before = (await image(at.registry))!;
  const cache = await at.open();
  const draft = await cache.draft();
  for (const sha of [...shas, ...shas]) await draft.keep(sha);
  await draft.commit(metadata);
  const after = (await image(at.registry))!;
  assert.equal(after.raw.digest, before.raw.digest);
});

Deno.test("RE-11 RG-9 a layer that is gone or is something else is not used", async () => {
  await using at = await scene();
  const { shas, metadata } = await add(await at.open(), "one", "two");
  const made = (await image(at.registry))!;
  await at.registry.deleteBlob("cache", made.manifest.layers[0]!.digest);
  const cache = await at.open();
  await assert.rejects(cache.layer(shas[0]!), CacheLayerError);
  const draft = await cache.draft();
  await assert.rejects(draft.keep(shas[0]!), CacheLayerError);
  await assert.rejects(draft.keep(digestOf(new Uint8Array(1))), CacheLayerError);
  await draft.abort();
  await assert.rejects(draft.commit(metadata), TypeError);
});

Deno.test("CA-6 a digest can be read but not written", async () => {
  await using at = await scene();
  await add(await at.open(), "one");
  const { digest } = (await image(at.registry))!.raw;
  const cache = await at.open({ reference: digest });
  assert.equal((await cache.metadata()).buildpacks.length, 1);
  await assert.rejects(async () => await cache.draft(), /want a tag, not a digest/);
});
