/** How a phase fails: the exit code, and the words behind `ERROR: ` (LOG-5). */
import { ExitCode, LifecycleError, rethrow } from "../../lifecycle/error.ts";

/** A phase that could not go on, in the shape `failed to <action>: <why>`. */
export class PhaseFailure extends Error {
  override readonly name = "PhaseFailure";
  /** Of the process. */
  readonly exitCode: number;

  /** Makes a failure to do `action`; without `why` the action says it all. */
  constructor(exitCode: number, action: string, why?: string, options?: ErrorOptions) {
    super(why === undefined ? `failed to ${action}` : `failed to ${action}: ${why}`, options);
    this.exitCode = exitCode;
  }
}

/** Bad arguments: exit 3. */
export function badArguments(why: string): PhaseFailure {
  return new PhaseFailure(ExitCode.arguments, "parse arguments", why);
}

/** Inputs that contradict each other or the world: exit 3 (2.4). */
export function badInputs(why: string, options?: ErrorOptions): PhaseFailure {
  return new PhaseFailure(ExitCode.arguments, "resolve inputs", why, options);
}

/**
 * Runs `act`; what it throws becomes a failure to do `action`. A lifecycle error keeps its exit code, all else gets
 * `exitCode`; failures, and the reason of an aborted signal, pass.
 */
export async function failing<T>(
  action: string,
  exitCode: number,
  signal: AbortSignal,
  act: () => Promise<T> | T,
): Promise<T> {
  return await rethrow(signal, act, (error) => {
    if (error instanceof PhaseFailure) return error;
    const code = error instanceof LifecycleError ? error.exitCode : exitCode;
    return new PhaseFailure(code, action, messageOf(error), { cause: error });
  });
}

/** One line; what a system call said comes behind the file it said it of. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  const fault = /^(.+) \(os error \d+\): \w+ '(.+)'$/.exec(text);
  if (fault !== null) return `${fault[2]}: ${fault[1]![0]!.toLowerCase()}${fault[1]!.slice(1)}`;
  return text.replaceAll(/\s*\n\s*/g, "; ");
}
