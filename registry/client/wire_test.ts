/** What goes over the wire, and what never does. */
import assert from "node:assert/strict";
import { encodeJson } from "../image.ts";
import { walkTar } from "../layer/tar_reader.ts";
import { Digester, digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { MANIFEST_ACCEPT, MediaType } from "../oci/media_type.ts";
import { sampleBytes } from "../registry_suite_testing.ts";
import { bytesSource, readAll } from "../source.ts";
import { connectRegistry } from "./client.ts";
import type { ClientOptions, Credential } from "./options.ts";
import { errorBody, type QuirkServer, quirkServer, rawServer, say } from "./quirk_testing.ts";

const FAST: ClientOptions = { retry: { baseMs: 1 } };
const blob = sampleBytes(200_000);
const descriptor = {
  mediaType: "application/octet-stream",
  digest: digestOf(blob),
  size: blob.byteLength,
};
const index = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] });
const indexAnswer = () =>
  new Response(index, {
    headers: {
      "content-type": MediaType.ociIndex,
      "docker-content-digest": digestOf(index),
      "content-length": String(index.byteLength),
    },
  });

/** Has one index, takes blobs; `refuse` may answer first. */
function plainRegistry(
  refuse: (method: string, url: string, headers: Headers) => Response | undefined = () => undefined,
): QuirkServer {
  return quirkServer(({ method, url, headers }) => {
    const no = refuse(method, url, headers);
    if (no !== undefined) return no;
    if (url.includes("/manifests/") && method !== "DELETE") return indexAnswer();
    if (method === "HEAD") return new Response(null, { status: 404 });
    if (method === "DELETE") return new Response(null, { status: 202 });
    const location = "/v2/app/blobs/uploads/1";
    return new Response(null, { status: method === "POST" ? 202 : 201, headers: { location } });
  });
}

const push = (server: QuirkServer, options: ClientOptions = FAST) => async (from?: string) => {
  await using registry = connectRegistry(server.host, options);
  return await registry.pushBlob("app", descriptor, bytesSource(blob), { mountFrom: from });
};

Deno.test("C-CONN-03 nobody is pinged: the first real request brings the challenge", async () => {
  await using tokens = quirkServer(() => Response.json({ token: "T" }));
  await using server = plainRegistry((_method, _url, headers) =>
    headers.get("authorization") === "Bearer T"
      ? undefined
      : errorBody(401, "UNAUTHORIZED", "who?", {
        "www-authenticate": `Bearer realm="http://${tokens.host}/t",service="s"`,
      })
  );
  await using registry = connectRegistry(server.host, FAST);
  await registry.stat("app", "1");
  await registry.stat("app", "2");
  assert.deepEqual(server.calls(), [
    "HEAD /v2/app/manifests/1",
    "HEAD /v2/app/manifests/1",
    "HEAD /v2/app/manifests/2",
  ]);
});

Deno.test("C-AUTH-11 the right to delete is asked for to delete, and for nothing else", async () => {
  await using tokens = quirkServer(() => Response.json({ token: "T" }));
  await using server = plainRegistry((_method, _url, headers) =>
    headers.has("authorization") ? undefined : errorBody(401, "UNAUTHORIZED", "who?", {
      "www-authenticate": `Bearer realm="http://${tokens.host}/t",service="s"`,
    })
  );
  await using registry = connectRegistry(server.host, FAST);
  await registry.pushBlob("app", descriptor, bytesSource(blob));
  await registry.checkAccess("app", "write");
  const scopes = () => tokens.seen.map(({ url }) => decodeURIComponent(url)).join("\n");
  assert.ok(tokens.seen.length > 0);
  assert.doesNotMatch(scopes(), /delete/);
  await registry.deleteBlob("app", descriptor.digest);
  assert.match(scopes(), /repository:app:delete,pull,push/);
});

