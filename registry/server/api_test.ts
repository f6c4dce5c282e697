/** S-API: what clients rely on beyond the conformance program. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { encodeJson } from "../image.ts";
import { memoryRegistry } from "../memory.ts";
import { digestOf } from "../oci/digest.ts";
import { STATUS_OF } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import type { Registry, ResumableUploads } from "../registry.ts";
import { pushBytes, pushSampleImage, sampleBytes } from "../registry_suite_testing.ts";
import { openStore } from "../store/store.ts";
import { tempDir } from "../temp_testing.ts";
import { createServer, type RequestEntry, type ServerOptions } from "./server.ts";

interface Seen {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

function callerOf(registry: Registry & ResumableUploads, options: ServerOptions = {}) {
  const server = createServer(registry, options);
  return async (
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body: BodyInit | null = null,
  ): Promise<Seen> => {
    const response = await server.fetch(
      new Request(`http://registry.test${path}`, { method, headers, body }),
    );
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
}

const INDEX = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] });
const ABSENT = digestOf(sampleBytes(1, 9));
const UPLOADS = "/v2/app/blobs/uploads/";

Deno.test("S-API-1 every answer says the version, contents say their digest, uploads their name", async () => {
  const registry = memoryRegistry();
  const call = callerOf(registry);
  const image = await pushSampleImage(registry, "app", { tags: ["v1"] });
  const blob = await pushBytes(registry, "app", sampleBytes(10));
  const put = { "content-type": MediaType.ociIndex };
  const made = await call("POST", UPLOADS);
  const location = made.headers.get("location")!;
  const rows: readonly (readonly [Seen, string | null])[] = [
    [await call("GET", "/v2"), null],
    [await call("GET", "/v2/"), null],
    [await call("GET", "/v2/nothing/here"), null],
    [await call("GET", "/v2/app/manifests/v1"), image.digest],
    [await call("HEAD", "/v2/app/manifests/v1"), image.digest],
    [await call("PUT", "/v2/app/manifests/v2", put, INDEX), digestOf(INDEX)],
    [await call("GET", `/v2/app/blobs/${blob.digest}`), blob.digest],
    [await call("HEAD", `/v2/app/blobs/${blob.digest}`), blob.digest],
    [made, null],
    [await call("PATCH", location, {}, sampleBytes(10)), null],
    [await call("PUT", `${location}?digest=${blob.digest}`), blob.digest],
  ];
  for (const [{ headers }, digest] of rows) {
    equal(headers.get("docker-distribution-api-version"), "registry/2.0");
    equal(headers.get("docker-content-digest"), digest);
  }
  const uuid = made.headers.get("docker-upload-uuid");
  ok(uuid !== null && location.endsWith(uuid));
});

for (
  const [code, method, path, body] of [
    ["BLOB_UNKNOWN", "GET", `/v2/app/blobs/${ABSENT}`],
    ["BLOB_UPLOAD_UNKNOWN", "PATCH", `${UPLOADS}x`, "x"],
    ["DIGEST_INVALID", "POST", `${UPLOADS}?digest=${ABSENT}`, "x"],
    ["MANIFEST_BLOB_UNKNOWN", "PUT", "/v2/app/manifests/v1", INDEX_OF_ABSENT()],
    ["MANIFEST_INVALID", "PUT", "/v2/app/manifests/v1", "{"],
    ["MANIFEST_UNKNOWN", "GET", "/v2/app/manifests/none"],
    ["NAME_INVALID", "GET", "/v2/APP/manifests/v1"],
    ["NAME_UNKNOWN", "GET", "/v2/none/tags/list"],
    ["SIZE_INVALID", "PUT", "/v2/app/manifests/v1", "x".repeat(5_000_000)],
    ["UNSUPPORTED", "POST", "/v2/app/manifests/v1", "x"],
  ] as const
) {
  Deno.test(`S-API-1 errors are JSON with the codes of the specification: ${code}`, async () => {
    const call = callerOf(memoryRegistry());
    const type = { "content-type": MediaType.ociIndex };
    const { status, headers, text } = await call(method, path, type, body ?? null);
    equal(headers.get("content-type"), "application/json");
    const { errors } = JSON.parse(text);
    equal(errors.length, 1);
    equal(errors[0].code, code);
    ok(errors[0].message.startsWith("Cannot "));
    equal(status, code === "SIZE_INVALID" ? 413 : STATUS_OF[code]);
  });
}

function INDEX_OF_ABSENT(): string {
  const child = { mediaType: MediaType.ociManifest, digest: ABSENT, size: 1 };
  return JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [child] });
}

Deno.test("S-API-2 what is stored is served as it is, whatever a client would rather have", async () => {
  const registry = memoryRegistry();
  const call = callerOf(registry);
  const image = await pushSampleImage(registry, "app", { tags: ["v1"] });
  const raw = await registry.manifest("app", "v1");
  const schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
  for (const accept of [MediaType.dockerManifest, "text/html", schema1, "*/*;q=0", "", undefined]) {
    const headers: Record<string, string> = accept === undefined ? {} : { accept };
    const seen = await call("GET", "/v2/app/manifests/v1", headers);
    equal(seen.status, 200, accept);
    equal(seen.headers.get("content-type"), MediaType.ociManifest);
    equal(seen.headers.get("docker-content-digest"), image.digest);
    equal(seen.text, new TextDecoder().decode(raw!.bytes));
  }
  const old = JSON.stringify({ schemaVersion: 1, name: "app", tag: "v1", fsLayers: [] });
  const put = await call("PUT", "/v2/app/manifests/old", { "content-type": schema1 }, old);
  equal(put.status, 400);
  equal((await call("GET", "/v2/app/manifests/old")).status, 404);
});

