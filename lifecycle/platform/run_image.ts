/** Starts an image as an engine would: its configuration decides, and what the user changes of it. */
import type { Context } from "../../registry/context.ts";
import type { ImageConfig } from "../../registry/oci/config.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import type { Outcome } from "../sandbox/executor.ts";
import type { Sandbox, SandboxDir } from "../sandbox/in_place.ts";
import { prepareChroot } from "../sandbox/chroot.ts";
import type { Entry } from "../sandbox/entry.ts";
import { prepareRoot } from "../sandbox/root.ts";
import { locate, readGroups, readUsers } from "../sandbox/tree_files.ts";
import { envRecord } from "./builder_root.ts";

/** What the user may change of an image. */
export interface RunRequest {
  /** Its configuration. */
  readonly config: ImageConfig;
  /** Its unpacked form. */
  readonly tree: string;
  /** How it was unpacked, and is entered. With `chroot` the tree must be nobody else's: it is written to. */
  readonly entry: Entry;
  /** The helper's executable. */
  readonly helper: string;
  /** An existing private directory. */
  readonly scratchDir: string;
  /** Instead of its arguments (`Cmd`); absent: its own. */
  readonly args?: readonly string[] | undefined;
  /** Instead of its entrypoint, arguments of the image left out with it. */
  readonly entrypoint?: string | undefined;
  /** More variables. */
  readonly env: Readonly<Record<string, string>>;
  /** Instead of its user. */
  readonly user?: string | undefined;
  /** Instead of its directory. */
  readonly workdir?: string | undefined;
  /** Directories of this machine. */
  readonly volumes: readonly SandboxDir[];
  /** Default: the host's, so that ports are those of this machine. */
  readonly network?: "host" | "none" | undefined;
  /** Whether it reads the caller's stdin; else nothing. */
  readonly stdin: boolean;
  /** The signal to pass on when the context's signal is aborted. */
  readonly endWith: () => Deno.Signal;
}

