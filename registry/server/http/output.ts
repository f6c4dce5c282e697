/** What goes out on one connection: heads and bodies of answers. */
import { type Answer, type AnswerBody, dropBody, type FileBody, isFileBody } from "./message.ts";
import type { Wire } from "./input.ts";
import { type Limits, Pace } from "./pace.ts";

/** How the end of an answer is told, and what follows. */
export interface Manner {
  /** The answer is one to HEAD: it has no body, whatever its head says. */
  readonly head: boolean;
  /** The connection is closed behind it. */
  readonly last: boolean;
  /** The client understands no chunks. */
  readonly old: boolean;
}

/** Bodies up to this go out with their head in one piece. */
const SMALL = 64 * 1024;
/** Of files: large enough that the price of a piece does not show. */
const PIECE = 256 * 1024;
/** When many are served at once they get less each, so that slow ones do not cost much. */
const SMALL_PIECE = 64 * 1024;
const MANY = 32;
/** A read that takes longer came from the disk: others need not wait for it. */
const QUICK_MS = 0.5;
/** So many reads are left to other threads then. */
const PATIENT_READS = 16;

/** Writes one connection, in order. */
export class Output {
  readonly #wire: Wire;
  readonly #limits: Limits;
  readonly #giveUp: () => void;
  /** Whoever looks after slow clients looks at this. */
  readonly pace: Pace;

  /** Writes nothing yet. `giveUp` has to close `wire`: the client takes nothing. */
  constructor(wire: Wire, limits: Limits, giveUp: () => void) {
    this.#wire = wire;
    this.#limits = limits;
    this.#giveUp = giveUp;
    this.pace = new Pace(limits, "was taken");
  }

  /**
   * Sends an answer, all of it. The body is let go in any case.
   *
   * @throws When the client is gone or too slow, or the body ends early: the connection is of no use then.
   */
  async send(answer: Answer, manner: Manner): Promise<void> {
    const { body, status } = answer;
    this.pace.reset();
    const bare = manner.head || status === 204 || status === 304;
    const length = body === null || bare
      ? lengthSaid(answer)
      : lengthOf(body) ?? lengthSaid(answer);
    const chunked = !bare && body !== null && length === undefined && !manner.old;
    const head = formatHead(answer, [
      ...(length !== undefined ? [`content-length: ${length}`] : []),
      ...(body === null && length === undefined && !bare ? ["content-length: 0"] : []),
      ...(chunked ? ["transfer-encoding: chunked"] : []),
      ...(manner.last ? ["connection: close"] : manner.old ? ["connection: keep-alive"] : []),
    ]);
    if (body === null || bare) {
      dropBody(body);
      await this.all(head);
    } else if (body instanceof Uint8Array) await this.#bytes(head, body);
    else if (isFileBody(body)) await this.#file(head, body);
    else await this.#stream(head, body, chunked, length);
  }

  /** Sends all of `bytes`. */
  async all(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength;) {
      this.pace.begin(this.#limits.idleMs, true, this.#giveUp);
      const sent = await this.#wire.write(at === 0 ? bytes : bytes.subarray(at));
      this.pace.end(sent);
      at += sent;
    }
  }

