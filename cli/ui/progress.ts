import { MultiBar, Presets, type SingleBar } from "cli-progress";
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
  return sink.isTerminal ? bars(sink, log) : lines(log);
}

function bars(sink: Sink, log: TerminalLog): Progress {
  let multi: MultiBar | undefined;
  const live = new Set<SingleBar>();
  const plain = log.writeLine;
  const start = () => {
    multi = new MultiBar({
      format: "  {label} {bar} {shown}",
      barsize: 24,
      hideCursor: true,
      clearOnComplete: true,
      emptyOnZero: true,
      gracefulExit: false,
      stream: stream(sink) as unknown as NodeJS.WritableStream,
    }, Presets.shades_classic);
    log.writeLine = (line) => multi ? multi.log(line + "\n") : plain(line);
    return multi;
  };
  const stop = () => {
    multi?.stop();
    multi = undefined;
    live.clear();
    log.writeLine = plain;
  };
  return {
    stop,
    meter(label, total) {
      const shown = () => total ? `${formatSize(done)} of ${formatSize(total)}` : formatSize(done);
      let done = 0;
      const bar = (multi ?? start()).create(
        total ?? 1,
        0,
        { label: fit(label), shown: shown() },
        // A bar that cannot move would look stuck.
        total ? {} : { format: "  {label} {shown}" },
      );
      live.add(bar);
      return {
        add(bytes) {
          done += bytes;
          bar.update(total ? Math.min(done, total) : 0, { shown: shown() });
        },
        end() {
          if (!live.delete(bar)) return;
          multi?.remove(bar);
          if (live.size === 0) stop();
        },
      };
    },
  };
}

/** What cli-progress needs of a terminal, over our own sink. */
function stream(sink: Sink): Record<string, unknown> {
  return {
    isTTY: true,
    get columns() {
      return sink.columns();
    },
    write: (text: string) => (sink.write(text), true),
    cursorTo: (x: number, y?: number | null) =>
      sink.write(y == null ? `\x1b[${x + 1}G` : `\x1b[${y + 1};${x + 1}H`),
    moveCursor: (dx: number, dy: number) => {
      if (dx !== 0) sink.write(dx > 0 ? `\x1b[${dx}C` : `\x1b[${-dx}D`);
      if (dy !== 0) sink.write(dy > 0 ? `\x1b[${dy}B` : `\x1b[${-dy}A`);
    },
    clearLine: (direction: number) =>
      sink.write(`\x1b[${direction < 0 ? 1 : direction > 0 ? 0 : 2}K`),
    clearScreenDown: () => sink.write("\x1b[J"),
    on: () => {},
    removeListener: () => {},
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

function fit(label: string): string {
  return label.length > 36 ? label.slice(0, 35) + "…" : label.padEnd(36);
}
