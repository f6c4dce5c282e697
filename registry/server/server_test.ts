/** What the OCI conformance program asserts on the wire (S-CONF), and what clients need beyond it (S-API). */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { connectRegistry } from "../client/client.ts";
import { encodeJson } from "../image.ts";
import { memoryRegistry } from "../memory.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { MediaType } from "../oci/media_type.ts";
import {
  describeBytes,
  pushBytes,
  pushSampleImage,
  sampleBytes,
} from "../registry_suite_testing.ts";
import type { Registry, ResumableUploads } from "../registry.ts";
import { bytesSource } from "../source.ts";
import { openLayout } from "../store/layout.ts";
import { openStore } from "../store/store.ts";
import { tempDir } from "../temp_testing.ts";
import { resumable } from "./resumable.ts";
import { createServer, type RequestEntry, type ServerOptions } from "./server.ts";
import { parseListen, serve } from "./serve.ts";

interface Wire extends AsyncDisposable {
  readonly registry: Registry & ResumableUploads;
  readonly entries: readonly RequestEntry[];
  call(method: string, path: string, init?: CallInit): Promise<Answer>;
}

interface CallInit {
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly code: string | undefined;
}

async function open(kind: Place, options: ServerOptions = {}): Promise<Wire> {
  const dir = kind === "store" ? await Deno.makeTempDir() : undefined;
  const store = dir === undefined ? undefined : await openStore(join(dir, "store"));
  const registry = store ?? memoryRegistry();
  const entries: RequestEntry[] = [];
  const server = createServer(registry, {
    locate: (digest) => registry.locate(digest),
    onRequest: (entry) => entries.push(entry),
    ...options,
  });
  return {
    registry,
    entries,
    async call(method, path, { headers = {}, body } = {}) {
      const sent = new Headers(headers);
      if (body instanceof Uint8Array) sent.set("content-length", String(body.byteLength));
      const response = await server.fetch(
        new Request(`http://registry.test${path}`, { method, headers: sent, body: body ?? null }),
      );
      const bytes = new Uint8Array(await response.arrayBuffer());
      let code: string | undefined;
      if (response.status >= 400 && bytes.length > 0) {
        code = JSON.parse(new TextDecoder().decode(bytes)).errors[0].code;
      }
      return { status: response.status, headers: response.headers, bytes, code };
    },
    async [Symbol.asyncDispose]() {
      await store?.[Symbol.asyncDispose]();
      if (dir !== undefined) await Deno.remove(dir, { recursive: true });
    },
  };
}

type Place = "memory" | "store";

function test(name: string, body: (wire: Wire) => Promise<void>, options?: ServerOptions): void {
  for (const place of ["memory", "store"] as const) {
    Deno.test(`server over ${place}: ${name}`, async () => {
      await using wire = await open(place, options);
      await body(wire);
    });
  }
}

const text = (answer: Answer) => new TextDecoder().decode(answer.bytes);
const START = "/v2/app/blobs/uploads/";

async function isThere(wire: Wire, digest: Digest, bytes: Uint8Array): Promise<void> {
  const head = await wire.call("HEAD", `/v2/app/blobs/${digest}`);
  equal(head.status, 200);
  equal(head.headers.get("content-length"), String(bytes.byteLength));
  equal(head.headers.get("docker-content-digest"), digest);
  equal(head.bytes.byteLength, 0);
  const got = await wire.call("GET", `/v2/app/blobs/${digest}`);
  equal(got.status, 200);
  deepEqual(got.bytes, bytes);
}

test("S-CONF ping says the version", async (wire) => {
  for (const path of ["/v2/", "/v2"]) {
    const answer = await wire.call("GET", path);
    equal(answer.status, 200);
    equal(answer.headers.get("docker-distribution-api-version"), "registry/2.0");
  }
  equal((await wire.call("GET", "/healthz")).status, 200);
  equal((await wire.call("GET", "/elsewhere")).status, 404);
});

