/** HTTP/1.1 as it goes over one connection. Opens nothing: a connection is anything that reads and writes. */
import { TransportError } from "./transport_error.ts";

/** A connection under HTTP; what Deno's connections are. */
export interface Wire {
  /** Fills some of `into`; `null` at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Sends some of `bytes`; returns how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends it: what waits for it fails. */
  close(): void;
  /** It is in use: the process stays for it. */
  ref(): void;
  /** Nobody waits for it: the process may end. */
  unref(): void;
}

/** The head of an answer. */
export interface AnswerHead {
  /** The status; never 1xx. */
  readonly status: number;
  /** Repeated headers are joined with `, `. */
  readonly headers: Headers;
  /** The server closes the connection behind this answer. */
  readonly last: boolean;
}

/** A head longer than this is an attack (M-04). */
const MAX_HEAD = 64 * 1024;
/** A line of a chunked body that is longer is no length. */
const MAX_LINE = 4 * 1024;
const MIN_READ = 16 * 1024;
/** Reads grow up to here while they are filled. */
const MAX_READ = 512 * 1024;
const NEWLINE = 10;

/** One connection: one exchange at a time, in order. */
export class Connection {
  readonly #wire: Wire;
  readonly #host: string;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(4 * 1024);
  #from = 0;
  #to = 0;
  #ahead: Promise<number | null> | undefined;
  #readSize = MIN_READ;
  #again: Uint8Array<ArrayBuffer> = new Uint8Array();
  #closed = false;
  #resting = false;
  /** It has carried an exchange before: the server may have given it up meanwhile. */
  reused = false;

  /** Takes `wire` over. `host` is for messages. */
  constructor(wire: Wire, host: string) {
    this.#wire = wire;
    this.#host = host;
  }

