import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { join } from "node:path";
import { encodeJson } from "../image.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf, hexOf } from "../oci/digest.ts";
import { isOciError, type OciErrorCode } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import {
  describeBytes,
  pushBytes,
  pushSampleImage,
  sampleBytes,
} from "../registry_suite_testing.ts";
import { bytesSource, readAll, type Source } from "../source.ts";
import { PAGE_BYTES } from "./database.ts";
import { openStore, type Store, type StoreOptions } from "./store.ts";

const HOUR = 60 * 60 * 1000;
const LARGE = 200_000;

interface Bench extends AsyncDisposable {
  readonly dir: string;
  open(options?: StoreOptions): Promise<Store>;
}

async function bench(): Promise<Bench> {
  const top = await Deno.makeTempDir();
  const dir = join(top, "store");
  const stores: Store[] = [];
  return {
    dir,
    async open(options = {}) {
      const store = await openStore(dir, options);
      stores.push(store);
      return store;
    },
    async [Symbol.asyncDispose]() {
      for (const store of stores) await store[Symbol.asyncDispose]();
      await Deno.remove(top, { recursive: true });
    },
  };
}

function test(name: string, body: (bench: Bench) => Promise<void>): void {
  Deno.test(`store: ${name}`, async () => {
    await using made = await bench();
    await body(made);
  });
}

async function fails(
  act: () => Promise<unknown>,
  code: OciErrorCode,
  words?: RegExp,
): Promise<void> {
  await rejects(act, (error) => {
    ok(isOciError(error, code), String(error));
    if (words !== undefined) ok(words.test(String(error)), String(error));
    return true;
  });
}

function blobPath(dir: string, digest: Digest): string {
  const hex = hexOf(digest);
  return join(dir, "blobs", "sha256", hex.slice(0, 2), hex);
}

const unread = (size: number): Source => ({
  size,
  open: () => Promise.reject(new Error("opened")),
});

test("what was pushed is there when it is opened again", async ({ open }) => {
  const first = await open();
  const image = await pushSampleImage(first, "app", { size: LARGE, tags: ["v1"] });
  await first[Symbol.asyncDispose]();
  const second = await open();
  deepEqual(await second.stat("app", "v1"), image);
  await second[Symbol.asyncDispose]();
});

test("ST-07 modes are for the owner alone", async ({ open, dir }) => {
  const store = await open();
  const { digest } = await pushBytes(store, "app", sampleBytes(LARGE));
  const mode = async (path: string) => ((await Deno.lstat(path)).mode ?? 0) & 0o777;
  equal(await mode(dir), 0o700);
  equal(await mode(join(dir, "blobs")), 0o700);
  equal(await mode(join(dir, "ingest")), 0o700);
  equal(await mode(join(dir, "metadata.db")), 0o600);
  equal(await mode(join(dir, "metadata.db-wal")), 0o600);
  equal(await mode(blobPath(dir, digest)), 0o444);
  deepEqual(await Array.fromAsync(Deno.readDir(join(dir, "ingest"))), []);
});

Deno.test({
  name: "store: ST-07 another user's directory is refused",
  ignore: Deno.uid() !== 0, // only root can give a directory away
  async fn() {
    await using made = await bench();
    await Deno.mkdir(made.dir);
    await Deno.chown(made.dir, 12345, 12345);
    await fails(() => made.open(), "DENIED", /belongs to user 12345/);
    await made.open({ foreignOwner: true });
  },
});

test("a directory with something else in it is left alone", async ({ open, dir }) => {
  await Deno.mkdir(dir);
  await Deno.writeTextFile(join(dir, "thesis.txt"), "x");
  await fails(() => open(), "UNAVAILABLE", /thesis\.txt/);
  deepEqual((await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name), ["thesis.txt"]);
});

test("ST-06 read-only: reads, writes nothing, says so", async ({ open, dir }) => {
  await fails(() => open({ readOnly: true }), "UNAVAILABLE", /no such directory/);
  const store = await open();
  const image = await pushSampleImage(store, "app", { tags: ["v1"] });
  await store[Symbol.asyncDispose]();
  const names = async () =>
    (await Array.fromAsync(Deno.readDir(dir), ({ name }) => name)).filter((name) =>
      !name.startsWith("metadata.db-")
    ).sort();
  const before = await names();
  const reader = await open({ readOnly: true });
  deepEqual(await reader.stat("app", "v1"), image);
  await fails(() => pushSampleImage(reader, "app", { seed: 2 }), "UNSUPPORTED");
  await fails(() => reader.deleteManifest("app", "v1"), "UNSUPPORTED");
  await fails(() => reader.gc(), "UNSUPPORTED");
  await reader.memo.set("k", "v");
  equal(await reader.memo.get("k"), undefined);
  deepEqual(await names(), before);
});

