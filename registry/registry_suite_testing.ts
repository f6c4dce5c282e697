/**
 * The conformance suite of the `Registry` interface: every place runs it (registry.md, "one suite per
 * interface"). A place that cannot do something skips that test and says why.
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { copy } from "./copy.ts";
import type { TagExpectation } from "./expectation.ts";
import { encodeJson } from "./image.ts";
import { memoryRegistry } from "./memory.ts";
import type { Descriptor } from "./oci/descriptor.ts";
import { algorithmOf, type Digest, digestOf } from "./oci/digest.ts";
import { isOciError, type OciErrorCode } from "./oci/error.ts";
import { MediaType } from "./oci/media_type.ts";
import type { Registry } from "./registry.ts";
import { bytesSource, readAll, type Source } from "./source.ts";

/** A place made for one test. */
export interface MadeRegistry extends AsyncDisposable {
  /** Empty. */
  readonly registry: Registry;
}

/** Names of tests to leave out, each with its reason. */
export type Skips = Readonly<Record<string, string>>;

/** Bytes that look random and are the same every time. */
export function sampleBytes(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let state = seed * 2654435761 >>> 0;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** A descriptor of `bytes`. */
export function describeBytes(
  bytes: Uint8Array,
  mediaType = "application/octet-stream",
  algorithm: "sha256" | "sha512" = "sha256",
): Descriptor {
  return { mediaType, digest: digestOf(bytes, algorithm), size: bytes.byteLength };
}

/** Pushes bytes as a blob and returns their descriptor. */
export async function pushBytes(
  registry: Registry,
  repository: string,
  bytes: Uint8Array,
  mediaType?: string,
): Promise<Descriptor> {
  const descriptor = describeBytes(bytes, mediaType);
  await registry.pushBlob(repository, descriptor, bytesSource(bytes));
  return descriptor;
}

/** Pushes an image of one layer; `more` joins the manifest's keys. */
export async function pushSampleImage(
  registry: Registry,
  repository: string,
  options: {
    readonly seed?: number;
    readonly size?: number;
    readonly tags?: readonly string[];
    readonly more?: Readonly<Record<string, unknown>>;
  } = {},
): Promise<Descriptor> {
  const { seed = 1, size = 1000, tags = [], more = {} } = options;
  const layer = await pushBytes(registry, repository, sampleBytes(size, seed), MediaType.ociLayer);
  const config = await pushBytes(
    registry,
    repository,
    encodeJson({
      architecture: "amd64",
      os: "linux",
      config: {},
      rootfs: { type: "layers", diff_ids: [layer.digest] },
    }),
    MediaType.ociConfig,
  );
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config,
    layers: [layer],
    ...more,
  });
  return await registry.pushManifest(repository, { mediaType: MediaType.ociManifest, bytes }, {
    tags,
  });
}

async function fails(
  act: () => Promise<unknown>,
  ...codes: readonly OciErrorCode[]
): Promise<void> {
  await rejects(act, (error) => {
    ok(isOciError(error, ...codes), `want ${codes}, got ${error}`);
    return true;
  });
}

async function all(names: AsyncIterable<string>): Promise<string[]> {
  return await Array.fromAsync(names);
}

const IMAGE = { mediaType: MediaType.ociManifest };
const INDEX = { mediaType: MediaType.ociIndex };

type Body = (registry: Registry) => Promise<void>;

