import assert from "node:assert/strict";
import { collect } from "../source.ts";
import { Connection, requestHead, type Wire } from "./http1.ts";
import { quirkServer, rawServer, say } from "./quirk_testing.ts";
import { Transport } from "./transport.ts";
import { TransportError } from "./transport_error.ts";
import { parseTarget } from "./url.ts";

/** Bytes that come in the pieces a network may cut them into. */
function wireOf(
  text: string,
  pieces: (left: number) => number,
): Wire & { readonly closed: boolean } {
  let rest = new TextEncoder().encode(text);
  return {
    closed: false,
    read(into) {
      if (rest.byteLength === 0) return Promise.resolve(null);
      const part = rest.subarray(0, Math.min(into.byteLength, pieces(rest.byteLength)));
      into.set(part);
      rest = rest.subarray(part.byteLength);
      return Promise.resolve(part.byteLength);
    },
    write: (bytes) => Promise.resolve(bytes.byteLength),
    close() {
      (this as { closed: boolean }).closed = true;
    },
    ref() {},
    unref() {},
  };
}

async function answer(
  text: string,
  { method = "GET", pieces = () => 7, reuse = false }: {
    readonly method?: string;
    readonly pieces?: (left: number) => number;
    readonly reuse?: boolean;
  } = {},
) {
  const connection = new Connection(wireOf(text, pieces), "r.example");
  const head = await connection.head();
  const body = connection.body(head, method);
  body.reuse = reuse;
  const decoder = new TextDecoder();
  let read = "";
  for (let part = await body.next(); part !== undefined; part = await body.next()) {
    read += decoder.decode(part, { stream: true });
  }
  return { ...head, body: read, delimited: body.delimited, connection };
}

const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

Deno.test("the same answer, however the network cuts it", async () => {
  const plain =
    "HTTP/1.1 201 Made\r\nContent-Length: 11\r\nX-A: one\r\nx-a: two\r\n\r\nhello world";
  const chunked = `${CHUNKED}5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: t\r\n\r\n`;
  for (let size = 1; size < 90; size++) {
    for (const reuse of [false, true]) {
      const first = await answer(plain, { pieces: () => size, reuse });
      assert.deepEqual([first.status, first.body, first.headers.get("x-a")], [
        201,
        "hello world",
        "one, two",
      ]);
      assert.equal((await answer(chunked, { pieces: () => size, reuse })).body, "hello world");
    }
  }
});

Deno.test("answers follow each other on a connection", async () => {
  const text = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" +
    `HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab${CHUNKED}1\r\nc\r\n0\r\n\r\n` +
    "HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
  const connection = new Connection(wireOf(text, (left) => left), "r.example");
  const seen: unknown[] = [];
  for (let at = 0; at < 3; at++) {
    const head = await connection.head();
    const body = connection.body(head, "GET");
    let length = 0;
    for (let part = await body.next(); part; part = await body.next()) length += part.byteLength;
    seen.push([head.status, length, head.last]);
  }
  assert.deepEqual(seen, [[200, 2, false], [200, 1, false], [404, 0, true]]);
});

