/** Works through a fleet: some at once, in waves, until it is done or enough has gone wrong. */
import { type FleetResult, isGood } from "./result.ts";

/** A run. */
export interface FleetRun<T> {
  /** In order. */
  readonly items: readonly T[];
  /** Images under way at once. */
  readonly concurrency: number;
  /** Sizes of the waves; what they leave is the last one. */
  readonly waves?: readonly number[] | undefined;
  /** Does one; must not throw but for the end of all. `worker` is below the concurrency: one act at a time has it. */
  readonly act: (item: T, worker: number) => Promise<FleetResult>;
  /** Called with each result. */
  readonly onResult: (result: FleetResult) => void;
  /** Called between waves; what it throws stops the run. */
  readonly between?: ((wave: number, done: Counts) => Promise<void>) | undefined;
  /** More failures than this end the run; those under way are finished. */
  readonly maxFailures?: number | undefined;
  /** Why no further image may be begun, if that is so; those under way are finished. */
  readonly halt?: (() => string | undefined) | undefined;
  /** Ends the run. */
  readonly signal: AbortSignal;
}

/** How far a run is. */
export interface Counts {
  /** Of all items. */
  readonly total: number;
  /** Those as they should be. */
  readonly good: number;
  /** The others. */
  readonly bad: number;
}

/** How a run ended. */
export interface FleetEnd extends Counts {
  /** Why it ended before all were done. */
  readonly stopped?: string | undefined;
}

/** Runs it. */
export async function runFleet<T>(run: FleetRun<T>): Promise<FleetEnd> {
  const { items, signal } = run;
  let [good, bad, at] = [0, 0, 0];
  const counts = (): Counts => ({ total: items.length, good, bad });
  const tooMany = () => run.maxFailures !== undefined && bad > run.maxFailures;
  let halted: string | undefined;
  const sizes = [...run.waves ?? []];
  for (let wave = 1; at < items.length; wave++) {
    const end = Math.min(items.length, at + (sizes.shift() ?? items.length));
    const work = async (worker: number) => {
      while (at < end && !tooMany()) {
        signal.throwIfAborted();
        if ((halted ??= run.halt?.()) !== undefined) return;
        const result = await run.act(items[at++]!, worker);
        if (isGood(result)) good++;
        else bad++;
        run.onResult(result);
      }
    };
    const width = Math.min(run.concurrency, end - at);
    const ended = await Promise.allSettled(Array.from({ length: width }, (_, one) => work(one)));
    for (const one of ended) if (one.status === "rejected") throw one.reason;
    if (tooMany()) {
      return {
        ...counts(),
        stopped: `${bad} images failed, and --max-failures is ${run.maxFailures}`,
      };
    }
    if (halted !== undefined) return { ...counts(), stopped: halted };
    if (at < items.length) {
      try {
        await run.between?.(wave, counts());
      } catch (error) {
        signal.throwIfAborted();
        return { ...counts(), stopped: error instanceof Error ? error.message : String(error) };
      }
    }
  }
  return counts();
}

/**
 * Sizes of waves: the first, then each of those after it.
 *
 * @throws {RangeError} When one is neither a number nor a share.
 */
export function wavesOf(
  total: number,
  first: string | undefined,
  then: string | undefined,
): readonly number[] {
  const sizes: number[] = [];
  if (first !== undefined) sizes.push(sizeOf(first, total));
  if (then === undefined) return sizes;
  const size = sizeOf(then, total);
  for (let left = total - (sizes[0] ?? 0); left > 0; left -= size) sizes.push(size);
  return sizes;
}

function sizeOf(text: string, total: number): number {
  const [, digits, share] = /^(\d{1,9})(%?)$/.exec(text) ?? [];
  const number = Number(digits);
  if (!(number >= 1) || (share === "%" && number > 100)) {
    throw new RangeError(
      `Cannot use ${JSON.stringify(text)} as a wave: want a number or a share, as in 5 or 20%`,
    );
  }
  return share === "%" ? Math.max(1, Math.ceil(total * number / 100)) : number;
}

/**
 * Reads `30s`, `10m`, `1h`, in milliseconds.
 *
 * @throws {RangeError} When it is something else.
 */
export function parsePause(text: string): number {
  const [, digits, unit] = /^(\d{1,6})(ms|s|m|h)$/.exec(text) ?? [];
  const factor = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit ?? ""];
  if (factor !== undefined) return Number(digits) * factor;
  throw new RangeError(`Cannot use ${JSON.stringify(text)} as a time: want 30s, 10m or 1h`);
}
