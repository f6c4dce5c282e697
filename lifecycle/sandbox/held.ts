/**
 * An unpacked image that others use too, and what one build changes of it beside: an overlay, in a mount namespace that
 * only its holder, what joins it, and we can reach.
 */
import { join } from "node:path";
import { complaintOf, startHelper } from "./child.ts";

/** What {@linkcode holdTree} starts from. */
export interface HoldOptions {
  /** The helper's executable. */
  readonly helper: string;
  /** The unpacked image; nobody writes to it. */
  readonly tree: string;
  /** An existing private directory; what is changed lies in it, and stays. */
  readonly dir: string;
  /** In a user namespace, where ours may not mount. */
  readonly user: boolean;
}

/** A tree that can be changed. Disposing gives it up; what was changed stays in `upper`. */
export interface HeldTree extends AsyncDisposable {
  /** Its root, as we reach it. Links would lead out of it, as everywhere in a tree: see `tree_files.ts`. */
  readonly root: string;
  /** Its root for who joins. */
  readonly place: string;
  /** Whose namespaces are joined. */
  readonly pid: number;
  /**
   * All that was changed, on this machine: whole files; a character device 0:0 is one that is gone. Of files with
   * several names all are there from the start.
   */
  readonly upper: string;
}

/**
 * Lays an overlay over a tree. Only doing it tells whether it can be done: the kernel, the file system of `dir` and
 * whoever restricts us have their say.
 *
 * @throws {Error} With the reason why not.
 */
export async function holdTree({ helper, tree, dir, user }: HoldOptions): Promise<HeldTree> {
  const [place, upper, work] = ["held", "upper", "work"].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [place, upper, work]) {
    await Deno.mkdir(path);
    await Deno.chmod(path, 0o755);
  }
  const holder = await startHolder(helper, [place, tree, upper, work, ...(user ? ["user"] : [])]);
  return {
    root: `/proc/${holder.pid}/root${place}`,
    place,
    upper,
    pid: holder.pid,
    [Symbol.asyncDispose]: () => holder[Symbol.asyncDispose](),
  };
}

/** A process of the helper that holds something for us until it is disposed, or we end. */
interface Holder extends AsyncDisposable {
  /** Its number. */
  readonly pid: number;
}

/**
 * Runs the verb `hold`, until disposed.
 *
 * @throws {Error} With the helper's reason.
 */
async function startHolder(helper: string, args: readonly string[]): Promise<Holder> {
  const child = startHelper(helper, ["hold", ...args], {}, "piped", "piped");
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