Deno.test.each([
  ["HEAD has no body", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "HEAD", ""],
  ["204 has none", "HTTP/1.1 204 No\r\n\r\n", "GET", ""],
  ["304 has none", "HTTP/1.1 304 No\r\ncontent-length: 5\r\n\r\n", "GET", ""],
  ["no length: until the end", "HTTP/1.1 200 OK\r\n\r\nabc", "GET", "abc"],
  [
    "chunks win over a length",
    `HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
    "GET",
    "a",
  ],
  [
    "the same length twice",
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nContent-Length: 1\r\n\r\na",
    "GET",
    "a",
  ],
  ["bare line feeds", "HTTP/1.1 200 OK\ncontent-length: 1\n\na", "GET", "a"],
  [
    "a header that is folded",
    "HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 1\r\n\r\na",
    "GET",
    "a",
  ],
  ["no reason", "HTTP/1.1 200\r\ncontent-length: 1\r\n\r\na", "GET", "a"],
  [
    "a header that is none",
    "HTTP/1.1 200 OK\r\nnonsense\r\n(: x\r\ncontent-length: 1\r\n\r\na",
    "GET",
    "a",
  ],
])("an answer is read: %s", async (_why, text, method, body) => {
  assert.equal((await answer(text!, { method: method! })).body, body);
});

Deno.test.each([
  ["not HTTP", "SSH-2.0-x\r\n\r\n"],
  ["HTTP/2", "HTTP/2 200\r\n\r\n"],
  ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"],
  ["a length that is none", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"],
  ["a length with a sign", "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na"],
  ["an unknown coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"],
  ["chunked, then more", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n"],
  ["a chunk without a length", `${CHUNKED}zz\r\n`],
  ["a chunk of 2^60 bytes", `${CHUNKED}1000000000000000\r\n`],
  ["a negative chunk", `${CHUNKED}-1\r\n`],
  ["a chunk that goes on", `${CHUNKED}1\r\nab\r\n0\r\n\r\n`],
  ["an end in the body", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc"],
  ["an end in a chunk", `${CHUNKED}5\r\nabc`],
  ["an end before the last chunk", `${CHUNKED}1\r\na\r\n`],
  ["an end in the head", "HTTP/1.1 200 OK\r\ncontent"],
  ["nothing", ""],
  ["M-04 a head without end", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(70_000)}`],
  ["M-04 heads without end", "HTTP/1.1 200 OK\r\n" + "x: y\r\n".repeat(20_000)],
  ["M-04 a chunk's line without end", `${CHUNKED}1;${"x".repeat(10_000)}`],
  ["M-04 trailers without end", `${CHUNKED}0\r\n${"t: t\r\n".repeat(200)}\r\n`],
])("an answer is refused: %s", async (_why, text) => {
  for (const size of [1, 1000, 1_000_000]) {
    await assert.rejects(() => answer(text!, { pieces: () => size }), TransportError);
  }
});

Deno.test("N-11 no header of ours can hold a line end", () => {
  for (const value of ["a\r\nb: c", "a\nb", "a\0", "\u0100"]) {
    assert.throws(() => requestHead("GET", "/", { x: value }), TypeError);
  }
  assert.throws(() => requestHead("GET", "/", { "x y": "z" }), TypeError);
  assert.equal(
    new TextDecoder().decode(requestHead("GET", "/a", { host: "r" })),
    "GET /a HTTP/1.1\r\nhost: r\r\n\r\n",
  );
});

const get = async (transport: Transport, host: string, path = "/") => {
  const { body } = await transport.exchange({
    method: "GET",
    target: parseTarget(`http://${host}${path}`),
  });
  return new TextDecoder().decode(await collect(body, 1000));
};

Deno.test("C-CONN-07 a connection the server closed while it was idle is not used again", async () => {
  const gone = Promise.withResolvers<void>();
  await using server = rawServer(async (connection, _head, nth) => {
    await say(connection, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    if (nth === 1) gone.resolve();
  });
  await using transport = new Transport();
  for (let at = 0; at < 5; at++) assert.equal(await get(transport, server.host), "hi");
  await gone.promise;
  assert.equal(server.heads.length, 5);
});

Deno.test("C-CONN-07 what a server says unasked is not taken for an answer", async () => {
  await using server = rawServer(async (connection, _head, nth) => {
    await say(connection, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    if (nth === 1) await say(connection, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
  });
  await using transport = new Transport();
  for (let at = 0; at < 3; at++) assert.equal(await get(transport, server.host), "hi");
});

Deno.test("a body given up closes its connection, and the next request has one of its own", async () => {
  await using server = quirkServer(({ url }) =>
    new Response(url === "/big" ? new Uint8Array(1 << 20) : "hi")
  );
  await using transport = new Transport();
  const target = parseTarget(`http://${server.host}/big`);
  const { body } = await transport.exchange({ method: "GET", target });
  await body.cancel();
  assert.equal(await get(transport, server.host), "hi");
  assert.equal(new Set(server.seen.map(({ peer }) => peer)).size, 2);
});

Deno.test("with reuse one buffer serves for all chunks of a body", async () => {
  await using server = quirkServer(() => new Response(new Uint8Array(8 << 20)));
  await using transport = new Transport();
  const target = parseTarget(`http://${server.host}/`);
  const { body, reuse } = await transport.exchange({ method: "GET", target });
  reuse();
  const buffers = new Set<ArrayBuffer>();
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    buffers.add(chunk.buffer);
  }
  assert.equal(size, 8 << 20);
  assert(buffers.size < 10, `${buffers.size} buffers`);
});
