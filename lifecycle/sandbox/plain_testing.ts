/** An executor without walls, for unit tests of detect and build. Never used by the product. */

import { type Command, type Executor, type Outcome, StartError } from "./executor.ts";

/**
 * Runs executables as plain child processes of the test, on the machine's own tree.
 *
 * Paths inside are paths outside. Leftover processes of the executable are not looked for.
 */
export function plainExecutor(): Executor {
  return { describe: "no sandbox: unit tests only", run };
}

async function run(command: Command): Promise<Outcome> {
  command.signal.throwIfAborted();
  const child = start(command);
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  };
  command.signal.addEventListener("abort", kill, { once: true });
  try {
    const [status] = await Promise.all([
      child.status,
      pass(child.stdout, (chunk) => command.onOutput(chunk, "stdout")),
      pass(child.stderr, (chunk) => command.onOutput(chunk, "stderr")),
    ]);
    command.signal.throwIfAborted();
    return status.signal === null
      ? { code: status.code }
      : { code: status.code, signal: status.signal };
  } finally {
    command.signal.removeEventListener("abort", kill);
  }
}

function start(command: Command): Deno.ChildProcess {
  try {
    return new Deno.Command(command.program, {
      args: [...command.args],
      cwd: command.cwd,
      env: { ...command.env },
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (cause) {
    const absent = cause instanceof Deno.errors.NotFound;
    throw new StartError(
      absent ? 127 : 126,
      `Cannot run "${command.program}": ${absent ? "no such file" : "it cannot be executed"}`,
      { cause },
    );
  }
}

async function pass(
  from: ReadableStream<Uint8Array>,
  to: (chunk: Uint8Array) => void,
): Promise<void> {
  for await (const chunk of from) to(chunk);
}
