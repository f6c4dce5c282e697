/** One line at the bottom of a terminal that says how far a long run is. */
import type { Sink } from "../io.ts";
import type { TerminalLog } from "./log.ts";

/** The line. Dispose it to take it off the screen. */
export interface LiveLine extends Disposable {
  /** One more is done, well or not. */
  step(well: boolean): void;
}

const EVERY_MS = 200;
/** Elsewhere a plain line now and then, so that a CI log shows life. */
const PLAIN_MS = 15_000;

/** Starts it; on what is no terminal, lines now and then. */
export function liveLine(
  sink: Sink,
  log: TerminalLog,
  total: number,
  quiet: boolean,
  now: () => number = () => performance.now(),
): LiveLine {
  const started = now();
  let [done, failed, last] = [0, 0, started];
  const text = () => {
    const seconds = (now() - started) / 1000;
    const rate = done / Math.max(seconds, 0.001);
    const left = rate === 0 ? "" : `, ${formatSeconds((total - done) / rate)} left`;
    const bad = failed === 0 ? "" : `, ${failed} failed`;
    return `${done}/${total} done, ${rate.toFixed(rate < 10 ? 1 : 0)}/s${left}${bad}`;
  };
  if (quiet || total < 2) return { step: () => {}, [Symbol.dispose]: () => {} };
  if (!sink.isTerminal) {
    return {
      step(well) {
        done++;
        if (!well) failed++;
        if (now() - last < PLAIN_MS) return;
        last = now();
        log.info(text());
      },
      [Symbol.dispose]: () => {},
    };
  }
  const plain = log.writeLine;
  let shown = false;
  const clear = () => {
    if (shown) sink.write("\r\x1b[2K");
    shown = false;
  };
  const show = () => {
    sink.write(`\r\x1b[2K${text().slice(0, sink.columns() - 1)}`);
    shown = true;
  };
  log.writeLine = (line) => {
    clear();
    plain(line);
  };
  return {
    step(well) {
      done++;
      if (!well) failed++;
      if (now() - last < EVERY_MS && done < total) return;
      last = now();
      show();
    },
    [Symbol.dispose]() {
      clear();
      log.writeLine = plain;
    },
  };
}

function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  return whole >= 3600
    ? `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`
    : `${Math.floor(whole / 60)}:${two(whole % 60)}`;
}
