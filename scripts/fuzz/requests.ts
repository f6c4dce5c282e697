/** What comes in on a connection of the server: however it is cut, it is understood in one way, or not at all. */
import assert from "node:assert/strict";
import { Connection } from "../../registry/server/http/connection.ts";
import type { Wire } from "../../registry/server/http/input.ts";
import { limitsOf } from "../../registry/server/http/pace.ts";
import { damaged, type Next, pick, rounds, textOf } from "./seeded.ts";
import type { Span } from "../../registry/span_testing.ts";

const PIECES: readonly string[] = ["\r\n", "\r\n\r\n", "\n", "\r", " ", "\t", ":", ",", ";", "\0"]
  .concat([
    "GET / HTTP/1.1\r\n",
    "POST /x HTTP/1.1\r\n",
    "HEAD / HTTP/1.0\r\n",
    "PRI * HTTP/2.0\r\n",
  ])
  .concat([
    "Host: x\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 0\r\n",
    "Content-Length : 3\r\n",
  ])
  .concat([
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: \x0bchunked\r\n",
    "X: y\r\n z\r\n",
  ])
  .concat(["Connection: close\r\n", "Connection: keep-alive\r\n", "Expect: 100-continue\r\n"])
  .concat(["3\r\nabc\r\n", "0\r\n\r\n", "0\r\nA: b\r\n\r\n", "3;x=y\r\nabc\r\n", "+3\r\n", "abc"]);

const WHOLE: readonly string[] = [
  "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n",
  "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
  "PUT /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n4;a=b\r\nbars\r\n0\r\n\r\n",
  "HEAD http://x/4 HTTP/1.1\r\nHost: x\r\n\r\n",
  "GET /5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "PATCH /6 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
];

/** What one reader made of it. */
interface Understood {
  readonly heard: readonly string[];
  readonly said: string;
}

/** Over memory; with every second input the handler leaves bodies unread. */
export async function fuzzRequests(span: Span, seed: number): Promise<number> {
  let text = "";
  return await rounds(span, seed, async (next) => {
    text = "";
    for (let left = 1 + next(4); left > 0; left--) text += pick(next, WHOLE);
    text = next(4) === 0 ? textOf(next, PIECES, 20) : damaged(next, text, PIECES);
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0) & 0xff);
    const reads = next(2) === 0;
    const whole = await understand(bytes, reads, () => bytes.length);
    const cut = await understand(bytes, reads, () => 1 + pieceOf(next));
    assert.deepEqual(cut, whole, "it depends on how it is cut");
    check(whole);
  }, () => text);
}

const pieceOf = (next: Next) => next(next(3) === 0 ? 40 : 2);

async function understand(
  bytes: Uint8Array,
  reads: boolean,
  piece: () => number,
): Promise<Understood> {
  let at = 0;
  let said = "";
  const heard: string[] = [];
  const wire: Wire = {
    read(into) {
      if (at >= bytes.length) return Promise.resolve(null);
      const part = bytes.subarray(at, at + Math.min(into.length, Math.max(1, piece())));
      into.set(part);
      at += part.length;
      return Promise.resolve(part.length);
    },
    write(some) {
      for (const byte of some) said += String.fromCharCode(byte);
      return Promise.resolve(some.length);
    },
    closeWrite: () => Promise.resolve(),
    close() {},
  };
  const connection = new Connection(wire, limitsOf(), () => {});
  await connection.serve(async ({ method, target, body }) => {
    let read = "";
    let failed = false;
    try {
      while (reads) {
        const chunk = await body?.next();
        if (chunk === undefined) break;
        read += String.fromCharCode(...chunk);
      }
    } catch {
      // Of a body that ends early the length that came depends on the pieces.
      failed = true;
    }
    heard.push(failed ? `${method} ${target} failed` : `${method} ${target} ${read}`);
    return { status: failed ? 400 : 200, headers: {}, body: new TextEncoder().encode("ok\n") };
  }, () => false);
  return { heard, said: said.replaceAll(/^date: .*$/gm, "date: -") };
}

/** Each request has its answer; one more is only that it could not be read, and then it is the last. */
function check({ heard, said }: Understood): void {
  const answers = said.match(/^HTTP\/1\.1 [2-5]\d\d .*$/gm) ?? [];
  assert.ok(answers.length === heard.length || answers.length === heard.length + 1, said);
  for (const line of heard) assert.match(line, /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} \/[!-~]* ?/);
  const closing = said.indexOf("connection: close");
  if (closing >= 0) {
    assert.equal(said.indexOf("HTTP/1.1 ", closing), -1, `an answer behind the last: ${said}`);
  }
}
