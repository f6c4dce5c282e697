/** What a phase says: all of it on stdout, in the shapes people grep for (LOG-1, LOG-2, D7). */
import pc from "picocolors";
import type { Log } from "../../registry/context.ts";
import type { Sink } from "../io.ts";

/** How much is said. */
export type PhaseLevel = "debug" | "info" | "warn" | "error";

/** The lines of a phase. */
export interface PhaseLog extends Log {
  /** `===> NAME`, as the creator shows its phases (LOG-3). */
  step(name: string): void;
  /** What a buildpack prints, unchanged; without its colours when colour is off. */
  output(bytes: Uint8Array): void;
  /** Runs `act` between two debug lines that tell how long it took (LOG-4). */
  timed<T>(name: string, act: () => Promise<T>): Promise<T>;
}

const RANK: Readonly<Record<PhaseLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Reads `-log-level`; `undefined` for a word that is none (IN-0). */
export function readLevel(text: string): PhaseLevel | undefined {
  const word = text.toLowerCase();
  if (word === "warning") return "warn";
  return word in RANK ? word as PhaseLevel : undefined;
}

/** A log that writes to `sink`. */
export function phaseLog(
  sink: Sink,
  options: { readonly level: PhaseLevel; readonly color: boolean; readonly now: () => Date },
): PhaseLog {
  const colors = pc.createColors(options.color);
  const say = (level: PhaseLevel, line: string) => {
    if (RANK[level] >= RANK[options.level]) sink.write(line.endsWith("\n") ? line : line + "\n");
  };
  const log: PhaseLog = {
    debug: (line) => say("debug", line),
    info: (line) => say("info", line),
    warn: (line) => say("warn", colors.yellow(colors.bold("Warning: ")) + line),
    error: (line) => say("error", colors.red(colors.bold("ERROR: ")) + line),
    step: (name) => say("info", colors.cyan(`===> ${name}`)),
    output: (bytes) => sink.write(options.color ? bytes : withoutColors(bytes)),
    async timed(name, act) {
      const started = options.now();
      log.debug(`Timer: ${name} started at ${rfc3339(started)}`);
      try {
        return await act();
      } finally {
        const ended = options.now();
        const seconds = (ended.getTime() - started.getTime()) / 1000;
        log.debug(`Timer: ${name} ran for ${seconds}s and ended at ${rfc3339(ended)}`);
      }
    },
  };
  return log;
}

function rfc3339(time: Date): string {
  return time.toISOString().replace(/\.\d{3}Z$/, "Z");
}

/** `bytes` without SGR sequences; one that is torn over two pieces stays. */
function withoutColors(bytes: Uint8Array): Uint8Array {
  if (!bytes.includes(0x1b)) return bytes;
  // Each byte as one character, so that what is no UTF-8 comes out as it went in.
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  // deno-lint-ignore no-control-regex -- exactly these are meant
  const plain = text.replaceAll(/\x1b\[[0-9;]*m/g, "");
  return Uint8Array.from(plain, (one) => one.charCodeAt(0));
}
