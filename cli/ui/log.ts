import pc from "picocolors";
import type { Log } from "../../registry/context.ts";
import type { Sink } from "../io.ts";
import { shown } from "./shown.ts";

/** How much is said. */
export type Level = "debug" | "info" | "warn" | "error";

/** Options of {@linkcode terminalLog}. */
export interface LogOptions {
  /** The least level that is shown. */
  readonly level: Level;
  /** Colours and bold. */
  readonly color: boolean;
  /** Prefix each line with local time to the microsecond's place, as pack does. */
  readonly timestamps: boolean;
  /** The clock. */
  readonly now: () => Date;
}

/** A log whose lines the progress bars can step aside for. */
export interface TerminalLog extends Log {
  /** Bytes of a buildpack, passed through unchanged but for colour codes when colour is off. */
  output(bytes: Uint8Array): void;
  /** Ends a line that a buildpack left without its end. */
  flush(): void;
  /** Writes one finished line; replaced while bars are on the screen. */
  writeLine: (line: string) => void;
}

const RANK: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Lines for people on `sink`, in the shapes of the lifecycle (LOG-2): `Warning: ` and `ERROR: `. */
export function terminalLog(sink: Sink, options: LogOptions): TerminalLog {
  const colors = pc.createColors(options.color);
  const decoder = new TextDecoder();
  let partial = "";
  const stamp = () => {
    if (!options.timestamps) return "";
    const now = options.now();
    const two = (n: number) => String(n).padStart(2, "0");
    const date = `${now.getFullYear()}/${two(now.getMonth() + 1)}/${two(now.getDate())}`;
    const time = `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
    return `${date} ${time}.${String(now.getMilliseconds()).padStart(3, "0")}000 `;
  };
  const write = (level: Level, line: string) => {
    if (RANK[level] < RANK[options.level]) return;
    for (const part of line.split("\n")) log.writeLine(stamp() + part);
  };
  const show = (line: string) => write("info", options.color ? line : stripColors(line));
  // Our own line never stands in the middle of somebody's who has not ended it, nor in front of it.
  const say = (level: Level, line: string) => {
    log.flush();
    write(level, line);
  };
  const log: TerminalLog = {
    debug: (line) => say("debug", shown(line, true)),
    info: (line) => {
      const step = /^===> /.test(line);
      const text = shown(line, true);
      say("info", step ? colors.cyan(text) : text);
    },
    warn: (line) => say("warn", colors.yellow(colors.bold("Warning: ")) + shown(line)),
    error: (line) => say("error", colors.red(colors.bold("ERROR: ")) + shown(line)),
    output: (bytes) => {
      if (RANK.info < RANK[options.level]) return;
      partial += decoder.decode(bytes, { stream: true });
      const lines = partial.split("\n");
      partial = lines.pop() ?? "";
      for (const line of lines) show(line);
    },
    flush: () => {
      if (partial === "") return;
      const line = partial;
      partial = "";
      show(line);
    },
    writeLine: (line) => sink.write(line + "\n"),
  };
  return log;
}

/** `text` without SGR and cursor sequences. */
function stripColors(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
}
