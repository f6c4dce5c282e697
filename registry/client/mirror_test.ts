import assert from "node:assert/strict";
import { quietContext } from "../context.ts";
import { digestOf } from "../oci/digest.ts";
import { MediaType } from "../oci/media_type.ts";
import { bytesSource, readAll } from "../source.ts";
import { connectRegistry, Registries } from "./client.ts";
import { type Connections, mirrored } from "./mirror.ts";
import type { MirrorRule, PullMode } from "./mirror_table.ts";
import type { ClientOptions } from "./options.ts";
import { errorBody, type QuirkServer, quirkServer, rawServer, say } from "./quirk_testing.ts";

const BLOB = new TextEncoder().encode("layer");
const BLOB_DIGEST = digestOf(BLOB);
const MANIFEST = new TextEncoder().encode(JSON.stringify({
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: { mediaType: MediaType.ociConfig, digest: BLOB_DIGEST, size: BLOB.byteLength },
  layers: [],
}));
const MANIFEST_DIGEST = digestOf(MANIFEST);

/** A registry that has one image under `repository`, and takes pushes. */
function smallRegistry(repository: string): QuirkServer {
  const files = new Map([
    [`/v2/${repository}/manifests/1`, MANIFEST],
    [`/v2/${repository}/manifests/${MANIFEST_DIGEST}`, MANIFEST],
    [`/v2/${repository}/blobs/${BLOB_DIGEST}`, BLOB],
  ]);
  return quirkServer(({ method, url, headers }) => {
    const path = url.replace(/\?.*/, "");
    if (method === "POST") {
      return new Response(null, {
        status: 202,
        headers: { location: `http://${headers.get("host")}/up` },
      });
    }
    if (method === "PUT") return new Response(null, { status: 201 });
    if (path.endsWith("/tags/list")) return Response.json({ name: "x", tags: ["1"] });
    const bytes = files.get(path);
    if (bytes === undefined) return errorBody(404, "MANIFEST_UNKNOWN", "no");
    return new Response(bytes, {
      headers: {
        "content-type": path.includes("/manifests/")
          ? MediaType.ociManifest
          : "application/octet-stream",
      },
    });
  });
}

function rule(
  prefix: string,
  mirrors: readonly (readonly [string, PullMode?])[],
  more: Partial<MirrorRule> = {},
): MirrorRule {
  return {
    prefix,
    insecure: false,
    blocked: false,
    fallback: true,
    origin: "test.conf",
    mirrors: mirrors.map(([location, pull = "all"]) => ({ location, insecure: true, pull })),
    ...more,
  };
}

function connections(
  table: readonly MirrorRule[],
  options: ClientOptions = {},
): Connections & { readonly registries: Registries } {
  const own: ClientOptions = { retry: { baseMs: 1, tries: 2 }, ...options };
  const registries = new Registries(own);
  return Object.assign(
    mirrored(registries, table, {
      connectMirror: (host) => connectRegistry(host, own),
      log: own.log,
    }),
    { registries },
  );
}

Deno.test("C-MIRROR the mirror serves manifest and blob, the place itself is not asked", async () => {
  await using primary = smallRegistry("app");
  await using mirror = smallRegistry("cache/app");
  await using all = connections([rule(primary.host, [[`${mirror.host}/cache`]])]);
  const registry = all.client(primary.host);
  assert.equal((await registry.manifest("app", "1"))?.digest, MANIFEST_DIGEST);
  assert.equal((await registry.stat("app", MANIFEST_DIGEST))?.digest, MANIFEST_DIGEST);
  assert.deepEqual(await readAll((await registry.blob("app", BLOB_DIGEST))!, 100), BLOB);
  assert.equal(primary.seen.length, 0);
  assert(mirror.seen.every(({ url }) => url.startsWith("/v2/cache/app/")));
});

Deno.test("C-MIRROR what a mirror lacks, the next has; the place itself comes last", async () => {
  await using primary = smallRegistry("app");
  await using empty = smallRegistry("other");
  await using all = connections([rule(primary.host, [[empty.host]])]);
  const registry = all.client(primary.host);
  assert.equal((await registry.manifest("app", "1"))?.digest, MANIFEST_DIGEST);
  assert.equal(await registry.manifest("app", "absent"), undefined);
  assert.deepEqual(empty.calls(), ["GET /v2/app/manifests/1", "GET /v2/app/manifests/absent"]);
  assert.deepEqual(primary.calls(), empty.calls());
});

