/** Calls back once when time is up; at most one thing is waited for at a time. */
export class Watch {
  readonly #late: (what: string) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer rings; later than that nothing is looked at. */
  #rings = Infinity;
  #due = Infinity;
  #what = "";

  /** `late` gets what was waited for. */
  constructor(late: (what: string) => void) {
    this.#late = late;
  }

  /** Waits for `what`, at most `ms` milliseconds from now, and for nothing else. Cheap: called for each chunk. */
  start(ms: number, what: string): void {
    this.#what = what;
    this.#due = performance.now() + ms;
    if (this.#rings <= this.#due) return;
    clearTimeout(this.#timer);
    this.#set(ms);
  }

  /** Waits for nothing for now; {@linkcode stop} must follow some time. */
  pause(): void {
    this.#due = Infinity;
  }

  /** Waits for nothing. Idempotent. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#rings = this.#due = Infinity;
  }

  #set(ms: number): void {
    this.#rings = performance.now() + ms;
    this.#timer = setTimeout(() => {
      this.#rings = Infinity;
      const left = this.#due - performance.now();
      if (left === Infinity) return;
      if (left <= 0) this.#late(this.#what);
      else this.#set(left);
    }, ms);
  }
}
