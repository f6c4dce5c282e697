import { MultiBar, Presets, type SingleBar } from "cli-progress";
import type { Sink } from "../io.ts";
import type { TerminalLog } from "./log.ts";
import type { Progress } from "./progress.ts";
import { formatSize } from "./size.ts";

/** Bars on a terminal, gone when the act is over. Loaded when there is one to show. */
export function bars(sink: Sink, log: TerminalLog): Progress {
  let multi: MultiBar | undefined;
  const live = new Set<SingleBar>();
  const plain = log.writeLine;
  const start = () => {
    multi = new MultiBar({
      format: (_options, _params, payload: Act) => progressLine(payload, sink.columns()),
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
      let done = 0;
      const act = (): Act => ({ label, done, total });
      const bar = (multi ?? start()).create(total ?? 1, 0, act());
      live.add(bar);
      return {
        add(bytes) {
          done += bytes;
          bar.update(total ? Math.min(done, total) : 0, act());
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

/** An act that goes on. */
interface Act {
  readonly label: string;
  /** Bytes. */
  readonly done: number;
  /** Bytes, when they are known. */
  readonly total?: number | undefined;
}

const LABEL = 36;
const BAR = 24;

/**
 * One line of fewer than `columns`, whatever the terminal has become meanwhile: the bar goes first, then the end of the label.
 * Without a total there is no bar: one that cannot move would look stuck.
 */
export function progressLine({ label, done, total }: Act, columns: number): string {
  const shown = total ? `${formatSize(done)} of ${formatSize(total)}` : formatSize(done);
  const room = Math.max(columns - 1 - "    ".length - Math.max(shown.length, 18), 8);
  const bar = total ? Math.max(Math.min(BAR, room - Math.min(LABEL, label.length)), 0) : 0;
  const width = Math.min(LABEL, room - bar);
  const full = total ? Math.round(bar * Math.min(done / total, 1)) : 0;
  const name = label.length > width ? label.slice(0, width - 1) + "…" : label.padEnd(width);
  return `  ${name} ${bar > 0 ? "█".repeat(full) + "░".repeat(bar - full) + " " : ""}${shown}`;
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