test("S-CONF an empty repository", async (wire) => {
  const tags = await wire.call("GET", "/v2/app/tags/list");
  equal(tags.status, 404);
  equal(tags.code, "NAME_UNKNOWN");
  const referrers = await wire.call("GET", `/v2/app/referrers/${digestOf(sampleBytes(1))}`);
  equal(referrers.status, 200);
  equal(referrers.headers.get("content-type"), MediaType.ociIndex);
  deepEqual(JSON.parse(text(referrers)), {
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: [],
  });
  const blob = await wire.call("GET", `/v2/app/blobs/${digestOf(sampleBytes(1))}`);
  equal(blob.status, 404);
  equal(blob.code, "BLOB_UNKNOWN");
});

for (const algorithm of ["sha256", "sha512"] as const) {
  const bytes = sampleBytes(150_000, 3);
  const digest = digestOf(bytes, algorithm);
  const query = `digest=${encodeURIComponent(digest)}`;

  test(`S-CONF ${algorithm} blob: one POST`, async (wire) => {
    const made = await wire.call("POST", `${START}?${query}`, { body: bytes });
    equal(made.status, 201);
    equal(made.headers.get("docker-content-digest"), digest);
    equal((await wire.call("GET", made.headers.get("location")!)).status, 200);
    await isThere(wire, digest, bytes);
    equal((await wire.call("DELETE", `/v2/app/blobs/${digest}`)).status, 202);
    equal((await wire.call("HEAD", `/v2/app/blobs/${digest}`)).status, 404);
    equal((await wire.call("DELETE", `/v2/app/blobs/${digest}`)).status, 404);
  });

  test(`S-CONF ${algorithm} blob: POST then PUT`, async (wire) => {
    const started = await wire.call("POST", START);
    equal(started.status, 202);
    match(started.headers.get("location")!, /^\/v2\/app\/blobs\/uploads\/[^/?]+$/);
    ok(started.headers.get("docker-upload-uuid"));
    const made = await wire.call("PUT", `${started.headers.get("location")}?${query}`, {
      body: bytes,
    });
    equal(made.status, 201);
    await isThere(wire, digest, bytes);
    const gone = await wire.call("GET", started.headers.get("location")!);
    equal(gone.status, 404);
    equal(gone.code, "BLOB_UPLOAD_UNKNOWN");
  });

  test(`S-CONF ${algorithm} blob: chunks, out of order once, the last in PUT`, async (wire) => {
    let { headers } = await wire.call("POST", START);
    const at = () => headers.get("location")!;
    const status = await wire.call("GET", at());
    equal(status.status, 204);
    match(status.headers.get("range")!, /^0-/);
    const chunk = (first: number, last: number) => ({
      headers: { "content-range": `${first}-${last}` },
      body: bytes.slice(first, last + 1),
    });
    ({ headers } = await wire.call("PATCH", at(), chunk(0, 49_999)));
    equal(headers.get("range"), "0-49999");
    const wrong = await wire.call("PATCH", at(), chunk(100_000, 149_999));
    equal(wrong.status, 416);
    equal(wrong.headers.get("range"), "0-49999");
    equal(wrong.headers.get("location"), at());
    const asked = await wire.call("GET", at());
    equal(asked.status, 204);
    equal(asked.headers.get("range"), "0-49999");
    ({ headers } = await wire.call("PATCH", at(), chunk(50_000, 99_999)));
    const early = await wire.call("PUT", `${at()}?${query}`, chunk(0, 49_999));
    equal(early.status, 416);
    const lied = { ...chunk(100_000, 149_999), body: bytes.slice(100_000, 140_000) };
    equal((await wire.call("PATCH", at(), lied)).status, 400);
    const made = await wire.call("PUT", `${at()}?${query}`, chunk(100_000, 149_999));
    equal(made.status, 201);
    await isThere(wire, digest, bytes);
  });

  test(`S-CONF ${algorithm} blob: one streamed PATCH without a length`, async (wire) => {
    const started = await wire.call("POST", `${START}?digest-algorithm=${algorithm}`);
    const body = ReadableStream.from([bytes.slice(0, 70_000), bytes.slice(70_000)]);
    const patched = await wire.call("PATCH", started.headers.get("location")!, { body });
    equal(patched.status, 202);
    equal(patched.headers.get("range"), "0-149999");
    const made = await wire.call("PUT", `${patched.headers.get("location")}?${query}`);
    equal(made.status, 201);
    await isThere(wire, digest, bytes);
  });

  test(`S-CONF ${algorithm} blob: bytes of another digest`, async (wire) => {
    const other = sampleBytes(150_000, 4);
    const posted = await wire.call("POST", `${START}?${query}`, { body: other });
    equal(posted.status, 400);
    equal(posted.code, "DIGEST_INVALID");
    const started = await wire.call("POST", START);
    const put = await wire.call("PUT", `${started.headers.get("location")}?${query}`, {
      body: other,
    });
    equal(put.status, 400);
    equal((await wire.call("HEAD", `/v2/app/blobs/${digest}`)).status, 404);
  });

  test(`S-CONF ${algorithm} blob: mounts`, async (wire) => {
    const mount = `mount=${encodeURIComponent(digest)}`;
    const absent = await wire.call("POST", `${START}?${mount}&from=other`);
    equal(absent.status, 202);
    ok(absent.headers.get("location"));
    await wire.call("POST", `/v2/other/blobs/uploads/?${query}`, { body: bytes });
    const elsewhere = await wire.call("POST", `${START}?${mount}&from=third`);
    equal(elsewhere.status, 202, "S-API-8: not in that repository");
    const made = await wire.call("POST", `${START}?${mount}&from=other`);
    equal(made.status, 201);
    equal(made.headers.get("docker-content-digest"), digest);
    await isThere(wire, digest, bytes);
    const anonymous = await wire.call("POST", `/v2/fourth/blobs/uploads/?${mount}`);
    equal(anonymous.status, 201);
    equal((await wire.call("GET", anonymous.headers.get("location")!)).status, 200);
  });
}