const TESTS: Readonly<Record<string, Body>> = {
  "a blob comes back as it was, and is not sent twice": async (registry) => {
    for (const size of [0, 2, 1000, 64 * 1024, 64 * 1024 + 1, 700_000]) {
      const bytes = sampleBytes(size, size + 1);
      const descriptor = describeBytes(bytes);
      equal(await registry.blob("a/b", descriptor.digest), undefined);
      equal(await registry.pushBlob("a/b", descriptor, bytesSource(bytes)), "uploaded");
      const back = await registry.blob("a/b", descriptor.digest);
      equal(back?.size, size);
      deepEqual(await readAll(back!, size), bytes);
      const unread: Source = { size, open: () => Promise.reject(new Error("opened again")) };
      equal(await registry.pushBlob("a/b", descriptor, unread), "exists");
    }
  },
  "a blob is read from an offset": async (registry) => {
    const bytes = sampleBytes(300_000);
    const { digest } = await pushBytes(registry, "app", bytes);
    const source = await registry.blob("app", digest);
    for (const offset of [0, 1, 65536, 299_999, 300_000]) {
      const rest = await source!.open({ offset });
      const got = new Uint8Array(await new Response(rest).arrayBuffer());
      deepEqual(got, bytes.slice(offset));
    }
  },
  "ST-01 bytes that are not what was promised are refused and never seen": async (registry) => {
    for (const size of [100, 100_000]) {
      const bytes = sampleBytes(size, 7);
      const other = sampleBytes(size, 8);
      const descriptor = describeBytes(bytes);
      await fails(() => registry.pushBlob("app", descriptor, bytesSource(other)), "DIGEST_INVALID");
      const short = bytesSource(bytes.subarray(0, size - 1));
      await fails(
        () => registry.pushBlob("app", descriptor, { ...short, size }),
        "SIZE_INVALID",
        "DIGEST_INVALID",
      );
      const long = bytesSource(sampleBytes(size + 1, 7));
      await fails(
        () => registry.pushBlob("app", descriptor, { ...long, size }),
        "SIZE_INVALID",
        "DIGEST_INVALID",
      );
      equal(await registry.blob("app", descriptor.digest), undefined);
    }
  },
  "a source that fails leaves nothing": async (registry) => {
    const bytes = sampleBytes(200_000, 3);
    const descriptor = describeBytes(bytes);
    const failing: Source = {
      size: bytes.byteLength,
      open: () => {
        let first = true;
        return Promise.resolve(
          new ReadableStream({
            pull(controller) {
              if (!first) throw new Error("the disk went away");
              first = false;
              controller.enqueue(bytes.slice(0, 100_000));
            },
          }),
        );
      },
    };
    await rejects(() => registry.pushBlob("app", descriptor, failing));
    equal(await registry.blob("app", descriptor.digest), undefined);
    equal(await registry.pushBlob("app", descriptor, bytesSource(bytes)), "uploaded");
  },
  "ST-02 the same blob pushed by many at once is one blob": async (registry) => {
    const bytes = sampleBytes(150_000, 5);
    const descriptor = describeBytes(bytes);
    const one = () => registry.pushBlob("app", descriptor, bytesSource(bytes));
    await Promise.all(Array.from({ length: 8 }, one));
    deepEqual(await readAll((await registry.blob("app", descriptor.digest))!, 150_000), bytes);
  },
  "an upload of unknown digest": async (registry) => {
    for (const size of [10, 200_000]) {
      const bytes = sampleBytes(size, size);
      const upload = await registry.upload("app");
      const buffer = new Uint8Array(50_000);
      for (let at = 0; at < size; at += buffer.length) {
        const part = bytes.subarray(at, at + buffer.length);
        buffer.set(part);
        await upload.write(buffer.subarray(0, part.byteLength));
        buffer.fill(0); // the caller may reuse what it wrote
      }
      equal(upload.size, size);
      const { digest } = await upload.commit();
      equal(digest, digestOf(bytes));
      deepEqual(await readAll((await registry.blob("app", digest))!, size), bytes);
    }
  },
  "an upload that hashes to something else is gone": async (registry) => {
    const upload = await registry.upload("app");
    await upload.write(sampleBytes(100_000));
    const digest = digestOf(sampleBytes(5, 9));
    await fails(() => upload.commit(digest), "DIGEST_INVALID");
    equal(await registry.blob("app", digest), undefined);
    await rejects(() => upload.write(new Uint8Array(1)));
    await upload.abort();
  },
  "an aborted upload is gone, and abort may be repeated": async (registry) => {
    const upload = await registry.upload("app");
    await upload.write(sampleBytes(100_000));
    await upload.abort();
    await upload.abort();
    await rejects(() => upload.commit());
    equal(await registry.blob("app", digestOf(sampleBytes(100_000))), undefined);
  },
  "sha512 blobs": async (registry) => {
    for (const size of [10, 100_000]) {
      const bytes = sampleBytes(size, 4);
      const descriptor = describeBytes(bytes, undefined, "sha512");
      equal(await registry.pushBlob("app", descriptor, bytesSource(bytes)), "uploaded");
      deepEqual(await readAll((await registry.blob("app", descriptor.digest))!, size), bytes);
    }
  },
  "a manifest comes back byte for byte, by tag and by digest": async (registry) => {
    const pushed = await pushSampleImage(registry, "team/app", {
      tags: ["v1", "latest"],
      more: { "org.example.custom": { b: [1, 2], a: null } },
    });
    for (const reference of ["v1", "latest", pushed.digest]) {
      const raw = await registry.manifest("team/app", reference);
      equal(raw?.digest, pushed.digest);
      equal(raw?.mediaType, MediaType.ociManifest);
      equal(digestOf(raw!.bytes), pushed.digest);
      deepEqual(await registry.stat("team/app", reference), pushed);
    }
  },
  "a tag moves, and the old manifest stays": async (registry) => {
    const first = await pushSampleImage(registry, "app", { seed: 1, tags: ["latest"] });
    const second = await pushSampleImage(registry, "app", { seed: 2, tags: ["latest"] });
    equal((await registry.stat("app", "latest"))?.digest, second.digest);
    equal((await registry.stat("app", first.digest))?.digest, first.digest);
  },
  "what is not there is undefined": async (registry) => {
    const nothing = digestOf(new Uint8Array([1]));
    equal(await registry.manifest("no/such", "latest"), undefined);
    equal(await registry.stat("no/such", "latest"), undefined);
    await pushSampleImage(registry, "app", { tags: ["v1"] });
    equal(await registry.manifest("app", "v2"), undefined);
    equal(await registry.manifest("app", nothing), undefined);
    equal(await registry.stat("app", nothing), undefined);
    equal(await registry.blob("app", nothing), undefined);
    equal(await registry.deleteManifest("app", "v2"), false);
    equal(await registry.deleteManifest("app", nothing), false);
    equal(await registry.deleteBlob("app", nothing), false);
    deepEqual(await registry.referrers("app", nothing), []);
  },
  "a manifest needs its children": async (registry) => {
    const config = await pushBytes(
      registry,
      "app",
      encodeJson({ os: "linux" }),
      MediaType.ociConfig,
    );
    const missing = describeBytes(sampleBytes(10), MediaType.ociLayer);
    const bytes = encodeJson({ schemaVersion: 2, ...IMAGE, config, layers: [missing] });
    await rejects(
      () => registry.pushManifest("app", { ...IMAGE, bytes }, { tags: ["x"] }),
      (error) => {
        ok(isOciError(error, "MANIFEST_BLOB_UNKNOWN"), String(error));
        ok(JSON.stringify(error.detail).includes(missing.digest), JSON.stringify(error.detail));
        return true;
      },
    );
    equal(await registry.stat("app", "x"), undefined);
  },
  "foreign layers may be absent": async (registry) => {
    const config = await pushBytes(
      registry,
      "app",
      encodeJson({ os: "linux" }),
      MediaType.ociConfig,
    );
    const foreign = {
      ...describeBytes(
        sampleBytes(10),
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
      ),
      urls: ["https://example.com/x"],
    };
    const bytes = encodeJson({ schemaVersion: 2, ...IMAGE, config, layers: [foreign] });
    const { digest } = await registry.pushManifest("app", { ...IMAGE, bytes }, { tags: ["x"] });
    equal((await registry.stat("app", "x"))?.digest, digest);
  },
  "an index of images, and one without any": async (registry) => {
    const manifests = [
      await pushSampleImage(registry, "app", { seed: 1 }),
      await pushSampleImage(registry, "app", { seed: 2 }),
    ];
    const bytes = encodeJson({ schemaVersion: 2, ...INDEX, manifests });
    const { digest } = await registry.pushManifest("app", { ...INDEX, bytes }, { tags: ["multi"] });
    const nested = encodeJson({
      schemaVersion: 2,
      ...INDEX,
      manifests: [{ ...INDEX, digest, size: bytes.byteLength }],
    });
    await registry.pushManifest("app", { ...INDEX, bytes: nested }, { tags: ["nested"] });
    const empty = encodeJson({ schemaVersion: 2, ...INDEX, manifests: [] });
    await registry.pushManifest("app", { ...INDEX, bytes: empty }, { tags: ["empty"] });
    equal((await registry.manifest("app", "multi"))?.mediaType, MediaType.ociIndex);
    deepEqual((await registry.manifest("app", "nested"))?.bytes, nested);
    deepEqual((await registry.manifest("app", "empty"))?.bytes, empty);
    for (const child of manifests) {
      equal((await registry.manifest("app", child.digest))?.digest, child.digest);
    }
  },
  "an index needs its manifests": async (registry) => {
    await pushSampleImage(registry, "app", { tags: ["x"] });
    const child = describeBytes(sampleBytes(3), MediaType.ociManifest);
    const bytes = encodeJson({ schemaVersion: 2, ...INDEX, manifests: [child] });
    await fails(() => registry.pushManifest("app", { ...INDEX, bytes }), "MANIFEST_BLOB_UNKNOWN");
  },
  "M-01 a document that is two things is refused": async (registry) => {
    const config = await pushBytes(
      registry,
      "app",
      encodeJson({ os: "linux" }),
      MediaType.ociConfig,
    );
    const both = encodeJson({ schemaVersion: 2, config, layers: [], manifests: [] });
    await fails(() => registry.pushManifest("app", { ...IMAGE, bytes: both }), "MANIFEST_INVALID");
    const image = encodeJson({ schemaVersion: 2, ...IMAGE, config, layers: [] });
    await fails(() => registry.pushManifest("app", { ...INDEX, bytes: image }), "MANIFEST_INVALID");
    await fails(
      () => registry.pushManifest("app", { ...IMAGE, bytes: new Uint8Array([123]) }),
      "MANIFEST_INVALID",
    );
  },
  "a manifest of 3.9 MB": async (registry) => {
    const annotations = { filler: "x".repeat(3_900_000) };
    const pushed = await pushSampleImage(registry, "app", { tags: ["big"], more: { annotations } });
    ok(pushed.size > 3_900_000);
    equal((await registry.manifest("app", "big"))?.digest, pushed.digest);
    deepEqual(await registry.stat("app", "big"), pushed);
  },
  "a sha512 manifest": async (registry) => {
    const config = await pushBytes(
      registry,
      "app",
      encodeJson({ os: "linux" }),
      MediaType.ociConfig,
    );
    const bytes = encodeJson({ schemaVersion: 2, ...IMAGE, config, layers: [] });
    const digest = digestOf(bytes, "sha512");
    const pushed = await registry.pushManifest("app", { ...IMAGE, bytes }, { digest, tags: ["x"] });
    equal(pushed.digest, digest);
    equal((await registry.manifest("app", digest))?.digest, digest);
    equal((await registry.stat("app", "x"))?.digest, digest);
    const wrong = digestOf(sampleBytes(1), "sha512");
    await fails(
      () => registry.pushManifest("app", { ...IMAGE, bytes }, { digest: wrong }),
      "DIGEST_INVALID",
    );
  },
  "S-API-5 a tag moves only from where it is expected to be": async (registry) => {
    const [one, two, three] = [
      await pushSampleImage(registry, "app", { seed: 1, tags: ["moved"] }),
      await pushSampleImage(registry, "app", { seed: 2 }),
      await pushSampleImage(registry, "app", { seed: 3 }),
    ];
    const put = async (to: Descriptor, ...expect: readonly TagExpectation[]) => {
      const raw = await registry.manifest("app", to.digest);
      await registry.pushManifest("app", raw!, { tags: expect.map(({ tag }) => tag), expect });
    };
    const refused = async (
      to: Descriptor,
      expect: TagExpectation,
      is: Descriptor | undefined,
    ) => {
      await rejects(() => put(to, expect), (error) => {
        ok(isOciError(error, "PRECONDITION_FAILED"), String(error));
        deepEqual([error.status, error.detail], [412, {
          tag: expect.tag,
          digest: is?.digest ?? null,
        }]);
        return true;
      });
      equal((await registry.stat("app", expect.tag))?.digest, is?.digest);
    };
    for (const is of ["present", [one.digest], []] as const) {
      await refused(one, { tag: "made", is }, undefined);
    }
    await put(one, { tag: "made", is: "absent" });
    await refused(two, { tag: "made", is: "absent" }, one);
    await refused(two, { tag: "moved", is: [three.digest, two.digest] }, one);
    await put(two, { tag: "moved", is: [three.digest, one.digest] });
    await put(two, { tag: "moved", is: [one.digest] }); // sent again: it is done already
    await put(three, { tag: "moved", is: "present" });
    equal((await registry.stat("app", "moved"))?.digest, three.digest);
    const raw = await registry.manifest("app", one.digest);
    const stray = { tags: ["a"], expect: [{ tag: "b", is: "absent" }] } as const;
    await rejects(() => registry.pushManifest("app", raw!, stray), TypeError);
    // Of many who move it from one place, one does.
    const moves = await Promise.allSettled(
      [one, two].map((to) => put(to, { tag: "moved", is: [three.digest] })),
    );
    deepEqual(moves.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  },
  "deleting a tag leaves the manifest": async (registry) => {
    const { digest } = await pushSampleImage(registry, "app", { tags: ["a", "b"] });
    equal(await registry.deleteManifest("app", "a"), true);
    equal(await registry.deleteManifest("app", "a"), false);
    equal(await registry.stat("app", "a"), undefined);
    equal((await registry.stat("app", "b"))?.digest, digest);
    equal(await registry.deleteManifest("app", "b"), true);
    equal((await registry.stat("app", digest))?.digest, digest);
  },
  "deleting a manifest takes its tags along": async (registry) => {
    const { digest } = await pushSampleImage(registry, "app", { seed: 1, tags: ["a", "b"] });
    await pushSampleImage(registry, "app", { seed: 2, tags: ["c"] });
    equal(await registry.deleteManifest("app", digest), true);
    equal(await registry.deleteManifest("app", digest), false);
    for (const reference of ["a", "b", digest]) {
      equal(await registry.manifest("app", reference), undefined);
    }
    deepEqual(await all(registry.tags("app")), ["c"]);
    await pushSampleImage(registry, "app", { seed: 1, tags: ["a"] });
    equal((await registry.stat("app", "a"))?.digest, digest);
  },
  "deleting a blob": async (registry) => {
    const bytes = sampleBytes(100_000, 6);
    const { digest } = await pushBytes(registry, "app", bytes);
    equal(await registry.deleteBlob("app", digest), true);
    equal(await registry.blob("app", digest), undefined);
    equal(await registry.deleteBlob("app", digest), false);
    await pushBytes(registry, "app", bytes);
    ok(await registry.blob("app", digest));
  },
  "tags in byte order, and behind a name": async (registry) => {
    const tags = ["v10", "v1", "Z", "a", "_x", "v2", "1.0"];
    const { digest } = await pushSampleImage(registry, "app", { tags });
    const sorted = ["1.0", "Z", "_x", "a", "v1", "v10", "v2"];
    deepEqual(await all(registry.tags("app")), sorted);
    deepEqual(await all(registry.tags("app", { after: "a" })), ["v1", "v10", "v2"]);
    deepEqual(await all(registry.tags("app", { after: "b" })), ["v1", "v10", "v2"]);
    equal((await registry.stat("app", "_x"))?.digest, digest);
  },
  "tags of an unknown repository": async (registry) => {
    await fails(() => all(registry.tags("no/such")), "NAME_UNKNOWN");
  },
  "repositories in byte order, and behind a name": async (registry) => {
    for (const name of ["b", "a/b", "a", "c"]) await pushSampleImage(registry, name);
    deepEqual(await all(registry.repositories()), ["a", "a/b", "b", "c"]);
    deepEqual(await all(registry.repositories({ after: "a" })), ["a/b", "b", "c"]);
  },
  "referrers, pushed before and after their subject": async (registry) => {
    const subject = await pushSampleImage(registry, "app", { seed: 1, tags: ["v1"] });
    await registry.deleteManifest("app", subject.digest);
    const annotations = { "org.example": "x" };
    const before = await pushSampleImage(registry, "app", {
      seed: 2,
      more: { subject, artifactType: "application/x.sbom", annotations },
    });
    await pushSampleImage(registry, "app", { seed: 1, tags: ["v1"] });
    const after = await pushSampleImage(registry, "app", { seed: 3, more: { subject } });
    const found = await registry.referrers("app", subject.digest);
    deepEqual(
      new Map(found.map((entry) => [entry.digest, entry])),
      new Map([
        [before.digest, { ...before, artifactType: "application/x.sbom", annotations }],
        [after.digest, { ...after, artifactType: MediaType.ociConfig }],
      ]),
    );
    const filtered = await registry.referrers("app", subject.digest, {
      artifactType: "application/x.sbom",
    });
    deepEqual(filtered.map(({ digest }) => digest), [before.digest]);
    await registry.deleteManifest("app", before.digest);
    equal((await registry.referrers("app", subject.digest)).length, 1);
  },
  "a blob is mounted from another repository, unread": async (registry) => {
    const bytes = sampleBytes(100_000, 2);
    const descriptor = await pushBytes(registry, "from", bytes);
    const unread: Source = {
      size: descriptor.size,
      open: () => Promise.reject(new Error("opened")),
    };
    const how = await registry.pushBlob("to", descriptor, unread, { mountFrom: "from" });
    ok(how === "mounted" || how === "exists", how);
    deepEqual(await readAll((await registry.blob("to", descriptor.digest))!, 100_000), bytes);
  },
  "a mount of what is not there is an upload": async (registry) => {
    const bytes = sampleBytes(1000, 2);
    const how = await registry.pushBlob("to", describeBytes(bytes), bytesSource(bytes), {
      mountFrom: "from",
    });
    equal(how, "uploaded");
  },
  "S-API-8 a blob is seen only where it was pushed": async (registry) => {
    const { digest } = await pushBytes(registry, "mine", sampleBytes(10));
    await pushSampleImage(registry, "yours");
    equal(await registry.blob("yours", digest), undefined);
  },
  "names that cannot be are refused": async (registry) => {
    const bytes = sampleBytes(10);
    for (const name of ["Upper", "a//b", "../x", "a/", "", "a_-b"]) {
      await rejects(() => registry.pushBlob(name, describeBytes(bytes), bytesSource(bytes)));
    }
    for (const tag of ["a b", "-x", "x".repeat(129), "a/b", ""]) {
      await rejects(() => pushSampleImage(registry, "app", { tags: [tag] }));
    }
  },
  "an aborted push leaves nothing": async (registry) => {
    const bytes = sampleBytes(100_000);
    const controller = new AbortController();
    controller.abort();
    const { signal } = controller;
    await rejects(() =>
      registry.pushBlob("app", describeBytes(bytes), bytesSource(bytes), { signal })
    );
    equal(await registry.blob("app", digestOf(bytes)), undefined);
  },
  "copy takes an index with all it needs, and nothing twice": async (registry) => {
    const from = memoryRegistry();
    const manifests = [
      await pushSampleImage(from, "src", { seed: 1, size: 100_000 }),
      await pushSampleImage(from, "src", { seed: 2, size: 200_000 }),
    ];
    const bytes = encodeJson({ schemaVersion: 2, ...INDEX, manifests, "x-custom": 1 });
    await from.pushManifest("src", { ...INDEX, bytes }, { tags: ["v1"] });
    const first = await copy(from, "src", "v1", registry, "dst", { tags: ["v1", "latest"] });
    equal(first.descriptor.digest, digestOf(bytes));
    equal(first.uploaded, 4);
    deepEqual((await registry.manifest("dst", "latest"))?.bytes, bytes);
    const again = await copy(from, "src", "v1", registry, "dst", { tags: ["v2"] });
    equal(again.uploaded + again.uploadedBytes, 0);
    const back = memoryRegistry();
    await copy(registry, "dst", "v2", back, "back");
    deepEqual((await back.manifest("back", "v2"))?.bytes, bytes);
    equal(algorithmOf(again.descriptor.digest as Digest), "sha256");
  },
};

/** Runs the suite over the places that `make` makes, one for each test. */
export function testRegistry(
  name: string,
  make: () => Promise<MadeRegistry>,
  skips: Skips = {},
): void {
  for (const unknown of Object.keys(skips)) {
    if (!(unknown in TESTS)) throw new TypeError(`Cannot skip ${unknown}: there is no such test`);
  }
  for (const [title, body] of Object.entries(TESTS)) {
    const reason = skips[title];
    Deno.test({
      name: `${name}: ${title}${reason === undefined ? "" : ` (skipped: ${reason})`}`,
      ignore: reason !== undefined,
      async fn() {
        await using made = await make();
        await body(made.registry);
      },
    });
  }
}
