import assert from "node:assert/strict";
import { encodeJson } from "../image.ts";
import { memoryRegistry } from "../memory.ts";
import { digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import { createServer } from "../server/server.ts";
import { serve } from "../server/serve.ts";
import { bytesSource } from "../source.ts";
import { connectRegistry } from "./client.ts";
import { dockerRegistry, startDockerRegistry } from "./docker_registry_testing.ts";
import type { RegistryClient } from "./options.ts";
import { errorBody, quirkServer } from "./quirk_testing.ts";

const FAST = { retry: { baseMs: 1 } };
const bytesOf = (text: string) => new TextEncoder().encode(text);

async function push(registry: RegistryClient, text: string): Promise<unknown> {
  const bytes = bytesOf(text);
  const descriptor = { mediaType: "x/y", digest: digestOf(bytes), size: bytes.byteLength };
  return await registry.pushBlob("app", descriptor, bytesSource(bytes));
}

const manifest = {
  mediaType: MediaType.ociIndex,
  bytes: encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] }),
};
const digest = digestOf(manifest.bytes);

async function ours() {
  const calls: string[] = [];
  const server = createServer(memoryRegistry(), {
    onRequest: ({ method, path }) => calls.push(`${method} ${path.replace(/[0-9a-f]{64}/g, "#")}`),
  });
  const listening = await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } });
  return { host: listening.url.slice(7), calls, [Symbol.asyncDispose]: () => listening.shutdown() };
}

Deno.test("C-UP-01 a small blob goes with its POST where the registry takes it so", async () => {
  await using server = await ours();
  await using registry = connectRegistry(server.host, FAST);
  assert.equal(await push(registry, "one"), "uploaded");
  assert.equal(await push(registry, "two"), "uploaded");
  const two = ["HEAD /v2/app/blobs/sha256:#", "POST /v2/app/blobs/uploads/?digest=sha256%3A#"];
  assert.deepEqual(server.calls, [...two, ...two]);
});

Deno.test("C-UP-01 a registry that does not is tried once, and loses no request by it", async () => {
  await using server = quirkServer(({ method }) =>
    method === "HEAD"
      ? new Response(null, { status: 404 })
      : new Response(null, { status: method === "POST" ? 202 : 201, headers: { location: "/u" } })
  );
  await using registry = connectRegistry(server.host, FAST);
  await push(registry, "one");
  await push(registry, "two");
  assert.deepEqual(
    server.seen.map(({ method, url, body }) =>
      `${method} ${url.replace(/sha256[:%].*/, "#")} ${body.byteLength}`
    ),
    [
      "HEAD /v2/app/blobs/# 0",
      "POST /v2/app/blobs/uploads/?digest=# 3",
      "PUT /u?digest=# 3",
      "HEAD /v2/app/blobs/# 0",
      "POST /v2/app/blobs/uploads/ 0",
      "PUT /u?digest=# 3",
    ],
  );
});

Deno.test("C-UP-01 one that refuses it gets blobs as everybody sends them", async () => {
  await using server = quirkServer(({ method, url }) => {
    if (method === "HEAD") return new Response(null, { status: 404 });
    if (url.includes("/uploads/?digest")) return errorBody(400, "UNSUPPORTED", "no body here");
    return new Response(null, {
      status: method === "POST" ? 202 : 201,
      headers: { location: "/u" },
    });
  });
  await using registry = connectRegistry(server.host, FAST);
  assert.equal(await push(registry, "one"), "uploaded");
  assert.equal(await push(registry, "two"), "uploaded");
  assert.equal(server.seen.filter(({ url }) => url.includes("/uploads/?digest")).length, 1);
});

Deno.test("C-PUT-02 many tags in one request where the registry says which it set", async () => {
  await using server = await ours();
  await using registry = connectRegistry(server.host, FAST);
  const tags = Array.from({ length: 12 }, (_, at) => `t${at}`);
  await registry.pushManifest("app", manifest, { tags });
  assert.equal(server.calls.length, 2);
  for (const tag of tags) assert.equal((await registry.stat("app", tag))?.digest, digest);
});

Deno.test("C-PUT-02 one request for each tag where it does not, after one try", async () => {
  await using server = quirkServer(() => new Response(null, { status: 201 }));
  await using registry = connectRegistry(server.host, FAST);
  for (let at = 0; at < 2; at++) {
    await registry.pushManifest("app", manifest, { tags: ["a", "b"] });
  }
  const one = ["PUT /v2/app/manifests/a", "PUT /v2/app/manifests/b"];
  assert.deepEqual(server.calls(), [`PUT /v2/app/manifests/${digest}`, ...one, ...one]);
});

