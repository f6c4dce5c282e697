/** Runs `bin/build` or `bin/generate` to a good end, or says whose fault it was. */
import { BuildpackError, type ExitCode } from "../error.ts";
import { type Command, type Executor, type Outcome, StartError } from "../sandbox/executor.ts";

/** Which executable, of whom, and what its failures are called. */
export interface ModuleRun {
  /** `bin/<act>`. */
  readonly act: "build" | "generate";
  /** The module, as `id@version`. */
  readonly name: string;
  /** Exit code when the sandbox itself failed. */
  readonly sandboxFault: ExitCode;
  /** Exit code when the executable failed or could not be started. */
  readonly moduleFault: ExitCode;
}

/**
 * Runs `command`.
 *
 * @throws {BuildpackError} When it did not end with 0, or was not started.
 */
export async function runModule(
  executor: Executor,
  command: Command,
  { act, name, sandboxFault, moduleFault }: ModuleRun,
): Promise<void> {
  let outcome: Outcome;
  try {
    outcome = await executor.run(command);
  } catch (cause) {
    if (!(cause instanceof StartError)) throw cause;
    // 125 is the sandbox itself: no fault of the module.
    const exitCode = cause.code === 125 ? sandboxFault : moduleFault;
    throw new BuildpackError(exitCode, `Cannot ${act} with "${name}": ${cause.message}`, {
      cause,
      buildpack: name,
    });
  }
  if (outcome.code === 0 && outcome.signal === undefined) return;
  const how = outcome.signal === undefined
    ? `exited with status ${outcome.code}`
    : `was killed by ${outcome.signal}`;
  throw new BuildpackError(moduleFault, `Cannot ${act} with "${name}": its bin/${act} ${how}`, {
    buildpack: name,
    status: outcome.code,
  });
}
