/**
 * The head of a request, read strictly: what two readers could understand in two ways is refused, since a proxy in
 * front may have understood it in the other (request smuggling).
 *
 * @see RFC 9112, sections 2.2, 3, 5, 6 and 11.2
 */
import { Buffer } from "node:buffer";
import type { HeaderView } from "./message.ts";

/** What is asked, and how the body behind it is delimited. */
export interface RequestHead {
  /** As sent. */
  readonly method: string;
  /** Path and query; the host of an absolute form is left out. */
  readonly target: string;
  /** By lower-case name. */
  readonly headers: HeaderView;
  /** Bytes of the body, or that it comes in chunks. */
  readonly length: number | "chunked";
  /** The client wants no further exchange on this connection. */
  readonly last: boolean;
  /** The client waits for `100 Continue` before it sends the body. */
  readonly waits: boolean;
  /** The client speaks HTTP/1.0 and understands no chunks. */
  readonly old: boolean;
}

/** A head that is not answered by any handler. The connection is closed behind the answer. */
export class BadHead extends Error {
  override readonly name = "BadHead";
  /** What to answer. */
  readonly status: number;

  /** `why` is for the client and has nothing of what it sent. */
  constructor(status: number, why: string) {
    super(why);
    this.status = status;
  }
}

/** Longest head. Bearer tokens are the longest part of what registry clients send. */
export const MAX_HEAD: number = 32 * 1024;
const MAX_FIELDS = 100;
const NEWLINE = 10;
const RETURN = 13;

/** What is kept between two looks at a head that comes in pieces. */
export interface Scan {
  /** Everything before was looked at. */
  at: number;
  /** The last line end found, or where the head begins, less one. */
  line: number;
}

/**
 * Looks for the empty line that ends a head.
 *
 * @returns The index behind it; 0 while it is not there.
 * @throws {BadHead} When a line ends without a carriage return.
 */
export function findEnd(bytes: Uint8Array, to: number, scan: Scan): number {
  for (;;) {
    const at = bytes.indexOf(NEWLINE, scan.at);
    if (at < 0 || at >= to) {
      scan.at = to;
      return 0;
    }
    scan.at = at + 1;
    // What stands before the head belongs to the body of another request.
    if (at - scan.line < 2 || bytes[at - 1] !== RETURN) {
      throw new BadHead(400, "want lines that end in CR LF");
    }
    if (at - scan.line === 2) return at + 1;
    scan.line = at;
  }
}

class Fields implements HeaderView {
  readonly #values = new Map<string, string>();

  get(name: string): string | null {
    return this.#values.get(name) ?? this.#values.get(name.toLowerCase()) ?? null;
  }

  has(name: string): boolean {
    return this.#values.has(name) || this.#values.has(name.toLowerCase());
  }

  [Symbol.iterator](): Iterator<[string, string]> {
    return this.#values[Symbol.iterator]();
  }

  add(name: string, value: string): void {
    const before = this.#values.get(name);
    if (before === undefined) this.#values.set(name, value);
    else if (ONCE.has(name)) throw new BadHead(400, `want one ${name}`);
    else this.#values.set(name, `${before}, ${value}`);
  }
}

/** Of these the first and the last may each be the one that somebody believes. */
const ONCE: ReadonlySet<string> = new Set([
  ...["host", "content-length", "transfer-encoding", "content-type", "content-range"],
  ...["authorization", "range", "expect"],
]);

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const REQUEST = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]+) HTTP\/([0-9])\.([0-9])$/;
// deno-lint-ignore no-control-regex
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
const SURROUNDING = /^[ \t]+|[ \t]+$/g;

/**
 * Reads a head.
 *
 * @param bytes From the request line to the empty line, that included.
 * @throws {BadHead}
 */
export function parseHead(bytes: Uint8Array<ArrayBuffer>): RequestHead {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const lines = text.split("\r\n");
  const first = REQUEST.exec(lines[0]!);
  if (first === null) throw new BadHead(400, "want a request line of HTTP/1.1");
  const [, method, target, major, minor] = first;
  if (major !== "1") throw new BadHead(505, "want HTTP/1.1");
  // Behind the last line stand two more, which are empty.
  if (lines.length - 3 > MAX_FIELDS) throw new BadHead(431, `want at most ${MAX_FIELDS} headers`);
  const headers = new Fields();
  for (let at = 1; at < lines.length - 2; at++) {
    const line = lines[at]!;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon));
    // No space before the colon, no line that goes on with the one above.
    if (!TOKEN.test(name)) throw new BadHead(400, "want headers of the form NAME: VALUE");
    const value = line.slice(colon + 1).replace(SURROUNDING, "");
    if (CONTROL.test(value)) throw new BadHead(400, "want headers without control characters");
    headers.add(name.toLowerCase(), value);
  }
  const old = minor === "0";
  const host = headers.get("host");
  if (!old && host === null) throw new BadHead(400, "want a Host header");
  if (host !== null && /[\s,/?#@]/.test(host)) throw new BadHead(400, "want one host in Host");
  const expect = headers.get("expect");
  if (expect !== null && expect.toLowerCase() !== "100-continue") {
    throw new BadHead(417, "want no other Expect than 100-continue");
  }
  const length = lengthOf(headers, old);
  const options = headers.get("connection")?.toLowerCase().split(/[ \t]*,[ \t]*/) ?? [];
  return {
    method: method!,
    target: originOf(target!),
    headers,
    length,
    last: options.includes("close") || (old && !options.includes("keep-alive")),
    waits: expect !== null && !old && length !== 0,
    old,
  };
}

function lengthOf(headers: HeaderView, old: boolean): number | "chunked" {
  const coding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (coding !== null) {
    if (length !== null) throw new BadHead(400, "want one of Content-Length and Transfer-Encoding");
    if (old) throw new BadHead(400, "want no Transfer-Encoding in HTTP/1.0");
    if (coding.toLowerCase() !== "chunked") throw new BadHead(501, "want no coding but chunked");
    return "chunked";
  }
  if (length === null) return 0;
  if (!/^[0-9]{1,15}$/.test(length)) throw new BadHead(400, "want a number in Content-Length");
  return Number(length);
}

function originOf(target: string): string {
  if (target.startsWith("/")) return target;
  const absolute = /^https?:\/\/[^/?#]+(.*)$/i.exec(target);
  if (absolute === null) throw new BadHead(400, "want a path that begins with a slash");
  const [, rest = ""] = absolute;
  return rest.startsWith("/") ? rest : `/${rest}`;
}