test("large blobs are files, small ones are not", async ({ open, dir }) => {
  const store = await open();
  const small = await pushBytes(store, "app", sampleBytes(64 * 1024));
  const large = await pushBytes(store, "app", sampleBytes(64 * 1024 + 1));
  await rejects(() => Deno.lstat(blobPath(dir, small.digest)), Deno.errors.NotFound);
  equal((await Deno.lstat(blobPath(dir, large.digest))).size, large.size);
});

test("R-12 bytes that changed on the disk are not handed out as good, and are put aside", async ({ open, dir }) => {
  const store = await open();
  const good = sampleBytes(LARGE);
  const push = () => store.pushBlob("app", describeBytes(good), bytesSource(good));
  await push();
  const { digest, size } = describeBytes(good);
  const path = blobPath(dir, digest);
  const damage = async (change: (bytes: Uint8Array) => Uint8Array) => {
    const bytes = change(await Deno.readFile(path));
    await Deno.chmod(path, 0o600);
    await Deno.writeFile(path, bytes);
  };
  await damage((bytes) => bytes.with(LARGE - 1, bytes[LARGE - 1]! ^ 1));
  const poisoned = (await store.blob("app", digest))!;
  await fails(() => readAll(poisoned, size), "DIGEST_INVALID");
  equal(await store.blob("app", digest), undefined, "as good as absent");
  equal((await Deno.stat(join(dir, "quarantine", hexOf(digest)))).size, LARGE);
  equal(await push(), "uploaded");
  deepEqual(await readAll((await store.blob("app", digest))!, size), good);
  // Found wrong again through an old source, what was brought back since is left alone.
  deepEqual(await readAll(poisoned, size), good);
  await damage((bytes) => bytes.subarray(0, 100));
  equal(await store.blob("app", digest), undefined);
  equal(await push(), "uploaded");
  deepEqual(await readAll((await store.blob("app", digest))!, size), good);
});

test("a manifest whose blob file is gone is not taken", async ({ open, dir }) => {
  const store = await open();
  const layer = await pushBytes(store, "app", sampleBytes(LARGE), MediaType.ociLayer);
  const config = await pushBytes(store, "app", encodeJson({ os: "linux" }), MediaType.ociConfig);
  await Deno.remove(blobPath(dir, layer.digest));
  const bytes = encodeJson({ schemaVersion: 2, config, layers: [layer] });
  const { ociManifest: mediaType } = MediaType;
  await fails(() => store.pushManifest("app", { mediaType, bytes }), "MANIFEST_BLOB_UNKNOWN");
});

test("content of another repository is not read again", async ({ open }) => {
  const store = await open();
  const blob = await pushBytes(store, "one", sampleBytes(LARGE));
  equal(await store.pushBlob("two", blob, unread(LARGE)), "mounted");
  equal(await store.locate(blob.digest), "one");
  equal(await store.adopt("three", blob.digest), true);
  ok(await store.blob("three", blob.digest));
  equal(await store.adopt("three", digestOf(sampleBytes(1))), false);
  equal((await store.content(blob.digest))?.size, LARGE);
});

test("layers are remembered by diffID", async ({ open }) => {
  const store = await open();
  const diffId = digestOf(sampleBytes(1));
  deepEqual(await store.findLayer(diffId), []);
  const layer = await pushBytes(store, "app", sampleBytes(LARGE), MediaType.ociLayerGzip);
  const elsewhere = describeBytes(sampleBytes(3), MediaType.ociLayerZstd);
  await store.rememberLayer(diffId, layer);
  await store.rememberLayer(diffId, elsewhere);
  deepEqual(await store.findLayer(diffId), [layer]);
  equal((await store.findLayerAnywhere(diffId)).length, 2);
  await store.deleteBlob("app", layer.digest);
  await store.gc({ graceMs: -1000 });
  deepEqual(await store.findLayer(diffId), []);
});

