/** Callbacks at a time to come, for what may take too long. */

/** When, and what then. */
interface Alarm {
  readonly due: number;
  readonly act: () => void;
}

const alarms = new Set<Alarm>();
/** When they are looked at next. */
let rings = Infinity;

/**
 * Calls `act` once, `ms` milliseconds from now, unless what it returns is called before. Nobody waits for it: it does not
 * keep the process.
 *
 * One clock for all, and not `setTimeout`: that is Node's, whose layer costs every command 10 ms to load. This clock cannot
 * be taken back, which is no matter when it only looks at what is due.
 */
export function later(ms: number, act: () => void): () => void {
  const alarm = { due: performance.now() + ms, act };
  alarms.add(alarm);
  if (alarm.due < rings) wind(alarm.due);
  return () => void alarms.delete(alarm);
}

function wind(due: number): void {
  rings = due;
  const ms = Math.max(0, Math.ceil(due - performance.now()));
  AbortSignal.timeout(ms).addEventListener("abort", () => {
    if (rings === due) ring();
  });
}

function ring(): void {
  rings = Infinity;
  const now = performance.now();
  let next = Infinity;
  for (const alarm of [...alarms]) {
    if (alarm.due > now) next = Math.min(next, alarm.due);
    else if (alarms.delete(alarm)) alarm.act();
  }
  if (next < rings) wind(next);
}

/** Calls back once when time is up; at most one thing is waited for at a time. */
export class Watch {
  readonly #late: (what: string) => void;
  #cancel: (() => void) | undefined;
  /** When the alarm rings; later than that nothing is looked at. */
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
    this.#cancel?.();
    this.#set(ms);
  }

  /** Waits for nothing for now; {@linkcode stop} must follow some time. */
  pause(): void {
    this.#due = Infinity;
  }

  /** Waits for nothing. Idempotent. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#rings = this.#due = Infinity;
  }

  #set(ms: number): void {
    this.#rings = performance.now() + ms;
    this.#cancel = later(ms, () => {
      this.#rings = Infinity;
      const left = this.#due - performance.now();
      if (left === Infinity) return;
      if (left <= 0) this.#late(this.#what);
      else this.#set(left);
    });
  }
}
