/** How long clients are waited for that send or take too slowly to mean it (R-06, S-API 10). */
import { OciError } from "../../oci/error.ts";

/** How patient a server is. Times are in milliseconds. */
export interface Patience {
  /** The longest pause within a body, in or out. Default 60,000. */
  readonly idleMs?: number | undefined;
  /** Bytes a second that have to come, or be taken, in each stretch of {@linkcode graceMs}. Default 1024. */
  readonly minBytesPerSecond?: number | undefined;
  /** How long a client may be slower than that. Default 60,000. */
  readonly graceMs?: number | undefined;
  /** From the first byte of a request, or the connection's begin, to the end of the head. Default 30,000. */
  readonly headMs?: number | undefined;
  /** How long a connection may lie idle between two requests. Default 120,000. */
  readonly keepMs?: number | undefined;
  /** The clock; only differences matter. Default `performance.now`. */
  readonly now?: (() => number) | undefined;
}

/** {@linkcode Patience} with nothing left open. */
export type Limits = { readonly [K in keyof Patience]-?: NonNullable<Patience[K]> };

/** Fills in the defaults. */
export function limitsOf(patience: Patience = {}): Limits {
  return {
    idleMs: patience.idleMs ?? 60_000,
    minBytesPerSecond: patience.minBytesPerSecond ?? 1024,
    graceMs: patience.graceMs ?? 60_000,
    headMs: patience.headMs ?? 30_000,
    keepMs: patience.keepMs ?? 120_000,
    now: patience.now ?? (() => performance.now()),
  };
}

/** A client was too slow: 408. */
export class TooSlow extends OciError {
  /** Says how slow. */
  constructor(message: string) {
    super("BLOB_UPLOAD_INVALID", message, { status: 408 });
  }
}

/**
 * Watches one direction of one connection. Only time spent waiting for the client counts. Nothing is set up for each
 * chunk: somebody calls {@linkcode look} now and then.
 */
export class Pace {
  readonly #limits: Limits;
  readonly #act: string;
  #since: number | undefined;
  #most = 0;
  #rated = false;
  #late: ((why: TooSlow) => void) | undefined;
  #waited = 0;
  #bytes = 0;

  /** `act` is what the client does, for messages: `came`, `was taken`. */
  constructor(limits: Limits, act: string) {
    this.#limits = limits;
    this.#act = act;
  }

  /** Another body begins. */
  reset(): void {
    this.#since = undefined;
    this.#waited = this.#bytes = 0;
  }

  /**
   * Waits for the client from now on, `most` at the most; `late` is called once when that was too long, or with `rated`
   * when too little comes.
   */
  begin(most: number, rated: boolean, late: (why: TooSlow) => void): void {
    this.#since = this.#limits.now();
    this.#most = most;
    this.#rated = rated;
    this.#late = late;
  }

  /** It came, `bytes` of it. */
  end(bytes: number): void {
    if (this.#since === undefined) return;
    this.#waited += this.#limits.now() - this.#since;
    this.#bytes += bytes;
    this.#since = undefined;
  }

  /** Looks whether the client is too slow. */
  look(): void {
    if (this.#since === undefined) return;
    const pause = this.#limits.now() - this.#since;
    const why = this.#judge(pause);
    if (why === undefined) return;
    this.#since = undefined;
    this.#late?.(why);
  }

  #judge(pause: number): TooSlow | undefined {
    const { graceMs, minBytesPerSecond } = this.#limits;
    if (pause >= this.#most) {
      return new TooSlow(`Cannot wait: nothing ${this.#act} for ${Math.round(pause / 1000)} s`);
    }
    const waited = this.#waited + pause;
    if (!this.#rated || waited < graceMs) return undefined;
    const rate = this.#bytes / waited * 1000;
    if (rate < minBytesPerSecond) {
      return new TooSlow(`Cannot wait: ${Math.round(rate)} bytes per second are too few`);
    }
    // What came before says nothing of now.
    this.#bytes = 0;
    this.#waited = -pause;
    return undefined;
  }
}
