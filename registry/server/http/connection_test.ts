/** S-API-10: HTTP/1.1 as it goes over a socket. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { sampleBytes } from "../../registry_suite_testing.ts";
import { echo, listenWith, RawClient, says, textOf } from "./http_testing.ts";
import { BadHead } from "./head.ts";
import type { Answer } from "./message.ts";

const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const post = (path: string, more: string, body = "") =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n${body}`;
const CHUNKED = "Transfer-Encoding: chunked\r\n";

Deno.test("S-API-10 requests that come at once are answered in order", async () => {
  await using listening = await listenWith(echo);
  using client = await RawClient.connect(listening);
  await client.send(
    get("/1") + post("/2", "Content-Length: 5\r\n", "hello") +
      post("/3", CHUNKED, "3\r\nfoo\r\n4;x=y\r\nbars\r\n0\r\nX-Trailer: 1\r\n\r\n") + get("/4"),
  );
  for (const wanted of ["GET /1 ", "POST /2 hello", "POST /3 foobars", "GET /4 "]) {
    equal((await client.answer()).body, wanted);
  }
});

Deno.test("S-API-10 a request may come byte by byte, behind an empty line", async () => {
  await using listening = await listenWith(echo);
  using client = await RawClient.connect(listening);
  for (const byte of "\r\n" + post("/", CHUNKED, "2\r\nab\r\n0\r\n\r\n")) await client.send(byte);
  equal((await client.answer()).body, "POST / ab");
});

Deno.test("S-API-10 the client may end the connection, or its half of it", async () => {
  await using listening = await listenWith(echo);
  {
    using client = await RawClient.connect(listening);
    await client.send(get("/1", "Connection: close\r\n") + get("/2"));
    const { head, body } = await client.answer();
    match(head, /\r\nconnection: close\r\n/);
    equal(body, "GET /1 ");
    equal(await client.all(), "");
  }
  using client = await RawClient.connect(listening);
  await client.send(get("/1"));
  await client.end();
  match(await client.all(), /GET \/1 $/);
});

Deno.test("S-API-10 HTTP/1.0 clients get what they understand", async () => {
  const stream = (): Answer => ({
    status: 200,
    headers: {},
    body: new Blob(["stream"]).stream() as ReadableStream<Uint8Array<ArrayBuffer>>,
  });
  await using listening = await listenWith((ask) => ask.target === "/s" ? stream() : echo(ask));
  {
    using client = await RawClient.connect(listening);
    await client.send("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /s HTTP/1.0\r\n\r\n");
    const first = await client.answer();
    match(first.head, /\r\nconnection: keep-alive\r\n/);
    const second = await client.all();
    ok(!/chunked/.test(second), second);
    match(second, /\r\n\r\nstream$/);
  }
  using client = await RawClient.connect(listening);
  await client.send(get("/s", "Connection: close\r\n"));
  match(await client.all(), /transfer-encoding: chunked\r\n[^]*\r\n\r\n6\r\nstream\r\n0\r\n\r\n$/);
});

Deno.test("S-API-10 who expects 100 Continue is told when the body is wanted", async () => {
  await using listening = await listenWith((ask) =>
    ask.target === "/no" ? says("no", 403) : echo(ask)
  );
  {
    using client = await RawClient.connect(listening);
    await client.send(post("/yes", "Expect: 100-continue\r\nContent-Length: 2\r\n"));
    equal(await client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    await client.send("ab" + get("/next"));
    equal((await client.answer()).body, "POST /yes ab");
    equal((await client.answer()).body, "GET /next ");
  }
  using client = await RawClient.connect(listening);
  await client.send(post("/no", "Expect: 100-continue\r\nContent-Length: 2\r\n"));
  const { status, head } = await client.answer();
  equal(status, 403);
  // Whether the body comes all the same is not to be known.
  match(head, /\r\nconnection: close\r\n/);
});

Deno.test("S-API-10 a short body that nobody wanted is passed over", async () => {
  await using listening = await listenWith((ask) => says(ask.target));
  using client = await RawClient.connect(listening);
  await client.send(post("/1", "Content-Length: 3\r\n", "abc") + get("/2"));
  equal((await client.answer()).body, "/1");
  equal((await client.answer()).body, "/2");
});

Deno.test("S-API-10 a long one is not, and the client gets to read why", async () => {
  await using listening = await listenWith(() => says("too long", 413));
  using client = await RawClient.connect(listening);
  const sending = client.send(post("/", "Content-Length: 9000000\r\n", "x".repeat(3_000_000)));
  const { status, head, body } = await client.answer();
  deepEqual([status, body], [413, "too long"]);
  match(head, /\r\nconnection: close\r\n/);
  await sending;
  await client.end();
  equal(await client.all(), "");
});

for (
  const [what, body] of [
    ["a size that is none", "x\r\n"],
    ["a size with a sign", "+3\r\nabc\r\n"],
    ["a size in C", "0x3\r\nabc\r\n"],
    ["a size behind a space", " 3\r\nabc\r\n"],
    ["a bare line feed", "3\nabc\r\n"],
    ["a chunk that is longer than it says", "3\r\nabcd\r\n0\r\n\r\n"],
    ["a line without end", "3;" + "x".repeat(400)],
    ["many trailers", "0\r\n" + "A: b\r\n".repeat(40) + "\r\n"],
    ["a huge size", "fffffffffffffffff\r\n"],
  ] as const
) {
  Deno.test(`S-API-10 chunks: ${what} ends the connection, and nothing behind it is a request`, async () => {
    const heard: string[] = [];
    await using listening = await listenWith(async (ask) => {
      heard.push(ask.target);
      try {
        await textOf(ask);
        return says("?");
      } catch (error) {
        return says(String(error), (error as { status?: number }).status ?? 500);
      }
    });
    using client = await RawClient.connect(listening);
    await client.send(post("/", CHUNKED, body) + get("/smuggled"));
    await client.end();
    const { status, head } = await client.answer();
    equal(status, 400);
    match(head, /\r\nconnection: close\r\n/);
    equal(await client.all(), "");
    deepEqual(heard, ["/"]);
  });
}

Deno.test("S-API-10 a head that is none is told so, and ends the connection", async () => {
  await using listening = await listenWith(echo);
  for (
    const [text, status] of [
      [`${get("/").trimEnd()}\nX: y\r\n\r\n`, 400],
      ["\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\n", 400],
      [post("/", `Content-Length: 3\r\n${CHUNKED}`, "0\r\n\r\n") + get("/smuggled"), 400],
      [`GET / HTTP/1.1\r\nHost: x\r\nA: ${"b".repeat(40_000)}`, 431],
    ] as const
  ) {
    using client = await RawClient.connect(listening);
    await client.send(text);
    const answer = await client.answer();
    equal(answer.status, status);
    match(JSON.parse(answer.body).errors[0].message, /^Cannot read the request: want /);
    await client.end();
    equal(await client.all(), "");
  }
});

Deno.test("S-API-10 HEAD has the length and no body", async () => {
  await using listening = await listenWith(({ method }) => ({
    status: 200,
    headers: { "content-length": "5" },
    body: method === "HEAD" ? null : new TextEncoder().encode("hello"),
  }));
  using client = await RawClient.connect(listening);
  await client.send(get("/").replace("GET", "HEAD") + get("/"));
  const head = await client.until("\r\n\r\n");
  match(head, /\r\ncontent-length: 5\r\n/);
  equal((await client.answer()).body, "hello");
});

Deno.test("S-API-10 a header that cannot be sent is left out", async () => {
  await using listening = await listenWith(() => ({
    ...says("ok"),
    headers: {
      "x-split": "a\r\nx-evil: 1",
      "x-zero": "\0",
      "x-wide": "\u4e00",
      "x latin": "a",
      "x-latin": "\xe9",
      "x-many": ["1", "2"],
    },
  }));
  using client = await RawClient.connect(listening);
  await client.send(get("/"));
  const { head, body } = await client.answer();
  equal(body, "ok");
  deepEqual(
    head.match(/^x.*$/gm),
    ["x-latin: \xe9", "x-many: 1", "x-many: 2"],
  );
});

Deno.test("S-API-10 part of a file, and a file that got shorter", async () => {
  const path = await Deno.makeTempFile();
  const bytes = sampleBytes(1_000_000);
  await Deno.writeFile(path, bytes);
  let length = 600_000;
  await using listening = await listenWith(async () => ({
    status: 200,
    headers: {},
    body: { file: await Deno.open(path), offset: 300_000, length },
  }));
  {
    using client = await RawClient.connect(listening);
    await client.send(get("/") + get("/", "Connection: close\r\n"));
    const wanted = Array.from(
      bytes.subarray(300_000, 900_000),
      (byte) => String.fromCharCode(byte),
    );
    for (let at = 0; at < 2; at++) ok((await client.answer()).body === wanted.join(""));
    equal(await client.all(), "");
  }
  length = 900_000;
  using client = await RawClient.connect(listening);
  await client.send(get("/"));
  equal((await client.answer()).body.length, 700_000, "cut, so that the client sees it");
  await Deno.remove(path);
});

Deno.test("S-API-10 a stream that ends early is cut, one without length comes in chunks", async () => {
  const stream = () => new Blob(["abc"]).stream() as ReadableStream<Uint8Array<ArrayBuffer>>;
  await using listening = await listenWith(({ target }) => ({
    status: 200,
    headers: target === "/short" ? { "content-length": "5" } : {},
    body: stream(),
  }));
  {
    using client = await RawClient.connect(listening);
    await client.send(get("/short") + get("/"));
    match(await client.all(), /\r\n\r\nabc$/);
  }
  using client = await RawClient.connect(listening);
  await client.send(get("/"));
  match(await client.until("0\r\n\r\n"), /\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/);
});

Deno.test("S-API-6 who comes when there are too many is told to come again", async () => {
  await using listening = await listenWith(echo, { maxConnections: 1 });
  using first = await RawClient.connect(listening);
  await first.send(get("/1"));
  equal((await first.answer()).status, 200);
  using second = await RawClient.connect(listening);
  await second.send(get("/2"));
  const { status, head } = await second.answer();
  equal(status, 503);
  match(head, /\r\nretry-after: 1\r\n/);
  equal(await second.all(), "");
});

Deno.test("S-API-10 the end waits for bodies that still come in, and for answers that still go out", async () => {
  const entered = Promise.withResolvers<void>();
  const listening = await listenWith(async (ask) => {
    await ask.body?.next();
    entered.resolve();
    return says(await textOf(ask) + "x".repeat(3_000_000));
  });
  using client = await RawClient.connect(listening);
  await client.send(post("/", "Content-Length: 4\r\n", "a"));
  await entered.promise;
  using idle = await RawClient.connect(listening);
  const ended = listening.shutdown();
  using late = await RawClient.connect(listening);
  await late.send(get("/"));
  equal((await late.answer()).status, 503);
  await client.send("bcd");
  const { body, head } = await client.answer();
  equal(body.length, 3_000_003);
  match(head, /\r\nconnection: close\r\n/);
  await ended;
  await listening.finished;
  equal(await idle.all(), "");
});

Deno.test("S-API-10 the end does not wait for ever", async () => {
  const listening = await listenWith(echo, { drainMs: 20 });
  using client = await RawClient.connect(listening);
  await client.send(post("/", "Expect: 100-continue\r\nContent-Length: 4\r\n"));
  await client.until("\r\n\r\n");
  await listening.shutdown();
  equal(await client.all(), "");
});

Deno.test("S-API-10 a client that goes away is an error to its handler, and to nobody else", async () => {
  const seen = Promise.withResolvers<unknown>();
  await using listening = await listenWith(async (ask) => {
    await textOf(ask).catch(seen.resolve);
    return says("");
  });
  {
    using client = await RawClient.connect(listening);
    await client.send(post("/", "Content-Length: 4\r\n", "a"));
  }
  ok(!(await seen.promise instanceof BadHead));
});
