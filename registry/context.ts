/** Where lines for people go. Levels are the lifecycle's; a phase never prints by itself. */
export interface Log {
  /** Shown with `--verbose`. */
  debug(line: string): void;
  /** Shown unless `--quiet`. */
  info(line: string): void;
  /** Shown unless `--quiet`, marked as a warning. */
  warn(line: string): void;
  /** Always shown. */
  error(line: string): void;
}

/** Progress of one long act: compressing or moving a layer. */
export interface Meter {
  /** `bytes` more are done. */
  add(bytes: number): void;
  /** The act ended, well or not. Idempotent. */
  end(): void;
}

/** What an act may touch besides its input. Values, so that tests and SOURCE_DATE_EPOCH can set them. */
export interface Context {
  /** Aborts the act; it leaves nothing half done. */
  readonly signal: AbortSignal;
  /** For people. */
  readonly log: Log;
  /** The clock. */
  readonly now: () => Date;
  /** Starts to show progress of `label`; `total` is in bytes where known. */
  readonly meter: (label: string, total?: number) => Meter;
}

/** A context that shows nothing and never aborts. */
export function quietContext(options: Partial<Context> = {}): Context {
  const nothing = () => {};
  return {
    signal: new AbortController().signal,
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    now: () => new Date(),
    meter: () => ({ add: nothing, end: nothing }),
    ...options,
  };
}