test("S-CONF an upload is cancelled", async (wire) => {
  const started = await wire.call("POST", START);
  const location = started.headers.get("location")!;
  await wire.call("PATCH", location, { body: sampleBytes(100_000) });
  equal((await wire.call("DELETE", location)).status, 204);
  equal((await wire.call("GET", location)).status, 404);
  equal((await wire.call("DELETE", location)).status, 404);
});

test("R-13 an upload belongs to its repository", async (wire) => {
  const started = await wire.call("POST", START);
  const id = started.headers.get("docker-upload-uuid")!;
  equal((await wire.call("GET", `/v2/other/blobs/uploads/${id}`)).status, 404);
  equal((await wire.call("GET", "/v2/app/blobs/uploads/..%2e")).status, 404);
});

test("S-CONF well-known blobs: nothing, and {}", async (wire) => {
  for (const bytes of [new Uint8Array(), new TextEncoder().encode("{}")]) {
    const digest = digestOf(bytes);
    const started = await wire.call("POST", START);
    const made = await wire.call("PUT", `${started.headers.get("location")}?digest=${digest}`, {
      body: bytes,
    });
    equal(made.status, 201);
    await isThere(wire, digest, bytes);
  }
});

test("S-CONF ranges", async (wire) => {
  for (const size of [2000, 200_000]) {
    const bytes = sampleBytes(size, size);
    const { digest } = await pushBytes(wire.registry, "app", bytes);
    const get = (range: string, more = {}) =>
      wire.call("GET", `/v2/app/blobs/${digest}`, { headers: { range, ...more } });
    for (
      const [range, first, end] of [
        ["bytes=500-1499", 500, 1500],
        ["bytes=500-", 500, size],
        ["bytes=-500", size - 500, size],
        [`bytes=500-${size + 5000}`, 500, size],
        ["bytes=0-0", 0, 1],
      ] as const
    ) {
      const answer = await get(range);
      equal(answer.status, 206, range);
      equal(answer.headers.get("content-range"), `bytes ${first}-${end - 1}/${size}`);
      equal(answer.headers.get("content-length"), String(end - first));
      deepEqual(answer.bytes, bytes.slice(first, end));
    }
    for (const range of ["bytes=500-0", `bytes=${size}-`]) {
      const answer = await get(range);
      equal(answer.status, 416);
      equal(answer.headers.get("content-range"), `bytes */${size}`);
    }
    equal((await get("bytes=0-1,3-4")).status, 200);
    equal((await get("bytes=0-1", { "if-range": '"other"' })).status, 200);
    equal((await get("bytes=0-1", { "if-range": `"${digest}"` })).status, 206);
  }
});

