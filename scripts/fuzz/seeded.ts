/** What fuzz targets share: the same seed makes the same inputs, and a find names its own. */
import { goesOn, type Span } from "../../registry/span_testing.ts";

/** An input that was not dealt with as it should be. */
export class FuzzFind extends Error {
  override readonly name = "FuzzFind";
}

/** Numbers below a limit, the same for the same seed. */
export type Next = (limit: number) => number;

/** A source of numbers. */
export function numbers(seed: number): Next {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** One of `all`. */
export function pick<T>(next: Next, all: readonly T[]): T {
  return all[next(all.length)]!;
}

/** Some of `pieces` in a row, with other characters among them. */
export function textOf(next: Next, pieces: readonly string[], most = 12): string {
  let text = "";
  for (let left = next(most + 1); left > 0; left--) {
    text += next(6) === 0
      ? String.fromCharCode(next(4) === 0 ? next(65536) : next(128))
      : pick(next, pieces);
  }
  return text;
}

/** `text` with up to five pieces cut out, put in or doubled. */
export function damaged(next: Next, text: string, pieces: readonly string[]): string {
  for (let left = next(6); left > 0; left--) {
    const at = next(text.length + 1);
    const cut = next(3) === 0 ? next(30) : next(4);
    const put = next(5) === 0 ? text.slice(at, at + next(60)) : textOf(next, pieces, 2);
    text = text.slice(0, at) + put + text.slice(at + cut);
  }
  return text;
}

/**
 * Calls `round` for a span, each time with numbers of its own.
 *
 * @param show What the last round was about, to become a fixture.
 * @returns How many rounds there were.
 * @throws {FuzzFind} With seed, round and input, when a round throws or takes longer than `slowMs` whenever it is tried.
 */
export async function rounds(
  span: Span,
  seed: number,
  round: (next: Next) => Promise<void> | void,
  show: () => unknown,
  slowMs = 2000,
): Promise<number> {
  const more = goesOn(span);
  let count = 0;
  for (; more(count); count++) {
    try {
      for (let tries = 0;; tries++) {
        const started = performance.now();
        await round(numbers(seed + count));
        if (performance.now() - started <= slowMs) break;
        if (tries === 5) throw new Error("it took too long"); // once may be this machine
      }
    } catch (cause) {
      const input = JSON.stringify(show())?.slice(0, 20_000);
      throw new FuzzFind(`seed ${seed + count}, input ${input}: ${cause}`, { cause });
    }
  }
  return count;
}