Deno.test({
  name: "C-PUT-02, C-UP-01 docker-registry: what it does not know costs one request in all",
  ignore: dockerRegistry === undefined,
}, async () => {
  await using server = await startDockerRegistry();
  await using registry = connectRegistry(server.host, FAST);
  for (const text of ["one", "two"]) assert.equal(await push(registry, text), "uploaded");
  await registry.pushManifest("app", manifest, { tags: ["a", "b"] });
  for (const tag of ["a", "b"]) assert.equal((await registry.stat("app", tag))?.digest, digest);
  assert.equal(registry.stats()[server.host]!.requests, 2 * 3 + 3 + 2);
});

Deno.test("S-API-5 a registry that looks at conditions is not asked before, once it has shown so", async () => {
  await using server = await ours();
  await using registry = connectRegistry(server.host, FAST);
  const tags = ["a", "b", "c"];
  const expect = tags.map((tag) => ({ tag, is: "absent" as const }));
  await registry.pushManifest("app", manifest, { tags: [...tags, "d"], expect });
  const puts = [...tags, "d"].map((tag) => `PUT /v2/app/manifests/${tag}`);
  assert.deepEqual(server.calls, ["HEAD /v2/app/manifests/a", ...puts]);
  await assert.rejects(
    () => registry.pushManifest("app", manifest, { tags: ["a"], expect: [expect[0]!] }),
    (error) =>
      isOciError(error, "PRECONDITION_FAILED") &&
      error.message === `Cannot set ${server.host}/app:a: it is ${digest}, want it absent`,
  );
});

Deno.test({
  name: "S-API-5 docker-registry ignores conditions, so it is asked before each put",
  ignore: dockerRegistry === undefined,
}, async () => {
  await using server = await startDockerRegistry();
  await using registry = connectRegistry(server.host, FAST);
  const put = (is: "absent" | "present") =>
    registry.pushManifest("app", manifest, { tags: ["a"], expect: [{ tag: "a", is }] });
  await put("absent");
  for (let at = 0; at < 2; at++) {
    await assert.rejects(
      () => put("absent"),
      (error) => isOciError(error, "PRECONDITION_FAILED") && error.status === 412,
    );
  }
  await put("present");
  assert.equal(registry.stats()[server.host]!.requests, 6);
});

Deno.test.each([
  [400, "TAG_INVALID", "The image tag 'a' already exists in the repository and is immutable"],
  [403, "MANIFEST_INVALID", "Not enough permissions to delete/overwrite artifact"],
  [409, "TAG_INVALID", "tag a is immutable"],
  [412, "PRECONDITION", "configured as immutable, cannot be updated"],
])("C-PUT-05 a tag that may not move: %d", async (status, code, message) => {
  await using server = quirkServer(() => errorBody(status as number, `${code}`, `${message}`));
  await using registry = connectRegistry(server.host, FAST);
  await assert.rejects(
    () => registry.pushManifest("app", manifest, { tags: ["a"] }),
    (error: unknown) =>
      isOciError(error, "DENIED") &&
      /does not let this tag change .*; want another tag$/.test(error.message),
  );
  assert.equal(server.seen.length, 1);
});

Deno.test("C-RETRY pulls that run out are told of once", async () => {
  const warnings: string[] = [];
  const log = { warn: (line: string) => warnings.push(line), info() {}, debug() {}, error() {} };
  let left = 12;
  await using server = quirkServer(() =>
    new Response(manifest.bytes, {
      headers: {
        "content-type": manifest.mediaType,
        "ratelimit-limit": "100;w=21600",
        "ratelimit-remaining": `${left--};w=21600`,
      },
    })
  );
  await using registry = connectRegistry(server.host, { ...FAST, log });
  for (let at = 0; at < 2; at++) await registry.manifest("app", "a");
  assert.deepEqual(warnings, []);
  for (let at = 0; at < 4; at++) await registry.manifest("app", "a");
  assert.deepEqual(warnings, [
    `${server.host} allows 100 pulls in 6 h, and few are left; log in for more`,
  ]);
});

