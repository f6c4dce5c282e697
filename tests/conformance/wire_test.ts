/**
 * What a registry owes the wire, over HTTP, for every document the OCI conformance program knows (S-CONF). That program
 * itself runs where Go is: `deno task conform`.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { memoryRegistry } from "../../registry/memory.ts";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { serve } from "../../registry/server/serve.ts";
import { createServer } from "../../registry/server/server.ts";
import { openStore } from "../../registry/store/store.ts";
import { type DataSet, dataSets, encode, nameOf, type Pushed, some } from "./data_testing.ts";

/** An answer whose body was read. */
interface Said {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

type Call = (
  method: string,
  path: string,
  body?: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>,
  headers?: Record<string, string>,
) => Promise<Said>;

/** Uploads, each in a way of its own; the digest is claimed, the real one is for the start. */
const UPLOADS: Readonly<
  Record<
    string,
    (call: Call, bytes: Uint8Array<ArrayBuffer>, claimed: Digest, real: Digest) => Promise<Said>
  >
> = {
  "one POST": (call, bytes, digest) =>
    call("POST", `/v2/a/blobs/uploads/?digest=${digest}`, bytes, BLOB),
  "POST and PUT": async (call, bytes, digest) =>
    call("PUT", closing(await begin(call, digest), digest), bytes, BLOB),
  "PATCH without a range": async (call, bytes, digest) => {
    const at = await begin(call, digest);
    const patched = await call("PATCH", at, ReadableStream.from([bytes]), BLOB);
    equal(patched.status, 202);
    return call("PUT", closing(patched.headers.get("location")!, digest));
  },
  "three chunks": async (call, bytes, digest) => {
    let at = await begin(call, digest);
    const third = Math.ceil(bytes.byteLength / 3);
    for (let from = 0; from < bytes.byteLength; from += third) {
      const part = bytes.slice(from, from + third);
      const range = `${from}-${from + part.byteLength - 1}`;
      const patched = await call("PATCH", at, part, { ...BLOB, "content-range": range });
      equal(patched.status, 202);
      at = patched.headers.get("location")!;
    }
    return call("PUT", closing(at, digest));
  },
  "the last chunk in PUT": async (call, bytes, digest) => {
    const at = await begin(call, digest);
    const half = bytes.byteLength >> 1;
    if (half === 0) return call("PUT", closing(at, digest), bytes, BLOB);
    const first = await call("PATCH", at, bytes.slice(0, half), {
      ...BLOB,
      "content-range": `0-${half - 1}`,
    });
    equal(first.status, 202);
    return call("PUT", closing(first.headers.get("location")!, digest), bytes.slice(half), {
      ...BLOB,
      "content-range": `${half}-${bytes.byteLength - 1}`,
    });
  },
};

const BLOB = { "content-type": "application/octet-stream" };

const RANGES: readonly (readonly [string, number?, number?])[] = [
  ["bytes=500-1499", 500, 1500],
  ["bytes=500-", 500, 2000],
  ["bytes=-500", 1500, 2000],
  ["bytes=1500-9999", 1500, 2000],
  ["bytes=2000-"],
  ["bytes=9000-9999"],
];

for (const place of ["memory", "store"] as const) {
  const test = (name: string, body: (call: Call) => Promise<void>) =>
    Deno.test(`conformance of ${place}: ${name}`, async () => {
      await using stack = new AsyncDisposableStack();
      const dir = await Deno.makeTempDir();
      stack.defer(() => Deno.remove(dir, { recursive: true }));
      const registry = place === "memory"
        ? memoryRegistry()
        : stack.use(await openStore(join(dir, "store")));
      const server = createServer(registry, { locate: (digest) => registry.locate(digest) });
      const listening = stack.use(
        await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } }),
      );
      await body(async (method, path, sent, headers = {}) => {
        const response = await fetch(new URL(path, listening.url), {
          method,
          headers,
          body: sent ?? null,
        });
        const bytes = new Uint8Array(await response.arrayBuffer());
        return { status: response.status, headers: response.headers, bytes };
      });
    });

  test("S-CONF ping", async (call) => equal((await call("GET", "/v2/")).status, 200));

  for (const algorithm of ["sha256", "sha512"] as const) {
    for (
      const [name, bytes] of Object.entries({
        "nothing": new Uint8Array(),
        "{}": encode({}),
        "long": some(1, 300_000),
      })
    ) {
      for (const [way, upload] of Object.entries(UPLOADS)) {
        test(`S-CONF ${algorithm} blob, ${name}, ${way}`, async (call) => {
          const digest = digestOf(bytes, algorithm);
          equal((await call("GET", `/v2/a/blobs/${digest}`)).status, 404);
          const made = await upload(call, bytes, digest, digest);
          equal(made.status, 201);
          deepEqual((await call("GET", made.headers.get("location")!)).bytes, bytes);
          const head = await call("HEAD", `/v2/a/blobs/${digest}`);
          deepEqual([head.status, head.bytes.byteLength], [200, 0]);
          equal(head.headers.get("content-length"), String(bytes.byteLength));
          equal(head.headers.get("docker-content-digest"), digest);
          equal((await call("DELETE", `/v2/a/blobs/${digest}`)).status, 202);
          equal((await call("HEAD", `/v2/a/blobs/${digest}`)).status, 404);
          if (bytes.byteLength === 0) return;
          const other = digestOf(some(2), algorithm);
          equal((await upload(call, bytes, other, digest)).status, 400, "bytes of another digest");
          equal((await call("HEAD", `/v2/a/blobs/${other}`)).status, 404);
        });
      }
    }

    test(`S-CONF ${algorithm} chunks out of order are 416, then the upload goes on`, async (call) => {
      const bytes = some(3, 3000);
      const digest = digestOf(bytes, algorithm);
      const begun = await call("POST", "/v2/a/blobs/uploads/");
      const at = begun.headers.get("location")!;
      match((await call("GET", at)).headers.get("range")!, /^0-/, "before any byte");
      const chunk = (from: number, to: number) => ({
        body: bytes.slice(from, to),
        headers: { "content-range": `${from}-${to - 1}` },
      });
      const send = (method: string, from: number, to: number, where = at) => {
        const { body, headers } = chunk(from, to);
        return call(method, where, body, headers);
      };
      equal((await send("PATCH", 1000, 2000)).status, 416);
      equal((await send("PATCH", 0, 1000)).status, 202);
      const closing = `${at}${at.includes("?") ? "&" : "?"}digest=${digest}`;
      equal((await send("PUT", 2000, 3000, closing)).status, 416);
      const status = await call("GET", at);
      deepEqual([status.status, status.headers.get("range")], [204, "0-999"]);
      ok(status.headers.get("location"));
      equal((await send("PATCH", 1000, 2000)).status, 202);
      equal((await send("PUT", 2000, 3000, closing)).status, 201);
      deepEqual((await call("GET", `/v2/a/blobs/${digest}`)).bytes, bytes);
    });

    test(`S-CONF ${algorithm} mounts`, async (call) => {
      const bytes = some(4);
      const digest = digestOf(bytes, algorithm);
      const mount = (query: string) => call("POST", `/v2/b/blobs/uploads/?mount=${digest}${query}`);
      equal((await mount("&from=a")).status, 202, "of what is not there: an upload");
      equal((await UPLOADS["one POST"]!(call, bytes, digest, digest)).status, 201);
      equal((await mount("&from=a")).status, 201);
      deepEqual((await call("GET", `/v2/b/blobs/${digest}`)).bytes, bytes);
      await call("DELETE", `/v2/b/blobs/${digest}`);
      equal((await mount("")).status, 201, "from wherever it is");
    });
  }

  test("S-CONF an upload is cancelled", async (call) => {
    const at = (await call("POST", "/v2/a/blobs/uploads/")).headers.get("location")!;
    equal((await call("DELETE", at)).status, 204);
    equal((await call("GET", at)).status, 404);
  });

  test("S-CONF ranges", async (call) => {
    const bytes = some(5, 2000);
    const digest = digestOf(bytes);
    await UPLOADS["one POST"]!(call, bytes, digest, digest);
    for (const [range, from, to] of RANGES) {
      const part = await call("GET", `/v2/a/blobs/${digest}`, undefined, { range });
      if (from === undefined) equal(part.status, 416, range);
      else {
        equal(part.status, 206, range);
        equal(part.headers.get("content-range"), `bytes ${from}-${to! - 1}/2000`);
        deepEqual(part.bytes, bytes.slice(from, to));
      }
    }
  });

  for (const [name, set] of Object.entries(dataSets())) {
    for (const order of ["by digest", "by tag"] as const) {
      test(`S-CONF ${name}, ${order}`, (call) => lifeOf(call, set, order));
    }
  }

  test("S-CONF an index named by its sha512", async (call) => {
    const set = dataSets()["index"]!;
    for (const blob of set.blobs) await push(call, blob);
    for (const { name, bytes } of set.manifests) {
      const digest = digestOf(bytes, "sha512");
      const put = await call("PUT", `/v2/a/manifests/${digest}`, bytes, {
        "content-type": name.mediaType,
      });
      // Children are named by sha256 in the index, so they go there under that name as well.
      equal((await putManifest(call, { name, bytes }, name.digest)).status, 201);
      equal(put.status, 201);
      deepEqual((await call("GET", `/v2/a/manifests/${digest}`)).bytes, bytes);
    }
  });

  test("S-CONF C-PUT-02 ten tags with one manifest", async (call) => {
    const set = dataSets()["image"]!;
    for (const blob of set.blobs) await push(call, blob);
    const tags = Array.from({ length: 10 }, (_, at) => `t${at}`);
    const { name } = set.manifests[0]!;
    const query = tags.map((tag) => `tag=${tag}`).join("&");
    const put = await putManifest(call, set.manifests[0]!, `${name.digest}?${query}`);
    equal(put.status, 201);
    deepEqual(put.headers.get("oci-tag")?.split(", "), tags);
    for (const tag of tags) {
      const head = await call("HEAD", `/v2/a/manifests/${tag}`);
      equal(head.headers.get("docker-content-digest"), name.digest);
    }
  });

  test("S-CONF M-02 digests that are none, and bytes of another digest", async (call) => {
    const set = dataSets()["image"]!;
    for (const blob of set.blobs) await push(call, blob);
    const made = set.manifests[0]!;
    equal((await putManifest(call, made, digestOf(some(6)))).status, 400);
    equal((await putManifest(call, made, "sha256:baddigeststring")).status, 400);
    const got = await call("GET", "/v2/a/manifests/sha256:baddigeststring");
    ok([400, 404].includes(got.status));
    equal((await call("GET", `/v2/a/manifests/${digestOf(some(6))}`)).status, 404);
    equal((await call("GET", "/v2/a/manifests/absent")).status, 404);
  });

  test("S-CONF a manifest whose layer never came is refused", async (call) => {
    const { manifests, blobs } = dataSets()["image"]!;
    for (const blob of blobs.slice(1)) await push(call, blob);
    const put = await putManifest(call, manifests[0]!, "v1");
    ok([400, 404].includes(put.status), String(put.status));
    const { errors } = JSON.parse(new TextDecoder().decode(put.bytes));
    equal(errors[0].code, "MANIFEST_BLOB_UNKNOWN");
    ok(JSON.stringify(errors).includes(digestOf(blobs[0]!)), "the spec: detail names it");
  });
}

