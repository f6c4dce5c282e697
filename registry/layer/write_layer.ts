import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { CompressPool } from "./compress_pool.ts";
import type { TreeEntry } from "./entry.ts";

/** Where the bytes of a layer go: a `BlobUpload`, or anything else that takes chunks in order. */
export interface ByteSink {
  /** Takes `chunk`, which may be reused when the promise resolves. */
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
 * when this throws. Constant memory, a few MiB a worker.
 *
 * @throws {RangeError} When a file changes length while it is read.
 */
export function writeLayer(
  _entries: Iterable<TreeEntry>,
  _sink: ByteSink,
  _options: WriteLayerOptions = {},
): Promise<WrittenLayer> {
  return Promise.reject(new Error("not written yet"));
}

/** The diffID alone, for "is it still the same layer?": nothing is compressed or kept. */
export function hashLayer(
  _entries: Iterable<TreeEntry>,
  _options: Pick<WriteLayerOptions, "signal" | "onProgress"> = {},
): Promise<Pick<WrittenLayer, "diffId" | "tarSize">> {
  return Promise.reject(new Error("not written yet"));
}