Deno.test("S-API-7 Location is relative, and nobody's word for host or scheme counts", async () => {
  const entries: RequestEntry[] = [];
  const call = callerOf(memoryRegistry(), { onRequest: (entry) => entries.push(entry) });
  const lies = {
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "https",
    "x-forwarded-for": "198.51.100.7",
    "forwarded": "for=198.51.100.7;host=evil.example;proto=https",
    "x-original-url": "/v2/_catalog",
  };
  const blob = sampleBytes(10);
  const put = { ...lies, "content-type": MediaType.ociIndex };
  const made = [
    await call("POST", UPLOADS, lies),
    await call("POST", `${UPLOADS}?digest=${digestOf(blob)}`, lies, blob),
    await call("PUT", "/v2/app/manifests/v1", put, INDEX),
  ];
  for (const { status, headers } of made) {
    ok(status === 201 || status === 202);
    ok(/^\/v2\/app\/[a-z]/.test(headers.get("location")!), headers.get("location")!);
  }
  const page = await call("GET", "/v2/_catalog?n=0", lies);
  ok(!/evil/.test(page.text + JSON.stringify([...page.headers])));
  deepEqual(entries.map(({ remote }) => remote), ["", "", "", ""]);
});

Deno.test("S-API-9 builds, pulls and pushes share one blob, and nothing is fetched from elsewhere", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  {
    await using store = await openStore(join(dir, "store"));
    const call = callerOf(store);
    const layer = sampleBytes(200_000);
    const digest = digestOf(layer);
    await pushBytes(store, "cache/app", layer); // what a build keeps
    const mount = await call("POST", `/v2/app/blobs/uploads/?mount=${digest}&from=cache/app`);
    equal(mount.status, 201);
    await pushBytes(store, "registry.example/run", layer); // what a pull brings
    const shard = join(dir, "store", "blobs", "sha256", digest.slice(7, 9));
    equal((await Array.fromAsync(Deno.readDir(shard))).length, 1);
    equal((await call("GET", `/v2/registry.example/run/blobs/${digest}`)).status, 200);
    // Mirrors are asked with `ns`; what is not here is not here.
    await pushSampleImage(store, "library/app", { tags: ["1"] });
    equal((await call("GET", "/v2/library/app/manifests/1?ns=docker.io")).status, 200);
    equal((await call("GET", "/v2/library/other/manifests/1?ns=docker.io")).status, 404);
  }
});

Deno.test("S-STORE what one server deletes or moves is gone at once for another on the same store", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  {
    await using one = await openStore(join(dir, "store"));
    await using two = await openStore(join(dir, "store"));
    const [here, there] = [callerOf(one), callerOf(two)];
    const first = await pushSampleImage(one, "app", { seed: 1, tags: ["v1"] });
    const second = await pushSampleImage(one, "app", { seed: 2 });
    const blob = await pushBytes(one, "app", sampleBytes(300_000));
    const digest = async () =>
      (await there("HEAD", "/v2/app/manifests/v1")).headers.get("docker-content-digest");
    equal(await digest(), first.digest);
    equal((await there("GET", `/v2/app/blobs/${blob.digest}`)).status, 200);
    await one.pushManifest("app", (await one.manifest("app", second.digest))!, { tags: ["v1"] });
    equal(await digest(), second.digest);
    equal((await here("DELETE", `/v2/app/blobs/${blob.digest}`)).status, 202);
    equal((await there("GET", `/v2/app/blobs/${blob.digest}`)).status, 404);
    equal((await here("DELETE", `/v2/app/manifests/${second.digest}`)).status, 202);
    equal(await digest(), null);
  }
});
