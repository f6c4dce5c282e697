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

/** Bars on a terminal; elsewhere a plain line now and then, so that a CI log shows life. */
export function startProgress(sink: Sink, log: TerminalLog, quiet: boolean): Progress {
  if (quiet) return { meter: () => ({ add: () => {}, end: () => {} }), stop: () => {} };
  return sink.isTerminal ? barsLater(sink, log) : lines(log);
}

/** {@linkcode bars} from the first act on: what draws them takes much of Node with it. */
function barsLater(sink: Sink, log: TerminalLog): Progress {
  let real: Progress | undefined;
  let loading: Promise<void> | undefined;
  let stopped = false;
  return {
    stop() {
      stopped = true;
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
      if (real !== undefined) show();
      else {
        loading ??= import("./progress_bars.ts").then(({ bars }) => {
          real = bars(sink, log);
        });
        loading.then(show, () => {}); // without bars, then
      }
      return {
        add(bytes) {
          done += bytes;
          shown?.add(bytes);
        },
        end() {
          ended = true;
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