test("S-API-5 what a client has is not sent again", async (wire) => {
  const image = await pushSampleImage(wire.registry, "app", { tags: ["v1"] });
  for (const path of ["/v2/app/manifests/v1", `/v2/app/manifests/${image.digest}`]) {
    const first = await wire.call("GET", path);
    equal(first.headers.get("etag"), `"${image.digest}"`);
    const headers = { "if-none-match": first.headers.get("etag")! };
    const again = await wire.call("GET", path, { headers });
    equal(again.status, 304);
    equal(again.bytes.byteLength, 0);
  }
});

test("S-CONF a manifest by tag and by digest", async (wire) => {
  const seed = await pushSampleImage(wire.registry, "app", { tags: ["seed"] });
  const { bytes } = (await wire.registry.manifest("app", "seed"))!;
  await wire.call("DELETE", `/v2/app/manifests/${seed.digest}`);
  const headers = { "content-type": MediaType.ociManifest };
  for (const reference of ["v1", seed.digest]) {
    const made = await wire.call("PUT", `/v2/app/manifests/${reference}`, { headers, body: bytes });
    equal(made.status, 201);
    equal(made.headers.get("docker-content-digest"), seed.digest);
    equal((await wire.call("GET", made.headers.get("location")!)).status, 200);
    const got = await wire.call("GET", `/v2/app/manifests/${reference}`);
    deepEqual(got.bytes, bytes);
    equal(got.headers.get("content-type"), MediaType.ociManifest);
    const head = await wire.call("HEAD", `/v2/app/manifests/${reference}`);
    equal(head.status, 200);
    equal(head.headers.get("content-length"), String(bytes.byteLength));
    equal(head.headers.get("docker-content-digest"), seed.digest);
    equal(head.bytes.byteLength, 0);
  }
  equal((await wire.call("DELETE", "/v2/app/manifests/v1")).status, 202);
  equal((await wire.call("GET", "/v2/app/manifests/v1")).status, 404);
  equal((await wire.call("GET", `/v2/app/manifests/${seed.digest}`)).status, 200);
  equal((await wire.call("DELETE", `/v2/app/manifests/${seed.digest}`)).status, 202);
  const gone = await wire.call("GET", `/v2/app/manifests/${seed.digest}`);
  equal(gone.status, 404);
  equal(gone.code, "MANIFEST_UNKNOWN");
});

test("S-CONF several tags at once", async (wire) => {
  const { digest } = await pushSampleImage(wire.registry, "app", { tags: ["seed"] });
  const { bytes } = (await wire.registry.manifest("app", "seed"))!;
  const made = await wire.call("PUT", `/v2/app/manifests/${digest}?tag=a&tag=b`, {
    headers: { "content-type": MediaType.ociManifest },
    body: bytes,
  });
  equal(made.status, 201);
  equal(made.headers.get("oci-tag"), "a, b");
  for (const tag of ["a", "b"]) equal((await wire.registry.stat("app", tag))?.digest, digest);
});

test("S-CONF manifests that are wrong", async (wire) => {
  await pushSampleImage(wire.registry, "app", { tags: ["seed"] });
  const { bytes } = (await wire.registry.manifest("app", "seed"))!;
  const headers = { "content-type": MediaType.ociManifest };
  const put = (
    reference: string,
    body: Uint8Array<ArrayBuffer>,
    type: Record<string, string> = headers,
  ) => wire.call("PUT", `/v2/app/manifests/${reference}`, { headers: type, body });
  const other = digestOf(sampleBytes(3));
  equal((await put(other, bytes)).status, 400);
  equal((await put("sha256:baddigeststring", bytes)).status, 400);
  ok([400, 404].includes((await wire.call("GET", "/v2/app/manifests/sha256:baddig")).status));
  equal((await put("v1", new TextEncoder().encode("nonsense"))).code, "MANIFEST_INVALID");
  const confused = await put("v1", bytes, { "content-type": MediaType.ociIndex });
  equal(confused.code, "MANIFEST_INVALID", "M-01");
  const missing = describeBytes(sampleBytes(9), MediaType.ociLayer);
  const parsed = JSON.parse(new TextDecoder().decode(bytes));
  const lacking = await put("v1", encodeJson({ ...parsed, layers: [missing] }));
  equal(lacking.code, "MANIFEST_BLOB_UNKNOWN");
  ok(text(lacking).includes(missing.digest));
  equal((await wire.call("GET", "/v2/app/manifests/v1")).status, 404);
});

