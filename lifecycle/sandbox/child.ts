/**
 * Child processes: the helper, and what is run without it. The only file of the lifecycle that starts one. Environments
 * are given whole; nothing is inherited.
 */
import { z } from "zod";
import type { Digest } from "../../registry/oci/digest.ts";
import { type Command, StartError } from "./executor.ts";
import { type SubIds, subIdWords } from "./subids.ts";

/** Starts the helper with exactly `env`. Its input is empty unless it is asked for. */
export function startHelper(
  helper: string,
  args: string[],
  env: Readonly<Record<string, string>>,
  output: "piped" | "null" | "inherit" = "piped",
  input: "piped" | "null" | "inherit" = "null",
): Deno.ChildProcess {
  try {
    return new Deno.Command(helper, {
      args,
      cwd: "/",
      env: { ...env },
      clearEnv: true,
      stdin: input,
      stdout: output,
      stderr: output,
    }).spawn();
  } catch (cause) {
    // An argument with a NUL, an environment beyond what the kernel takes, a helper that is gone.
    const reason = Error.isError(cause) ? cause.message : String(cause);
    throw new StartError(125, `Cannot start the sandbox helper: ${reason}`, { cause });
  }
}

/**
 * Runs a verb of the helper to its end.
 *
 * @returns What it said.
 * @throws {Error} With the helper's reason.
 * @throws The signal's reason.
 */
export async function runVerb(helper: string, args: string[], stop?: AbortSignal): Promise<string> {
  stop?.throwIfAborted();
  const child = startHelper(helper, args, {});
  const end = () => kill(child, "SIGKILL");
  stop?.addEventListener("abort", end, { once: true });
  const { code, signal, stdout, stderr } = await child.output();
  stop?.removeEventListener("abort", end);
  stop?.throwIfAborted();
  const text = new TextDecoder();
  if (code === 0) return text.decode(stdout);
  throw new Error(
    complaintOf(text.decode(stderr)) ||
      `Cannot run sandbox helper "${args[0]}": it ended with ${signal ?? code}`,
  );
}

/** What the helper complains of, without its name. */
export function complaintOf(stderr: string): string {
  return stderr.trim().replace(/^wherry: sandbox: /, "");
}

/** A digest as the helper says it. */
export const helperDigest = z.string().regex(/^[0-9a-f]{64}$/).transform((hex) =>
  `sha256:${hex}` as Digest
);

/** Starts a program as root of a user namespace, on our own streams, in a session of its own. */
export function startWithSubIds(
  helper: string,
  ids: SubIds,
  { program, args, env }: Pick<Command, "program" | "args" | "env">,
): Deno.ChildProcess {
  return new Deno.Command(helper, {
    args: [...subIdWords(ids), program, ...args],
    env: { ...env },
    clearEnv: true,
    detached: true,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
}

/**
 * Starts a program without the helper, in a session of its own.
 *
 * @param user Whom it becomes, without other groups; only root may. Default: the caller.
 * @throws {StartError} When it was not started.
 */
export function startPlain(
  command: Command,
  user?: { readonly uid: number; readonly gid: number },
): Deno.ChildProcess {
  try {
    const info = Deno.statSync(command.program);
    if (!info.isFile || ((info.mode ?? 0) & 0o111) === 0) {
      throw new StartError(126, `Cannot run "${command.program}": it is not executable`);
    }
    return new Deno.Command(command.program, {
      args: [...command.args],
      cwd: command.cwd,
      env: { ...command.env },
      clearEnv: true,
      ...(user ?? {}),
      detached: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (cause) {
    if (cause instanceof StartError) throw cause;
    const absent = cause instanceof Deno.errors.NotFound;
    const interpreter = absent ? interpreterOf(command.program) : undefined;
    const reason = interpreter !== undefined
      ? `its interpreter ${JSON.stringify(interpreter)} is not here`
      : Error.isError(cause)
      ? cause.message
      : String(cause);
    const code = absent && interpreter === undefined ? 127 : 126;
    throw new StartError(code, `Cannot run "${command.program}": ${reason}`, { cause });
  }
}

/** What the first line of a script asks to be run by; `undefined` for what is no script, or not there. */
function interpreterOf(program: string): string | undefined {
  try {
    using file = Deno.openSync(program);
    const head = new Uint8Array(256);
    const length = file.readSync(head) ?? 0;
    const text = new TextDecoder().decode(head.subarray(0, length));
    return /^#![ \t]*([^ \t\n]+)/.exec(text)?.[1];
  } catch {
    return undefined;
  }
}

/** Sends a signal to a child that may have ended. */
export function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended already.
  }
}

/** Sends a signal to all that is left of a process group. */
export function killGroup(leader: number, signal: Deno.Signal): void {
  try {
    Deno.kill(-leader, signal);
  } catch {
    // Nobody is left.
  }
}
