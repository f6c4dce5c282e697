/** The root file system that instructions change. */
import { lchown } from "node:fs/promises";
import { join } from "node:path";
import type { Command, Outcome } from "../sandbox/executor.ts";
import { follow, locate } from "../sandbox/tree_files.ts";
import { type Looking, type Watch, watch } from "./changes.ts";
import {
  compareSnapshots,
  notUtf8,
  type Snapshot,
  type SnapshotScope,
  takeSnapshot,
} from "./snapshot.ts";

/** A user and a group. */
export interface Ids {
  /** User. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
}

/** A command in the root. */
export interface RootCommand extends Command {
  /** Whom it runs as. */
  readonly user: Ids;
}

/** A root file system that can be changed, and commands run in. */
export interface ExtendRoot extends SnapshotScope, Watch {
  /** Owners on disk are the image's; else all is the caller's, and instructions say whose it is. */
  readonly realOwners: boolean;
  /**
   * Runs a command to its end; nothing it started is running then.
   *
   * @throws {StartError} When it could not be started.
   */
  run(command: RootCommand): Promise<Outcome>;
}

/**
 * Watches a root that looks like any other tree, by looking at all of it.
 *
 * @param pristine See {@linkcode Looking.pristine}.
 */
export function watchWhole(
  scope: SnapshotScope,
  realOwners: boolean,
  pristine: Looking<Snapshot>["pristine"] = () => Promise.resolve(undefined),
): Watch {
  const top = scope.root === "/" ? "" : scope.root;
  // Those of the image are left alone.
  let known: ReadonlySet<string> | undefined;
  return watch<Snapshot>({
    async take(signal) {
      const odd = new Set<string>();
      const found = await takeSnapshot(scope, signal, odd);
      known ??= odd;
      for (const path of odd) if (!known.has(path)) throw notUtf8(path);
      return found;
    },
    compare: compareSnapshots,
    outside: (path) => `${top}${path}`,
    pristine,
    isOld: (_, was, is) => was.ino === is.ino,
    capabilities: realOwners,
  });
}

/**
 * Makes the directory `path` of the image and what is missing above it, with mode 0755. Links on the way are followed
 * as inside.
 *
 * @returns Where it lies on this machine.
 * @throws {TypeError} When something that is no directory is in the way.
 */
export async function makeDirectoryIn(
  { root, realOwners }: ExtendRoot,
  path: string,
  { uid, gid }: Ids,
): Promise<string> {
  const { found, missing } = follow(root, path);
  let outside = join(root, ...found);
  if (!(await Deno.lstat(outside)).isDirectory) {
    throw new TypeError(`/${found.join("/")} of the image is no directory`);
  }
  for (const step of missing) {
    outside = join(outside, step);
    if (await Deno.lstat(outside).then(() => true, () => false)) {
      throw new TypeError(`${outside.slice(root.length)} of the image is a link to nothing`);
    }
    await Deno.mkdir(outside);
    await Deno.chmod(outside, 0o755);
    if (realOwners) await lchown(outside, uid, gid);
  }
  return outside;
}

/**
 * The absolute path of a program, as a shell would find it.
 *
 * @throws {TypeError} When it is nowhere.
 */
export async function findProgram(
  { root }: SnapshotScope,
  word: string,
  path: string,
  cwd: string,
): Promise<string> {
  if (word.includes("/")) return word.startsWith("/") ? word : `${cwd}/${word}`;
  for (const dir of path.split(":")) {
    const found = dir.startsWith("/") ? locate(root, `${dir}/${word}`) : undefined;
    const info = found === undefined ? undefined : await Deno.lstat(found);
    if (info?.isFile && ((info.mode ?? 0) & 0o111) !== 0) return `${dir}/${word}`;
  }
  throw new TypeError(`${JSON.stringify(word)} is in no directory of PATH (${path})`);
}
