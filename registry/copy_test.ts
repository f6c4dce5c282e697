import { deepEqual, equal, rejects } from "node:assert/strict";
import { copy } from "./copy.ts";
import { encodeJson } from "./image.ts";
import { type MemoryRegistry, memoryRegistry } from "./memory.ts";
import type { Descriptor } from "./oci/descriptor.ts";
import { digestOf } from "./oci/digest.ts";
import { isOciError, OciError } from "./oci/error.ts";
import { MediaType } from "./oci/media_type.ts";
import type { Reader, Registry } from "./registry.ts";
import { pushBytes, pushSampleImage, sampleBytes } from "./registry_suite_testing.ts";

const mediaType = MediaType.ociIndex;

async function pushIndex(
  registry: Registry,
  manifests: readonly Descriptor[],
  tag: string,
): Promise<Descriptor> {
  const bytes = encodeJson({ schemaVersion: 2, mediaType, manifests });
  return await registry.pushManifest("src", { mediaType, bytes }, { tags: [tag] });
}

Deno.test("copy: one platform of an index", async () => {
  const from = memoryRegistry();
  const [amd64, arm64] = [
    await pushSampleImage(from, "src", { seed: 1 }),
    await pushSampleImage(from, "src", { seed: 2 }),
  ];
  await pushIndex(from, [
    { ...amd64, platform: { os: "linux", architecture: "amd64" } },
    { ...arm64, platform: { os: "linux", architecture: "arm64" } },
  ], "v1");
  const to = memoryRegistry();
  const platform = { os: "linux", architecture: "arm64" };
  const { descriptor } = await copy(from, "src", "v1", to, "dst", { platform });
  equal(descriptor.digest, arm64.digest);
  equal((await to.stat("dst", "v1"))?.digest, arm64.digest);
  equal(await to.stat("dst", amd64.digest), undefined);
  await rejects(
    () => copy(from, "src", "v1", to, "dst", { platform: { os: "linux", architecture: "s390x" } }),
    /linux\/amd64, linux\/arm64/,
  );
});

Deno.test("copy: within one place nothing is read, blobs are mounted", async () => {
  const place = memoryRegistry();
  const image = await pushSampleImage(place, "src", { tags: ["v1"] });
  const blob = place.blob;
  place.blob = (repository, digest) => {
    equal(repository, "never asked");
    return blob.call(place, repository, digest);
  };
  const seen: string[] = [];
  const done = await copy(place, "src", "v1", place, "dst", { onBlob: (_, how) => seen.push(how) });
  deepEqual(seen, ["mounted", "mounted"]);
  deepEqual(done, { descriptor: image, uploaded: 0, uploadedBytes: 0, reused: 2 });
  const retag = await copy(place, "src", "v1", place, "src", { tags: ["v2"] });
  equal(retag.uploaded + retag.reused, 0);
  equal((await place.stat("src", "v2"))?.digest, image.digest);
});

Deno.test("copy: a tag that names it already is left alone, one that does not is set", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  const { digest } = await pushSampleImage(from, "src", { tags: ["v1"] });
  await copy(from, "src", "v1", to, "dst");
  const asked: string[] = [];
  const stat = to.stat;
  to.stat = (repository, reference, options) => {
    asked.push(reference);
    return stat.call(to, repository, reference, options);
  };
  const push = to.pushManifest;
  to.pushManifest = (repository, manifest, options) => {
    asked.push(`put ${options?.tags}`);
    return push.call(to, repository, manifest, options);
  };
  equal((await copy(from, "src", "v1", to, "dst")).descriptor.digest, digest);
  deepEqual(asked, ["v1"]);
  await copy(from, "src", "v1", to, "dst", { tags: ["v1", "v2"] });
  deepEqual(asked.slice(1), ["v1", "v2", "put v2"]);
});

