import { deepEqual, equal, throws } from "node:assert/strict";
import { BadHead, findEnd, parseHead, type Scan } from "./head.ts";

const bytesOf = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const parse = (text: string) => parseHead(bytesOf(text));
const HOST = "Host: x\r\n";

Deno.test("S-API-10 a head is read as it is", () => {
  const head = parse(
    "PUT /v2/a/b?x=1 HTTP/1.1\r\nHost: x:5000\r\nContent-Length: 12 \r\nACCEPT:\ta\r\nAccept:  b\t\r\n" +
      "X-Empty:\r\nX-Latin: \xe9\r\nExpect: 100-Continue\r\n\r\n",
  );
  deepEqual([head.method, head.target, head.length], ["PUT", "/v2/a/b?x=1", 12]);
  deepEqual([head.waits, head.last, head.old], [true, false, false]);
  equal(head.headers.get("accept"), "a, b");
  equal(head.headers.get("Accept"), "a, b");
  equal(head.headers.get("x-empty"), "");
  equal(head.headers.get("x-latin"), "\xe9");
  equal(head.headers.get("x-other"), null);
});

for (
  const [target, seen] of [
    ["http://registry:5000/v2/?a", "/v2/?a"],
    ["HTTPS://registry", "/"],
    ["http://registry?a", "/?a"],
    ["//x/y", "//x/y"],
  ] as const
) {
  Deno.test(`S-API-10 ${target} asks for ${seen}`, () => {
    equal(parse(`GET ${target} HTTP/1.1\r\n${HOST}\r\n`).target, seen);
  });
}

for (
  const [version, connection, last] of [
    ["1.1", "", false],
    ["1.1", "Connection: close\r\n", true],
    ["1.1", "Connection: upgrade , Close\r\n", true],
    ["1.0", "", true],
    ["1.0", "Connection: Keep-Alive\r\n", false],
  ] as const
) {
  Deno.test(`S-API-10 HTTP/${version} ${connection.trim()}: ${last ? "the last" : "more"}`, () => {
    equal(parse(`GET / HTTP/${version}\r\n${HOST}${connection}\r\n`).last, last);
  });
}

/** What two readers may understand in two ways is refused (request smuggling). */
const REFUSED: readonly (readonly [string, string, number])[] = [
  ["two lengths", `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 4\r\n\r\n`, 400],
  [
    "one length twice",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 3\r\n\r\n`,
    400,
  ],
  ["a list of lengths", `POST / HTTP/1.1\r\n${HOST}Content-Length: 3, 3\r\n\r\n`, 400],
  [
    "a length and chunks",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`,
    400,
  ],
  [
    "chunks and a length",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n`,
    400,
  ],
  [
    "two codings",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
    400,
  ],
  ["a coding we lack", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n`, 501],
  [
    "chunked behind identity",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: identity, chunked\r\n\r\n`,
    501,
  ],
  ["xchunked", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n`, 501],
  [
    "a coding behind a vertical tab",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\x0bchunked\r\n\r\n`,
    400,
  ],
  ["chunks in HTTP/1.0", `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`, 400],
  ["a space before the colon", `POST / HTTP/1.1\r\n${HOST}Content-Length : 3\r\n\r\n`, 400],
  ["a space in a name", `POST / HTTP/1.1\r\n${HOST}X Content-Length: 3\r\n\r\n`, 400],
  ["a header that goes on", `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, 400],
  ["a first header that goes on", `GET / HTTP/1.1\r\n Host: x\r\n\r\n`, 400],
  ["a line without a colon", `GET / HTTP/1.1\r\n${HOST}nonsense\r\n\r\n`, 400],
  ["a name of nothing", `GET / HTTP/1.1\r\n${HOST}: x\r\n\r\n`, 400],
  ["a return in a value", `GET / HTTP/1.1\r\n${HOST}X: a\rContent-Length: 3\r\n\r\n`, 400],
  ["a zero byte in a value", `GET / HTTP/1.1\r\n${HOST}X: a\0\r\n\r\n`, 400],
  ["a negative length", `POST / HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`, 400],
  ["a length with a sign", `POST / HTTP/1.1\r\n${HOST}Content-Length: +1\r\n\r\n`, 400],
  ["a length in hex", `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x10\r\n\r\n`, 400],
  ["a length of nothing", `POST / HTTP/1.1\r\n${HOST}Content-Length:\r\n\r\n`, 400],
  [
    "a length beyond numbers",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 9999999999999999999\r\n\r\n`,
    400,
  ],
  ["no host", `GET / HTTP/1.1\r\n\r\n`, 400],
  ["two hosts", `GET / HTTP/1.1\r\n${HOST}Host: y\r\n\r\n`, 400],
  ["two hosts in one", `GET / HTTP/1.1\r\nHost: x, y\r\n\r\n`, 400],
  ["two credentials", `GET / HTTP/1.1\r\n${HOST}Authorization: a\r\nAuthorization: b\r\n\r\n`, 400],
  ["two spaces", `GET  / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["a space in the path", `GET /a b HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["a tab for a space", `GET\t/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["a byte beyond ASCII in the path", `GET /\xe9 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["no path", `GET x HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["a tunnel", `CONNECT x:443 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["no version", `GET /\r\n${HOST}\r\n`, 400],
  ["a lower-case version", `GET / http/1.1\r\n${HOST}\r\n`, 400],
  ["a long version", `GET / HTTP/1.10\r\n${HOST}\r\n`, 400],
  ["HTTP/2", `PRI * HTTP/2.0\r\n\r\n`, 505],
  ["another expectation", `GET / HTTP/1.1\r\n${HOST}Expect: much\r\n\r\n`, 417],
  ["many headers", `GET / HTTP/1.1\r\n${HOST}${"A: b\r\n".repeat(100)}\r\n`, 431],
];

for (const [what, head, status] of REFUSED) {
  Deno.test(`S-API-10 refused: ${what}`, () => {
    throws(() => parse(head), (error) => error instanceof BadHead && error.status === status);
  });
}

Deno.test("S-API-10 the end of a head is found however it comes", () => {
  const text = `GET / HTTP/1.1\r\n${HOST}\r\nGET`;
  const bytes = bytesOf(text);
  const scan: Scan = { at: 0, line: -1 };
  for (let to = 0; to < text.length - 3; to++) equal(findEnd(bytes, to, scan), 0, `${to}`);
  equal(findEnd(bytes, text.length - 3, scan), text.length - 3);
  equal(findEnd(bytes, text.length, { at: 0, line: -1 }), text.length - 3);
  for (const bare of ["GET / HTTP/1.1\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\n\n", "\n"]) {
    throws(() => findEnd(bytesOf(bare), bare.length, { at: 0, line: -1 }), BadHead);
  }
  // Found by fuzzing: the body before ends in the carriage return that is missing here.
  throws(() => findEnd(bytesOf("a\r\n\r\n"), 5, { at: 2, line: 1 }), BadHead);
});
