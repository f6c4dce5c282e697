/** A proxy on the loopback that tells what a client sends without waiting for answers, on however busy a machine. */
import { passOn } from "./delay_testing.ts";

/** A running proxy. Dispose it. */
export interface GateProxy extends AsyncDisposable {
  /** `127.0.0.1:port`: to be asked in place of the registry. */
  readonly host: string;
  /**
   * From now on requests come in groups of so many: no answer to one of a group is passed on before all of the group have come.
   * Forgets what came before.
   */
  expect(...groups: readonly number[]): void;
  /** What came since, in order, and whether each group came without an answer to one of it. Looks at a tag (HEAD) are not counted. */
  seen(): { readonly requests: readonly string[]; readonly together: boolean };
}

/** A client that waits for what is held back waits so long, in a test that fails. */
const GIVE_UP_MS = 20_000;

/** Passes all on to `target`. */
export function gateProxy(target: string): GateProxy {
  let ends: readonly number[] = [];
  let requests: string[] = [];
  let together = true;
  let waiting: { readonly end: number; readonly go: () => void }[] = [];
  const look = () => {
    waiting = waiting.filter(({ end, go }) => {
      if (requests.length >= end) go();
      return requests.length < end;
    });
  };
  const groupEnd = (nth: number) => ends.find((end) => end >= nth) ?? 0;
  const passing = passOn(target, () => {
    let end = 0;
    return {
      request: (line) => {
        if (line.startsWith("HEAD ")) return;
        requests.push(line);
        end = groupEnd(requests.length);
        look();
      },
      answer: async () => {
        if (requests.length >= end) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(() => {
          together = false;
          resolve();
        }, GIVE_UP_MS);
        waiting.push({ end, go: resolve });
        await promise;
        clearTimeout(timer);
      },
    };
  });
  return {
    host: passing.host,
    expect(...groups) {
      requests = [];
      together = true;
      let sum = 0;
      ends = groups.map((count) => sum += count);
    },
    seen: () => ({ requests, together }),
    [Symbol.asyncDispose]: () => passing[Symbol.asyncDispose](),
  };
}
