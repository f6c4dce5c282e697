import assert from "node:assert/strict";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import { readAll } from "../../registry/source.ts";
import type { CacheMetadata } from "../file/lifecycle_metadata.ts";
import { type CacheDraft, CacheLayerError, EMPTY_CACHE_METADATA } from "./cache.ts";
import { openDirCache } from "./dir_cache.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const METADATA_FILE = "io.buildpacks.lifecycle.cache.metadata";

const bytes = (text: string) => new TextEncoder().encode(text);

async function add(draft: CacheDraft, text: string): Promise<Digest> {
  return await draft.add(async (sink) => {
    await sink.write(bytes(text));
    return digestOf(bytes(text));
  });
}

function metadata(sha: Digest): CacheMetadata {
  const layer = { sha, data: { at: 1n }, build: false, launch: false, cache: true };
  return { sbom: { sha: "" }, buildpacks: [{ key: "a/b", version: "1", layers: { l: layer } }] };
}

Deno.test("CA-1 CA-10 a committed cache lies as the Go lifecycle expects it", async () => {
  await using dir = await tempDir();
  const cache = await openDirCache(dir.path);
  const draft = await cache.draft();
  const sha = await add(draft, "tar");
  await draft.commit(metadata(sha));
  const names = [...Deno.readDirSync(`${dir.path}/committed`)].map(({ name }) => name).sort();
  assert.deepEqual(names, [METADATA_FILE, `${sha}.tar`].sort());
  assert.equal(
    await Deno.readTextFile(`${dir.path}/committed/${METADATA_FILE}`),
    `{"sbom":{"sha":""},"buildpacks":[{"key":"a/b","version":"1","layers":{"l":{"sha":"${sha}",` +
      `"data":{"at":1},"build":false,"launch":false,"cache":true}}}]}\n`,
  );
  const top = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
  assert.deepEqual(top, ["committed", "wherry.lock"]);
});

Deno.test("CA-2 opening needs the directory and clears what a killed build left", async () => {
  await using dir = await tempDir();
  await assert.rejects(openDirCache(`${dir.path}/absent`), Deno.errors.NotFound);
  await Deno.mkdir(`${dir.path}/staging`);
  await Deno.writeTextFile(`${dir.path}/staging/half`, "");
  await Deno.mkdir(`${dir.path}/committed`);
  await Deno.mkdir(`${dir.path}/committed-backup`);
  await openDirCache(dir.path);
  const top = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
  assert.deepEqual(top, ["committed", "wherry.lock"]);
});

Deno.test("CA-2 what a living build is about to add is left alone, a killed one's is cleared", async () => {
  await using dir = await tempDir();
  const cache = await openDirCache(dir.path);
  const spool = await cache.spool!();
  spool.write(bytes("tar"));
  await Deno.writeTextFile(`${dir.path}/spool-of-the-dead`, "half");
  await openDirCache(dir.path);
  const top = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
  assert.equal(top.length, 3, top.join());
  assert.ok(!top.includes("spool-of-the-dead"));
  const draft = await cache.draft();
  const sha = digestOf(bytes("tar"));
  await draft.take!(spool, sha);
  await assert.rejects(draft.take!(spool, sha), TypeError, "once");
  await spool.drop();
  await draft.commit(metadata(sha));
  const again = await openDirCache(dir.path);
  assert.deepEqual(await readAll(await again.layer(sha), 100), bytes("tar"));
  const dropped = await cache.spool!();
  await dropped.drop();
  await dropped.drop();
  const left = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
  assert.deepEqual(left, ["committed", "wherry.lock"]);
});

Deno.test("CA-3 a build killed between the two renames loses nothing", async () => {
  await using dir = await tempDir();
  const cache = await openDirCache(dir.path);
  const draft = await cache.draft();
  const sha = await add(draft, "tar");
  await draft.commit(metadata(sha));
  await Deno.rename(`${dir.path}/committed`, `${dir.path}/committed-backup`);
  const again = await openDirCache(dir.path);
  assert.deepEqual((await again.metadata()).buildpacks.map(({ key }) => key), ["a/b"]);
  assert.deepEqual(await readAll(await again.layer(sha), 100), bytes("tar"));
});