Deno.test("copy: C-GET-06 a place that denies what it does not have gets it", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  const { digest } = await pushSampleImage(from, "src", { tags: ["v1"] });
  const stat = to.stat;
  to.stat = () => Promise.reject(new OciError("DENIED", "Cannot read: denied", { status: 403 }));
  await copy(from, "src", "v1", to, "dst");
  equal((await stat.call(to, "dst", "v1"))?.digest, digest);
});

Deno.test("copy: a tag that the destination cannot read is set anew", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  const { digest } = await pushSampleImage(from, "src", { tags: ["v1"] });
  const stat = to.stat;
  for (const status of [500, 503]) {
    const error = new OciError("UNAVAILABLE", "Cannot read: bad link", { status });
    to.stat = () => Promise.reject(error);
    const copying = copy(from, "src", "v1", to, "dst");
    if (status === 500) await copying;
    else await rejects(copying, error);
  }
  equal((await stat.call(to, "dst", "v1"))?.digest, digest);
});

Deno.test("copy: the destination is asked while the source is", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  await pushSampleImage(from, "src", { tags: ["v1"] });
  const asked = Promise.withResolvers<void>();
  const stat = to.stat;
  to.stat = (...args) => {
    asked.resolve();
    return stat.apply(to, args);
  };
  const manifest = from.manifest;
  from.manifest = async (...args) => {
    await asked.promise; // would wait for ever if the one came after the other
    return await manifest.apply(from, args);
  };
  equal((await copy(from, "src", "v1", to, "dst")).uploaded, 2);
});

Deno.test("C-MIRROR, C-MNT-05 copy: what a mirror stands for is mounted there, not sent", async () => {
  const place = memoryRegistry();
  await pushSampleImage(place, "src", { tags: ["v1"] });
  const through: Reader = {
    standsFor: place,
    manifest: (...args) => place.manifest(...args),
    stat: (...args) => place.stat(...args),
    blob: (...args) => place.blob(...args),
  };
  const seen: string[] = [];
  await copy(through, "src", "v1", place, "dst", { onBlob: (_, how) => seen.push(how) });
  deepEqual(seen, ["mounted", "mounted"]);
});

Deno.test("C-PUT-03 copy: what the place turns out to lack is sent, once", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  const { digest } = await pushSampleImage(from, "src", { tags: ["v1"] });
  const layer = digestOf(sampleBytes(1000, 1));
  let pushes = 0;
  const push = to.pushManifest;
  to.pushManifest = async (...args) => {
    // A collection between the last blob and the manifest.
    if (pushes++ === 0) await to.deleteBlob("dst", layer);
    return await push.apply(to, args);
  };
  await copy(from, "src", "v1", to, "dst");
  equal((await to.stat("dst", "v1"))?.digest, digest);
  equal(pushes, 2);
  to.pushManifest = () => {
    pushes++;
    const error = new OciError("MANIFEST_BLOB_UNKNOWN", "Cannot push", { detail: [layer] });
    return Promise.reject(error);
  };
  await rejects(
    () => copy(from, "src", "v1", to, "other"),
    (error) => isOciError(error, "MANIFEST_BLOB_UNKNOWN"),
  );
  equal(pushes, 4);
});

Deno.test("C-GET-05 copy: a tag that moves meanwhile mixes no images", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  const first = await pushSampleImage(from, "src", { seed: 1 });
  const second = await pushSampleImage(from, "src", { seed: 2 });
  const moving = await pushIndex(from, [first], "v1");
  const manifest = from.manifest;
  from.manifest = async (...args) => {
    const raw = await manifest.apply(from, args);
    await pushIndex(from, [second], "v1");
    return raw;
  };
  const { descriptor } = await copy(from, "src", "v1", to, "dst");
  equal(descriptor.digest, moving.digest);
  equal((await to.stat("dst", "v1"))?.digest, moving.digest);
  equal(await to.stat("dst", second.digest), undefined);
});

