/** Reads tars as they come in, in chunks of any size, without a promise per block or entry. */
import type { Source } from "../source.ts";
import { decompress, isCompressed } from "./decompress.ts";
import { eachChunk } from "./file_chunks.ts";
import { DECISIVE, MAX_PAX_BYTES, parsePax } from "./pax.ts";
import type { ReadLimits } from "./read_limits.ts";
import { decodeBlock, decodeHeader, type RawHeader } from "./tar_decode.ts";
import { BLOCK, padded, type TarHeader } from "./tar_format.ts";
import { nextTurn, SLICE_MS } from "./turn.ts";

/** Told of what a tar holds, in order. An error thrown here ends the reading and reaches the caller. */
export interface TarVisitor {
  /** An entry starts. */
  header(header: TarHeader): void;
  /** A piece of its body; valid during the call only. */
  body?(bytes: Uint8Array): void;
  /** All of its body was there. */
  end?(): void;
  /** Bytes that are no body: headers, padding, the end and what comes behind it. Valid during the call only. */
  frame?(bytes: Uint8Array): void;
}

const DEFAULTS = { maxBytes: 64 * 2 ** 30, maxEntries: 4_000_000 };

interface Gathering {
  readonly flag: string;
  /** Bytes the header gave it. */
  readonly said: number;
  readonly bytes: Uint8Array;
  filled: number;
}

/** The state of a reading: feed it chunks with {@linkcode push}, then {@linkcode finish}. */
export class TarParser {
  readonly #visitor: TarVisitor;
  readonly #maxBytes: number;
  readonly #maxEntries: number;
  /** A header block that lies across two chunks. */
  readonly #partial = new Uint8Array(BLOCK);
  #filled = 0;
  /** Bytes read, for messages and limits. */
  #at = 0;
  #entries = 0;
  /** Body bytes of the current entry still to come, then its padding. */
  #left = 0;
  #padding = 0;
  /** The metadata header whose body is being gathered. */
  #gather: Gathering | undefined;
  #pax: ReadonlyMap<string, string> | undefined;
  #longName: Uint8Array | undefined;
  #longLink: Uint8Array | undefined;
  #zeroBlocks = 0;

  /** Starts a reading that tells `visitor`. */
  constructor(visitor: TarVisitor, limits: ReadLimits = {}) {
    this.#visitor = visitor;
    this.#maxBytes = limits.maxBytes ?? DEFAULTS.maxBytes;
    this.#maxEntries = limits.maxEntries ?? DEFAULTS.maxEntries;
  }

  /** Entries seen so far. */
  get entries(): number {
    return this.#entries;
  }

  /** Bytes seen so far. */
  get bytes(): number {
    return this.#at;
  }

  /** Takes more bytes. What comes behind the end of the archive is counted and ignored. */
  push(chunk: Uint8Array): void {
    if (this.#at + chunk.byteLength > this.#maxBytes) {
      throw new RangeError(`Cannot read tar: it is longer than ${this.#maxBytes} bytes`);
    }
    let at = 0;
    while (at < chunk.byteLength) {
      const rest = chunk.byteLength - at;
      const isFrame = this.#left === 0 || this.#gather !== undefined;
      let took: number;
      if (this.#zeroBlocks >= 2) {
        took = rest;
      } else if (this.#left > 0) {
        took = Math.min(rest, this.#left);
        this.#body(chunk.subarray(at, at + took));
      } else if (this.#padding > 0) {
        took = Math.min(rest, this.#padding);
        this.#padding -= took;
      } else if (this.#filled === 0 && rest >= BLOCK) {
        took = BLOCK;
        this.#block(chunk.subarray(at, at + BLOCK));
      } else {
        took = Math.min(rest, BLOCK - this.#filled);
        this.#partial.set(chunk.subarray(at, at + took), this.#filled);
        this.#filled += took;
        if (this.#filled === BLOCK) {
          this.#filled = 0;
          this.#block(this.#partial);
        }
      }
      if (isFrame) this.#visitor.frame?.(chunk.subarray(at, at + took));
      at += took;
      this.#at += took;
    }
  }

  /**
   * Says that no more bytes come.
   *
   * @throws {SyntaxError} When the tar was cut short.
   */
  finish(): void {
    const open = this.#left > 0 || this.#padding > 0 || this.#filled > 0 ||
      this.#gather !== undefined || this.#announced();
    if (open) throw new SyntaxError(`Cannot read tar: it ends in the middle, at byte ${this.#at}`);
  }

  #announced(): boolean {
    return this.#pax !== undefined || this.#longName !== undefined || this.#longLink !== undefined;
  }

  #body(bytes: Uint8Array): void {
    this.#left -= bytes.byteLength;
    const gather = this.#gather;
    if (gather === undefined) {
      this.#visitor.body?.(bytes);
      if (this.#left === 0) this.#visitor.end?.();
      return;
    }
    gather.bytes.set(bytes, gather.filled);
    gather.filled += bytes.byteLength;
    if (this.#left === 0) {
      this.#gather = undefined;
      this.#named(() => {
        const end = gather.bytes.indexOf(0);
        if (gather.flag !== "x" && gather.flag !== "g" && end > gather.said) {
          throw new SyntaxError("a long name goes on behind its end");
        }
        this.#announce(gather.flag, gather.bytes);
      });
    }
  }