test("S-API-5 a put on a condition", async (wire) => {
  const one = await pushSampleImage(wire.registry, "app", { seed: 1, tags: ["v1", "seed"] });
  const two = await pushSampleImage(wire.registry, "app", { seed: 2 });
  const body = (await wire.registry.manifest("app", two.digest))!.bytes;
  const put = async (reference: string, headers: Record<string, string>) => {
    const answer = await wire.call("PUT", `/v2/app/manifests/${reference}`, {
      headers: { "content-type": MediaType.ociManifest, ...headers },
      body,
    });
    return [answer.status, answer.code ?? answer.headers.get("wherry-precondition-checked")];
  };
  const failed = [412, "PRECONDITION_FAILED"];
  deepEqual(await put("v1", { "if-none-match": "*" }), failed);
  deepEqual(await put("v2", { "if-match": "*" }), failed);
  deepEqual(await put("v2", { "if-match": `"${one.digest}"` }), failed);
  deepEqual(await put("v1", { "if-match": `"${two.digest}"` }), failed);
  deepEqual(await put("v1", { "if-match": `W/"${one.digest}"` }), failed, "weak");
  deepEqual(await put("v1", { "if-match": one.digest }), failed, "want quotes");
  deepEqual(await put("v1", { "if-match": "" }), failed);
  deepEqual(await put("v1", { "if-none-match": `"${one.digest}"` }), [400, "UNSUPPORTED"]);
  deepEqual(await put("v1", { "if-none-match": "*", "if-match": "*" }), [400, "UNSUPPORTED"]);
  equal((await wire.registry.stat("app", "v1"))?.digest, one.digest);
  equal(await wire.registry.stat("app", "v2"), undefined);
  deepEqual(await put(two.digest, { "if-none-match": "*" }), failed, "by digest");
  deepEqual(await put(two.digest, { "if-match": "*" }), [201, "1"]);
  deepEqual(await put("v2", { "if-none-match": "*" }), [201, "1"]);
  deepEqual(await put("v1", { "if-match": `"${two.digest}", "${one.digest}"` }), [201, "1"]);
  deepEqual(await put("v1", { "if-match": `"${one.digest}"` }), [201, "1"], "done already");
  deepEqual(await put("v1", {}), [201, null]);
  equal((await wire.registry.stat("app", "v1"))?.digest, two.digest);
});

test("R-06 of uploads that nobody ends the oldest go; numbers and ranges beyond reason are cut", async (wire) => {
  const begin = async () => (await wire.call("POST", START)).headers.get("location")!;
  const first = await begin();
  for (let at = 1; at < 4096; at++) await begin();
  equal((await wire.call("GET", first)).status, 204);
  const last = await begin();
  const gone = await wire.call("GET", first);
  deepEqual([gone.status, gone.code], [404, "BLOB_UPLOAD_UNKNOWN"]);
  equal((await wire.call("GET", last)).status, 204);
  for (const n of ["99999999999999999999", "1e9", "-1"]) {
    ok([200, 400].includes((await wire.call("GET", `/v2/_catalog?n=${n}`)).status), n);
  }
  const bytes = sampleBytes(5000);
  const { digest } = await pushBytes(wire.registry, "app", bytes);
  const range = `bytes=${Array.from({ length: 1000 }, (_, at) => `${at}-`).join(",")}`;
  const whole = await wire.call("GET", `/v2/app/blobs/${digest}`, { headers: { range } });
  deepEqual([whole.status, whole.bytes.byteLength], [200, 5000], "one range or all of it, once");
});

test("S-API-6, R-06 a manifest over the limit is 413", async (wire) => {
  const body = sampleBytes(2000);
  const answer = await wire.call("PUT", "/v2/app/manifests/v1", { body });
  equal(answer.status, 413);
  const streamed = await wire.call("PUT", "/v2/app/manifests/v1", {
    body: ReadableStream.from([body]),
  });
  equal(streamed.status, 413);
}, { manifestLimit: 1000 });

