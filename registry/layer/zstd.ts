/** zstd from `node:zlib`, which the pinned type package does not know yet. */
import type { Transform } from "node:stream";
import * as zlib from "node:zlib";

/** Parameters by the numbers of zstd.h: `ZSTD_c_compressionLevel` and `ZSTD_d_windowLogMax` are both 100. */
interface ZstdOptions {
  readonly params?: Readonly<Record<number, number>>;
  readonly chunkSize?: number;
}

const zstd = zlib as unknown as {
  zstdCompressSync(bytes: Uint8Array, options?: ZstdOptions): Uint8Array;
  createZstdDecompress(options?: ZstdOptions): Transform;
};

/** One frame with the content of `bytes`. */
export function zstdFrame(bytes: Uint8Array, level: number): Uint8Array {
  return zstd.zstdCompressSync(bytes, { params: { 100: level } });
}

/** A decoder that refuses windows above 2^`windowLog` bytes. */
export function zstdDecoder(windowLog: number, chunkSize: number): Transform {
  return zstd.createZstdDecompress({ chunkSize, params: { 100: windowLog } });
}