/** An image with a layer of a type that is not to be distributed, and one that nobody knows. */
async function pushForeign(registry: MemoryRegistry, data: boolean): Promise<Descriptor[]> {
  const foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar";
  const layers = [
    {
      ...await pushBytes(registry, "src", sampleBytes(90, 1), foreign),
      urls: ["https://x.example/l"],
    },
    await pushBytes(registry, "src", sampleBytes(91, 2), "application/x-never-heard-of"),
  ];
  const text = encodeJson({ a: 1 });
  const config = await pushBytes(registry, "src", text, "application/x-config");
  const mediaType = MediaType.ociManifest;
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType,
    config: data ? { ...config, data: text.toBase64() } : config,
    layers,
  });
  await registry.pushManifest("src", { mediaType, bytes }, { tags: ["v1"] });
  return [...layers, config];
}

Deno.test("C-MT-04, C-DL-08 copy: layers that are not to be distributed stay, unless asked for", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  const [foreign, unknown] = await pushForeign(from, false);
  const { uploaded } = await copy(from, "src", "v1", to, "dst");
  equal(uploaded, 2);
  equal(await to.blob("dst", foreign!.digest), undefined);
  equal((await to.blob("dst", unknown!.digest))?.size, 91);
  const all = memoryRegistry();
  equal((await copy(from, "src", "v1", all, "dst", { foreign: true })).uploaded, 3);
  equal((await all.blob("dst", foreign!.digest))?.size, 90);
});

Deno.test("C-MT-07 copy: what a descriptor carries is not asked for", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  const [, , config] = await pushForeign(from, true);
  await from.deleteBlob("src", config!.digest);
  await copy(from, "src", "v1", to, "dst");
  equal((await to.blob("dst", config!.digest))?.size, config!.size);
});

Deno.test("copy: by digest sets no tag", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  const { digest } = await pushSampleImage(from, "src", { tags: ["v1"] });
  await copy(from, "src", digest, to, "dst");
  deepEqual(await Array.fromAsync(to.tags("dst")), []);
  equal((await to.stat("dst", digest))?.digest, digest);
});

Deno.test("copy: a failure leaves no tag, and the next try goes on where it was", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  await pushSampleImage(from, "src", { tags: ["v1"] });
  const layer = digestOf(sampleBytes(1000, 1));
  await from.deleteBlob("src", layer);
  await rejects(
    () => copy(from, "src", "v1", to, "dst"),
    (error) => isOciError(error, "BLOB_UNKNOWN") && error.message.includes(layer),
  );
  equal(await to.stat("dst", "v1"), undefined);
  await pushSampleImage(from, "src", { tags: ["v1"] });
  const { uploaded, reused } = await copy(from, "src", "v1", to, "dst");
  equal(uploaded + reused, 2);
});

Deno.test("copy: what is not there", async () => {
  await rejects(
    () => copy(memoryRegistry(), "src", "v1", memoryRegistry(), "dst"),
    (error) => isOciError(error, "MANIFEST_UNKNOWN"),
  );
});

Deno.test("copy: M-07 indexes in indexes have an end", async () => {
  const from = memoryRegistry();
  let inner = await pushSampleImage(from, "src");
  for (let depth = 0; depth < 12; depth++) inner = await pushIndex(from, [inner], "deep");
  await rejects(
    () => copy(from, "src", "deep", memoryRegistry(), "dst"),
    (error) => isOciError(error, "MANIFEST_INVALID"),
  );
});

Deno.test("copy: progress counts every byte that was sent", async () => {
  const [from, to] = [memoryRegistry(), memoryRegistry()];
  await pushSampleImage(from, "src", { size: 100_000, tags: ["v1"] });
  let bytes = 0;
  const onProgress = (_: Descriptor, more: number) => bytes += more;
  const done = await copy(from, "src", "v1", to, "dst", { onProgress });
  equal(bytes, done.uploadedBytes);
});