  #announce(flag: string, bytes: Uint8Array): void {
    if (flag === "g") {
      // Records for all that follows: some readers heed them and some do not, so they may not decide anything.
      for (const key of parsePax(bytes).keys()) {
        if (DECISIVE.has(key) || key.startsWith("GNU.sparse.")) {
          throw new SyntaxError(`a global header sets ${key} for every entry`);
        }
      }
      return;
    }
    const taken = flag === "x" ? this.#pax : flag === "L" ? this.#longName : this.#longLink;
    if (taken !== undefined) throw new SyntaxError(`two ${flag} headers speak of one entry`);
    if (flag === "x") this.#pax = parsePax(bytes);
    else if (flag === "L") this.#longName = bytes;
    else this.#longLink = bytes;
  }

  #block(block: Uint8Array): void {
    if (isZero(block)) {
      if (this.#announced()) {
        throw new SyntaxError(`Cannot read tar: it ends in the middle, at byte ${this.#at}`);
      }
      this.#zeroBlocks++;
      return;
    }
    this.#named(() => {
      if (this.#zeroBlocks > 0) throw new SyntaxError("it follows a lone block of zeros");
      const raw = decodeBlock(block);
      if ("xgLK".includes(raw.flag)) this.#meta(raw);
      else this.#entry(raw);
    });
  }

  #meta(raw: RawHeader): void {
    if (raw.size > MAX_PAX_BYTES) {
      throw new SyntaxError(`its ${raw.flag} header has ${raw.size} bytes, want ${MAX_PAX_BYTES}`);
    }
    if (raw.flag === "g") {
      if (this.#announced()) throw new SyntaxError("a global header has a header of its own");
      this.#count();
    }
    if (raw.size === 0) return this.#announce(raw.flag, new Uint8Array());
    // A GNU name ends at its first NUL, and some readers look for it in the padding too.
    const size = raw.flag === "L" || raw.flag === "K" ? padded(raw.size) : raw.size;
    this.#gather = { flag: raw.flag, said: raw.size, bytes: new Uint8Array(size), filled: 0 };
    this.#expect(size);
  }

  #entry(raw: RawHeader): void {
    this.#count();
    const header = decodeHeader(raw, {
      pax: this.#pax,
      longName: this.#longName,
      longLink: this.#longLink,
    });
    this.#pax = this.#longName = this.#longLink = undefined;
    this.#visitor.header(header);
    this.#expect(header.size);
    if (header.size === 0) this.#visitor.end?.();
  }

  #count(): void {
    if (++this.#entries > this.#maxEntries) {
      throw new RangeError(`Cannot read tar: it has more than ${this.#maxEntries} entries`);
    }
  }

  #expect(size: number): void {
    this.#left = size;
    this.#padding = padded(size) - size;
  }

  /** Says where in the tar a fault of the codec was. */
  #named(act: () => void): void {
    try {
      act();
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      if (cause.message.startsWith("Cannot ")) throw cause;
      throw new SyntaxError(`Cannot read tar entry at byte ${this.#at}: ${cause.message}`, {
        cause,
      });
    }
  }
}

