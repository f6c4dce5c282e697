/** Options of {@linkcode openCompressPool}. */
export interface CompressPoolOptions {
  /** Default: as many as cores, at most 8. They start when first needed. */
  readonly workers?: number | undefined;
}

/** Workers that compress blocks. Keep one for a whole export; `using` or {@linkcode close} ends them. */
export interface CompressPool extends Disposable {
  /** How many workers it may have. */
  readonly workers: number;
  /** Ends the workers; jobs under way fail. Idempotent. */
  close(): void;
}

/** Makes a pool. Costs nothing until used. */
export function openCompressPool(_options: CompressPoolOptions = {}): CompressPool {
  throw new Error("not written yet");
}
