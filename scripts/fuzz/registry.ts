/** A registry that says anything: heads, headers and bodies of answers, and the requests of its own clients. */
import assert from "node:assert/strict";
import { connectRegistry } from "../../registry/client/client.ts";
import { Connection } from "../../registry/client/http1.ts";
import { askedPause } from "../../registry/client/retry.ts";
import { TransportError } from "../../registry/client/transport_error.ts";
import { copy } from "../../registry/copy.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { OciError } from "../../registry/oci/error.ts";
import { parseContentRange, parseRange } from "../../registry/server/range.ts";
import { parseRequest } from "../../registry/server/request.ts";
import { bytesSource, readAll } from "../../registry/source.ts";
import { quirkServer } from "../../registry/client/quirk_testing.ts";
import { type Next, pick, rounds, textOf } from "./seeded.ts";
import type { Span } from "../../registry/span_testing.ts";

const NUMBERS = [
  "0",
  "1",
  "-1",
  "99",
  "9".repeat(16),
  "9".repeat(400),
  "1e3",
  "0x1",
  " ",
  "\t",
  "\u0660",
];
const RANGES = ["bytes", "=", "-", ",", "/", "*", " ", ...NUMBERS];
const DATES = ["Wed, 21 Oct 2015 07:28:00 GMT", "2026-01-01", "GMT", ":", ",", ...NUMBERS];
const PATHS = [
  "/",
  "//",
  "/v2",
  "/v2/",
  "/blobs/",
  "/manifests/",
  "/uploads/",
  "/tags/list",
  "/referrers/",
  "..",
  ".",
  "%2f",
]
  .concat([
    "%00",
    "%",
    "%e2%82",
    "a",
    "A",
    "_",
    "-",
    "_catalog",
    "sha256:" + "a".repeat(64),
    "md5:a",
    "?",
    "#",
    "\\",
  ])
  .concat(["x".repeat(300), "blobs/uploads", "latest"]);

/** Small parsers of headers and addresses: a value that makes sense, or none. */
export async function fuzzHeaders(span: Span, seed: number): Promise<number> {
  let text = "";
  return await rounds(span, seed, (next) => {
    text = textOf(next, RANGES, 8);
    const size = next(5) === 0 ? 0 : next(1000);
    const range = parseRange(text, size);
    if (range !== undefined && range !== "unsatisfiable") {
      assert.ok(0 <= range.first && range.first <= range.last && range.last < size);
    }
    const said = parseContentRange(text);
    if (said !== undefined) assert.ok(0 <= said.first && said.first <= said.last);
    text = textOf(next, DATES, 5);
    // deno-lint-ignore no-control-regex
    if (/^[\x09\x20-\x7e]*$/.test(text)) {
      const pause = askedPause(new Headers({ "retry-after": text }), 1e12);
      assert.ok(pause === undefined || (pause >= 0 && Number.isFinite(pause)));
    }
    text = textOf(next, PATHS, 7);
    try {
      const method = pick(next, ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "get", "TRACE"]);
      const asked = parseRequest(method, text, new URLSearchParams(textOf(next, PATHS, 3)));
      const { repository } = asked as { readonly repository?: string };
      assert.ok(repository === undefined || /^[a-z0-9][a-z0-9._/-]*$/.test(repository), repository);
      assert.ok(repository === undefined || !/\.\.|\/\//.test(repository), repository);
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
    }
  }, () => text);
}

const HEADS = [
  "HTTP/1.1 200 OK",
  "HTTP/1.1 ",
  "200",
  "\r\n",
  "\n",
  "\r\n\r\n",
  "\r",
  ":",
  " ",
  "content-length: 5",
]
  .concat([
    "Content-Length:",
    "transfer-encoding: chunked",
    "Transfer-Encoding",
    "identity",
    "connection: close",
  ])
  .concat([
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "FFFFFFFFFFFFFFFF\r\n",
    "-1",
    "hello",
    "HTTP/1.1 100 Continue\r\n\r\n",
  ])
  .concat(["HTTP/2 200", "x: y\r\n", ";ext=1", "\0", "\x80", "x".repeat(5000), ", "]);

/** HTTP/1.1 as it comes in, in pieces of any size: a {@linkcode TransportError}, or an answer that ends. */
export async function fuzzHttp(span: Span, seed: number): Promise<number> {
  let text = "";
  return await rounds(span, seed, async (next) => {
    text = next(2) === 0
      ? textOf(next, HEADS, 14)
      : "HTTP/1.1 200 OK\r\n" + textOf(next, HEADS, 10);
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0) & 0xff);
    let at = 0;
    const connection = new Connection({
      read: (into) => {
        if (at >= bytes.length) return Promise.resolve(null);
        const got = Math.min(into.length, bytes.length - at, 1 + next(next(2) === 0 ? 3 : 4000));
        into.set(bytes.subarray(at, at += got));
        return Promise.resolve(got);
      },
      write: (some) => Promise.resolve(some.length),
      close() {},
      ref() {},
      unref() {},
    }, "fuzz");
    try {
      for (let answers = 0; answers < 3; answers++) {
        const head = await connection.head();
        assert.ok(head.status >= 200 && head.status <= 999, String(head.status));
        const body = connection.body(head, pick(next, ["GET", "HEAD"]));
        let total = 0;
        for (let part = await body.next(); part !== undefined; part = await body.next()) {
          total += part.byteLength;
          assert.ok(total <= bytes.length);
        }
        if (head.last || !body.delimited) break;
      }
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      assert.ok(!/[\r\n]/.test(error.message), error.message);
    } finally {
      connection.close();
    }
  }, () => text);
}

