import type { Descriptor } from "../oci/descriptor.ts";
import type { BlobUpload } from "../registry.ts";
import { type Digest, Digester } from "../oci/digest.ts";
import { MediaType } from "../oci/media_type.ts";
import { type Codec, COMPRESS_BLOCK, compressBlock } from "./compress_block.ts";
import { type CompressPool, openCompressPool, type PoolAnswer } from "./compress_pool.ts";
import type { TreeEntry } from "./entry.ts";
import { GZIP_HEADER, gzipTrailer, joinCrc } from "./gzip_frame.ts";
import { TarPacker } from "./tar_packer.ts";
import { nextTurn, SLICE_MS } from "./turn.ts";

/** Where the bytes of a layer go: a `BlobUpload`, or anything else that takes chunks in order. */
export interface ByteSink {
  /** Takes `chunk`, whose memory is reused or freed when the promise resolves: copy what has to live longer. */
  write(chunk: Uint8Array): Promise<void>;
}

/** Options of {@linkcode writeLayer}. */
export interface WriteLayerOptions {
  /** Default `gzip`. `none` writes the plain tar, as the directory cache keeps it (CA-1). */
  readonly compression?: "gzip" | "zstd" | "none" | undefined;
  /** Workers to share among many layers; without one the call starts and ends its own when it needs any. */
  readonly pool?: CompressPool | undefined;
  /** Stops the act; the sink is left to the caller to abort. */
  readonly signal?: AbortSignal | undefined;
  /** Called with bytes of tar that are done. */
  readonly onProgress?: ((tarBytes: number) => void) | undefined;
  /** Gets the plain tar besides, right after it was hashed; a block is valid during the call only. */
  readonly tee?: ((block: Uint8Array) => void) | undefined;
}

/** A layer that was written. */
export interface WrittenLayer {
  /** Of the plain tar. */
  readonly diffId: Digest;
  /** Of the bytes that went to the sink. */
  readonly descriptor: Descriptor;
  /** Bytes of the plain tar. */
  readonly tarSize: number;
}

/**
 * Packs `entries` in one pass: tar, diffID, compress, digest, `sink.write`. The same entries give the same
 * bytes whatever the number of cores. The caller commits the upload with `descriptor.digest`, or aborts it
 * when this throws. Constant memory, a few MiB a worker; the thread is never held for more than a few ms.
 *
 * @throws {RangeError} When a file changes while it is read.
 * @throws {TypeError} For a name or link target that is not UTF-8, when `entries` walks a directory.
 */
export async function writeLayer(
  entries: Iterable<TreeEntry>,
  sink: ByteSink,
  options: WriteLayerOptions = {},
): Promise<WrittenLayer> {
  const { compression = "gzip" } = options;
  const mediaType = TYPES[compression];
  using blocks = tarBlocks(entries, options);
  if (compression === "none") {
    const { diffId, tarSize } = await writePlain(blocks, sink, options);
    return { diffId, descriptor: { mediaType, digest: diffId, size: tarSize }, tarSize };
  }
  const out = new DigestedSink(sink);
  const plain = await writeCompressed(compression, blocks, out, options);
  return { ...plain, descriptor: { mediaType, digest: out.digest(), size: out.size } };
}

/**
 * As {@linkcode writeLayer} into an upload, which it commits: an upload hashes what it is given, so the compressed
 * bytes are hashed once and not twice. The caller aborts the upload when this throws.
 *
 * @throws As {@linkcode writeLayer}, and what the commit throws.
 */
export async function uploadLayer(
  entries: Iterable<TreeEntry>,
  upload: Pick<BlobUpload, "write" | "commit">,
  options: WriteLayerOptions = {},
): Promise<WrittenLayer> {
  const { compression = "gzip" } = options;
  using blocks = tarBlocks(entries, options);
  const plain = compression === "none"
    ? await writePlain(blocks, upload, options)
    : await writeCompressed(compression, blocks, upload, options);
  const { digest, size } = await upload.commit();
  return { ...plain, descriptor: { mediaType: TYPES[compression], digest, size } };
}

/**
 * As {@linkcode uploadLayer} of a tar that is there already, taken as it is.
 *
 * @throws What `tar` and the upload throw.
 */
export async function uploadTar(
  tar: ReadableStream<Uint8Array>,
  upload: Pick<BlobUpload, "write" | "commit">,
  options: WriteLayerOptions = {},
): Promise<WrittenLayer> {
  const { compression = "gzip" } = options;
  using blocks = streamBlocks(tar, options);
  const plain = compression === "none"
    ? await writePlain(blocks, upload, options)
    : await writeCompressed(compression, blocks, upload, options);
  const { digest, size } = await upload.commit();
  return { ...plain, descriptor: { mediaType: TYPES[compression], digest, size } };
}

const TYPES = {
  gzip: MediaType.ociLayerGzip,
  zstd: MediaType.ociLayerZstd,
  none: MediaType.ociLayer,
} as const;

/** The diffID alone, for "is it still the same layer?": nothing is compressed or kept. */
export async function hashLayer(
  entries: Iterable<TreeEntry>,
  options: Pick<WriteLayerOptions, "signal" | "onProgress"> = {},
): Promise<Pick<WrittenLayer, "diffId" | "tarSize">> {
  using blocks = tarBlocks(entries, options);
  return await writePlain(blocks, undefined);
}

type Plain = Pick<WrittenLayer, "diffId" | "tarSize">;

async function writePlain(
  blocks: TarBlocks,
  out: ByteSink | undefined,
  { tee }: Pick<WriteLayerOptions, "tee"> = {},
): Promise<Plain> {
  const diff = new Digester();
  let tarSize = 0;
  for await (const block of blocks) {
    diff.update(block);
    tee?.(block);
    tarSize += block.byteLength;
    await out?.write(block);
    blocks.giveBack(block);
  }
  return { diffId: diff.digest(), tarSize };
}