Deno.test("C-MIRROR a mirror that is down is warned of once and then left alone", async () => {
  await using primary = smallRegistry("app");
  using free = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const dead = `127.0.0.1:${free.addr.port}`;
  free.close();
  const warnings: string[] = [];
  const log = { ...quietContext().log, warn: (line: string) => void warnings.push(line) };
  await using all = connections([rule(primary.host, [[dead]])], { log });
  const registry = all.client(primary.host);
  for (const tag of ["1", "1", "1"]) assert(await registry.manifest("app", tag));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, new RegExp(`^Mirror ${dead} does not serve: Cannot .*refused`));
  assert.equal(primary.seen.length, 3);
});

Deno.test("C-MIRROR a digest-only mirror is not asked for tags, but for what they lead to", async () => {
  await using primary = smallRegistry("app");
  await using mirror = smallRegistry("app");
  await using all = connections([rule(primary.host, [[mirror.host, "digest-only"]])]);
  const registry = all.client(primary.host);
  await registry.manifest("app", "1");
  await registry.manifest("app", MANIFEST_DIGEST);
  await readAll((await registry.blob("app", BLOB_DIGEST))!, 100);
  assert.deepEqual(primary.calls(), ["GET /v2/app/manifests/1"]);
  assert.equal(mirror.seen.length, 2);
});

Deno.test("C-MIRROR a tag-only mirror serves the rest of the image whose tag it gave", async () => {
  await using primary = smallRegistry("app");
  await using mirror = smallRegistry("app");
  await using all = connections([rule(primary.host, [[mirror.host, "tag-only"]])]);
  const registry = all.client(primary.host);
  await registry.stat("app", MANIFEST_DIGEST);
  assert.equal(mirror.seen.length, 0);
  await registry.manifest("app", "1");
  await registry.stat("app", MANIFEST_DIGEST);
  assert.deepEqual(mirror.calls(), [
    "GET /v2/app/manifests/1",
    `HEAD /v2/app/manifests/${MANIFEST_DIGEST}`,
  ]);
});

Deno.test("C-MIRROR pushes go to the place itself, and a mirror does not spare them", async () => {
  await using primary = smallRegistry("other");
  await using mirror = smallRegistry("app");
  await using all = connections([rule(primary.host, [[mirror.host]])]);
  const registry = all.client(primary.host);
  const descriptor = { mediaType: "x/y", digest: BLOB_DIGEST, size: BLOB.byteLength };
  assert.equal(await registry.pushBlob("app", descriptor, bytesSource(BLOB)), "uploaded");
  await registry.pushManifest("app", { mediaType: MediaType.ociManifest, bytes: MANIFEST }, {
    tags: ["2"],
  });
  assert.equal(mirror.seen.length, 0);
  assert.equal(primary.calls().at(-1), "PUT /v2/app/manifests/2");
});

Deno.test("C-MIRROR without fallback the place itself is never dialled, and the error says why", async () => {
  await using primary = smallRegistry("app");
  await using mirror = quirkServer(() => errorBody(403, "DENIED", "not for you"));
  await using all = connections([rule(primary.host, [[mirror.host]], { fallback: false })]);
  const registry = all.client(primary.host);
  await assert.rejects(
    () => registry.manifest("app", "1"),
    /itself may not be asked for what its mirrors cannot give$/,
  );
  assert.deepEqual(await Array.fromAsync(registry.tags("app")).catch(() => "refused"), "refused");
  assert.equal(primary.seen.length, 0);
});

Deno.test("C-MIRROR a tag that nobody may be asked for is not taken for absent", async () => {
  await using mirror = smallRegistry("app");
  const row = rule("registry.invalid", [[mirror.host, "digest-only"]], { fallback: false });
  await using all = connections([row]);
  await assert.rejects(() => all.client("registry.invalid").manifest("app", "1"), {
    code: "DENIED",
    message:
      "Cannot read registry.invalid/app:1: its mirrors serve digests only, and it may not be asked itself",
  });
  assert(await all.client("registry.invalid").manifest("app", MANIFEST_DIGEST));
});

Deno.test("C-MIRROR what is blocked is named with the file", async () => {
  await using primary = smallRegistry("app");
  await using all = connections([rule(`${primary.host}/app`, [], { blocked: true })]);
  const registry = all.client(primary.host);
  await assert.rejects(
    () => registry.manifest("app", "1"),
    { message: `Cannot read ${primary.host}/app: test.conf blocks "${primary.host}/app"` },
  );
  assert.equal(await registry.manifest("else", "1"), undefined);
});

