/** Limits against hostile archives. Bytes are of the decompressed tar unless said otherwise. */
export interface ReadLimits {
  /** Of the whole tar. Default 64 GiB. */
  readonly maxBytes?: number | undefined;
  /** Entries. Default 4 million. */
  readonly maxEntries?: number | undefined;
  /**
   * Decompressed to compressed, counted from the first 64 MiB of output on. Default 1100: deflate cannot do
   * more than 1032, so only other codecs meet it.
   */
  readonly maxRatio?: number | undefined;
}
