/** One long body as several requests at once, put together in order. Opens nothing itself. */
import type { Release } from "./retry.ts";

/** Bytes of one request: few enough to hold several, enough to be worth a round trip or two. */
export const RANGE_BYTES: number = 8 * 1024 * 1024;
/** Readers get no more at once. */
const CHUNK = 1024 * 1024;
/** Requests at once for one body, the first included. */
const WIDTH = 4;
/**
 * When the first {@linkcode RANGE_BYTES} were waited for this long, one connection is the narrow place. Where it brings more
 * than 40 MiB a second, more of them only cost processor time (a fifth here, twice as much at docker-registry).
 */
const SLOW_MS = 200;

/** Where the parts come from. */
export interface RangeSource {
  /** Bytes in all. */
  readonly size: number;
  /** Fills `into` with the bytes from `from` on. */
  fetch(from: number, into: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Leave for one more request, when there is any. */
  enter(): Release | undefined;
  /** The clock, in milliseconds. */
  now(): number;
}

/** Some bytes, or the end: what a stream's reader gives fits, too. */
export interface Read {
  readonly done: boolean;
  readonly value?: Uint8Array<ArrayBuffer> | undefined;
}

/** A part on its way. */
interface Part {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly size: number;
  readonly done: Promise<void>;
}

/**
 * Reads a body in order: from an answer that is there already, and, when that turns out to be slow, the rest in parts that
 * are fetched ahead. Chunks are good until the next is asked for. Who has no leave for more requests gets what a plain read
 * would be.
 */
export class RangeReader {
  readonly #source: RangeSource;
  readonly #first: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #over = new AbortController();
  readonly #parts: Part[] = [];
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  #at = 0;
  /** Milliseconds that were waited for the first answer. */
  #waited = 0;
  #decided = false;
  /** The first answer is read up to here. */
  #firstEnd: number;
  /** Behind the last part that was asked for. */
  #asked = 0;
  #current: Part | undefined;
  /** Of {@linkcode RangeReader.#current}, given to the reader. */
  #given = 0;

  /** `first` begins at 0. */
  constructor(
    source: RangeSource,
    first: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
  ) {
    this.#source = source;
    this.#first = first;
    this.#firstEnd = source.size;
  }

  /** As of a stream's reader. A part that cannot be had is an error where its bytes would come. */
  async read(): Promise<Read> {
    if (this.#current !== undefined && this.#given === this.#current.size) {
      this.#spare.push(this.#current.buffer);
      this.#current = undefined;
    }
    if (!this.#decided && this.#at >= RANGE_BYTES) this.#decide();
    if (this.#asked > 0) this.#askMore();
    if (this.#current !== undefined) return this.#give(this.#current);
    if (this.#at < this.#firstEnd) return await this.#readFirst();
    const part = this.#parts.shift();
    // The end, which the first answer tells where there were no parts.
    if (part === undefined) return this.#asked > 0 ? { done: true } : await this.#readFirst();
    await this.#first.cancel().catch(() => {});
    await part.done;
    this.#current = part;
    this.#given = 0;
    return this.#give(part);
  }

  /** Lets go of everything. */
  async cancel(reason?: unknown): Promise<void> {
    this.#over.abort(reason ?? new Error("cancelled"));
    const parts = this.#parts.splice(0);
    await this.#first.cancel(reason).catch(() => {});
    await Promise.allSettled(parts.map(({ done }) => done));
  }

  async #readFirst(): Promise<Read> {
    const start = this.#source.now();
    const { value } = await this.#first.read();
    this.#waited += this.#source.now() - start;
    if (value === undefined) return { done: true };
    // More than was announced is for who counts.
    const chunk = this.#asked > 0 ? value.subarray(0, this.#firstEnd - this.#at) : value;
    this.#at += chunk.byteLength;
    return { done: false, value: chunk };
  }

  #give({ buffer, size }: Part): Read {
    const value = buffer.subarray(this.#given, Math.min(size, this.#given + CHUNK));
    this.#given += value.byteLength;
    this.#at += value.byteLength;
    return { done: false, value };
  }

  /** The first answer goes on for another while, so that the parts behind it are there when it ends. */
  #decide(): void {
    this.#decided = true;
    const end = 2 * RANGE_BYTES;
    if (this.#at >= end || this.#waited < SLOW_MS || end >= this.#source.size) return;
    const leave = this.#source.enter();
    if (leave === undefined) return;
    this.#firstEnd = this.#asked = end;
    this.#ask(leave);
  }

  #askMore(): void {
    while (this.#parts.length < WIDTH - 1 && this.#asked < this.#source.size) {
      const leave = this.#source.enter();
      // With none under way the next one must come, if only in the place of the first answer.
      if (leave === undefined && (this.#parts.length > 0 || this.#at < this.#firstEnd)) return;
      this.#ask(leave);
    }
  }

  #ask(leave: Release | undefined): void {
    const size = Math.min(RANGE_BYTES, this.#source.size - this.#asked);
    const buffer = this.#spare.pop() ?? new Uint8Array(RANGE_BYTES);
    const done = this.#source.fetch(this.#asked, buffer.subarray(0, size), this.#over.signal)
      .finally(leave);
    done.catch(() => {}); // said when its turn comes
    this.#parts.push({ buffer, size, done });
    this.#asked += size;
  }
}