test("S-CONF tags are listed in pages", async (wire) => {
  const tags = ["a", "b", "c", "d", "e"];
  await pushSampleImage(wire.registry, "app", { tags });
  const page = async (query: string) => {
    const answer = await wire.call("GET", `/v2/app/tags/list${query}`);
    return { ...JSON.parse(text(answer)), link: answer.headers.get("link") };
  };
  deepEqual(await page(""), { name: "app", tags, link: null });
  const first = await page("?n=2");
  deepEqual(first.tags, ["a", "b"]);
  equal(first.link, '</v2/app/tags/list?n=2&last=b>; rel="next"');
  const second = await page("?n=2&last=b");
  deepEqual(second.tags, ["c", "d"]);
  deepEqual(await page("?n=2&last=d"), { name: "app", tags: ["e"], link: null });
  deepEqual(await page("?n=5"), { name: "app", tags, link: null });
  deepEqual(await page("?n=0"), { name: "app", tags: [], link: null }, "S-API-3");
  deepEqual((await page("?last=c")).tags, ["d", "e"]);
});

test("S-API-4 repositories are listed in pages", async (wire) => {
  for (const name of ["a", "a/b", "c"]) await pushSampleImage(wire.registry, name);
  const answer = await wire.call("GET", "/v2/_catalog?n=2");
  deepEqual(JSON.parse(text(answer)), { repositories: ["a", "a/b"] });
  equal(answer.headers.get("link"), '</v2/_catalog?n=2&last=a%2Fb>; rel="next"');
});

test("S-CONF referrers", async (wire) => {
  const subject = await pushSampleImage(wire.registry, "app", { seed: 1, tags: ["v1"] });
  await pushSampleImage(wire.registry, "app", { seed: 2, tags: ["seed"] });
  const parsed = JSON.parse(
    new TextDecoder().decode((await wire.registry.manifest("app", "seed"))!.bytes),
  );
  const artifactType = "application/vnd.example";
  const body = encodeJson({ ...parsed, subject, artifactType, annotations: { a: "b" } });
  const made = await wire.call("PUT", `/v2/app/manifests/${digestOf(body)}`, {
    headers: { "content-type": MediaType.ociManifest },
    body,
  });
  equal(made.status, 201);
  equal(made.headers.get("oci-subject"), subject.digest);
  const path = `/v2/app/referrers/${subject.digest}`;
  const listed = await wire.call("GET", path);
  equal(listed.headers.get("content-type"), MediaType.ociIndex);
  deepEqual(JSON.parse(text(listed)).manifests, [{
    mediaType: MediaType.ociManifest,
    digest: digestOf(body),
    size: body.byteLength,
    artifactType,
    annotations: { a: "b" },
  }]);
  const filtered = await wire.call("GET", `${path}?artifactType=other%2Ftype`);
  equal(filtered.headers.get("oci-filters-applied"), "artifactType");
  deepEqual(JSON.parse(text(filtered)).manifests, []);
});

test("R-03 what was deleted is gone at once, there and only there", async (wire) => {
  const bytes = sampleBytes(100_000);
  const { digest } = await pushBytes(wire.registry, "mine", bytes);
  await wire.registry.pushBlob("yours", describeBytes(bytes), bytesSource(bytes));
  const get = async (name: string) =>
    (await wire.call("GET", `/v2/${name}/blobs/${digest}`)).status;
  equal(await get("mine"), 200);
  equal((await wire.call("DELETE", `/v2/mine/blobs/${digest}`)).status, 202);
  equal(await get("mine"), 404);
  equal(await get("yours"), 200);
});

test("R-01 a digest alone does not open another repository's blob", async (wire) => {
  const { digest } = await pushBytes(wire.registry, "mine", sampleBytes(100_000));
  equal((await wire.call("HEAD", `/v2/app/blobs/${digest}`)).status, 404);
  const claimed = await wire.call("POST", `${START}?digest=${digest}`, { body: sampleBytes(5) });
  equal(claimed.status, 400);
  const started = await wire.call("POST", START);
  const empty = await wire.call("PUT", `${started.headers.get("location")}?digest=${digest}`);
  equal(empty.status, 400);
  equal((await wire.call("HEAD", `/v2/app/blobs/${digest}`)).status, 404);
});

