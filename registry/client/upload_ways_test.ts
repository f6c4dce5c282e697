/** Registries that take a blob in their own way only (C-UP). */
import assert from "node:assert/strict";
import { memoryRegistry } from "../memory.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { sampleBytes } from "../registry_suite_testing.ts";
import { serve } from "../server/serve.ts";
import { createServer } from "../server/server.ts";
import { bytesSource, readAll } from "../source.ts";
import { connectRegistry } from "./client.ts";
import type { ClientOptions } from "./options.ts";
import {
  errorBody,
  type QuirkServer,
  quirkServer,
  rawServer,
  say,
  type Seen,
} from "./quirk_testing.ts";

const FAST: ClientOptions = { retry: { baseMs: 1, tries: 2 } };
const MIB = 1024 * 1024;
const bytes = sampleBytes(10 * MIB + 7);
const descriptor = {
  mediaType: "application/octet-stream",
  digest: digestOf(bytes),
  size: bytes.byteLength,
};

interface Upload extends QuirkServer {
  /** What it has of the upload. */
  readonly stored: () => Uint8Array;
  readonly bodies: (method: string) => readonly number[];
}

/** Keeps one upload; `answer` may have another view of a request, before or after it is `kept`. */
function uploads(
  answer: (seen: Seen, kept: number, keep: () => void) => Response | undefined,
  start: HeadersInit = {},
): Upload {
  let stored = new Uint8Array();
  const location = "/v2/app/blobs/uploads/1";
  const server = quirkServer((seen) => {
    const keep = () => {
      const joined = new Uint8Array(stored.byteLength + seen.body.byteLength);
      joined.set(stored);
      joined.set(seen.body, stored.byteLength);
      stored = joined;
    };
    const own = answer(seen, stored.byteLength, keep);
    if (own !== undefined) return own;
    const range = () => `0-${Math.max(0, stored.byteLength - 1)}`;
    switch (seen.method) {
      case "HEAD":
        return new Response(null, { status: 404 });
      case "POST":
        stored = new Uint8Array();
        return new Response(null, { status: 202, headers: { location, ...start } });
      case "PATCH":
        keep();
        return new Response(null, { status: 202, headers: { location, range: range() } });
      case "GET":
        return new Response(null, { status: 204, headers: { location, range: range() } });
      case "PUT":
        keep();
        return new Response(null, { status: 201 });
      default:
        return new Response(null, { status: 204 });
    }
  });
  return Object.assign(server, {
    stored: () => stored,
    bodies: (method: string) =>
      server.seen.filter((seen) => seen.method === method).map(({ body }) => body.byteLength),
  });
}

/** No body of any length in the closing request. */
const noWhole = ({ method, body }: Seen) =>
  method === "PUT" && body.byteLength > 4 * MIB ? errorBody(413, "SIZE_INVALID", "no") : undefined;

async function push(server: Upload): Promise<void> {
  await using registry = connectRegistry(server.host, FAST);
  assert.equal(await registry.pushBlob("app", descriptor, bytesSource(bytes)), "uploaded");
  assert.equal(digestOf(server.stored()), descriptor.digest);
}

Deno.test("C-UP-02 a registry that knows no pieces gets one request without a range", async () => {
  await using server = uploads((seen) =>
    seen.headers.has("content-range")
      ? errorBody(416, "RANGE_INVALID", "what range?")
      : seen.method === "GET"
      ? errorBody(404, "BLOB_UPLOAD_UNKNOWN", "no")
      : noWhole(seen)
  );
  await push(server);
  assert.equal(server.bodies("PATCH").at(-1), bytes.byteLength);
  const last = server.seen.at(-1)!;
  assert.deepEqual([last.method, last.body.byteLength], ["PUT", 0]);
  assert.match(last.url, /digest=sha256/);
});

Deno.test("C-UP-01 a long blob that fails twice as a whole goes in pieces", async () => {
  await using server = uploads(({ method, body }) =>
    method === "PUT" && body.byteLength > 4 * MIB
      ? errorBody(503, "UNAVAILABLE", "busy")
      : undefined
  );
  await push(server);
  assert.equal(server.bodies("PUT").filter((size) => size > 4 * MIB).length, 2);
  assert.ok(server.bodies("PATCH").length >= 2);
});

Deno.test("C-UP-04 pieces are as long as the registry wants them at least", async () => {
  await using server = uploads(noWhole, { "oci-chunk-min-length": String(6 * MIB) });
  await push(server);
  assert.ok(server.bodies("PATCH").slice(0, -1).every((size) => size >= 6 * MIB));
  assert.ok(server.bodies("PATCH").length >= 1);
});

Deno.test("C-UP-04 and no longer than we are ready to hold, whatever it says", async () => {
  await using server = uploads(noWhole, { "oci-chunk-min-length": String(2 ** 50) });
  await using registry = connectRegistry(server.host, FAST);
  const upload = await registry.upload("app");
  const chunk = new Uint8Array(8 * MIB);
  for (let at = 0; at < 9; at++) await upload.write(chunk);
  await upload.abort();
  assert.deepEqual(server.bodies("PATCH"), [64 * MIB]);
});

Deno.test("C-UP-05 a range that stands still, or is the last piece's, does not count; the 202 does", async () => {
  for (const wrong of [() => "0-0", (size: number) => `0-${size - 1}`, () => undefined]) {
    await using server = uploads((seen, _kept, keep) => {
      if (seen.method !== "PATCH") return noWhole(seen);
      keep();
      const range = wrong(seen.body.byteLength);
      const headers = {
        location: "/v2/app/blobs/uploads/1",
        ...range === undefined ? {} : { range },
      };
      return new Response(null, { status: 202, headers });
    });
    await push(server);
  }
});

