import type { Meter } from "../../registry/context.ts";
import type { Sink } from "../io.ts";
import type { TerminalLog } from "./log.ts";
import { formatSize } from "./size.ts";

/** Shows how far long acts are. */
export interface Progress {
  /** Starts to show one; see {@linkcode Meter}. */
  meter(label: string, total?: number): Meter;
  /** Takes everything off the screen. Idempotent. */
  stop(): void;
}

/** Acts that end sooner than this are not worth a line. */
const PATIENCE_MS = 2000;
/** Nor a bar: it would flicker, and what draws it takes longer to load than the act. */
const BAR_AFTER_MS = 300;

/** Bars on a terminal; elsewhere a plain line now and then, so that a CI log shows life. */
export function startProgress(
  sink: Sink,
  log: TerminalLog,
  quiet: boolean,
  barAfter = BAR_AFTER_MS,
): Progress {
  if (quiet) return { meter: () => ({ add: () => {}, end: () => {} }), stop: () => {} };
  return sink.isTerminal ? barsLater(sink, log, barAfter) : lines(log);
}

/** {@linkcode bars} from the first act on that takes a while: what draws them takes much of Node with it. */
function barsLater(sink: Sink, log: TerminalLog, after: number): Progress {
  let real: Progress | undefined;
  let loading: Promise<void> | undefined;
  let stopped = false;
  const waiting = new Set<ReturnType<typeof setTimeout>>();
  return {
    stop() {
      stopped = true;
      for (const timer of waiting) clearTimeout(timer);
      real?.stop();
    },
    meter(label, total) {
      let done = 0;
      let shown: Meter | undefined;
      let ended = false;
      const show = () => {
        if (ended || stopped) return;
        shown = real!.meter(label, total);
        shown.add(done);
      };
      const timer = setTimeout(() => {
        waiting.delete(timer);
        if (real !== undefined) return show();
        loading ??= import("./progress_bars.ts").then(({ bars }) => {
          real = bars(sink, log);
        });
        loading.then(show, () => {}); // without bars, then
      }, after);
      waiting.add(timer);
      return {
        add(bytes) {
          done += bytes;
          shown?.add(bytes);
        },
        end() {
          ended = true;
          clearTimeout(timer);
          waiting.delete(timer);
          shown?.end();
        },
      };
    },
  };
}

function lines(log: TerminalLog): Progress {
  return {
    stop: () => {},
    meter(label, total) {
      let done = 0;
      let last = Date.now();
      return {
        add(bytes) {
          done += bytes;
          if (Date.now() - last < PATIENCE_MS) return;
          last = Date.now();
          const of = total ? ` of ${formatSize(total)} (${Math.floor(done / total * 100)}%)` : "";
          log.info(`${label}: ${formatSize(done)}${of}`);
        },
        end: () => {},
      };
    },
  };
}
