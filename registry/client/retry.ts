import type { RetryOptions } from "./options.ts";

/** Whether an answer says "not now" rather than "no". */
export function isRetryableStatus(status: number): boolean {
  return status === 408 || status === 429 || status === 499 ||
    (status >= 500 && status !== 501 && status !== 505);
}

/**
 * How long a registry asks us to stay away, in milliseconds: `Retry-After` in seconds or as a date.
 *
 * @returns `undefined` when it says nothing that can be read.
 */
export function askedPause(headers: Headers, now: number): number | undefined {
  const text = headers.get("retry-after")?.trim();
  if (!text) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Our own pause before try `attempt` + 1: full jitter below a doubling bound, so that a fleet does not march. */
export function ownPause(attempt: number, options: RetryOptions = {}): number {
  const bound = Math.min(options.maxMs ?? 30_000, (options.baseMs ?? 250) * 2 ** (attempt - 1));
  return Math.ceil(Math.random() * bound);
}

/**
 * Pauses for `ms` milliseconds.
 *
 * @throws The signal's reason, at once when it is aborted.
 */
export function waitFor(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** A place in line; give it back once. */
export type Release = () => void;

/**
 * How hard one registry may be pressed. All workers of a process share it, so a registry that is busy is left
 * alone by all of them at once, and then asked by few, then by more again.
 */
export class Governor {
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #limit: number;
  #taken = 0;
  #calm = 0;

  /** Lets `max` act at once. */
  constructor(max: number) {
    this.#max = max;
    this.#limit = max;
  }

  /** Waits for a place. */
  async enter(signal?: AbortSignal): Promise<Release> {
    signal?.throwIfAborted();
    if (this.#taken < this.#limit) this.#taken++;
    else await this.#turn(signal);
    let given = false;
    return () => {
      if (!given) this.#leave();
      given = true;
    };
  }

  /** A place, when one is free and nobody waits for it. */
  tryEnter(): Release | undefined {
    if (this.#taken >= this.#limit || this.#waiting.length > 0) return undefined;
    this.#taken++;
    let given = false;
    return () => {
      if (!given) this.#leave();
      given = true;
    };
  }

  /** The registry complained: half as many from now on. */
  press(): void {
    this.#limit = Math.max(1, Math.floor(this.#limit / 2));
    this.#calm = 0;
  }

  /** The registry answered well; after as many as the limit it rises by one. */
  ease(): void {
    if (this.#limit >= this.#max || ++this.#calm < this.#limit) return;
    this.#calm = 0;
    this.#limit++;
    this.#admit();
  }

  /** How many may act at once now. */
  get limit(): number {
    return this.#limit;
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.push(go);
    });
  }

  #leave(): void {
    this.#taken--;
    this.#admit();
  }

  #admit(): void {
    while (this.#taken < this.#limit && this.#waiting.length > 0) {
      this.#taken++;
      this.#waiting.shift()!();
    }
  }
}
