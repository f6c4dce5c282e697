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

function fit(label: string): string {
  return label.length > 36 ? label.slice(0, 35) + "…" : label.padEnd(36);
}
