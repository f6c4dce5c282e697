/** The root file system that instructions change. */
import { findContained } from "../file/contained.ts";
import type { Command, Outcome } from "../sandbox/executor.ts";
import type { SnapshotScope } from "./snapshot.ts";
import type { ImageUser, UserFiles } from "./users.ts";

/** A command in the root. */
export interface RootCommand extends Command {
  /** Whom it runs as. */
  readonly user: { readonly uid: number; readonly gid: number };
}

/** A root file system that can be changed, and commands run in. Disposing gives it up. */
export interface ExtendRoot extends SnapshotScope, AsyncDisposable {
  /** Owners on disk are the image's; else all is the caller's, and instructions say whose it is. */
  readonly realOwners: boolean;
  /**
   * Runs a command to its end.
   *
   * @throws {StartError} When it could not be started.
   */
  run(command: RootCommand): Promise<Outcome>;
}

/** Where `path` of the image lies on this machine; links on the way followed as inside. */
export async function locateIn(
  { root }: SnapshotScope,
  path: string,
): Promise<{ readonly outside: string; readonly info: Deno.FileInfo } | undefined> {
  return await findContained(path, [{ inside: "/", outside: root === "/" ? "" : root }]);
}

/** The users and groups of the image. */
export async function userFilesOf(scope: SnapshotScope): Promise<UserFiles> {
  const read = async (path: string) => {
    const found = await locateIn(scope, path);
    return found?.info.isFile ? await Deno.readTextFile(found.outside) : "";
  };
  return { passwd: await read("/etc/passwd"), group: await read("/etc/group") };
}

/**
 * Makes the directory `path` of the image and what is missing above it, with mode 0755. Links on the way are followed
 * as inside.
 *
 * @returns Where it lies on this machine, and the paths inside that were made.
 * @throws {TypeError} When something that is no directory is in the way.
 */
export async function makeDirectoryIn(
  scope: SnapshotScope & Pick<ExtendRoot, "realOwners">,
  path: string,
  owner: Pick<ImageUser, "uid" | "gid">,
): Promise<{ readonly outside: string; readonly made: readonly string[] }> {
  const top = scope.root === "/" ? "" : scope.root;
  let inside = "";
  let outside = top;
  const made: string[] = [];
  for (const step of path.split("/").filter((part) => part !== "")) {
    const next = `${inside}/${step}`;
    const found = await locateIn(scope, next);
    if (found !== undefined) {
      if (!found.info.isDirectory) throw new TypeError(`${next} of the image is no directory`);
      outside = found.outside;
      inside = outside.slice(top.length);
      continue;
    }
    outside = `${outside}/${step}`;
    if (await Deno.lstat(outside).then(() => true, () => false)) {
      throw new TypeError(`${next} of the image is a link to nothing`);
    }
    await Deno.mkdir(outside);
    await Deno.chmod(outside, 0o755);
    if (scope.realOwners) await Deno.chown(outside, owner.uid, owner.gid);
    inside = outside.slice(top.length);
    made.push(inside);
  }
  return { outside: outside === "" ? "/" : outside, made };
}

/**
 * The absolute path of a program, as a shell would find it.
 *
 * @throws {TypeError} When it is nowhere.
 */
export async function findProgram(
  scope: SnapshotScope,
  word: string,
  path: string,
  cwd: string,
): Promise<string> {
  if (word.includes("/")) return word.startsWith("/") ? word : `${cwd}/${word}`;
  for (const dir of path.split(":")) {
    const found = dir.startsWith("/") ? await locateIn(scope, `${dir}/${word}`) : undefined;
    if (found?.info.isFile && ((found.info.mode ?? 0) & 0o111) !== 0) return `${dir}/${word}`;
  }
  throw new TypeError(`${JSON.stringify(word)} is in no directory of PATH (${path})`);
}