Deno.test("N-09 a mirror gets its own credentials, never those of the place it stands in for", async () => {
  await using primary = smallRegistry("app");
  const challenge = { "www-authenticate": `Basic realm="m"` };
  await using mirror = quirkServer(({ headers }) =>
    headers.has("authorization")
      ? new Response(MANIFEST, { headers: { "content-type": MediaType.ociManifest } })
      : new Response(null, { status: 401, headers: challenge })
  );
  const asked: string[] = [];
  await using all = connections([rule(primary.host, [[mirror.host]])], {
    credentials: (host) => {
      asked.push(host);
      const password = host === mirror.host ? "canary-mirror" : "canary-primary";
      return Promise.resolve({ kind: "basic", username: "u", password });
    },
  });
  await all.client(primary.host).manifest("app", "1");
  assert.deepEqual([...new Set(asked)], [mirror.host]);
  assert.equal(
    mirror.seen.at(-1)?.headers.get("authorization"),
    `Basic ${btoa("u:canary-mirror")}`,
  );
});

Deno.test("N-09 a mirror that refuses our credentials does not end the pull", async () => {
  await using primary = smallRegistry("app");
  await using mirror = quirkServer(() =>
    new Response(null, { status: 401, headers: { "www-authenticate": `Basic realm="m"` } })
  );
  await using all = connections([rule(primary.host, [[mirror.host]])]);
  assert(await all.client(primary.host).manifest("app", "1"));
});

Deno.test("C-MIRROR a mirror with other bytes for a digest is passed over", async () => {
  await using primary = smallRegistry("app");
  await using liar = quirkServer(() =>
    new Response(`{"schemaVersion":2}`, { headers: { "content-type": MediaType.ociManifest } })
  );
  await using all = connections([rule(primary.host, [[liar.host]])]);
  const found = await all.client(primary.host).manifest("app", MANIFEST_DIGEST);
  assert.deepEqual(found?.bytes, MANIFEST);
});

Deno.test("C-MIRROR a host that no row concerns is the very same client", async () => {
  await using all = connections([rule("docker.io", [["m.corp"]])]);
  assert.equal(all.client("ghcr.io"), all.registries.client("ghcr.io"));
  assert.notEqual(all.client("index.docker.io"), all.registries.client("index.docker.io"));
  assert.equal(all.client("docker.io"), all.client("index.docker.io"));
});

const LONG = new Uint8Array(300_000).map((_, at) => at * 7 + (at >> 8));
const LONG_DIGEST = digestOf(LONG);

Deno.test("C-MIRROR a mirror that dies within a blob is replaced in the middle", async () => {
  await using primary = quirkServer(() => new Response(LONG));
  await using dying = rawServer(async (connection) => {
    await say(connection, `HTTP/1.1 200 OK\r\ncontent-length: ${LONG.byteLength}\r\n\r\n`);
    await say(connection, LONG.subarray(0, 100_000));
  });
  const warnings: string[] = [];
  const log = { ...quietContext().log, warn: (line: string) => void warnings.push(line) };
  await using all = connections([rule(primary.host, [[dying.host]])], { log });
  const source = await all.client(primary.host).blob("app", LONG_DIGEST);
  assert.equal(digestOf(await readAll(source!, 1_000_000)), LONG_DIGEST);
  assert.equal(primary.seen.length > 0, true);
  assert.match(warnings.join("\n"), new RegExp(`^Mirror ${dying.host} does not serve: `));
  // The next blob is not begun there.
  const before = dying.heads.length;
  assert.equal(
    digestOf(await readAll((await all.client(primary.host).blob("app", LONG_DIGEST))!, 1_000_000)),
    LONG_DIGEST,
  );
  assert.equal(dying.heads.length, before);
});

Deno.test("C-MIRROR a mirror with other bytes for a long blob is an error, not a blob", async () => {
  await using primary = quirkServer(() => new Response(LONG));
  const other = LONG.map((byte) => byte ^ 1);
  await using liar = quirkServer(() => new Response(other));
  await using all = connections([rule(primary.host, [[liar.host]])]);
  const source = await all.client(primary.host).blob("app", LONG_DIGEST);
  await assert.rejects(() => readAll(source!, 1_000_000), { code: "DIGEST_INVALID" });
});

Deno.test("C-MIRROR without anybody else the mirror's own error is what is said", async () => {
  await using dying = rawServer(async (connection) => {
    await say(connection, `HTTP/1.1 200 OK\r\ncontent-length: ${LONG.byteLength}\r\n\r\n`);
    await say(connection, LONG.subarray(0, 100_000));
  });
  const row = rule("registry.invalid", [[dying.host]], { fallback: false });
  await using all = connections([row]);
  const source = await all.client("registry.invalid").blob("app", LONG_DIGEST);
  await assert.rejects(() => readAll(source!, 1_000_000), { code: "UNAVAILABLE" });
});