const BLOB = new TextEncoder().encode("a blob");
const DIGEST = digestOf(BLOB);
const INDEX =
  '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}';
/** No control characters below space: Deno 2.9.6's own server ends with a panic over those. */
const SAYS: Readonly<Record<string, readonly string[]>> = {
  "content-type": [
    "application/vnd.oci.image.index.v1+json",
    "application/json",
    "text/html",
    "x",
    "",
  ],
  "docker-content-digest": [DIGEST, "sha256:x", "sha256:" + "0".repeat(64)],
  "link": [
    '</v2/app/tags/list?last=b>; rel="next"',
    "<>;rel=next",
    "<javascript:1>; rel=next",
    "<http://[>; rel=next",
  ]
    .concat([
      "</v2/" + "x".repeat(2000) + ">;rel=next",
      "<//evil.example/x>;rel=next",
      "<?n=1>;rel=next",
    ]),
  "location": [
    "/v2/app/blobs/uploads/1?_state=x",
    "/v2/x",
    "",
    "http://[",
    "//127.0.0.1:1/x",
    "javascript:1",
    "?x",
    "%",
  ]
    .concat(["http://169.254.169.254/latest", "file:///etc/passwd", "/" + "y".repeat(3000)]),
  "range": ["0-5", "0-0", "0-999999", "5-0", "bytes=0-1", "x", "-"],
  "content-range": ["bytes 0-5/6", "bytes 3-5/6", "bytes */6", "x"],
  "retry-after": ["0", "1", "x", "Wed, 21 Oct 2015 07:28:00 GMT"],
  "www-authenticate": [
    'Basic realm="x"',
    'Bearer realm="http://169.254.169.254/token"',
    "Bearer",
    'Bearer realm="/x"',
    '"',
  ],
  "warning": ['299 - "old"', "299 - \u009b2J", "x"],
  "oci-chunk-min-length": ["1", "0", "-1", "9".repeat(20), "x"],
  "oci-subject": [DIGEST, "x"],
  "content-encoding": ["gzip", "x"],
  "ratelimit-remaining": ["0;w=1", "x"],
};
const BODIES = [
  "",
  "{}",
  INDEX,
  "a blob",
  "[]",
  '{"tags":["a","b"]}',
  '{"tags":null}',
  '{"tags":[7]}',
  '{"errors":[{"code":7}]}',
]
  .concat([
    '{"errors":[{"code":"DENIED","message":"\\u001b[2J"}]}',
    "<html>",
    "\u0000",
    "{".repeat(3000),
    '{"manifests":{}}',
  ])
  .concat(['{"token":"x","expires_in":1e999}', '{"token":7}']);
const STATUSES = [
  200,
  200,
  200,
  201,
  202,
  204,
  206,
  301,
  302,
  307,
  400,
  401,
  403,
  404,
  405,
  413,
  416,
  429,
  500,
  501,
  503,
];

/** A registry whose every answer is thrown together: each call ends soon, with a result or an {@linkcode OciError}. */
export async function fuzzHostileRegistry(span: Span, seed: number): Promise<number> {
  let next: Next = () => 0;
  let log: unknown[] = [];
  await using server = quirkServer(({ method }) => {
    const status = pick(next, STATUSES);
    const headers = new Headers();
    for (const [name, values] of Object.entries(SAYS)) {
      if (next(3) === 0) headers.set(name, pick(next, values));
    }
    const body = pick(next, BODIES);
    log.push([method, status, [...headers], body]);
    return new Response(method === "HEAD" || status === 204 ? null : body, { status, headers });
  });
  const controller = new AbortController();
  return await rounds(
    span,
    seed,
    async (numbers) => {
      next = numbers;
      log = [];
      await using client = connectRegistry(server.host, {
        retry: { baseMs: 0, maxMs: 0, tries: 2, wait: () => Promise.resolve() },
        connectTimeoutMs: 500,
      });
      const signal = controller.signal;
      const calls: readonly (() => Promise<unknown>)[] = [
        () => client.manifest("app", "1"),
        () => client.stat("app", "1"),
        async () => {
          const blob = await client.blob("app", DIGEST);
          if (blob !== undefined) {
            const bytes = await readAll(blob, 1000);
            assert.equal(digestOf(bytes), DIGEST, "wrong bytes were given out");
          }
        },
        () =>
          client.pushBlob(
            "app",
            { mediaType: "x", digest: DIGEST, size: BLOB.length },
            bytesSource(BLOB),
            { signal },
          ),
        () => Array.fromAsync(client.tags("app")),
        () => Array.fromAsync(client.repositories()),
        () => client.referrers("app", DIGEST),
        () =>
          client.pushManifest("app", {
            mediaType: "application/vnd.oci.image.index.v1+json",
            bytes: new TextEncoder().encode(INDEX),
          }, { tags: ["1"] }),
        () => client.deleteManifest("app", "1"),
        () => copy(client, "app", "1", memoryRegistry(), "app"),
      ];
      try {
        await pick(next, calls)();
      } catch (error) {
        if (!(error instanceof OciError)) throw error;
        // deno-lint-ignore no-control-regex
        assert.ok(!/[\x00-\x1f\x7f-\x9f]/.test(error.message), JSON.stringify(error.message));
      }
    },
    () => log,
    5000,
  );
}
