/** Leases and immediate release: what is needed stays, what is not goes at once (ST-03, ST-04). */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { join } from "node:path";
import { encodeJson } from "../image.ts";
import { digestOf, hexOf } from "../oci/digest.ts";
import { MediaType } from "../oci/media_type.ts";
import {
  describeBytes,
  pushBytes,
  pushSampleImage,
  sampleBytes,
} from "../registry_suite_testing.ts";
import { bytesSource } from "../source.ts";
import { tempDir } from "../temp_testing.ts";
import { openStore, type Store } from "./store.ts";

const HOUR = 60 * 60 * 1000;
const LARGE = 100_000;

function test(name: string, body: (dir: string) => Promise<void>): void {
  Deno.test(`store: ${name}`, async () => {
    await using temp = await tempDir();
    const top = temp.path;
    await body(join(top, "store"));
  });
}

const files = async (dir: string) => {
  const hex: string[] = [];
  for await (const shard of Deno.readDir(join(dir, "blobs/sha256"))) {
    for await (const { name } of Deno.readDir(join(dir, "blobs/sha256", shard.name))) {
      hex.push(name);
    }
  }
  return hex.sort();
};

test("ST-04 a lease keeps a blob that waits hours for its manifest", async (dir) => {
  let now = Date.now();
  const clock = { now: () => new Date(now) };
  await using builder = await openStore(dir, clock);
  await using collector = await openStore(dir, clock);
  const bytes = sampleBytes(LARGE);
  const push = async () => {
    const layer = await pushBytes(builder, "app", bytes, MediaType.ociLayer);
    const config = await pushBytes(
      builder,
      "app",
      encodeJson({ os: "linux" }),
      MediaType.ociConfig,
    );
    return encodeJson({ schemaVersion: 2, config, layers: [layer] });
  };
  const finish = (manifest: Uint8Array<ArrayBuffer>) =>
    builder.pushManifest("app", { mediaType: MediaType.ociManifest, bytes: manifest }, {
      tags: ["v1"],
    });
  // Without one the grace time is all there is: the hole that leases close.
  const early = await push();
  now += 2 * HOUR;
  await collector.gc();
  await rejects(() => finish(early), /blobs that are not there/);
  {
    await using _lease = await builder.lease();
    const manifest = await push();
    now += 20 * HOUR;
    await collector.gc({ graceMs: 0 });
    await builder.gc({ graceMs: 0 });
    await finish(manifest);
  }
  now += 2 * HOUR;
  await collector.gc();
  ok(await builder.stat("app", "v1"));
});

test("ST-04 a lease covers what was looked at shortly before it", async (dir) => {
  let now = Date.now();
  await using store = await openStore(dir, { now: () => new Date(now) });
  const blob = await pushBytes(store, "app", sampleBytes(LARGE));
  now += 9 * 60 * 1000; // a look now is not noted, since the push was a moment ago
  await using _lease = await store.lease();
  ok(await store.blob("app", blob.digest));
  now += 5 * HOUR;
  await store.gc({ graceMs: 0 });
  ok(await store.content(blob.digest));
});

test("ST-03 a lease ends with its process", async (dir) => {
  await (await openStore(dir))[Symbol.asyncDispose]();
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const script = `const { openStore } = await import(${
    JSON.stringify(new URL("./store.ts", import.meta.url).href)
  });
    const store = await openStore(Deno.args[0]); await store.lease();
    console.log("taken"); await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const file = join(dir, "../holder.ts");
  await Deno.writeTextFile(file, script);
  const holder = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, file, dir],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const said = holder.stdout.getReader();
  ok(new TextDecoder().decode((await said.read()).value).includes("taken"));
  await using store = await openStore(dir);
  const { digest } = await pushBytes(store, "app", sampleBytes(LARGE));
  await store.gc({ graceMs: -1000 });
  ok(await store.content(digest), "the lease of the other process");
  holder.kill("SIGKILL");
  await holder.status;
  while (!(await said.read()).done);
  await store.gc({ graceMs: -1000 });
  equal(await store.content(digest), undefined, "dead, it holds nothing");
});

test("a removed image frees at once what it alone needed", async (dir) => {
  await using store = await openStore(dir);
  const one = await pushSampleImage(store, "one", { seed: 1, size: LARGE, tags: ["v1", "v2"] });
  await pushSampleImage(store, "two", { seed: 2, size: LARGE, tags: ["v1"] });
  const shared = describeBytes(sampleBytes(LARGE, 2), MediaType.ociLayer);
  await store.pushBlob("one", shared, bytesSource(sampleBytes(LARGE, 2)));
  const spare = await pushBytes(store, "one", sampleBytes(LARGE, 3));
  const signature = await pushSampleImage(store, "one", { seed: 4, more: { subject: one } });
  deepEqual((await store.release("one", "v2"))?.blobs, 0, "another tag names it");
  const freed = await store.release("one", "v1");
  equal(freed?.manifests, 2, "the image and what speaks of it");
  ok(freed.bytes > LARGE);
  equal(await store.stat("one", signature.digest), undefined);
  equal(await store.content(digestOf(sampleBytes(LARGE, 1))), undefined);
  deepEqual(await files(dir), [hexOf(shared.digest), hexOf(spare.digest)].sort());
  ok(await store.stat("two", "v1"));
  equal(await store.release("one", "v1"), undefined);
  equal(await store.release("absent", "v1"), undefined);
  deepEqual(await Array.fromAsync(Deno.readDir(join(dir, "ingest"))), []);
});

test("a removed index frees its images, unless they have names of their own", async (dir) => {
  await using store = await openStore(dir);
  const kept = await pushSampleImage(store, "app", { seed: 1, size: LARGE, tags: ["named"] });
  const gone = await pushSampleImage(store, "app", { seed: 2, size: LARGE });
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: [kept, gone],
  });
  const index = await store.pushManifest("app", { mediaType: MediaType.ociIndex, bytes }, {
    tags: ["multi"],
  });
  equal((await store.release("app", index.digest))?.manifests, 2);
  ok(await store.stat("app", kept.digest));
  equal(await store.stat("app", gone.digest), undefined);
  deepEqual(await files(dir), [hexOf(digestOf(sampleBytes(LARGE, 1)))]);
});

test("ST-04 a removal frees nothing that somebody at work may have seen", async (dir) => {
  let now = Date.now();
  const clock = { now: () => new Date(now) };
  await using store = await openStore(dir, clock);
  const push = (to: Store) => pushSampleImage(to, "app", { size: LARGE, tags: ["v1"] });
  const layer = digestOf(sampleBytes(LARGE));
  await push(store);
  {
    await using other = await openStore(dir, clock);
    equal((await store.release("app", "v1"))?.bytes, 0, "another process writes: its hour stands");
    ok(await other.content(layer));
    await push(store);
    now += 2 * HOUR;
    await using _lease = await other.lease();
    ok(await other.blob("app", layer)); // the other one plans to use it
    now += 2 * HOUR;
    ok(((await store.release("app", "v1"))?.bytes ?? 0) < LARGE);
    ok(await other.content(layer));
  }
  await push(store);
  ok(((await store.release("app", "v1"))?.bytes ?? 0) > LARGE);
});