/** From the first blob to the last delete. */
async function lifeOf(call: Call, set: DataSet, order: "by digest" | "by tag"): Promise<void> {
  for (const blob of set.blobs) await push(call, blob);
  for (const [at, made] of set.manifests.entries()) {
    const { digest, mediaType } = made.name;
    const tag = `t${at}`;
    for (const reference of order === "by tag" ? [tag] : [digest, tag]) {
      const put = await putManifest(call, made, reference);
      equal(put.status, 201);
      if (made.subject !== undefined) equal(put.headers.get("oci-subject"), made.subject);
      deepEqual((await call("GET", put.headers.get("location")!)).bytes, made.bytes);
    }
    for (const reference of [digest, tag]) {
      const got = await call("GET", `/v2/a/manifests/${reference}`);
      deepEqual([got.status, got.bytes], [200, made.bytes]);
      equal(got.headers.get("content-type"), mediaType);
      const head = await call("HEAD", `/v2/a/manifests/${reference}`);
      deepEqual([head.status, head.bytes.byteLength], [200, 0]);
      equal(head.headers.get("content-length"), String(made.bytes.byteLength));
    }
  }
  const tags = JSON.parse(
    new TextDecoder().decode((await call("GET", "/v2/a/tags/list")).bytes),
  ).tags;
  deepEqual(tags, set.manifests.map((_, at) => `t${at}`).toSorted());
  await checkReferrers(call, set);
  for (const [at, { name: { digest } }] of [...set.manifests.entries()].toReversed()) {
    equal((await call("DELETE", `/v2/a/manifests/t${at}`)).status, 202);
    equal((await call("GET", `/v2/a/manifests/t${at}`)).status, 404);
    equal((await call("DELETE", `/v2/a/manifests/${digest}`)).status, 202);
    equal((await call("GET", `/v2/a/manifests/${digest}`)).status, 404);
  }
  for (const digest of new Set(set.blobs.map((blob) => digestOf(blob)))) {
    equal((await call("DELETE", `/v2/a/blobs/${digest}`)).status, 202);
    equal((await call("HEAD", `/v2/a/blobs/${digest}`)).status, 404);
  }
}

