/** What a wrong password costs whoever tried it. */

/** Options of {@linkcode Throttle}. */
export interface ThrottleOptions {
  /** The clock, in milliseconds. */
  readonly now?: (() => number) | undefined;
  /** Pauses; replaced in tests so that they see the pause instead of living through it. */
  readonly wait?: ((ms: number) => Promise<void>) | undefined;
  /** The pause after the first failure; doubled by each further one, up to 5 s. Default 200. */
  readonly baseMs?: number | undefined;
  /** Failures of one user at one address until nothing is even looked at. Default 10. */
  readonly tries?: number | undefined;
  /** How long failures count, and how long the lock holds. Default a minute. */
  readonly windowMs?: number | undefined;
}

interface Failures {
  count: number;
  until: number;
}

const MAX_PAUSE_MS = 5_000;
/** Entries kept; the oldest go first. */
const MAX_KEPT = 10_000;
/** Refusals that wait at once; beyond it they are not answered slowly but sent away. */
const MAX_WAITING = 256;
/** One address that tries many users is slowed down as though each fourth try had been for one. */
const SPRAY = 4;

/**
 * Counts failed logins by user and address, so that an attacker elsewhere locks nobody out, and by address alone, so
 * that trying one password on many users is slow too. Memory is bounded.
 */
export class Throttle {
  readonly #options: ThrottleOptions;
  readonly #failures = new Map<string, Failures>();
  #waiting = 0;

  /** Nobody has failed yet. */
  constructor(options: ThrottleOptions = {}) {
    this.#options = options;
  }

  /** Seconds until `user` may try again from `remote`; 0: now. */
  lockedFor(user: string, remote: string): number {
    const now = this.#now();
    const found = this.#failures.get(pair(user, remote));
    if (found === undefined || found.until <= now || found.count < (this.#options.tries ?? 10)) {
      return 0;
    }
    return Math.ceil((found.until - now) / 1000);
  }

  /** Counts a failure and pauses for what it costs. */
  async failed(user: string, remote: string): Promise<void> {
    const own = this.#count(pair(user, remote));
    const all = this.#count(alone(remote));
    if (this.#waiting >= MAX_WAITING) return;
    const { wait = pause, baseMs = 200 } = this.#options;
    const steps = Math.max(own, Math.floor(all / SPRAY)) - 1;
    this.#waiting++;
    try {
      await wait(Math.min(baseMs * 2 ** Math.max(0, Math.min(steps, 20)), MAX_PAUSE_MS));
    } finally {
      this.#waiting--;
    }
  }

  /** A right password ends the count of its user, not that of the address. */
  succeeded(user: string, remote: string): void {
    this.#failures.delete(pair(user, remote));
  }

  #count(key: string): number {
    const { windowMs = 60_000 } = this.#options;
    const now = this.#now();
    const before = this.#failures.get(key);
    const count = before !== undefined && before.until > now ? before.count + 1 : 1;
    this.#failures.delete(key);
    this.#failures.set(key, { count, until: now + windowMs });
    if (this.#failures.size > MAX_KEPT) {
      this.#failures.delete(this.#failures.keys().next().value!);
    }
    return count;
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }
}

function pair(user: string, remote: string): string {
  return JSON.stringify([remote, user.slice(0, 200)]);
}

function alone(remote: string): string {
  return JSON.stringify([remote]);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