test("a method that is not there says which are", async (wire) => {
  const answer = await wire.call("POST", "/v2/app/manifests/v1");
  equal(answer.status, 405);
  equal(answer.code, "UNSUPPORTED");
  equal(answer.headers.get("allow"), "GET, HEAD, PUT, DELETE");
});

test("R-02 read-only: every change is refused, reading goes on", async (wire) => {
  await pushSampleImage(wire.registry, "app", { tags: ["v1"] });
  const digest = digestOf(sampleBytes(1));
  for (
    const [method, path] of [
      ["POST", START],
      ["PATCH", START + "x"],
      ["PUT", `${START}x?digest=${digest}`],
      ["DELETE", START + "x"],
      ["PUT", "/v2/app/manifests/v2"],
      ["DELETE", "/v2/app/manifests/v1"],
      ["DELETE", `/v2/app/blobs/${digest}`],
    ] as const
  ) {
    const answer = await wire.call(method, path);
    equal(answer.status, 405, `${method} ${path}`);
  }
  equal((await wire.call("GET", "/v2/app/manifests/v1")).status, 200);
}, { readOnly: true });

test("what was sent is counted by kind of request", async (wire) => {
  const bytes = sampleBytes(100_000);
  await wire.call("POST", `${START}?digest=${digestOf(bytes)}`, { body: bytes });
  await wire.call("GET", `/v2/app/blobs/${digestOf(bytes)}`);
  const [posted, got] = wire.entries;
  equal(posted?.kind, "startUpload");
  equal(posted?.repository, "app");
  equal(posted?.bytesIn, 100_000);
  equal(got?.bytesOut, 100_000);
});

Deno.test("server: a fault inside is 500 and tells clients nothing", async () => {
  const errors: unknown[] = [];
  const registry = memoryRegistry();
  registry.stat = () => Promise.reject(new Error("secret"));
  const server = createServer(registry, { onError: (error) => errors.push(error) });
  const response = await server.fetch(
    new Request("http://x/v2/app/manifests/v1", { method: "HEAD" }),
  );
  equal(response.status, 500);
  equal((await response.text()).includes("secret"), false);
  equal(errors.length, 1);
});

Deno.test("serve: port 0 is a real port, HEAD keeps its length, shutdown waits", async () => {
  const registry = memoryRegistry();
  const image = await pushSampleImage(registry, "app", { tags: ["v1"] });
  const listening = await serve(createServer(registry), {
    listen: { hostname: "127.0.0.1", port: 0 },
  });
  ok("port" in listening.address && listening.address.port > 0);
  const head = await fetch(`${listening.url}/v2/app/manifests/v1`, { method: "HEAD" });
  equal(head.headers.get("content-length"), String(image.size));
  await head.body?.cancel();
  const started = await fetch(`${listening.url}${START}`, { method: "POST" });
  const location = listening.url + started.headers.get("location");
  await started.body?.cancel();
  const feed = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>();
  const writer = feed.writable.getWriter();
  const patched = fetch(location, { method: "PATCH", body: feed.readable });
  await writer.write(sampleBytes(1000));
  // Under way for sure once the upload has its bytes.
  while ((await status(location)).range !== "0-999") { /* ask again */ }
  const down = listening.shutdown();
  const late = await fetch(`${listening.url}/v2/`);
  equal(late.status, 503);
  await late.body?.cancel();
  await writer.close();
  const answer = await patched;
  equal(answer.status, 202);
  await answer.body?.cancel();
  await down;
  await listening.finished;
});

async function status(location: string): Promise<{ readonly range: string | null }> {
  const response = await fetch(location);
  await response.body?.cancel();
  return { range: response.headers.get("range") };
}

