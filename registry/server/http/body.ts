/** The body of a request, as the connection brings it. */
import { OciError } from "../../oci/error.ts";
import { BadHead } from "./head.ts";
import { Gone, type Input } from "./input.ts";
import type { BodyReader } from "./message.ts";

/** The line with a chunk's length; extensions count (a client could send them for ever). */
const MAX_LINE = 256;
/** Fields behind the last chunk. */
const MAX_TRAILERS = 32;
const MAX_TRAILER = 1024;

/** A body on its way in. */
export class RequestBody implements BodyReader {
  readonly #input: Input;
  readonly #chunked: boolean;
  /** Called before the first read: the client may wait to be told to send. */
  #before: (() => Promise<void>) | undefined;
  #left: number;
  #first = true;
  #done: boolean;
  #failed = false;

  /** `before` is called once, when somebody wants the body. */
  constructor(input: Input, length: number | "chunked", before?: () => Promise<void>) {
    this.#input = input;
    this.#chunked = length === "chunked";
    this.#left = length === "chunked" ? 0 : length;
    this.#done = length === 0;
    this.#before = before;
  }

  /** All of it was read: what comes next is the next request. */
  get done(): boolean {
    return this.#done;
  }

  /** Whether the rest is worth reading for the sake of the connection: at most so many bytes, and they come. */
  isShort(most: number): boolean {
    return !this.#failed && this.#before === undefined && !this.#chunked && this.#left <= most;
  }

  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#done) return undefined;
    if (this.#failed) throw new Gone();
    try {
      const before = this.#before;
      this.#before = undefined;
      await before?.();
      return await this.#next();
    } catch (error) {
      this.#failed = true;
      if (!(error instanceof BadHead)) throw error;
      const message = `Cannot read the body: ${error.message}`;
      throw new OciError("BLOB_UPLOAD_INVALID", message, { status: error.status, cause: error });
    }
  }

  async #next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#chunked && this.#left === 0 && !await this.#nextChunk()) return undefined;
    const part = await this.#input.some(this.#left);
    if (part === undefined) throw new Gone();
    this.#left -= part.byteLength;
    if (this.#left === 0 && !this.#chunked) this.#done = true;
    return part;
  }

  async #nextChunk(): Promise<boolean> {
    if (!this.#first && await this.#input.line(0) !== "") throw unreadable();
    this.#first = false;
    const line = await this.#input.line(MAX_LINE);
    // No sign, no space, no "0x": each of them is a length to somebody.
    const size = /^([0-9a-fA-F]{1,12})(?:[ \t]*;[\t -~\x80-\xff]*)?$/.exec(line);
    if (size === null) throw unreadable();
    this.#left = parseInt(size[1]!, 16);
    if (this.#left > 0) return true;
    for (let at = 0; await this.#input.line(MAX_TRAILER) !== ""; at++) {
      if (at >= MAX_TRAILERS) throw unreadable();
    }
    this.#done = true;
    return false;
  }
}

function unreadable(): BadHead {
  return new BadHead(400, "want chunks as RFC 9112 has them");
}