function isZero(block: Uint8Array): boolean {
  for (let at = 0; at < BLOCK; at++) if (block[at] !== 0) return false;
  return true;
}

/** Options of {@linkcode walkTar}. */
export interface WalkTarOptions {
  /** Against bombs. */
  readonly limits?: ReadLimits | undefined;
  /** Stops between two chunks. */
  readonly signal?: AbortSignal | undefined;
  /** Gets all bytes of the decompressed tar, in order, before the visitor is told of them. Valid during the call only. */
  readonly onBytes?: ((chunk: Uint8Array) => void) | undefined;
}

/** What a reading saw. */
export interface TarSummary {
  /** Entries. */
  readonly entries: number;
  /** Bytes of the decompressed tar, with what lay behind its end. */
  readonly bytes: number;
}

/**
 * Reads a tar, plain or compressed by any codec wherry knows (told by its first bytes, CA-7), to the end of the
 * stream. The stream is cancelled when anything fails. A plain file is read quickest as a source.
 *
 * @throws {SyntaxError} When it is malformed, ambiguous or cut short.
 * @throws {RangeError} When a limit is passed.
 */
export async function walkTar(
  from: ReadableStream<Uint8Array> | Source,
  visitor: TarVisitor,
  options: WalkTarOptions = {},
): Promise<TarSummary> {
  const parser = new TarParser(visitor, options.limits);
  const take = (chunk: Uint8Array) => {
    options.onBytes?.(chunk);
    parser.push(chunk);
  };
  if (!(from instanceof ReadableStream) && from.file !== undefined && await isPlain(from.file)) {
    await eachChunk(from.file, take, options.signal);
    parser.finish();
    return { entries: parser.entries, bytes: parser.bytes };
  }
  const stream = from instanceof ReadableStream
    ? from
    : await from.open({ signal: options.signal });
  let deadline = performance.now() + SLICE_MS;
  for await (const chunk of decompress(stream, options)) {
    take(chunk);
    if (performance.now() < deadline) continue;
    await nextTurn(); // decoders hand out what they have in microtasks, which starve timers
    options.signal?.throwIfAborted();
    deadline = performance.now() + SLICE_MS;
  }
  parser.finish();
  return { entries: parser.entries, bytes: parser.bytes };
}

async function isPlain(path: string): Promise<boolean> {
  using file = await Deno.open(path);
  const head = new Uint8Array(4);
  return await file.read(head) === head.byteLength && !isCompressed(head);
}

/** One entry of {@linkcode readTar}. */
export interface TarItem {
  /** Its header. */
  readonly header: TarHeader;
  /** Its body when `keep` wanted it. */
  readonly body?: Uint8Array | undefined;
}

/**
 * The entries of a tar one by one, with the bodies that `keep` wants (at most 64 MiB each); as
 * {@linkcode walkTar} otherwise. Leaving the loop early cancels the stream.
 */
export async function* readTar(
  stream: ReadableStream<Uint8Array>,
  options: WalkTarOptions & { readonly keep?: (header: TarHeader) => boolean } = {},
): AsyncGenerator<TarItem> {
  let ready: TarItem[] = [];
  let header: TarHeader | undefined;
  let body: Uint8Array | undefined;
  let filled = 0;
  const parser = new TarParser({
    header(next) {
      header = next;
      filled = 0;
      body = undefined;
      if (next.type !== "file" || !options.keep?.(next)) return;
      if (next.size > MAX_KEPT) {
        throw new RangeError(
          `Cannot read ${next.name} of tar: it has ${next.size} bytes, want at most ${MAX_KEPT}`,
        );
      }
      body = new Uint8Array(next.size);
    },
    body(bytes) {
      body?.set(bytes, filled);
      filled += bytes.byteLength;
    },
    end() {
      ready.push(body === undefined ? { header: header! } : { header: header!, body });
    },
  }, options.limits);
  for await (const chunk of decompress(stream, options)) {
    parser.push(chunk);
    if (ready.length === 0) continue;
    const batch = ready;
    ready = [];
    yield* batch;
  }
  parser.finish();
}

const MAX_KEPT = 64 * 1024 * 1024;
