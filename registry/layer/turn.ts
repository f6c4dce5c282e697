/** Long synchronous work in slices, so that progress, signals and sockets stay alive. */
import { setImmediate } from "node:timers";

/** How long the thread may be held between two turns of the event loop. */
export const SLICE_MS = 3;

/**
 * How many turns are waited for with an answer of the kernel's, which takes 0.05 ms of two threads: Node's `setImmediate`
 * takes less, but 6 to load, as any timer does, and a command that does little ends before.
 */
let spared = 100;

/** Calls `act` in another turn of the event loop, the next one as a rule. */
export function soon(act: () => void): void {
  if (spared === 0) {
    setImmediate(act);
    return;
  }
  spared--;
  Deno.lstat("/").then(act, act);
}

/** Lets timers and sockets run; a microtask would not. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => soon(resolve));
}
