/** Calls back once when time is up; at most one thing is waited for at a time. */
export class Watch {
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #late: (what: string) => void;

  /** `late` gets what was waited for. */
  constructor(late: (what: string) => void) {
    this.#late = late;
  }

  /** Waits for `what`, at most `ms` milliseconds from now, and for nothing else. */
  start(ms: number, what: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#late(what), ms);
  }

  /** Waits for nothing. Idempotent. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
