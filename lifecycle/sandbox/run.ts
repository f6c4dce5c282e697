/** Commands, run to their end: behind the walls that the helper makes, or without it. */
import { kill, killGroup, startHelper, startPlain, startWithSubIds } from "./child.ts";
import type { Command, Outcome } from "./executor.ts";
import { outcomeOf, parseStatus, type Status } from "./status.ts";
import type { SubIds } from "./subids.ts";

/** Seconds between TERM and KILL when a build is aborted or out of time. */
const GRACE_SECONDS = 2;

/** How long the helper may take beyond that before it is killed itself, which kills all below. */
const PATIENCE_MS = 3000;

/** The options of `helper run` for a control group. */
export const groupWords = (directory: string | undefined): readonly string[] =>
  directory === undefined ? [] : ["--cgroup", directory];

/**
 * Makes the walls once around nothing. `undefined` when they stand, else why not.
 *
 * @param own Trees that are given to whom the walls are for, as by `handOver`.
 */
export async function tryWalls(
  helper: string,
  walls: readonly string[],
  statusFile: string,
  own: readonly string[] = [],
): Promise<string | undefined> {
  const words = ["run", ...own.flatMap((path) => ["--own", path]), ...walls];
  const status = ["--status", statusFile, "--check", "--"];
  const { code } = await startHelper(helper, [...words, ...status], {}, "null").status;
  const said = readStatus(statusFile);
  if (code === 0) return undefined;
  return said.failure?.message ?? `the sandbox helper ended with ${code} and no reason`;
}

/**
 * Runs one command behind `walls` (options of `helper run`).
 *
 * @param statusFile A path where nothing is; the helper writes there and it is removed again.
 * @throws {StartError} When it was not started.
 * @throws The reason of the command's signal, after everything it started has ended.
 */
export async function runBehind(
  helper: string,
  walls: readonly string[],
  command: Command,
  statusFile: string,
): Promise<Outcome> {
  command.signal.throwIfAborted();
  const { abort } = command;
  const grace = abort?.graceSeconds ?? GRACE_SECONDS;
  const onTerminal = command.input === "terminal";
  const child = startHelper(
    helper,
    [
      ...["run", ...walls, "--status", statusFile, "--parent", `${Deno.pid}`],
      ...(command.input === undefined ? [] : [`--${command.input}`]),
      ...["--grace", `${grace}`, "--cwd", command.cwd, "--", command.program],
      ...command.args,
    ],
    command.env,
    onTerminal ? "inherit" : "piped",
    command.input ? "inherit" : "null",
  );
  let impatience: ReturnType<typeof setTimeout> | undefined;
  const end = () => {
    kill(child, abort?.with() ?? "SIGTERM");
    impatience ??= setTimeout(() => kill(child, "SIGKILL"), grace * 1000 + PATIENCE_MS);
  };
  command.signal.addEventListener("abort", end, { once: true });
  try {
    const ended = await Promise.allSettled([
      child.status,
      ...(onTerminal ? [] : [
        pass(child.stdout, end, (chunk) => command.onOutput(chunk, "stdout")),
        pass(child.stderr, end, (chunk) => command.onOutput(chunk, "stderr")),
      ]),
    ]);
    for (const result of ended) if (result.status === "rejected") throw result.reason;
    const said = readStatus(statusFile);
    if (!abort?.outcome) command.signal.throwIfAborted();
    return outcomeOf(await child.status, said);
  } finally {
    if (impatience !== undefined) clearTimeout(impatience); // loading Deno's timers takes 10 ms
    command.signal.removeEventListener("abort", end);
  }
}

/**
 * Runs one command without the helper, in a session of its own so that all it started can be ended with it.
 *
 * @param user Whom it becomes, without other groups; only root may. Default: the caller.
 * @throws {StartError} When it was not started.
 * @throws The reason of the command's signal, after its processes were told to end.
 */
export async function runPlain(
  command: Command,
  user?: { readonly uid: number; readonly gid: number },
): Promise<Outcome> {
  command.signal.throwIfAborted();
  const child = startPlain(command, user);
  let impatience: ReturnType<typeof setTimeout> | undefined;
  const end = () => {
    killGroup(child.pid, "SIGTERM");
    impatience ??= setTimeout(() => killGroup(child.pid, "SIGKILL"), GRACE_SECONDS * 1000);
  };
  command.signal.addEventListener("abort", end, { once: true });
  try {
    const passed = Promise.allSettled([
      pass(child.stdout, end, (chunk) => command.onOutput(chunk, "stdout")),
      pass(child.stderr, end, (chunk) => command.onOutput(chunk, "stderr")),
    ]);
    const status = await child.status;
    // What it left running holds the pipes open, and would hold us.
    killGroup(child.pid, "SIGKILL");
    for (const result of await passed) if (result.status === "rejected") throw result.reason;
    command.signal.throwIfAborted();
    return { code: status.code, ...(status.signal === null ? {} : { signal: status.signal }) };
  } finally {
    if (impatience !== undefined) clearTimeout(impatience);
    command.signal.removeEventListener("abort", end);
  }
}

/**
 * Runs a program as root of a user namespace with the ids that the machine lends, on the caller's own streams and in a
 * session of its own: signals come from `signal` alone.
 *
 * @param abort The signal it is sent when `signal` is aborted.
 * @returns Its exit code.
 */
export async function runWithSubIds(
  helper: string,
  ids: SubIds,
  command: {
    readonly program: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
    readonly abort: () => Deno.Signal;
  },
): Promise<number> {
  const child = startWithSubIds(helper, ids, command);
  const end = () => kill(child, command.abort());
  command.signal.addEventListener("abort", end, { once: true });
  try {
    return (await child.status).code;
  } finally {
    command.signal.removeEventListener("abort", end);
  }
}

async function pass(
  from: ReadableStream<Uint8Array>,
  end: () => void,
  to: (chunk: Uint8Array) => void,
): Promise<void> {
  let failure: { reason: unknown } | undefined;
  for await (const chunk of from) {
    if (failure) continue; // the pipe is emptied, so that nobody below blocks while ending
    try {
      to(chunk);
    } catch (reason) {
      failure = { reason };
      end();
    }
  }
  if (failure) throw failure.reason;
}

/** What is in the status file, which is removed; the helper may not have come to write one. */
function readStatus(path: string): Status {
  try {
    const text = Deno.readTextFileSync(path);
    Deno.removeSync(path);
    return parseStatus(text);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return {};
    throw cause;
  }
}