async function checkReferrers(call: Call, set: DataSet): Promise<void> {
  const subjects = new Set(set.manifests.flatMap(({ subject }) => subject ?? []));
  for (const subject of subjects) {
    const listed = await call("GET", `/v2/a/referrers/${subject}`);
    equal(listed.status, 200);
    equal(listed.headers.get("content-type"), MediaType.ociIndex);
    const index = JSON.parse(new TextDecoder().decode(listed.bytes));
    deepEqual([index.schemaVersion, index.mediaType], [2, MediaType.ociIndex]);
    const wanted = set.manifests.filter((made) => made.subject === subject).map(({ name }) => name);
    const byDigest = (a: { digest: string }, b: { digest: string }) => a.digest < b.digest ? -1 : 1;
    deepEqual(index.manifests.toSorted(byDigest), wanted.toSorted(byDigest));
    const artifactType = String(wanted[0]!["artifactType"]);
    const query = `artifactType=${encodeURIComponent(artifactType)}`;
    const filtered = await call("GET", `/v2/a/referrers/${subject}?${query}`);
    equal(filtered.headers.get("oci-filters-applied"), "artifactType");
    const left = JSON.parse(new TextDecoder().decode(filtered.bytes)).manifests;
    equal(left.length, wanted.filter((name) => name["artifactType"] === artifactType).length);
  }
}

async function begin(call: Call, digest: Digest): Promise<string> {
  const algorithm = digest.split(":")[0];
  const begun = await call("POST", `/v2/a/blobs/uploads/?digest-algorithm=${algorithm}`);
  equal(begun.status, 202);
  return begun.headers.get("location")!;
}

function closing(location: string, digest: Digest): string {
  return `${location}${location.includes("?") ? "&" : "?"}digest=${encodeURIComponent(digest)}`;
}

async function push(call: Call, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const { digest } = nameOf("", bytes);
  equal((await UPLOADS["POST and PUT"]!(call, bytes, digest, digest)).status, 201);
}

function putManifest(call: Call, { name, bytes }: Pushed, reference: string): Promise<Said> {
  return call("PUT", `/v2/a/manifests/${reference}`, bytes, { "content-type": name.mediaType });
}
