/** A command line run as `main.ts` runs it, in this process, with an Io of our own. */
// What it opens stays open: that is no test's fault, so it is here before the first.
import "../registry/layer/descriptors.ts";
import "../registry/oci/native_sha256.ts";
import { failureOf } from "./exit.ts";
import type { Io, Sink } from "./io.ts";
import { run } from "./run.ts";

/** How a command line ended. */
export interface Ended {
  /** Exit code. */
  readonly code: number;
  /** Results. */
  readonly out: string;
  /** Logs, and the line of a failure. */
  readonly err: string;
}

/** Where a line is run. */
export interface Around {
  /** The directory it stands in. */
  readonly dir: string;
  /** All of its environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** On a terminal of so many columns; on none without it. */
  readonly width?: number | undefined;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
}

/** Runs one to its end. Never throws. */
export async function runLine(
  args: readonly string[],
  { dir, env = {}, width, signal = new AbortController().signal }: Around,
): Promise<Ended> {
  let [out, err] = ["", ""];
  const sink = (add: (text: string) => void): Sink => ({
    write: (text) => add(typeof text === "string" ? text : new TextDecoder().decode(text)),
    isTerminal: width !== undefined,
    columns: () => width ?? 80,
  });
  const io: Io = {
    args,
    env,
    cwd: dir,
    user: { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 },
    stdout: sink((text) => out += text),
    stderr: sink((text) => err += text),
    signal,
  };
  try {
    return { code: await run(io), out, err };
  } catch (error) {
    const { code, message } = failureOf(error);
    return { code, out, err: err + (message === undefined ? "" : `ERROR: ${message}\n`) };
  }
}