/** What an image starts with. */
export interface Start {
  /** Program and arguments; never empty. */
  readonly words: readonly string[];
  /** The whole environment, HOME left out where nothing sets it. */
  readonly env: Readonly<Record<string, string>>;
  /** Absolute. */
  readonly cwd: string;
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * What the configuration and the user's changes come to; no I/O.
 *
 * @throws {LifecycleError} When there is nothing to start.
 */
export function startOf(
  request: Pick<RunRequest, "config" | "args" | "entrypoint" | "env" | "workdir">,
): Start {
  const { config: { config }, args, entrypoint, workdir } = request;
  const first = entrypoint === undefined ? config.Entrypoint ?? [] : [entrypoint];
  const words = [...first, ...(args ?? (entrypoint === undefined ? config.Cmd ?? [] : []))];
  if (words.length === 0) {
    throw new LifecycleError(
      ExitCode.arguments,
      "Cannot run the image: it says no program to start; want -- PROGRAM ARGS",
    );
  }
  return {
    words,
    env: { PATH, ...envRecord(config.Env ?? []), ...request.env },
    cwd: workdir ?? (config.WorkingDir || "/"),
  };
}

/**
 * Starts the image and waits for its end. What it writes is forgotten, where its files can be written at all.
 *
 * @param onOutput Gets what it prints.
 * @throws {LifecycleError} When there is nothing to start, or its user is unknown.
 * @throws {StartError} When the program cannot be started.
 */
export async function runImage(
  request: RunRequest,
  ctx: Context,
  onOutput: (chunk: Uint8Array, stream: "stdout" | "stderr") => void,
): Promise<Outcome> {
  const { tree } = request;
  const { words, env, cwd } = startOf(request);
  const user = userOf(tree, request.user ?? request.config.config.User ?? "");
  const { writable, ...walls } = await wallsFor(request, user, ctx);
  await using sandbox = walls.sandbox;
  ctx.log.debug(`isolation: ${sandbox.describe}`);
  const home = readUsers(tree).find(({ uid }) => uid === user.uid)?.home || "/";
  const full = { HOME: writable ? home : sandbox.plan.home, ...env };
  return await sandbox.run({
    program: await programIn(request, words[0]!, env["PATH"] ?? PATH),
    args: words.slice(1),
    cwd,
    env: full,
    input: request.stdin ? "stdin" : undefined,
    signal: ctx.signal,
    abort: { with: request.endWith, graceSeconds: 10, outcome: true },
    onOutput,
  });
}

/** The walls, and whether all of the image can be written behind them. */
async function wallsFor(
  { entry: { mode, owner }, tree, helper, scratchDir, volumes, network }: RunRequest,
  user: { readonly uid: number; readonly gid: number },
  ctx: Context,
): Promise<{ readonly sandbox: Sandbox; readonly writable: boolean }> {
  const common = { helper, scratchDir, tree, dirs: volumes, ...user };
  if (mode !== "namespaces") {
    const refused = volumes.length > 0
      ? "--volume: nothing can be mounted"
      : network === "none"
      ? "--network none: it takes namespaces"
      : user.uid === 0
      ? "root: who is root can leave a chroot; want --user"
      : undefined;
    if (refused !== undefined) {
      throw new LifecycleError(
        ExitCode.arguments,
        `Cannot run the image with --isolation ${mode} and ${refused}`,
      );
    }
    return { sandbox: await prepareChroot({ ...common, writable: true }), writable: false };
  }
  const options = { ...common, owner, network };
  const whole = await prepareRoot({ ...options, root: "copy-on-write" }).catch((error: unknown) => {
    if (!/overlay/.test(String(error))) throw error;
    ctx.log.warn(`The image's files cannot be written: ${(error as Error).message}`);
  });
  const sandbox = whole ?? await prepareRoot({ ...options, root: "read-only" });
  return { sandbox, writable: whole !== undefined };
}

/** A name without a slash is looked up as execvp does; what a volume brings, or a link leads to, is the kernel's business. */
async function programIn(
  { tree, volumes }: Pick<RunRequest, "tree" | "volumes">,
  word: string,
  path: string,
): Promise<string> {
  const process = /^\/cnb\/process\/[^/]+$/.test(word) && volumes.length === 0;
  if (process && !locate(tree, word)) throw await noProcess(tree, word);
  if (word.includes("/")) return word;
  for (const dir of path.split(":")) {
    const file = `${dir === "" ? "." : dir}/${word}`;
    const found = locate(tree, file);
    if (found !== undefined && ((await Deno.lstat(found)).mode ?? 0) & 0o111) return file;
  }
  throw new LifecycleError(
    ExitCode.arguments,
    `Cannot run ${JSON.stringify(word)}: the image has no such program in ${path}`,
  );
}

async function noProcess(tree: string, word: string): Promise<LifecycleError> {
  const dir = locate(tree, "/cnb/process");
  const names = dir === undefined
    ? []
    : await Array.fromAsync(Deno.readDir(dir), ({ name }) => name).catch(() => []);
  return new LifecycleError(
    ExitCode.arguments,
    `Cannot run ${JSON.stringify(word)}: the image has ${
      names.length === 0 ? "no processes" : `the processes ${names.sort().join(", ")}`
    }`,
  );
}

/** `user`, `uid`, `user:group`, `uid:gid`, as the image's own files know them; nothing is root. */
export function userOf(
  tree: string,
  text: string,
): { readonly uid: number; readonly gid: number } {
  if (text === "") return { uid: 0, gid: 0 };
  const [name = "", group] = text.split(":");
  const unknown = (what: string, word: string) =>
    new LifecycleError(
      ExitCode.arguments,
      `Cannot run as ${JSON.stringify(text)}: the image has no ${what} ${JSON.stringify(word)}`,
    );
  const numeric = /^\d{1,10}$/.test(name);
  const user = readUsers(tree).find((one) =>
    numeric ? one.uid === Number(name) : one.name === name
  );
  if (user === undefined && !numeric) throw unknown("user", name);
  let gid = user?.gid ?? 0;
  if (group !== undefined) {
    const found = /^\d{1,10}$/.test(group) ? Number(group) : readGroups(tree).get(group);
    if (found === undefined) throw unknown("group", group);
    gid = found;
  }
  const ids = { uid: user?.uid ?? Number(name), gid };
  if (ids.uid >= 2 ** 31 || ids.gid >= 2 ** 31) throw unknown("user", name); // X-09
  return ids;
}