  /** Ends it. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // The end of a read that was begun ahead is waited for: without this the process may end before it.
    this.#wire.ref();
    this.#wire.close();
  }

  /** Whether it is of use no more. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Nobody needs it now. It is read from all the same, so that we learn at once when the server closes it, and do
   * not send the next request into the void.
   */
  idle(): void {
    this.reused = true;
    this.#resting = true;
    // More than was asked for: what comes next cannot be told from it.
    if (this.#from < this.#to) return this.close();
    this.#from = this.#to = 0;
    const ahead = this.#wire.read(this.#buffer);
    this.#ahead = ahead;
    this.#wire.unref();
    const over = () => {
      if (this.#resting) this.close();
    };
    ahead.then(over, over);
  }

  /** It carries the next exchange. */
  take(): void {
    this.#resting = false;
    this.#wire.ref();
  }

  /** Settles when a read that was begun ahead is over. */
  async settled(): Promise<void> {
    await this.#ahead?.catch(() => {});
  }

  /** Sends all of `bytes`. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength;) {
      at += await this.#wire.write(at === 0 ? bytes : bytes.subarray(at));
    }
  }

  /**
   * The head of the next answer. Heads that only announce one (1xx) are passed over.
   *
   * @throws {TransportError} When the connection ends before, or what comes is not HTTP.
   */
  async head(): Promise<AnswerHead> {
    for (let scanned = this.#from;;) {
      const end = endOfHead(this.#buffer, Math.max(this.#from, scanned - 3), this.#to);
      if (end > 0) {
        const head = this.#parse(latin1(this.#buffer.subarray(this.#from, end)));
        this.#from = end;
        scanned = end;
        if (head.status >= 200) return head;
        continue;
      }
      if (this.#to - this.#from >= MAX_HEAD) {
        throw this.#refuse("the head of its answer is too long");
      }
      const before = this.#from;
      scanned = this.#to;
      if (!await this.#fill()) {
        throw new TransportError("reset", this.#host, "the connection was cut", {
          stale: this.reused && this.#to === this.#from,
        });
      }
      scanned -= before - this.#from;
    }
  }

  /**
   * The body behind `head`, for an answer to `method`.
   *
   * @throws {TransportError} When its length is not to be understood.
   */
  body(head: AnswerHead, method: string): Body {
    const { headers, status } = head;
    const coding = headers.get("transfer-encoding");
    const lengths = new Set(headers.get("content-length")?.split(",").map((text) => text.trim()));
    const [length] = lengths;
    if (method === "HEAD" || status === 204 || status === 304) return new Body(this, 0);
    if (coding !== null) {
      if (!/(?:^|,)\s*chunked\s*$/i.test(coding)) {
        throw this.#refuse("its answer has an unknown coding");
      }
      return new Body(this, "chunked");
    }
    if (length === undefined) return new Body(this, "rest");
    // Two lengths are two answers to somebody (request smuggling); none may guess.
    if (lengths.size > 1 || !/^\d{1,15}$/.test(length)) {
      throw this.#refuse("the length of its answer cannot be read");
    }
    return new Body(this, Number(length));
  }

  /** Bytes that are here already. */
  get buffered(): number {
    return this.#to - this.#from;
  }

  /**
   * Some bytes, at most `max`; `undefined` at the end of the connection. They are the caller's own, or with
   * `reuse` good until the next call.
   */
  async some(max: number, reuse: boolean): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#from < this.#to) {
      const part = this.#buffer.slice(this.#from, Math.min(this.#to, this.#from + max));
      this.#from += part.byteLength;
      return part;
    }
    // Memory made here counts for the collector at least; what Node's streams bring does not, and is left lying
    // about. Under load the collector is late even so: a few hundred MiB late.
    if (reuse && this.#again.byteLength < this.#readSize) {
      this.#again = new Uint8Array(this.#readSize);
    }
    const size = Math.min(max, this.#readSize);
    const into = reuse ? this.#again.subarray(0, size) : new Uint8Array(size);
    const got = await this.#wire.read(into);
    if (got === null) return undefined;
    if (got === into.byteLength) {
      this.#readSize = Math.min(MAX_READ, this.#readSize * 2);
      return into;
    }
    if (got * 4 < this.#readSize) this.#readSize = Math.max(MIN_READ, this.#readSize / 2);
    return into.subarray(0, got);
  }

  /** One line without its end. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#buffer.subarray(0, this.#to).indexOf(NEWLINE, this.#from);
      if (end >= 0) {
        const text = latin1(this.#buffer.subarray(this.#from, end));
        this.#from = end + 1;
        return text.replace(/\r$/, "");
      }
      if (this.#to - this.#from > MAX_LINE) {
        throw this.#refuse("a chunk of its answer has no length");
      }
      if (!await this.#fill()) throw this.cut();
    }
  }

  /** The error for a connection that ended too early. */
  cut(): TransportError {
    return new TransportError("reset", this.#host, "the connection was cut");
  }

  async #fill(): Promise<boolean> {
    if (this.#from > 0) {
      this.#buffer.copyWithin(0, this.#from, this.#to);
      this.#to -= this.#from;
      this.#from = 0;
    }
    if (this.#to === this.#buffer.byteLength) {
      const larger = new Uint8Array(2 * this.#to);
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    const ahead = this.#ahead;
    this.#ahead = undefined;
    const got = await (ahead ?? this.#wire.read(this.#buffer.subarray(this.#to)));
    if (got === null) return false;
    this.#to += got;
    return true;
  }

  #parse(text: string): AnswerHead {
    const lines = text.replace(/\r?\n[ \t]+/g, " ").split(/\r?\n/);
    const status = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(lines[0]!);
    if (status === null) throw this.#refuse("what it answered is not HTTP");
    const headers = new Headers();
    for (let at = 1; at < lines.length; at++) {
      const line = lines[at]!;
      const colon = line.indexOf(":");
      if (colon <= 0) continue;
      try {
        headers.append(line.slice(0, colon), line.slice(colon + 1));
      } catch {
        // A header that is none is as good as absent.
      }
    }
    const said = headers.get("connection")?.toLowerCase() ?? "";
    return {
      status: Number(status[2]),
      headers,
      last: status[1] === "0" || said.includes("close"),
    };
  }

  #refuse(why: string): TransportError {
    return new TransportError("reset", this.#host, why, { retryable: false });
  }
}

/** A body on its way in. */
export class Body {
  readonly #connection: Connection;
  readonly #chunked: boolean;
  /** Of the body, or of the chunk at hand; without end when the connection's end is the body's. */
  #left: number;
  #first = true;
  /** All of it was read. */
  done: boolean;
  /** A chunk need be good only until the next {@linkcode next}. */
  reuse = false;
  /** Another answer may follow on the connection. */
  readonly delimited: boolean;

  /** `length` in bytes, or how the end will be known. */
  constructor(connection: Connection, length: number | "chunked" | "rest") {
    this.#connection = connection;
    this.#chunked = length === "chunked";
    this.#left = length === "chunked" ? 0 : length === "rest" ? Infinity : length;
    this.done = length === 0;
    this.delimited = length !== "rest";
  }

  /** Whether all of it is here: then {@linkcode next} gives it at once, in one piece. */
  get here(): boolean {
    return !this.#chunked && this.#left <= this.#connection.buffered;
  }

  /**
   * The next bytes, the caller's own; `undefined` at the end.
   *
   * @throws {TransportError} When it ends early.
   */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.done) return undefined;
    if (this.#chunked && this.#left === 0 && !await this.#nextChunk()) return undefined;
    let part = await this.#connection.some(this.#left, this.reuse);
    while (part?.byteLength === 0) part = await this.#connection.some(this.#left, this.reuse);
    if (part === undefined) {
      if (this.delimited) throw this.#connection.cut();
      this.done = true;
      return undefined;
    }
    this.#left -= part.byteLength;
    if (this.#left === 0 && !this.#chunked) this.done = true;
    return part;
  }

  async #nextChunk(): Promise<boolean> {
    if (!this.#first && await this.#connection.line() !== "") throw this.#connection.cut();
    this.#first = false;
    const size = /^([0-9a-f]{1,12})\s*(?:;|$)/i.exec(await this.#connection.line());
    if (size === null) throw this.#connection.cut();
    this.#left = parseInt(size[1]!, 16);
    if (this.#left > 0) return true;
    // Trailers say nothing we need; their number is bounded all the same.
    for (let at = 0; await this.#connection.line() !== ""; at++) {
      if (at > 100) throw this.#connection.cut();
    }
    this.done = true;
    return false;
  }
}

/** Behind the empty line that ends a head; 0 while there is none. */
function endOfHead(bytes: Uint8Array, from: number, to: number): number {
  for (
    let at = bytes.indexOf(NEWLINE, from);
    at >= 0 && at < to;
    at = bytes.indexOf(NEWLINE, at + 1)
  ) {
    if (at + 1 < to && bytes[at + 1] === NEWLINE) return at + 2;
    if (at + 2 < to && bytes[at + 1] === 13 && bytes[at + 2] === NEWLINE) return at + 3;
  }
  return 0;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

function latin1(bytes: Uint8Array): string {
  // Heads are ASCII but for rare ones, and that much is the same in both.
  const ascii = decoder.decode(bytes);
  if (ascii.length === bytes.byteLength && !/[^\0-\x7f]/.test(ascii)) return ascii;
  let text = "";
  for (let at = 0; at < bytes.byteLength; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return text;
}

/** The head of a request as bytes. `lines` hold no line ends: {@linkcode Headers} would not take them either. */
export function requestHead(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  let text = `${method} ${path} HTTP/1.1\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    // A line end in a value would start a header of somebody else's choice (N-11).
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name) || /[\r\n\0]|[^\0-\xff]/.test(value)) {
      throw new TypeError(`Cannot send header ${JSON.stringify(name)}: its value cannot be sent`);
    }
    text += `${name}: ${value}\r\n`;
  }
  text += "\r\n";
  const bytes = new Uint8Array(text.length);
  // Only ASCII takes one byte a character there.
  if (encoder.encodeInto(text, bytes).read !== text.length) {
    for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  }
  return bytes;
}