Deno.test("serve: what a client sent before it went away is not lost, and nothing of it is seen", async () => {
  await using wire = await open("store");
  const errors: unknown[] = [];
  const server = createServer(wire.registry, { onError: (error) => errors.push(error) });
  await using listening = await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } });
  ok("port" in listening.address);
  const bytes = sampleBytes(200_000);
  const started = await fetch(`${listening.url}${START}`, { method: "POST" });
  const path = started.headers.get("location")!;
  await started.body?.cancel();
  {
    using socket = await Deno.connect(listening.address);
    const head = `PATCH ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n`;
    await socket.write(new TextEncoder().encode(head));
    for (let at = 0; at < 120_000;) at += await socket.write(bytes.subarray(at, 120_000));
    while ((await status(listening.url + path)).range !== "0-119999") { /* ask again */ }
  }
  const rest = async () => {
    const response = await fetch(listening.url + path, {
      method: "PATCH",
      headers: { "content-range": "120000-199999" },
      body: bytes.slice(120_000),
    });
    await response.body?.cancel();
    return response.status;
  };
  // Refused for as long as the server has not seen that the first client is gone.
  while (await rest() !== 202) { /* ask again */ }
  const digest = digestOf(bytes);
  equal(await wire.registry.blob("app", digest), undefined);
  const made = await fetch(`${listening.url}${path}?digest=${digest}`, { method: "PUT" });
  equal(made.status, 201);
  await made.body?.cancel();
  deepEqual(errors, [], "a client that leaves is no fault of ours");
});

Deno.test("server: a layout can be served", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const registry = resumable(await openLayout(join(dir, "layout"), { create: true }));
  const server = createServer(registry);
  const call = (method: string, path: string, body: Uint8Array<ArrayBuffer> | null = null) =>
    server.fetch(new Request(`http://x${path}`, { method, body }));
  const bytes = sampleBytes(100_000);
  const location = (await call("POST", START)).headers.get("location")!;
  equal((await call("PATCH", location, bytes)).status, 202);
  equal((await call("PUT", `${location}?digest=${digestOf(bytes)}`)).status, 201);
  equal((await call("GET", location)).status, 404);
  equal((await call("HEAD", `/v2/app/blobs/${digestOf(bytes)}`)).status, 200);
});

Deno.test("serve: a socket file, gone afterwards", async () => {
  const dir = await Deno.makeTempDir();
  const path = join(dir, "s.sock");
  {
    await using listening = await serve(createServer(memoryRegistry()), { listen: { path } });
    equal(listening.url, `unix:${path}`);
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
    const response = await fetch("http://localhost/v2/", { client });
    equal(response.status, 200);
    await response.body?.cancel();
  }
  deepEqual(await Array.fromAsync(Deno.readDir(dir)), []);
  await Deno.remove(dir);
});

Deno.test("serve: addresses", () => {
  deepEqual(parseListen("127.0.0.1:5000"), { hostname: "127.0.0.1", port: 5000 });
  deepEqual(parseListen("[::1]:0"), { hostname: "::1", port: 0 });
  deepEqual(parseListen(":80"), { hostname: "127.0.0.1", port: 80 });
  deepEqual(parseListen("unix:/run/x"), { path: "/run/x" });
  for (const bad of ["", "5000", "host", "a:99999", "unix:", "a b:1"]) {
    let refused = false;
    try {
      parseListen(bad);
    } catch {
      refused = true;
    }
    ok(refused, bad);
  }
});

Deno.test({
  name: "serve: TLS",
  ignore: !await hasOpenssl(),
  async fn() {
    await using temp = await tempDir();
    const dir = temp.path;
    const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
    const made = await new Deno.Command("openssl", {
      args: `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test
        -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:TRUE
        -keyout ${key} -out ${cert}`.split(/\s+/),
      stderr: "null",
    }).output();
    ok(made.success);
    const tls = { key: await Deno.readTextFile(key), cert: await Deno.readTextFile(cert) };
    await using listening = await serve(createServer(memoryRegistry()), {
      listen: { hostname: "127.0.0.1", port: 0 },
      tls,
    });
    match(listening.url, /^https:/);
    const registry = connectRegistry(listening.url.slice("https://".length), {
      caCerts: [tls.cert],
    });
    const pushed = await pushSampleImage(registry, "app", { size: 100_000, tags: ["v1"] });
    deepEqual(await registry.stat("app", "v1"), pushed);
    await registry[Symbol.asyncDispose]();
  },
});

async function hasOpenssl(): Promise<boolean> {
  try {
    return (await new Deno.Command("openssl", { args: ["version"], stdout: "null" }).output())
      .success;
  } catch {
    return false;
  }
}