  async #bytes(head: Uint8Array, body: Uint8Array): Promise<void> {
    if (body.byteLength > SMALL) {
      await this.all(head);
      return await this.all(body);
    }
    const both = new Uint8Array(head.byteLength + body.byteLength);
    both.set(head);
    both.set(body, head.byteLength);
    await this.all(both);
  }

  /** One piece is read while the one before is on its way. */
  async #file(head: Uint8Array, { file, offset, length }: FileBody): Promise<void> {
    const buffers = takePair();
    let writing: Promise<void> = Promise.resolve();
    try {
      if (offset > 0) file.seekSync(offset, Deno.SeekMode.Start);
      buffers[0].set(head);
      let filled = head.byteLength;
      let patient = 0;
      let turn = 0;
      for (let left = length; left > 0; turn ^= 1) {
        const buffer = buffers[turn]!;
        const into = buffer.subarray(filled, Math.min(buffer.byteLength, filled + left));
        let got: number | null;
        if (patient > 0) {
          patient--;
          got = await file.read(into);
        } else {
          // What lies in memory is here sooner than another thread could be asked.
          const start = performance.now();
          got = file.readSync(into);
          if (performance.now() - start > QUICK_MS) patient = PATIENT_READS;
        }
        if (got === null) throw new Error("Cannot send on: the file is shorter than it was");
        left -= got;
        await writing;
        writing = this.all(buffer.subarray(0, filled + got));
        writing.catch(() => {}); // looked at in the next round
        filled = 0;
      }
      await writing;
    } finally {
      file.close();
      await writing.catch(() => {}); // until then it has its buffer
      giveBack(buffers);
    }
  }

  async #stream(
    head: Uint8Array,
    body: ReadableStream<Uint8Array<ArrayBuffer>>,
    chunked: boolean,
    length: number | undefined,
  ): Promise<void> {
    const reader = body.getReader();
    try {
      await this.all(head);
      let sent = 0;
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const { byteLength } = part.value;
        sent += byteLength;
        if (length !== undefined && sent > length) {
          throw new Error("Cannot send more than was said");
        }
        if (byteLength === 0) continue;
        if (chunked) await this.all(encode(`${byteLength.toString(16)}\r\n`));
        await this.all(part.value);
        if (chunked) await this.all(encode("\r\n"));
      }
      if (length !== undefined && sent < length) throw new Error("Cannot send less than was said");
      if (chunked) await this.all(encode("0\r\n\r\n"));
    } catch (error) {
      await reader.cancel(error).catch(() => {});
      throw error;
    }
  }
}

/** What is known of a body's length before it is sent. */
function lengthOf(body: AnswerBody): number | undefined {
  if (body instanceof Uint8Array) return body.byteLength;
  return isFileBody(body) ? body.length : undefined;
}

function lengthSaid({ headers }: Answer): number | undefined {
  const said = headers["content-length"];
  return said === undefined ? undefined : Number(said);
}

/** Whether a client that knows no chunks finds the end of an answer only by the connection's. */
export function endsConnection({ body, headers, status }: Answer): boolean {
  return body !== null && status !== 204 && status !== 304 && lengthOf(body) === undefined &&
    headers["content-length"] === undefined;
}

type Pair = readonly [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];

const spare: Pair[] = [];
const MAX_SPARE = 4;
let taken = 0;

function takePair(): Pair {
  taken++;
  if (taken > MANY) return [new Uint8Array(SMALL_PIECE), new Uint8Array(SMALL_PIECE)];
  return spare.pop() ?? [new Uint8Array(PIECE), new Uint8Array(PIECE)];
}

function giveBack(pair: Pair): void {
  taken--;
  if (pair[0].byteLength === PIECE && spare.length < MAX_SPARE) spare.push(pair);
}

const encoder = new TextEncoder();
const encode = (text: string) => encoder.encode(text);

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// deno-lint-ignore no-control-regex
const UNSENDABLE = /[\0-\x08\x0a-\x1f\x7f]|[^\0-\xff]/;

/** The head of an answer as bytes. A header that cannot be sent is left out: half of it would be another one. */
function formatHead(answer: Answer, more: readonly string[]): Uint8Array<ArrayBuffer> {
  let text = `HTTP/1.1 ${answer.status} ${REASONS[answer.status] ?? ""}\r\n`;
  const { headers } = answer;
  for (const name in headers) {
    const value = headers[name]!;
    if (name === "content-length") continue; // comes with `more`
    for (const one of typeof value === "string" ? [value] : value) {
      if (NAME.test(name) && !UNSENDABLE.test(one)) text += `${name}: ${one}\r\n`;
    }
  }
  for (const line of more) text += `${line}\r\n`;
  text += `date: ${date()}\r\n\r\n`;
  const bytes = new Uint8Array(text.length);
  // Only ASCII takes one byte a character there.
  if (encoder.encodeInto(text, bytes).read !== text.length) {
    for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  }
  return bytes;
}

let dateText = "";
let dateSecond = -1;

function date(): string {
  const now = Date.now();
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(now).toUTCString();
  }
  return dateText;
}

/** For people who read the wire. */
const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  206: "Partial Content",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};