Deno.test("CA-3 keeping is a hard link, what is not kept goes, nothing after the commit", async () => {
  await using dir = await tempDir();
  const cache = await openDirCache(dir.path);
  const first = await cache.draft();
  const kept = await add(first, "kept");
  const dropped = await add(first, "dropped");
  await first.commit(metadata(kept));
  const file = `${dir.path}/committed/${kept}.tar`;
  const inode = (await Deno.stat(file)).ino;
  const second = await cache.draft();
  await second.keep(kept);
  await second.commit(metadata(kept));
  assert.equal((await Deno.stat(file)).ino, inode);
  await assert.rejects(cache.layer(dropped), CacheLayerError);
  await assert.rejects(second.keep(kept), TypeError);
  await second.abort();
  assert.ok(await Deno.stat(file));
});

Deno.test("CA-4 metadata that cannot be decoded is an empty cache", async () => {
  await using dir = await tempDir();
  const cache = await openDirCache(dir.path);
  assert.deepEqual(await cache.metadata(), EMPTY_CACHE_METADATA);
  for (const text of ["", "{", "[]", '{"buildpacks":7}', "\u0000"]) {
    await Deno.writeTextFile(`${dir.path}/committed/${METADATA_FILE}`, text);
    assert.deepEqual(await cache.metadata(), EMPTY_CACHE_METADATA, text);
  }
});

Deno.test("CA-4 two builds on one directory take turns", async () => {
  await using dir = await tempDir();
  const [one, two] = [await openDirCache(dir.path), await openDirCache(dir.path)];
  const first = await one.draft();
  let second: CacheDraft | undefined;
  const waiting = two.draft().then((draft) => second = draft);
  const sha = await add(first, "of one");
  assert.equal(second, undefined);
  await first.commit(metadata(sha));
  const draft = await waiting;
  await draft.keep(sha);
  await draft.commit(metadata(sha));
  assert.deepEqual(await readAll(await one.layer(sha), 100), bytes("of one"));
});

Deno.test("CA-4 waiting for another build ends with the signal", async () => {
  await using dir = await tempDir();
  const cache = await openDirCache(dir.path);
  const draft = await cache.draft();
  const controller = new AbortController();
  const waiting = cache.draft(controller.signal);
  controller.abort(new Error("stop"));
  await assert.rejects(waiting, /stop/);
  await draft.abort();
});

Deno.test("CA-5 a damaged layer is refused, with what was wanted and found", async () => {
  await using dir = await tempDir();
  const cache = await openDirCache(dir.path);
  const draft = await cache.draft();
  const sha = await add(draft, "whole");
  await draft.commit(metadata(sha));
  await Deno.writeTextFile(`${dir.path}/committed/${sha}.tar`, "half");
  const again = await openDirCache(dir.path);
  const wanted = new RegExp(`SHA '${sha}'; found '${digestOf(bytes("half"))}'`);
  await assert.rejects(again.layer(sha), wanted);
  const next = await again.draft();
  await assert.rejects(next.keep(sha), wanted);
  await next.abort();
});

Deno.test("RE-21 a cache cannot name a file outside itself", async () => {
  await using dir = await tempDir();
  const cache = await openDirCache(dir.path);
  await assert.rejects(cache.layer("../../etc/passwd" as Digest), CacheLayerError);
  await Deno.symlink("/etc/passwd", `${dir.path}/committed/${digestOf(bytes("x"))}.tar`);
  await assert.rejects(cache.layer(digestOf(bytes("x"))), CacheLayerError);
});

Deno.test("a draft that fails or is dropped leaves the content as it was", async () => {
  await using dir = await tempDir();
  const cache = await openDirCache(dir.path);
  const draft = await cache.draft();
  const sha = await add(draft, "old");
  await draft.commit(metadata(sha));
  const failing = await cache.draft();
  await assert.rejects(failing.add(() => Promise.reject(new Error("no space"))), /no space/);
  await cache.close();
  await cache.close();
  const top = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
  assert.deepEqual(top, ["committed", "wherry.lock"]);
  assert.deepEqual(await readAll(await cache.layer(sha), 100), bytes("old"));
});
