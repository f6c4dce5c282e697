/** The program. Alone in reading arguments, environment and in ending the process. */
import { startEnvironment } from "./assets.ts";
import { failureOf } from "./exit.ts";
import { Interrupted, type Io, type Sink } from "./io.ts";
import { lifecyclePhase } from "./lifecycle_call.ts";

function sink(
  file: { writeSync(bytes: Uint8Array): number; isTerminal(): boolean },
  name: string,
): Sink {
  const encoder = new TextEncoder();
  return {
    write(text) {
      let rest = typeof text === "string" ? encoder.encode(text) : text;
      try {
        while (rest.byteLength > 0) rest = rest.subarray(file.writeSync(rest));
      } catch (cause) {
        if (cause instanceof Deno.errors.BrokenPipe) throw cause;
        throw new Error(`Cannot write to ${name}`, { cause });
      }
    },
    isTerminal: file.isTerminal(),
    columns: () => {
      try {
        return Deno.consoleSize().columns;
      } catch {
        return 80;
      }
    },
  };
}

function interruptible(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, () => {
      const reason = new Interrupted(name);
      // The second one means it: what is under way is made to be safe against a sudden end.
      if (controller.signal.aborted) end(reason.exitCode);
      controller.abort(reason);
    });
  }
  return controller.signal;
}

// zod turns a schema into code before it reads the first document with it. That pays after thousands; we read a few.
(globalThis as { __zod_globalConfig?: { jitless: boolean } }).__zod_globalConfig = {
  jitless: true,
};

async function main(): Promise<number> {
  const io: Io = {
    args: Deno.args,
    env: startEnvironment() ?? Deno.env.toObject(),
    cwd: Deno.cwd(),
    user: { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 },
    stdin: { isTerminal: Deno.stdin.isTerminal() },
    stdout: sink(Deno.stdout, "stdout"),
    stderr: sink(Deno.stderr, "stderr"),
    signal: interruptible(),
  };
  try {
    if (io.args.length === 1 && /^(--)?version$/.test(io.args[0] ?? "")) {
      // Without the library that reads command lines: it loads much of Node, which takes twice as long as all else.
      (await import("./version.ts")).printVersion(io);
      return 0;
    }
    const phase = await lifecyclePhase(io);
    if (phase !== undefined) return await phase();
    const { run } = await import("./run.ts");
    return await run(io);
  } catch (caught) {
    const error = io.signal.aborted ? io.signal.reason : caught;
    if (caught instanceof Deno.errors.BrokenPipe) return 0; // the reader had enough: `wherry ls | head`
    const { code, message } = failureOf(error);
    if (message !== undefined) {
      // Behind the ^C that the terminal shows.
      if (error instanceof Interrupted && io.stderr.isTerminal) io.stderr.write("\n");
      const red = io.args.includes("--force-color") ||
        io.stderr.isTerminal && !io.env["NO_COLOR"] && !io.args.includes("--no-color");
      io.stderr.write(`${red ? "\x1b[31;1mERROR: \x1b[0m" : "ERROR: "}${message}\n`);
    }
    if (io.env["WHERRY_TRACE"] && caught instanceof Error) io.stderr.write(`${caught.stack}\n`);
    return code;
  }
}

// Work that waits for something that never comes ends the process when nothing else is left to do: no success.
const asleep = () => {
  Deno.exitCode = 1;
  sink(Deno.stderr, "stderr").write(
    "ERROR: Cannot go on: what was waited for never came, please report this\n",
  );
};
globalThis.addEventListener("unload", asleep);
function end(code: number): never {
  globalThis.removeEventListener("unload", asleep);
  Deno.exit(code);
}
main().then(end);