Deno.test("C-AUTH-11, C-UP-10 an upload that may not be cancelled is left alone", async () => {
  await using server = plainRegistry((method) =>
    method === "DELETE" ? errorBody(401, "UNAUTHORIZED", "delete wanted") : undefined
  );
  await using registry = connectRegistry(server.host, FAST);
  await registry.checkAccess("app", "write");
  const upload = await registry.upload("app");
  await upload.write(new Uint8Array(10));
  await upload.abort();
  await upload.abort();
  const gone = server.seen.filter(({ method }) => method === "DELETE");
  assert.ok(gone.every(({ url }) => url === "/v2/app/blobs/uploads/1"));
  assert.equal(gone.length >= 2, true);
});

Deno.test("C-CRED-06 secrets are looked up when they are wanted, and for no host but the one named", async () => {
  const asked: string[] = [];
  const options: ClientOptions = {
    ...FAST,
    credentials: (host) => {
      asked.push(host);
      return Promise.resolve<Credential>({ kind: "basic", username: "u", password: "p" });
    },
  };
  await using open = plainRegistry();
  await push(open, options)();
  assert.deepEqual(asked, []);
  await using storage = quirkServer(() =>
    errorBody(401, "UNAUTHORIZED", "who?", { "www-authenticate": 'Basic realm="storage"' })
  );
  await using server = quirkServer(({ headers }) =>
    headers.get("authorization") === null
      ? errorBody(401, "UNAUTHORIZED", "who?", { "www-authenticate": 'Basic realm="registry"' })
      : new Response(null, { status: 307, headers: { location: `http://${storage.host}/x` } })
  );
  await using registry = connectRegistry(server.host, options);
  await assert.rejects(() => registry.blob("app", descriptor.digest), /401/);
  assert.deepEqual(new Set(asked), new Set([server.host]));
  assert.ok(storage.seen.every(({ headers }) => !headers.has("authorization")));
});

Deno.test("C-MT-01 every manifest is asked for with all four types, and never schema 1", async () => {
  await using server = plainRegistry();
  await using registry = connectRegistry(server.host, FAST);
  await registry.stat("app", "1");
  await registry.manifest("app", "1");
  for (const { headers } of server.seen) assert.equal(headers.get("accept"), MANIFEST_ACCEPT);
  assert.deepEqual(MANIFEST_ACCEPT.split(", ").toSorted(), [
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
  ]);
});

Deno.test("C-MISC-03 who asks is said", async () => {
  await using server = plainRegistry();
  await push(server, { ...FAST, userAgent: "wherry/1.2.3" })();
  assert.ok(server.seen.every(({ headers }) => headers.get("user-agent") === "wherry/1.2.3"));
});

Deno.test("C-MNT-03, C-MNT-04 a mount names its source, and no other registry", async () => {
  await using server = plainRegistry();
  await push(server)();
  await push(server)("other/app");
  const mounts = server.seen.filter(({ url }) => url.includes("mount="));
  assert.equal(mounts.length, 1);
  assert.match(mounts[0]!.url, /[?&]from=other%2Fapp(&|$)/);
  assert.ok(server.seen.every(({ url }) => !url.includes("origin=")));
});

Deno.test("C-GET-04 whether something changed is asked with HEAD, which no registry counts", async () => {
  await using server = plainRegistry();
  await using registry = connectRegistry(server.host, FAST);
  assert.equal((await registry.stat("app", "1"))?.digest, digestOf(index));
  assert.deepEqual(server.calls(), ["HEAD /v2/app/manifests/1"]);
});

Deno.test("C-LIST-02 a registry that does not list its repositories says so, and is good for all else", async () => {
  await using server = plainRegistry((_method, url) =>
    url.startsWith("/v2/_catalog") ? errorBody(401, "UNAUTHORIZED", "not for you") : undefined
  );
  await using registry = connectRegistry(server.host, FAST);
  assert.ok(await registry.manifest("app", "1"));
  await registry.pushBlob("app", descriptor, bytesSource(blob));
  assert.ok(!server.calls().some((call) => call.includes("_catalog")));
  await assert.rejects(
    () => Array.fromAsync(registry.repositories()),
    /^OciError: Cannot list repositories of /,
  );
});

Deno.test("C-DENO-01 a body goes with its length, never in chunks", async () => {
  await using server = plainRegistry();
  await push(server)();
  for (const { method, headers, body } of server.seen) {
    assert.equal(headers.get("transfer-encoding"), null);
    if (method === "PUT") assert.equal(headers.get("content-length"), String(body.byteLength));
  }
  assert.deepEqual(server.seen.at(-1)!.body, blob);
});