async function writeCompressed(
  codec: Codec,
  blocks: TarBlocks,
  out: ByteSink,
  options: WriteLayerOptions,
): Promise<Plain> {
  const diff = new Digester();
  let tarSize = 0;
  let crc = 0;
  let own: CompressPool | undefined;
  // Answers in order of the blocks; the bound keeps memory constant when the sink is slow.
  const flying: { readonly size: number; readonly answer: Promise<PoolAnswer> }[] = [];
  // One write at a time, while the next block is made: on a busy machine each wait for another thread is long.
  let writing = Promise.resolve();
  const land = async () => {
    const { size, answer } = flying.shift()!;
    const { block, bytes, crc: crcOfBlock } = await answer;
    blocks.giveBack(block);
    if (codec === "gzip") crc = joinCrc(crc, crcOfBlock, size);
    await writing;
    writing = out.write(bytes).then(() => {
      bytes.buffer.transfer(0); // the sink is done with it: free it now, not at some garbage collection
    });
    writing.catch(() => {}); // whoever waits for it next is told
  };
  try {
    if (codec === "gzip") await out.write(GZIP_HEADER);
    for await (const block of blocks) {
      const size = block.byteLength;
      diff.update(block);
      options.tee?.(block);
      tarSize += size;
      if (tarSize === size && blocks.done) {
        // A layer of one block: quicker here than to wake a worker.
        flying.push({ size, answer: Promise.resolve({ ...compressBlock(codec, block), block }) });
        continue;
      }
      const pool = options.pool ?? (own ??= openCompressPool());
      const answer = pool.compress(codec, block);
      answer.catch(() => {}); // it is awaited in its turn, or not at all after a failure
      flying.push({ size, answer });
      if (flying.length > 2 * pool.workers) await land();
    }
    while (flying.length > 0) {
      options.signal?.throwIfAborted();
      await land();
    }
    await writing;
    if (codec === "gzip") await out.write(gzipTrailer(crc, tarSize));
  } finally {
    await writing.catch(() => {}); // the caller aborts the sink next
    own?.close();
  }
  return { diffId: diff.digest(), tarSize };
}

/** A sink that hashes and counts what it passes on. */
class DigestedSink implements ByteSink {
  readonly #sink: ByteSink;
  readonly #digester = new Digester();
  size = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#digester.update(chunk);
    this.size += chunk.byteLength;
    await this.#sink.write(chunk);
  }

  digest(): Digest {
    return this.#digester.digest();
  }
}

/** The tar in whole blocks (but for the last), in memory that whoever is done with a block gives back. */
interface TarBlocks extends AsyncIterable<Uint8Array<ArrayBuffer>>, Disposable {
  /** Whether the block that was just given out is the last. */
  readonly done: boolean;
  /** Takes back the memory of a block. */
  giveBack(block: Uint8Array<ArrayBuffer>): void;
}

function tarBlocks(
  entries: Iterable<TreeEntry>,
  options: Pick<WriteLayerOptions, "signal" | "onProgress">,
): TarBlocks {
  const { signal, onProgress } = options;
  const spare: Uint8Array<ArrayBuffer>[] = [];
  let done = false;
  let ended = false;
  async function* blocks() {
    using packer = new TarPacker(entries);
    let deadline = performance.now() + SLICE_MS;
    while (!packer.done) {
      const block = spare.pop() ?? new Uint8Array(COMPRESS_BLOCK);
      let filled = 0;
      while (filled < block.byteLength && !packer.done) {
        if (performance.now() > deadline) {
          await nextTurn();
          deadline = performance.now() + SLICE_MS;
        }
        signal?.throwIfAborted();
        filled = packer.fill(block, filled, deadline);
      }
      done = packer.done;
      onProgress?.(filled);
      yield block.subarray(0, filled);
    }
  }
  return {
    [Symbol.asyncIterator]: blocks,
    get done() {
      return done;
    },
    giveBack: (block) => {
      if (block.buffer.byteLength !== COMPRESS_BLOCK) return;
      if (ended) block.buffer.transfer(0);
      else spare.push(new Uint8Array(block.buffer));
    },
    // Freed at once: the blocks of ten layers would gather before a garbage collection.
    [Symbol.dispose]() {
      ended = true;
      for (const { buffer } of spare.splice(0)) buffer.transfer(0);
    },
  };
}

/** A stream in blocks of the same size, so that the same tar is compressed to the same bytes wherever it comes from. */
function streamBlocks(
  tar: ReadableStream<Uint8Array>,
  { signal, onProgress }: Pick<WriteLayerOptions, "signal" | "onProgress">,
): TarBlocks {
  let done = false;
  async function* blocks() {
    let block = new Uint8Array(COMPRESS_BLOCK);
    let filled = 0;
    for await (const chunk of tar) {
      signal?.throwIfAborted();
      for (let at = 0; at < chunk.byteLength;) {
        if (filled === block.byteLength) {
          onProgress?.(filled);
          yield block;
          block = new Uint8Array(COMPRESS_BLOCK);
          filled = 0;
        }
        const part = chunk.subarray(at, at + block.byteLength - filled);
        block.set(part, filled);
        filled += part.byteLength;
        at += part.byteLength;
      }
    }
    done = true;
    onProgress?.(filled);
    if (filled > 0) yield block.subarray(0, filled);
  }
  return {
    [Symbol.asyncIterator]: blocks,
    get done() {
      return done;
    },
    giveBack: () => {},
    [Symbol.dispose]() {},
  };
}