Deno.test("C-UP-06 a piece out of order: the registry is asked how far it is, and gets the rest", async () => {
  let refused = 0;
  await using server = uploads((seen, kept) => {
    if (seen.method !== "PATCH" || refused > 0 || kept === 0) return noWhole(seen);
    refused++;
    return errorBody(416, "RANGE_INVALID", "out of order");
  });
  await push(server);
  assert.ok(server.calls().includes("GET /v2/app/blobs/uploads/1"));
});

Deno.test("C-UP-07 no piece is longer than GHCR takes", async () => {
  await using server = uploads(noWhole);
  await push(server);
  assert.deepEqual(server.bodies("PATCH").filter((size) => size > 4 * MIB), []);
});

Deno.test("C-UP-08 201 to the last piece may mean that all is done; 204 to the end is an end", async () => {
  for (const done of [true, false]) {
    let complete = false;
    let closed = 0;
    await using server = uploads((seen, _kept, keep) => {
      if (seen.method === "HEAD" && complete && done) return new Response(null, { status: 200 });
      if (seen.method === "PUT" && seen.body.byteLength <= 4 * MIB) {
        closed++;
        keep();
        return new Response(null, { status: 204 });
      }
      if (seen.method !== "PATCH") return noWhole(seen);
      keep();
      complete = true;
      return new Response(null, { status: 201, headers: { location: "/v2/app/blobs/uploads/1" } });
    });
    await push(server);
    assert.equal(closed, done ? 0 : 1);
  }
});

Deno.test("C-UP-10 an upload that fails is cancelled", async () => {
  await using server = uploads(({ method }) =>
    method === "PUT" ? errorBody(400, "DIGEST_INVALID", "other bytes") : undefined
  );
  await using registry = connectRegistry(server.host, FAST);
  await assert.rejects(
    () => registry.pushBlob("app", descriptor, bytesSource(bytes)),
    (error) => isOciError(error, "DIGEST_INVALID"),
  );
  assert.equal(server.calls().at(-1), "DELETE /v2/app/blobs/uploads/1");
});

Deno.test("C-UP-10 a registry that does not say that it dropped an upload is not waited for", async () => {
  const stop = new AbortController();
  const asked = Promise.withResolvers<void>();
  await using server = rawServer(async (connection, head) => {
    const none = "content-length: 0\r\nconnection: close\r\n\r\n";
    if (head.startsWith("HEAD")) return await say(connection, `HTTP/1.1 404 No\r\n${none}`);
    if (head.startsWith("POST")) {
      return await say(
        connection,
        `HTTP/1.1 202 On\r\nlocation: /v2/app/blobs/uploads/1\r\n${none}`,
      );
    }
    if (head.startsWith("PUT")) stop.abort(new Error("stopped"));
    if (head.startsWith("DELETE")) asked.resolve();
    const buffer = new Uint8Array(64 * 1024);
    while (await connection.read(buffer) !== null); // and not a word
  });
  const retry = { ...FAST.retry, wait: () => asked.promise };
  await using registry = connectRegistry(server.host, { retry });
  await assert.rejects(
    () => registry.pushBlob("app", descriptor, bytesSource(bytes), { signal: stop.signal }),
    /stopped/,
  );
});

Deno.test("C-UP-12 an upload that is not sha256 says so when it begins", async () => {
  const wide = new Uint8Array(await crypto.subtle.digest("SHA-512", bytes)).toHex();
  const digest = `sha512:${wide}` as Digest;
  await using server = uploads(() => undefined);
  await using registry = connectRegistry(server.host, FAST);
  await registry.pushBlob("app", { ...descriptor, digest }, bytesSource(bytes));
  const started = server.seen.find(({ method }) => method === "POST");
  assert.equal(started?.url, "/v2/app/blobs/uploads/?digest-algorithm=sha512");
  const place = memoryRegistry();
  const listening = await serve(createServer(place), {
    listen: { hostname: "127.0.0.1", port: 0 },
  });
  await using ours = connectRegistry(listening.url.slice(7), FAST);
  await ours.pushBlob("app", { ...descriptor, digest }, bytesSource(bytes));
  const back = await ours.blob("app", digest);
  assert.equal(digestOf(await readAll(back!, bytes.byteLength), "sha512"), digest);
  await listening.shutdown();
});

Deno.test("C-PUT-04 a repository that must be made first, and a blob that is too large, are named", async () => {
  await using server = uploads(({ method }) =>
    method === "POST"
      ? errorBody(404, "NAME_UNKNOWN", "The repository with name 'app' does not exist")
      : undefined
  );
  await using registry = connectRegistry(server.host, FAST);
  await assert.rejects(
    () => registry.pushBlob("app", descriptor, bytesSource(bytes)),
    /no such repository and does not make one by itself; want it made there first$/,
  );
  await using small = uploads(({ method }) =>
    method === "PUT" || method === "PATCH"
      ? errorBody(413, "SIZE_INVALID", "at most 1 MiB")
      : undefined
  );
  await using other = connectRegistry(small.host, FAST);
  await assert.rejects(
    () => other.pushBlob("app", descriptor, bytesSource(bytes)),
    /larger than the registry takes \(413 SIZE_INVALID: at most 1 MiB\)/,
  );
});