Deno.test("C-DENO-02, C-DL-07 nothing is asked for encoded, and nothing is decoded", async () => {
  const zipped = new Uint8Array(
    await new Response(new Blob([blob]).stream().pipeThrough(new CompressionStream("gzip")))
      .arrayBuffer(),
  );
  await using server = quirkServer(() =>
    new Response(zipped, { headers: { "content-encoding": "gzip" } })
  );
  await using registry = connectRegistry(server.host, FAST);
  const got = await registry.blob("app", digestOf(zipped));
  assert.deepEqual(await readAll(got!, zipped.byteLength), zipped);
  assert.equal(server.seen[0]!.headers.get("accept-encoding"), "identity");
});

Deno.test("C-DENO-03 no header of ours goes along to another host", async () => {
  await using storage = quirkServer(() => indexAnswer());
  await using server = quirkServer(({ headers }) =>
    headers.has("authorization")
      ? new Response(null, { status: 302, headers: { location: `http://${storage.host}/x` } })
      : errorBody(401, "UNAUTHORIZED", "who?", { "www-authenticate": 'Basic realm="r"' })
  );
  await using registry = connectRegistry(server.host, {
    ...FAST,
    credentials: () => Promise.resolve({ kind: "basic", username: "u", password: "p" } as const),
  });
  await registry.manifest("app", "1");
  const names = [...storage.seen[0]!.headers.keys()].toSorted();
  assert.deepEqual(names, ["accept", "accept-encoding", "host", "user-agent"]);
});

Deno.test("C-DENO-04 headers that come twice are one list", async () => {
  await using server = rawServer(async (connection, head) => {
    if (!/authorization: Basic/i.test(head)) {
      return await say(
        connection,
        "HTTP/1.1 401 No\r\nwww-authenticate: Negotiate\r\n" +
          'www-authenticate: Basic realm="a, b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
      );
    }
    await say(
      connection,
      `HTTP/1.1 200 OK\r\ncontent-type: ${MediaType.ociIndex}\r\n` +
        `content-length: ${index.byteLength}\r\nconnection: close\r\n\r\n`,
    );
    await say(connection, index);
  });
  await using registry = connectRegistry(server.host, {
    ...FAST,
    credentials: () => Promise.resolve({ kind: "basic", username: "u", password: "p" } as const),
  });
  assert.equal((await registry.manifest("app", "1"))?.digest, digestOf(index));
});

Deno.test("C-DENO-05 the length in an answer to HEAD is the manifest's", async () => {
  await using server = plainRegistry();
  await using registry = connectRegistry(server.host, FAST);
  assert.equal((await registry.stat("app", "1"))?.size, index.byteLength);
});

Deno.test("C-DENO-06 a digest is made of bytes as they come, of all three kinds", async () => {
  for (
    const [algorithm, name] of [["sha256", "SHA-256"], ["sha384", "SHA-384"], [
      "sha512",
      "SHA-512",
    ]] as const
  ) {
    const digester = new Digester(algorithm);
    for (let at = 0; at < blob.byteLength; at += 7_777) {
      digester.update(blob.subarray(at, at + 7_777));
    }
    const whole = new Uint8Array(await crypto.subtle.digest(name, blob)).toHex();
    assert.equal(digester.digest(), `${algorithm}:${whole}`);
  }
});

Deno.test("C-DL-02 what lies behind the end of a tar is hashed, too", async () => {
  const tar = new Uint8Array(200_000);
  const wrong = tar.slice();
  wrong[150_000] = 1;
  for (const [sent, right] of [[tar, true], [wrong, false]] as const) {
    await using server = quirkServer(() => new Response(sent));
    await using registry = connectRegistry(server.host, FAST);
    const source = await registry.blob("app", digestOf(tar));
    const walked = walkTar(await source!.open(), { header() {} });
    if (right) assert.equal((await walked).entries, 0);
    else await assert.rejects(walked, (error) => isOciError(error, "DIGEST_INVALID"));
  }
});
