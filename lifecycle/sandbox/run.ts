/** The helper as a child process: the only file of the lifecycle that starts one. */

import { z } from "zod";
import type { TreeLooks } from "../../registry/layer/unchanged.ts";
import { type Digest, hexOf } from "../../registry/oci/digest.ts";
import { type Command, type Outcome, StartError } from "./executor.ts";
import { parseProbe, type Probe } from "./probe.ts";
import { signalName } from "./signal.ts";
import { findSubIds, type SubIds } from "./subids.ts";

/** Seconds between TERM and KILL when a build is aborted or out of time. */
const GRACE_SECONDS = 2;

/** How long the helper may take beyond that before it is killed itself, which kills all below. */
const PATIENCE_MS = 3000;

/** Asks the helper what this machine allows; takes some milliseconds, once: it does not change while we run. */
export function probeMachine(helper: string): Promise<Probe> {
  let probe = probes.get(helper);
  if (probe === undefined) {
    probe = runVerb(helper, ["probe"]).then(parseProbe);
    probe.catch(() => probes.delete(helper));
    probes.set(helper, probe);
  }
  return probe;
}

const probes = new Map<string, Promise<Probe>>();

/**
 * Deletes directory trees a build left, whatever modes, names and depth they have. A path that is
 * not there is fine.
 *
 * @throws {Error} With the helper's reason.
 */
export async function removeTrees(helper: string, paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return;
  try {
    await runVerb(helper, ["remove", ...paths]);
  } catch (cause) {
    // A build with lent ids was killed: what it left is theirs.
    const lent = await findLentIds(helper);
    if (lent === undefined) throw cause;
    const { newuidmap, uidMap, newgidmap, gidMap } = lent;
    const words = [
      newuidmap,
      uidMap,
      newgidmap,
      gidMap,
      "--",
      "/proc/self/exe",
      "remove",
      ...paths,
    ];
    await runVerb(helper, ["subids", ...words]);
  }
}

