/** Long synchronous work in slices, so that progress, signals and sockets stay alive. */
import { setImmediate } from "node:timers";

/** How long the thread may be held between two turns of the event loop. */
export const SLICE_MS = 3;

/** Lets timers and sockets run; a microtask would not, and a timer of 0 waits a millisecond. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