Deno.test("C-RETRY a host that is down is found out a few times, not thirty thousand", async () => {
  let now = 0;
  let waits = 0;
  await using server = quirkServer(() => new Response(manifest.bytes));
  const { host } = server;
  await server[Symbol.asyncDispose]();
  await using registry = connectRegistry(host, {
    insecureHosts: [],
    retry: { tries: 3, wait: () => Promise.resolve(void waits++) },
    now: () => now,
    proxy: { http: host },
  });
  const ask = () => assert.rejects(() => registry.manifest("app", "a"), /Cannot read/);
  for (let at = 0; at < 20; at++) await ask();
  assert(waits <= 6, `${waits} waits`);
  now = 60_000;
  await ask();
});

Deno.test("C-REFR-04 a referrer that is deleted leaves the tag that stands in for the API", async () => {
  const documents = new Map<
    string,
    { readonly type: string; readonly bytes: Uint8Array<ArrayBuffer> }
  >();
  await using server = quirkServer(({ method, url, body, headers }) => {
    if (url.includes("/referrers/")) return new Response(null, { status: 404 });
    if (method === "PUT") {
      const bytes = new Uint8Array(body);
      const kept = { type: headers.get("content-type")!, bytes };
      documents.set(url, kept).set(`/v2/app/manifests/${digestOf(bytes)}`, kept);
      return new Response(null, { status: 201 });
    }
    if (method === "DELETE") {
      return new Response(null, { status: documents.delete(url) ? 202 : 404 });
    }
    const found = documents.get(url);
    return found === undefined
      ? new Response(null, { status: 404 })
      : new Response(found.bytes, { headers: { "content-type": found.type } });
  });
  await using registry = connectRegistry(server.host, FAST);
  const subject = { mediaType: MediaType.ociIndex, digest, size: manifest.bytes.byteLength };
  const pushed = [];
  for (const name of ["one", "two"]) {
    pushed.push(
      await registry.pushManifest("app", {
        mediaType: MediaType.ociIndex,
        bytes: encodeJson({
          schemaVersion: 2,
          mediaType: MediaType.ociIndex,
          manifests: [],
          artifactType: `x/${name}`,
          subject,
        }),
      }),
    );
  }
  const left = async () => (await registry.referrers("app", digest)).map((entry) => entry.digest);
  assert.equal((await left()).length, 2);
  assert.equal(await registry.deleteManifest("app", pushed[0]!.digest), true);
  assert.deepEqual(await left(), [pushed[1]!.digest]);
});

/** A registry that keeps blobs, and may lose them; says which a manifest lacks, or only that it lacks some. */
function forgetful(names: boolean) {
  const blobs = new Set<string>();
  const server = quirkServer(({ method, url }) => {
    const digest = decodeURIComponent(/sha256(?::|%3A)[0-9a-f]{64}/.exec(url)?.[0] ?? "");
    if (method === "HEAD") return new Response(null, { status: blobs.has(digest) ? 200 : 404 });
    if (method === "POST") {
      return new Response(null, { status: 202, headers: { location: "/v2/app/blobs/uploads/1" } });
    }
    if (method === "PUT" && url.includes("/uploads/")) {
      blobs.add(digest);
      return new Response(null, { status: 201 });
    }
    if (blobs.size > 0) return new Response(null, { status: 201 });
    const error = {
      code: "MANIFEST_BLOB_UNKNOWN",
      message: "lost",
      detail: { digest: BIG.digest },
    };
    return Response.json({ errors: [names ? error : { ...error, detail: null }] }, { status: 400 });
  });
  return Object.assign(server, { blobs });
}

const BIG_BYTES = new Uint8Array(100_000).fill(7);
const BIG = {
  mediaType: MediaType.ociLayer,
  digest: digestOf(BIG_BYTES),
  size: BIG_BYTES.byteLength,
};

Deno.test("C-PUT-03 what a manifest turns out to lack is asked for again, named or not", async () => {
  for (const names of [true, false]) {
    await using server = forgetful(names);
    await using registry = connectRegistry(server.host);
    const push = () => registry.pushBlob("app", BIG, bytesSource(BIG_BYTES));
    assert.equal(await push(), "uploaded");
    assert.equal(await push(), "exists");
    server.blobs.clear();
    await assert.rejects(
      () =>
        registry.pushManifest("app", {
          mediaType: MediaType.ociIndex,
          bytes: encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] }),
        }),
      (error) => isOciError(error, "MANIFEST_BLOB_UNKNOWN"),
    );
    assert.equal(await push(), "uploaded");
  }
});

