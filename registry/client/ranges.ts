/** One long body as several requests at once, put together in order. Opens nothing itself. */
import type { Release } from "./retry.ts";

/** Bytes of one request: few enough to hold several, enough to be worth a round trip or two. */
export const RANGE_BYTES: number = 8 * 1024 * 1024;
/** Readers get no more at once. */
const CHUNK = 1024 * 1024;
/** Requests at once for one body, the first included. */
const WIDTH = 4;

/** Where the parts come from. */
export interface RangeSource {
  /** Bytes in all. */
  readonly size: number;
  /** Fills `into` with the bytes from `from` on. */
  fetch(from: number, into: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Leave for one more request, when there is any. */
  enter(): Release | undefined;
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
 * Reads a body in order: its beginning from an answer that is there already, the rest in parts that are fetched ahead.
 * Chunks are good until the next is asked for. Who has no leave for more requests gets what a plain read would be.
 */
export class RangeReader {
  readonly #source: RangeSource;
  readonly #first: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #over = new AbortController();
  readonly #parts: Part[] = [];
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  /** Behind the last part that was asked for. */
  #asked = RANGE_BYTES;
  #at = 0;
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
  }

  /** As of a stream's reader. A part that cannot be had is an error where its bytes would come. */
  async read(): Promise<Read> {
    if (this.#current !== undefined && this.#given === this.#current.size) {
      this.#spare.push(this.#current.buffer);
      this.#current = undefined;
    }
    this.#ask();
    if (this.#current !== undefined) return this.#give(this.#current);
    if (this.#at < this.#firstEnd()) {
      const { value } = await this.#first.read();
      if (value === undefined) return { done: true };
      const chunk = value.subarray(
        0,
        this.#parts.length === 0 ? undefined : this.#firstEnd() - this.#at,
      );
      this.#at += chunk.byteLength;
      return { done: false, value: chunk };
    }
    const part = this.#parts.shift();
    if (part === undefined) return { done: true };
    await this.#first.cancel().catch(() => {});
    await part.done;
    this.#current = part;
    this.#given = 0;
    return this.#give(part);
  }

  #give({ buffer, size }: Part): Read {
    const value = buffer.subarray(this.#given, Math.min(size, this.#given + CHUNK));
    this.#given += value.byteLength;
    this.#at += value.byteLength;
    return { done: false, value };
  }

  /** Lets go of everything. */
  async cancel(reason?: unknown): Promise<void> {
    this.#over.abort(reason ?? new Error("cancelled"));
    const parts = this.#parts.splice(0);
    await this.#first.cancel(reason).catch(() => {});
    await Promise.allSettled(parts.map(({ done }) => done));
  }

  /** Where the first answer is no longer needed; its own end as long as no part was asked for. */
  #firstEnd(): number {
    return this.#asked > RANGE_BYTES ? RANGE_BYTES : this.#source.size;
  }

  #ask(): void {
    // Once the first answer has been read beyond its part, it alone goes on.
    if (this.#asked === RANGE_BYTES && this.#at > 0) return;
    while (this.#parts.length < WIDTH - 1 && this.#asked < this.#source.size) {
      const leave = this.#source.enter();
      // With parts under way the next one must come, if only by a request that waits its turn.
      if (leave === undefined && (this.#parts.length > 0 || this.#asked === RANGE_BYTES)) return;
      const size = Math.min(RANGE_BYTES, this.#source.size - this.#asked);
      const buffer = this.#spare.pop() ?? new Uint8Array(RANGE_BYTES);
      const done = this.#source.fetch(
        this.#asked,
        buffer.subarray(0, size),
        this.#over.signal,
      ).finally(leave);
      done.catch(() => {}); // said when its turn comes
      this.#parts.push({ buffer, size, done });
      this.#asked += size;
    }
  }
}
