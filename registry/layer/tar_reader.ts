/** Limits against hostile archives. Bytes are of the decompressed tar unless said otherwise. */
export interface ReadLimits {
  /** Of the whole tar. Default 64 GiB. */
  readonly maxBytes?: number | undefined;
  /** Entries. Default 4 million. */
  readonly maxEntries?: number | undefined;
  /** Decompressed to compressed, counted after the first 64 MiB. Default 2000: deflate cannot do more than 1032. */
  readonly maxRatio?: number | undefined;
}
