/** How a store and a layout lie on the disk. */
import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { join } from "node:path";
import { copy } from "../copy.ts";
import { encodeJson } from "../image.ts";
import { memoryRegistry } from "../memory.ts";
import { type Digest, digestOf, hexOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import { pushBytes, pushSampleImage, sampleBytes } from "../registry_suite_testing.ts";
import { readAll } from "../source.ts";
import { BlobFiles } from "./blob_files.ts";
import { LAYOUT_REPOSITORY, openLayout } from "./layout.ts";
import { openStore } from "./store.ts";
import { INLINE_BYTES } from "./upload.ts";
import { inTemp } from "../temp_testing.ts";

/** Files below `dir`, by path from there, in order. */
async function filesIn(dir: string, under = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(dir, under))) {
    const path = under === "" ? name : `${under}/${name}`;
    if (isDirectory) found.push(...await filesIn(dir, path));
    else found.push(path);
  }
  return found.sort();
}

Deno.test("ST-10 small documents and blobs have no file of their own", () =>
  inTemp(async (dir) => {
    await using store = await openStore(dir);
    const image = await pushSampleImage(store, "app", { size: INLINE_BYTES, tags: ["v1"] });
    deepEqual((await filesIn(dir)).filter((path) => path.startsWith("blobs/")), []);
    const large = await pushBytes(store, "app", sampleBytes(INLINE_BYTES + 1));
    equal((await filesIn(dir)).filter((path) => path.startsWith("blobs/")).length, 1);
    equal((await store.manifest("app", "v1"))?.digest, image.digest);
    equal((await store.blob("app", large.digest))?.size, INLINE_BYTES + 1);
  }));

const HOSTILE: readonly string[] = [
  "sha256:../../../etc/passwd",
  "sha256:",
  "sha256:" + "g".repeat(64),
]
  .concat(["md5:" + "a".repeat(32), "sha256:" + "A".repeat(64), "sha256:" + "a".repeat(63) + "/"])
  .concat([
    "../sha256:" + "a".repeat(64),
    "sha256:" + "a".repeat(64) + "\0",
    "sha1:" + "a".repeat(40),
  ])
  .concat(["constructor:" + "a".repeat(64), "sha256:" + "a".repeat(64) + "\n"]);

for (const text of HOSTILE) {
  Deno.test(`ST-11 no path is made of ${JSON.stringify(text.slice(0, 40))}`, () =>
    inTemp(async (dir) => {
      const digest = text as Digest; // as a caller without types, or a damaged database, would have it
      throws(() => new BlobFiles(dir).path(digest), (error) => isOciError(error, "DIGEST_INVALID"));
      await using store = await openStore(join(dir, "store"));
      const seen = await store.blob("app", digest).catch((error) => {
        ok(isOciError(error, "DIGEST_INVALID"), String(error));
      });
      equal(seen, undefined);
      await rejects(
        () => store.manifest("app", text.includes(":") ? text : `:${text}`),
        (error) => isOciError(error, "DIGEST_INVALID"),
      );
    }));
}

Deno.test("ST-12 the store's own files lie in 256 directories, a layout's in one", () =>
  inTemp(async (dir) => {
    const blobs = [1, 2, 3].map((seed) => sampleBytes(INLINE_BYTES + 1, seed));
    const hexes = blobs.map((bytes) => hexOf(digestOf(bytes))).sort();
    {
      await using store = await openStore(join(dir, "store"));
      for (const bytes of blobs) await pushBytes(store, "app", bytes);
    }
    const layout = await openLayout(join(dir, "layout"), { create: true });
    for (const bytes of blobs) await pushBytes(layout, LAYOUT_REPOSITORY, bytes);
    const own = (await filesIn(join(dir, "store"))).filter((path) => path.startsWith("blobs/"));
    deepEqual(own, hexes.map((hex) => `blobs/sha256/${hex.slice(0, 2)}/${hex}`));
    const flat = (await filesIn(join(dir, "layout"))).filter((path) => path.startsWith("blobs/"));
    deepEqual(flat, hexes.map((hex) => `blobs/sha256/${hex}`));
    // No two names differ by their case alone.
    for (const path of [...own, ...flat]) equal(path, path.toLowerCase());
  }));

Deno.test("ST-08 an index of indexes goes out into a layout and comes back the same", () =>
  inTemp(async (dir) => {
    const from = memoryRegistry();
    const children = [];
    for (const seed of [1, 2]) {
      children.push(await pushSampleImage(from, "app", { seed, size: INLINE_BYTES + 1 }));
    }
    const type = MediaType.ociIndex;
    const inner = encodeJson({ schemaVersion: 2, mediaType: type, manifests: children });
    const pushed = await from.pushManifest("app", { mediaType: type, bytes: inner });
    const outer = encodeJson({ schemaVersion: 2, mediaType: type, manifests: [pushed] });
    await from.pushManifest("app", { mediaType: type, bytes: outer }, { tags: ["v1"] });
    const layout = await openLayout(join(dir, "layout"), { create: true });
    await copy(from, "app", "v1", layout, LAYOUT_REPOSITORY);
    const top = JSON.parse(await Deno.readTextFile(join(dir, "layout", "index.json")));
    equal(top.manifests.length, 1);
    equal(top.manifests[0].digest, digestOf(outer));
    equal(top.manifests[0].annotations["org.opencontainers.image.ref.name"], "v1");
    deepEqual(JSON.parse(await Deno.readTextFile(join(dir, "layout", "oci-layout"))), {
      imageLayoutVersion: "1.0.0",
    });
    const back = memoryRegistry();
    await copy(layout, LAYOUT_REPOSITORY, "v1", back, "app");
    deepEqual((await back.manifest("app", "v1"))?.bytes, outer);
    for (const { digest } of children) {
      equal((await back.manifest("app", digest))?.digest, digest);
    }
  }));

for (
  const what of ["a link", "a directory that is a link", "other bytes", "fewer bytes"] as const
) {
  Deno.test(`ST-08 a layout with ${what} for a blob is not imported`, () =>
    inTemp(async (dir) => {
      const path = join(dir, "layout");
      const layout = await openLayout(path, { create: true });
      const image = await pushSampleImage(layout, LAYOUT_REPOSITORY, {
        size: 100_000,
        tags: ["v1"],
      });
      const raw = await layout.manifest(LAYOUT_REPOSITORY, image.digest);
      const [layer] = JSON.parse(new TextDecoder().decode(raw!.bytes)).layers;
      const file = join(path, "blobs", "sha256", hexOf(layer.digest));
      const bytes = await Deno.readFile(file);
      const elsewhere = join(dir, "elsewhere");
      await Deno.chmod(file, 0o600);
      if (what === "a link") {
        await Deno.rename(file, elsewhere);
        await Deno.symlink(elsewhere, file);
      } else if (what === "a directory that is a link") {
        await Deno.rename(join(path, "blobs", "sha256"), elsewhere);
        await Deno.symlink(elsewhere, join(path, "blobs", "sha256"));
      } else if (what === "fewer bytes") await Deno.writeFile(file, bytes.subarray(1));
      else {
        bytes[50_000]! ^= 1;
        await Deno.writeFile(file, bytes);
      }
      const to = memoryRegistry();
      const read = await openLayout(path);
      await rejects(
        () => copy(read, LAYOUT_REPOSITORY, "v1", to, "app"),
        (error) => isOciError(error),
      );
      equal(await to.stat("app", "v1"), undefined);
      const source = await read.blob(LAYOUT_REPOSITORY, layer.digest).catch(() => undefined);
      if (source !== undefined) await rejects(() => readAll(source, 1e6));
    }));
}