Deno.test("C-PUT-03 docker-registry reads a link that somebody else writes at the moment as no digest: the blob is missing, says its list too", async () => {
  await using server = quirkServer(() =>
    Response.json({
      errors: [
        { code: "DIGEST_INVALID", message: "provided digest did not match uploaded content" },
        { code: "MANIFEST_BLOB_UNKNOWN", message: "blob unknown to registry", detail: BIG.digest },
        { code: "DIGEST_INVALID", message: "provided digest did not match uploaded content" },
      ],
    }, { status: 400 })
  );
  await using registry = connectRegistry(server.host);
  await assert.rejects(() => registry.pushManifest("app", manifest), (error) => {
    assert(isOciError(error, "MANIFEST_BLOB_UNKNOWN"), String(error));
    assert.deepEqual(error.detail, [BIG.digest]);
    assert.equal(error.message.match(/did not match/g)?.length, 1, "and says each thing once");
    return true;
  });
});

Deno.test("C-MNT-05 what was seen in a repository is believed for ten minutes", async () => {
  let now = 0;
  await using server = forgetful(true);
  await using registry = connectRegistry(server.host, { now: () => now });
  const push = () => registry.pushBlob("app", BIG, bytesSource(BIG_BYTES));
  assert.equal(await push(), "uploaded");
  server.blobs.clear();
  now = 9 * 60_000;
  assert.equal(await push(), "exists");
  now = 10 * 60_000;
  assert.equal(await push(), "uploaded");
});

Deno.test("C-MNT-05 a blob that turns out to be gone is not mounted from there", async () => {
  await using server = quirkServer(({ method, url }) => {
    if (method === "GET") return errorBody(404, "BLOB_UNKNOWN", "gone");
    if (method === "HEAD") return new Response(null, { status: url.includes("/b/") ? 404 : 200 });
    return new Response(null, {
      status: method === "POST" ? 202 : 201,
      headers: { location: "/u" },
    });
  });
  await using registry = connectRegistry(server.host);
  const push = () => registry.pushBlob("b", BIG, bytesSource(BIG_BYTES));
  assert.equal(await registry.pushBlob("a", BIG, bytesSource(BIG_BYTES)), "exists");
  assert.equal(await registry.blob("a", BIG.digest), undefined);
  assert.equal(await push(), "uploaded");
  assert.ok(!server.seen.some(({ url }) => url.includes("mount=")));
});

Deno.test("C-PUT-06 a tag is set only from where it is believed to be, whether the registry looks or not", async () => {
  await using server = await ours();
  const held = new Map<string, Uint8Array>();
  // As most do: no word of conditions.
  await using deaf = quirkServer(({ method, url, body }) => {
    if (method === "PUT") held.set(url, body);
    const bytes = held.get(url);
    if (bytes === undefined) return errorBody(404, "MANIFEST_UNKNOWN", "no");
    return new Response(method === "HEAD" ? null : new Uint8Array(bytes), {
      status: method === "PUT" ? 201 : 200,
      headers: {
        "content-type": MediaType.ociIndex,
        "content-length": String(method === "PUT" ? 0 : bytes.byteLength),
        "docker-content-digest": digestOf(bytes),
      },
    });
  });
  const next = {
    mediaType: MediaType.ociIndex,
    bytes: encodeJson({
      schemaVersion: 2,
      mediaType: MediaType.ociIndex,
      manifests: [],
      annotations: {},
    }),
  };
  for (const { host } of [server, deaf]) {
    await using registry = connectRegistry(host, FAST);
    const put = (is: "absent" | "present" | (typeof digest)[], what = manifest) =>
      registry.pushManifest("app", what, { tags: ["1"], expect: [{ tag: "1", is }] });
    const unmet = (error: unknown) => isOciError(error, "PRECONDITION_FAILED");
    await assert.rejects(() => put("present"), unmet);
    assert.equal((await put("absent")).digest, digest);
    await assert.rejects(() => put("absent", next), unmet);
    await assert.rejects(() => put([digestOf(next.bytes.slice(1))], next), unmet);
    assert.equal((await registry.stat("app", "1"))?.digest, digest);
    await put([digest], next);
    assert.equal((await registry.stat("app", "1"))?.digest, digestOf(next.bytes));
  }
});