test("places of blobs and memos are remembered between runs", async ({ open }) => {
  const digest = digestOf(sampleBytes(1));
  let now = 1000;
  const first = await open({ now: () => new Date(now++) });
  await first.rememberLocation(digest, "registry.example", "a");
  await first.rememberLocation(digest, "registry.example", "b");
  await first.memo.set("tree:/app", "sha256:1");
  await first.memo.set("tree:/app", "sha256:2");
  await rejects(() => first.memo.set("k", "x".repeat(70_000)), RangeError);
  await first[Symbol.asyncDispose]();
  const second = await open();
  deepEqual(await second.findLocations(digest, "registry.example"), ["b", "a"]);
  await second.forgetLocation(digest, "registry.example", "b");
  deepEqual(await second.findLocations(digest, "registry.example"), ["a"]);
  deepEqual(await second.findLocations(digest, "other.example"), []);
  equal(await second.memo.get("tree:/app"), "sha256:2");
  equal(await second.memo.get("absent"), undefined);
});

test("an upload goes on after the process ended", async ({ open }) => {
  const bytes = sampleBytes(LARGE);
  const first = await open();
  const upload = await first.upload("app");
  await upload.write(bytes.subarray(0, 150_000));
  await first[Symbol.asyncDispose]();
  const second = await open();
  equal(await second.resumeUpload("other", upload.id), undefined);
  equal(await second.resumeUpload("app", "../../etc/passwd"), undefined);
  const resumed = await second.resumeUpload("app", upload.id);
  equal(resumed?.size, 150_000);
  await resumed!.write(bytes.subarray(150_000));
  equal((await resumed!.commit()).digest, digestOf(bytes));
  equal(await second.resumeUpload("app", upload.id), undefined);
});

test("many uploads at once keep few files open", async ({ open, dir }) => {
  const store = await open();
  const uploads = await Promise.all(Array.from({ length: 200 }, () => store.upload("app")));
  const bytes = sampleBytes(70_000);
  for (const upload of uploads) await upload.write(bytes);
  const links = Array.fromAsync(
    Deno.readDir("/proc/self/fd"),
    ({ name }) => Deno.readLink(`/proc/self/fd/${name}`).catch(() => ""),
  );
  const held = (await links).filter((path) => path.startsWith(join(dir, "ingest")));
  ok(held.length <= 64, `${held.length} files open`);
  for (const upload of uploads.slice(0, 10)) {
    await upload.write(bytes);
    equal((await upload.commit()).size, 140_000);
  }
  for (const upload of uploads) await upload.abort();
  deepEqual(await Array.fromAsync(Deno.readDir(join(dir, "ingest"))), []);
});

test("two writers of one upload: the second is refused", async ({ open }) => {
  const store = await open();
  const upload = await store.upload("app");
  const first = upload.write(sampleBytes(LARGE));
  await fails(() => upload.write(sampleBytes(1)), "BLOB_UPLOAD_INVALID");
  await first;
  await upload.abort();
});

test("S-API-5 of two stores that move one tag from one place, one does", async ({ open }) => {
  const stores = [await open(), await open()];
  const images = [];
  for (const seed of [1, 2, 3]) images.push(await pushSampleImage(stores[0]!, "app", { seed }));
  let from = images[0]!.digest;
  await stores[0]!.pushManifest("app", (await stores[0]!.manifest("app", from))!, { tags: ["v1"] });
  for (let round = 0; round < 20; round++) {
    const goals = images.filter(({ digest }) => digest !== from);
    const moved = await Promise.all(stores.map(async (store, at) => {
      const raw = await store.manifest("app", goals[at]!.digest);
      const expect = [{ tag: "v1", is: [from] }];
      return await store.pushManifest("app", raw!, { tags: ["v1"], expect }).catch((error) => {
        ok(isOciError(error, "PRECONDITION_FAILED"), String(error));
      });
    }));
    const winners = moved.filter((one) => one !== undefined);
    equal(winners.length, 1);
    from = winners[0]!.digest;
    equal((await stores[round % 2]!.stat("app", "v1"))?.digest, from);
  }
});

