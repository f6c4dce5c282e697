import { pipeline, Readable, type Transform } from "node:stream";
import { createGunzip } from "node:zlib";
import { gunzipSmall } from "./gunzip_small.ts";
import type { ReadLimits } from "./read_limits.ts";
import { zstdDecoder } from "./zstd.ts";
import { type FramePiece, ZstdFrames } from "./zstd_frames.ts";

/** Options of {@linkcode decompress}. */
export interface DecompressOptions {
  /** Only `maxRatio` and `maxBytes` are looked at. */
  readonly limits?: ReadLimits | undefined;
  /** Stops between two chunks. */
  readonly signal?: AbortSignal | undefined;
}

const MAX_RATIO = 1100;
const RATIO_FREE_BYTES = 64 * 1024 * 1024;
/** 128 MiB: what every zstd decoder must take and more than any layer tool uses. */
const ZSTD_WINDOW_LOG = 27;
const CHUNK = 256 * 1024;
/** What is not longer may be inflated without Node's `zlib`. */
const SMALL = 32 * 1024;

/**
 * The plain bytes of a blob. gzip (also of several members), zstd and plain are told apart by their first bytes,
 * never by a media type (CA-7). Leaving the loop cancels `stream`.
 *
 * @throws {SyntaxError} When compressed data is damaged or cut short.
 * @throws {RangeError} When it grows beyond the limits.
 */
export async function* decompress(
  stream: ReadableStream<Uint8Array>,
  options: DecompressOptions = {},
): AsyncGenerator<Uint8Array> {
  const { limits = {}, signal } = options;
  const counts = { packed: 0 };
  const input = withMagic(counted(stream, counts, signal));
  const first = await input.next();
  if (first.done) return;
  const codec = codecOf(first.value);
  if (codec === undefined) {
    try {
      yield first.value;
      yield* input;
    } finally {
      await input.return(undefined);
    }
    return;
  }
  const maxRatio = limits.maxRatio ?? MAX_RATIO;
  const maxBytes = limits.maxBytes ?? Infinity;
  let plain = 0;
  try {
    for await (const chunk of codec.decode(first.value, input)) {
      plain += chunk.byteLength;
      if (plain > maxBytes) {
        throw new RangeError(`Cannot decompress ${codec.name}: longer than ${maxBytes} bytes`);
      }
      if (plain > RATIO_FREE_BYTES && plain > counts.packed * maxRatio) {
        throw new RangeError(
          `Cannot decompress ${codec.name}: ${counts.packed} bytes became ${plain}, more than ${maxRatio} times`,
        );
      }
      yield chunk;
    }
  } catch (cause) {
    const code = (cause as { code?: unknown }).code;
    if (typeof code === "string" && /^(Z_|ZSTD_|ERR_ZLIB|ERR_ZSTD)/.test(code)) {
      throw new SyntaxError(`Cannot decompress ${codec.name}: ${(cause as Error).message}`, {
        cause,
      });
    }
    throw cause;
  }
}

interface Codec {
  readonly name: string;
  readonly decode: (
    first: Uint8Array,
    rest: AsyncGenerator<Uint8Array>,
  ) => AsyncGenerator<Uint8Array>;
}

/** Whether these first bytes are those of a codec that {@linkcode decompress} takes off. */
export function isCompressed(head: Uint8Array): boolean {
  return codecOf(head) !== undefined;
}

function codecOf(head: Uint8Array): Codec | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b) {
    return {
      name: "gzip",
      decode: gunzip,
    };
  }
  // A frame, or a skippable frame as seekable formats put in front.
  const zstd = head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd;
  const skip = (head[0]! & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d &&
    head[3] === 0x18;
  if (!zstd && !skip) return undefined;
  return { name: "zstd", decode: (first, rest) => inflateFrames(chain(first, rest)) };
}

async function* gunzip(
  first: Uint8Array,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let head = first;
  let next: IteratorResult<Uint8Array> | undefined;
  while (head.byteLength <= SMALL && !(next = await rest.next()).done) {
    head = joined(head, next.value);
  }
  const plain = next?.done ? await gunzipSmall(new Uint8Array(head)) : undefined;
  if (plain === undefined) yield* inflate(chain(head, rest), createGunzip({ chunkSize: CHUNK }));
  else if (plain.byteLength > 0) yield plain;
}

function joined(head: Uint8Array, chunk: Uint8Array): Uint8Array {
  const both = new Uint8Array(head.byteLength + chunk.byteLength);
  both.set(head);
  both.set(chunk, head.byteLength);
  return both;
}

/** `first`, then `rest`, which ends with it. */
async function* chain(
  first: Uint8Array,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

async function* inflate(
  packed: AsyncGenerator<Uint8Array>,
  codec: Transform,
): AsyncGenerator<Uint8Array> {
  const source = Readable.from(packed, { objectMode: true, highWaterMark: 1 });
  const fed = new Promise<void>((resolve) => pipeline(source, codec, () => resolve()));
  try {
    for await (const chunk of codec) yield chunk as Uint8Array;
  } finally {
    codec.destroy();
    source.destroy();
    await fed;
  }
}

async function* inflateFrames(packed: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const frames = new ZstdFrames(2 ** ZSTD_WINDOW_LOG);
  const pieces = async function* () {
    for await (const chunk of packed) yield* frames.push(chunk);
    frames.finish();
  }();
  const oneFrame = async function* (piece: FramePiece): AsyncGenerator<Uint8Array> {
    yield piece.bytes;
    while (!piece.last) {
      const next = await pieces.next();
      if (next.done) return;
      piece = next.value;
      yield piece.bytes;
    }
  };
  try {
    for (let start = await pieces.next(); !start.done; start = await pieces.next()) {
      yield* inflate(oneFrame(start.value), zstdDecoder(ZSTD_WINDOW_LOG, CHUNK));
    }
  } finally {
    await pieces.return();
  }
}

async function* counted(
  stream: ReadableStream<Uint8Array>,
  counts: { packed: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) {
    signal?.throwIfAborted();
    counts.packed += chunk.byteLength;
    if (chunk.byteLength > 0) yield chunk;
  }
}

/** The same chunks, the first of at least four bytes where there are that many. */
async function* withMagic(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Uint8Array | undefined = new Uint8Array();
  for await (const chunk of chunks) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = joined(head, chunk);
    if (head.byteLength < 4) continue;
    yield head;
    head = undefined;
  }
  if (head !== undefined && head.byteLength > 0) yield head;
}