async function findLentIds(helper: string): Promise<SubIds | undefined> {
  const uid = Deno.uid() ?? 0;
  if (uid === 0) return undefined;
  const { gid, noNewPrivs } = await probeMachine(helper);
  const found = await findSubIds({ uid, gid, path: "", noNewPrivs });
  return "reason" in found ? undefined : found;
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
  { newuidmap, uidMap, newgidmap, gidMap }: SubIds,
  command: {
    readonly program: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
    readonly abort: () => Deno.Signal;
  },
): Promise<number> {
  const child = new Deno.Command(helper, {
    args: [
      ...["subids", newuidmap, uidMap, newgidmap, gidMap, "--", command.program],
      ...command.args,
    ],
    env: { ...command.env },
    clearEnv: true,
    detached: true,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const end = () => kill(child, command.abort());
  command.signal.addEventListener("abort", end, { once: true });
  try {
    return (await child.status).code;
  } finally {
    command.signal.removeEventListener("abort", end);
  }
}

/** As {@linkcode removeTrees}, but the directories themselves stay, empty. */
export async function clearTrees(helper: string, paths: readonly string[]): Promise<void> {
  if (paths.length > 0) await runVerb(helper, ["clear", ...paths]);
}

/**
 * Gives directory trees to `uid`:`gid`, entries that are theirs already left alone, links not
 * followed. For real root only: in a user namespace the caller's files are the build's.
 *
 * @throws {Error} With the helper's reason.
 */
export async function handOver(
  helper: string,
  paths: readonly string[],
  uid: number,
  gid: number,
): Promise<void> {
  if (paths.length > 0) await runVerb(helper, ["chown", `${uid}`, `${gid}`, ...paths]);
}

const hexDigest = z.string().regex(/^[0-9a-f]{64}$/).transform((hex) => `sha256:${hex}` as Digest);

const unpackedLine = z.object({
  entries: z.number().int(),
  bytes: z.number().int(),
  skipped: z.number().int(),
});

/** What `unpack` made: entries, bytes of files, and devices and rights that could not be had here. */
export type Unpacked = z.infer<typeof unpackedLine>;

/**
 * Runs the verb `unpack` and lets `send` tell it what to make (see `unpack_frames.ts`). Bytes given to `write` may be
 * reused when its promise resolves.
 *
 * @throws {Error} With the helper's reason, or what `send` threw; the helper has ended by then.
 */
export async function unpackFrames(
  helper: string,
  args: readonly string[],
  send: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<Unpacked> {
  const child = start(helper, ["unpack", ...args], {}, "piped", "piped");
  const said = Promise.all([child.stdout.text(), child.stderr.text(), child.status]);
  const writer = child.stdin.getWriter();
  let failure: { readonly reason: unknown } | undefined;
  try {
    await send((bytes) => writer.write(bytes));
  } catch (reason) {
    failure = { reason };
  }
  // Without its last frame the helper fails by itself.
  await writer.close().catch(() => {});
  const [out, complaint, { code, signal }] = await said;
  if (failure && !(failure.reason instanceof Deno.errors.BrokenPipe)) throw failure.reason;
  if (code === 0 && !failure) return unpackedLine.parse(JSON.parse(out));
  throw new Error(
    complaintOf(complaint) || `Cannot unpack: the helper ended with ${signal ?? code}`,
  );
}

/** A process of the helper that holds something for us until it is disposed, or we end. */
export interface Holder extends AsyncDisposable {
  /** Its number. */
  readonly pid: number;
}

/**
 * Runs the verb `hold`, until disposed.
 *
 * @throws {Error} With the helper's reason.
 */
export async function startHolder(helper: string, args: readonly string[]): Promise<Holder> {
  const child = start(helper, ["hold", ...args], {}, "piped", "piped");
  const complaint = child.stderr.text();
  const reader = child.stdout.getReader();
  const { done } = await reader.read();
  const close = async () => {
    await child.stdin.close().catch(() => {});
    await Promise.all([reader.cancel(), child.status, complaint]);
  };
  if (!done) return { pid: child.pid, [Symbol.asyncDispose]: close };
  await close();
  throw new Error(complaintOf(await complaint) || "Cannot hold an overlay: the helper ended");
}

/** A layer for {@linkcode restoreWith}: the directory `name` of `directory`, which is `inside` in the plain tar `tar`. */
export interface TarLayer {
  readonly tar: string;
  readonly directory: string;
  readonly inside: string;
  readonly name: string;
  /** What the tar has to be. */
  readonly sha: Digest;
}

/** What became of a layer: it is on disk and was what it should be, or why it is for others, who find it `touched` or not. */
export type TarOutcome =
  | { readonly frame: Digest; readonly looks: TreeLooks }
  | { readonly why: string; readonly touched: boolean };

const tarOutcome = z.lazy(() =>
  z.union([
    z.object({
      frame: hexDigest,
      looks: hexDigest,
      newest: z.string().regex(/^[0-9]{1,20}$/),
    }).transform(({ frame, looks, newest }) => ({
      frame,
      looks: { digest: looks, newest: BigInt(newest) },
    })),
    z.object({ why: z.string(), touched: z.boolean() }),
  ])
);

/**
 * Restores layers side by side, hashing on the way.
 *
 * @returns Of each, in order.
 * @throws {Error} With the helper's reason; anything may lie in the places of the layers then.
 * @throws The signal's reason.
 */
export async function restoreWith(
  helper: string,
  layers: readonly TarLayer[],
  signal: AbortSignal,
): Promise<readonly TarOutcome[]> {
  const words = layers.flatMap((
    { tar, directory, inside, name, sha },
  ) => [tar, directory, inside, name, hexOf(sha)]);
  const said = await runVerb(helper, ["restore", ...words], signal);
  return said.trim().split("\n").map((line) => tarOutcome.parse(JSON.parse(line)));
}

/** A layer that {@linkcode archiveWith} made. */
export interface ArchivedLayer {
  /** Of the plain tar. */
  readonly diffId: Digest;
  /** Bytes of it. */
  readonly tarSize: number;
  /** Of the blob. */
  readonly digest: Digest;
  /** Bytes of it. */
  readonly size: number;
}

const archiveLine = z.lazy(() =>
  z.union([
    z.object({ tar: z.number().int() }),
    z.object({
      diffId: hexDigest,
      tarSize: z.number().int(),
      digest: hexDigest,
      size: z.number().int(),
    }),
    z.object({ why: z.string() }),
  ])
);

/** Where {@linkcode archiveWith} writes, and whom it tells. */
export interface ArchiveOptions {
  /** The file to write over with the gzip blob; without one none is made, and `digest` is that of nothing. */
  readonly blob?: string | undefined;
  /** The file to append the plain tar to. */
  readonly spool?: string | undefined;
  /** Called with bytes of tar that are done. */
  readonly onProgress?: ((tarBytes: number) => void) | undefined;
  readonly signal: AbortSignal;
}

/**
 * Makes a layer of what `words` say, see `archive.c`: groups of words, each a list for one entry or tree.
 *
 * @returns What was made, or why the helper leaves it to others; anything may be in the files then.
 * @throws {Error} With the helper's reason, or what `words` threw. The signal's reason.
 */
export async function archiveWith(
  helper: string,
  words: Iterable<readonly (string | number)[]>,
  { blob = "-", spool = "-", onProgress, signal }: ArchiveOptions,
): Promise<ArchivedLayer | { readonly why: string }> {
  signal.throwIfAborted();
  const child = start(helper, ["archive", blob, spool], {}, "piped", "piped");
  const end = () => kill(child, "SIGKILL");
  signal.addEventListener("abort", end, { once: true });
  let made: ArchivedLayer | { readonly why: string } | undefined;
  const hear = async () => {
    let told = 0;
    for await (const line of linesOf(child.stdout)) {
      const said = archiveLine.parse(JSON.parse(line));
      if (!("tar" in said)) made = said;
      const done = "tar" in said ? said.tar : "tarSize" in said ? said.tarSize : told;
      onProgress?.(done - told);
      told = done;
    }
  };
  try {
    const heard = Promise.all([hear(), child.stderr.text(), child.status]);
    heard.catch(end);
    const writer = child.stdin.getWriter();
    try {
      for (const chunk of inChunks(words)) await writer.write(chunk);
    } catch (error) {
      // A helper that has ended says why below.
      if (!(error instanceof Deno.errors.BrokenPipe)) {
        end();
        await heard.catch(() => {});
        throw error;
      }
    }
    await writer.close().catch(() => {});
    const [, complaint, { code, signal: killed }] = await heard;
    signal.throwIfAborted();
    if (code === 0 && made !== undefined) return made;
    throw new Error(
      complaintOf(complaint) || `Cannot archive: the helper ended with ${killed ?? code}`,
    );
  } finally {
    signal.removeEventListener("abort", end);
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/** Words with a NUL behind each, some at a time. */
function* inChunks(words: Iterable<readonly (string | number)[]>): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  let text = "";
  for (const group of words) {
    for (const word of group) text += `${word}\0`;
    if (text.length < 64 * 1024) continue;
    yield encoder.encode(text);
    text = "";
  }
  yield encoder.encode(`${text}.\0`);
}

/** The options of `helper run` for a control group. */
export const groupWords = (directory: string | undefined): readonly string[] =>
  directory === undefined ? [] : ["--cgroup", directory];

/** Makes the walls once around nothing. `undefined` when they stand, else why not. */
export async function tryWalls(
  helper: string,
  walls: readonly string[],
  statusFile: string,
): Promise<string | undefined> {
  const status = ["--status", statusFile, "--check", "--"];
  const { code } = await start(helper, ["run", ...walls, ...status], {}, "null").status;
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
  const child = start(
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
    return outcome(await child.status, said);
  } finally {
    clearTimeout(impatience);
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
    clearTimeout(impatience);
    command.signal.removeEventListener("abort", end);
  }
}

function startPlain(
  command: Command,
  user: { readonly uid: number; readonly gid: number } | undefined,
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

function killGroup(leader: number, signal: Deno.Signal): void {
  try {
    Deno.kill(-leader, signal);
  } catch {
    // Nobody is left.
  }
}

function outcome(status: Deno.CommandStatus, said: Status): Outcome {
  if (said.failure) throw said.failure;
  if (said.exit) {
    const name = said.exit.signal > 0 ? signalName(said.exit.signal) : undefined;
    return {
      code: said.exit.exit,
      maxRssKb: said.exit.maxrss_kb,
      ...(name === undefined ? {} : { signal: name }),
    };
  }
  if (status.signal === null) {
    throw new StartError(125, `Cannot run the sandbox helper: it ended with ${status.code}`);
  }
  return { code: status.code, signal: status.signal };
}

/** Starts the helper with exactly `env`. Its input is empty unless it is asked for. */
function start(
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

async function runVerb(helper: string, args: string[], stop?: AbortSignal): Promise<string> {
  stop?.throwIfAborted();
  const child = start(helper, args, {});
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

function complaintOf(stderr: string): string {
  return stderr.trim().replace(/^wherry: sandbox: /, "");
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

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended already.
  }
}

const exitLine = z.lazy(() =>
  z.object({
    exit: z.number().int(),
    signal: z.number().int(),
    timeout: z.boolean(),
    maxrss_kb: z.number().int(),
  })
);

const failLine = z.lazy(() =>
  z.object({
    fail: z.union([z.literal(125), z.literal(126), z.literal(127)]),
    act: z.string(),
    thing: z.string(),
    errno: z.number().int(),
    error: z.string(),
  })
);

/** What the helper wrote: how the program ended, or why it never began. */
interface Status {
  exit?: z.infer<typeof exitLine>;
  failure?: StartError;
}

function readStatus(path: string): Status {
  const status: Status = {};
  let text = "";
  try {
    text = Deno.readTextFileSync(path);
    Deno.removeSync(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
  }
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const value: unknown = JSON.parse(line);
    const exit = exitLine.safeParse(value);
    if (exit.success) status.exit = exit.data;
    const fail = failLine.safeParse(value);
    if (fail.success) {
      const { act, thing, error } = fail.data;
      status.failure ??= new StartError(fail.data.fail, `Cannot ${act} "${thing}": ${error}`);
    }
  }
  return status;
}