test("ST-02 two stores on one directory see each other's writes", async ({ open }) => {
  const [one, two] = [await open(), await open()];
  const bytes = sampleBytes(LARGE);
  const push = (store: Store) => store.pushBlob("app", describeBytes(bytes), bytesSource(bytes));
  await Promise.all([push(one), push(two), push(one), push(two)]);
  const image = await pushSampleImage(one, "app", { tags: ["v1"] });
  deepEqual(await two.stat("app", "v1"), image);
  await two.deleteManifest("app", "v1");
  equal(await one.stat("app", "v1"), undefined);
});

test("gc takes what no name leads to, and its files", async ({ open, dir }) => {
  let now = Date.now();
  const store = await open({ now: () => new Date(now) });
  const old = await pushSampleImage(store, "app", { seed: 1, size: LARGE, tags: ["latest"] });
  const kept = await pushSampleImage(store, "app", { seed: 2, size: LARGE, tags: ["latest"] });
  const subject = await pushSampleImage(store, "app", { seed: 3, tags: ["signed"] });
  const signature = await pushSampleImage(store, "app", { seed: 4, more: { subject } });
  const child = await pushSampleImage(store, "app", { seed: 5 });
  const bytes = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [child] });
  await store.pushManifest("app", { mediaType: MediaType.ociIndex, bytes }, { tags: ["multi"] });
  const loose = await pushBytes(store, "app", sampleBytes(LARGE, 9));
  deepEqual(await store.gc(), { manifests: 0, blobs: 0, bytes: 0, uploads: 0 }, "all is young");
  now += 2 * HOUR;
  equal((await store.gc({ keepUntagged: true })).manifests, 0);
  ok(await store.manifest("app", old.digest), "a look keeps it for another while");
  now += 2 * HOUR;
  const report = await store.gc();
  equal(report.manifests, 1);
  equal(await store.stat("app", old.digest), undefined);
  equal(await store.blob("app", loose.digest), undefined);
  await rejects(() => Deno.lstat(blobPath(dir, digestOf(sampleBytes(LARGE, 1)))));
  await rejects(() => Deno.lstat(blobPath(dir, loose.digest)));
  for (const { digest } of [kept, subject, signature, child]) ok(await store.stat("app", digest));
  ok(await store.blob("app", digestOf(sampleBytes(LARGE, 2))));
  await store.deleteManifest("app", "signed");
  await store.deleteManifest("app", "multi");
  await store.deleteManifest("app", "latest");
  now += 2 * HOUR;
  equal((await store.gc()).manifests, 5);
  deepEqual(await Array.fromAsync(store.repositories()), []);
});

test("ST-04 gc leaves uploads under way and what is shared alone", async ({ open }) => {
  let now = Date.now();
  const store = await open({ now: () => new Date(now) });
  const upload = await store.upload("app");
  await upload.write(sampleBytes(LARGE));
  await pushSampleImage(store, "one", { size: LARGE, tags: ["v1"] });
  await pushSampleImage(store, "two", { size: LARGE, tags: ["v1"] });
  await store.deleteManifest("one", "v1");
  now += 2 * HOUR;
  await store.gc();
  ok(await store.blob("two", digestOf(sampleBytes(LARGE, 1))));
  equal(await store.blob("one", digestOf(sampleBytes(LARGE, 1))), undefined);
  equal((await upload.commit()).size, LARGE);
});

test("ST-04 while another process writes, gc keeps its hour", async ({ open }) => {
  const [one, two] = [await open(), await open()];
  const { digest } = await pushBytes(two, "app", sampleBytes(LARGE));
  await one.gc({ graceMs: -1000 });
  ok(await two.blob("app", digest));
  await two[Symbol.asyncDispose]();
  await one.gc({ graceMs: -1000 });
  equal(await one.blob("app", digest), undefined);
});

test("gc removes a file that a crash left without a record", async ({ open, dir }) => {
  const store = await open();
  await pushBytes(store, "app", sampleBytes(LARGE));
  const stray = blobPath(dir, digestOf(sampleBytes(5)));
  await Deno.mkdir(join(stray, ".."), { recursive: true });
  await Deno.writeFile(stray, sampleBytes(5));
  equal((await store.gc({ graceMs: -1000, keepUntagged: true })).blobs >= 1, true);
  await rejects(() => Deno.lstat(stray));
});

test("a store of a newer version is refused", async ({ open, dir }) => {
  await (await open())[Symbol.asyncDispose]();
  const { DatabaseSync } = await import("node:sqlite");
  const db = new DatabaseSync(join(dir, "metadata.db"));
  db.exec("PRAGMA user_version = 99");
  db.close();
  await fails(() => open(), "UNAVAILABLE", /version 99/);
});

test("damaged metadata is said to be damaged", async ({ open, dir }) => {
  const store = await open();
  for (let seed = 0; seed < 50; seed++) {
    await pushSampleImage(store, "app", { seed, tags: [`t${seed}`] });
  }
  await store[Symbol.asyncDispose]();
  const path = join(dir, "metadata.db");
  const bytes = await Deno.readFile(path);
  await Deno.writeFile(path, bytes.fill(0xff, PAGE_BYTES));
  await fails(
    async () => {
      const broken = await open();
      await Array.fromAsync(broken.tags("app"));
    },
    "UNAVAILABLE",
    /damaged/,
  );
  await Deno.writeFile(path, sampleBytes(8192));
  await fails(() => open(), "UNAVAILABLE", /damaged/);
});

test("a thousand images are listed, and found, by name", async ({ open }) => {
  const store = await open();
  const names = Array.from({ length: 1200 }, (_, at) => `t${String(at).padStart(4, "0")}`);
  const digests = new Map<string, Descriptor>();
  let next = 0;
  const work = async () => {
    for (let seed = next++; seed < names.length; seed = next++) {
      const tag = names[seed]!;
      digests.set(tag, await pushSampleImage(store, "fleet/app", { seed, size: 10, tags: [tag] }));
    }
  };
  await Promise.all(Array.from({ length: 32 }, work));
  deepEqual(await Array.fromAsync(store.tags("fleet/app")), names);
  deepEqual(await store.stat("fleet/app", "t1111"), digests.get("t1111"));
});

/** A manifest over a config and layers that are small. */
function smallManifest(config: Descriptor, layers: readonly Descriptor[]) {
  const mediaType = MediaType.ociManifest;
  return { mediaType, bytes: encodeJson({ schemaVersion: 2, mediaType, config, layers }) };
}

test("what was seen to be there is asked anew once somebody took things away", async ({ open }) => {
  const [ours, theirs] = [await open(), await open()];
  const layer = await pushBytes(ours, "app", sampleBytes(100, 1));
  const first = await pushBytes(ours, "app", sampleBytes(100, 2));
  const second = await pushBytes(ours, "app", sampleBytes(100, 3));
  await ours.pushManifest("app", smallManifest(first, [layer]), { tags: ["1"] });
  // By another process, and by ourselves.
  ok(await theirs.deleteBlob("app", layer.digest));
  const push = () => ours.pushManifest("app", smallManifest(second, [layer]), { tags: ["2"] });
  await fails(push, "MANIFEST_BLOB_UNKNOWN");
  await pushBytes(ours, "app", sampleBytes(100, 1));
  await push();
  ok(await ours.deleteBlob("app", second.digest));
  await fails(push, "MANIFEST_BLOB_UNKNOWN");
});

test("a small blob whose manifest follows is written with it, and verified", async ({ open }) => {
  const store = await open();
  const bytes = sampleBytes(100, 4);
  const config = describeBytes(bytes);
  const options = { fresh: true, manifestFollows: true };
  await store.pushBlob("app", config, bytesSource(bytes), options);
  await store.pushManifest("app", smallManifest(config, []), { tags: ["1"] });
  const source = await store.blob("app", config.digest);
  deepEqual(await readAll(source!, 1000), bytes);
  const other = describeBytes(sampleBytes(100, 5));
  await fails(
    () => store.pushBlob("app", other, bytesSource(bytes), options),
    "DIGEST_INVALID",
    /its bytes have digest/,
  );
  await fails(
    () => store.pushManifest("app", smallManifest(other, []), {}),
    "MANIFEST_BLOB_UNKNOWN",
  );
});

test("small bytes that changed on the disk are not given out", async ({ dir, open }) => {
  const store = await open();
  const config = await pushBytes(store, "app", sampleBytes(100, 6));
  const { DatabaseSync } = await import("node:sqlite");
  const db = new DatabaseSync(join(dir, "metadata.db"));
  db.prepare("UPDATE content SET bytes = zeroblob(100) WHERE digest = ?").run(config.digest);
  db.close();
  const source = await store.blob("app", config.digest);
  equal(source!.bytes, undefined);
  await fails(() => readAll(source!, 1000), "DIGEST_INVALID");
});
