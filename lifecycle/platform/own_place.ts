/**
 * A directory of a build at the very place where the image will have it. Where nothing can be mounted, buildpacks see the
 * machine's own paths, and write them into what they make.
 */
import { clearTrees } from "../sandbox/trees.ts";

/** An empty directory that nobody else uses. Disposing leaves it as it was. */
export interface OwnPlace extends AsyncDisposable {
  /** Absolute. */
  readonly path: string;
}

/**
 * Takes `path`, which must be missing or an empty directory. What a killed build left there is cleared away.
 *
 * @param note A path where it is written down for that case.
 * @param helper Deletes trees with any mode and owner.
 * @returns `undefined` when it is in use, holds something, or cannot be written.
 */
export async function takePlace(
  path: string,
  note: string,
  helper: string,
): Promise<OwnPlace | undefined> {
  const made = await Deno.mkdir(path).then(() => true, () => false);
  const giveUp = async () => {
    if (made) await Deno.remove(path).catch(() => {});
    return undefined;
  };
  const lock = await lockDirectory(path);
  if (lock === undefined) return await giveUp();
  const left = await Deno.readTextFile(note).catch(() => "");
  if (left.endsWith(` ${path}`)) await clearTrees(helper, [path]);
  if (!await isEmptyAndOurs(path)) {
    lock.close();
    return await giveUp();
  }
  const goes = made || left === `made ${path}`;
  await Deno.writeTextFile(note, `${goes ? "made" : "found"} ${path}`);
  if (made) await Deno.chmod(path, 0o755);
  return {
    path,
    async [Symbol.asyncDispose]() {
      await clearTrees(helper, [path]);
      if (goes) await Deno.remove(path);
      await Deno.remove(note);
      lock.close();
    },
  };
}

/**
 * The first of `paths` that can be taken.
 *
 * @param notes A directory of ours.
 */
export async function takeFirst(
  paths: readonly string[],
  notes: string,
  helper: string,
): Promise<OwnPlace | undefined> {
  for (const path of paths) {
    const taken = await takePlace(path, `${notes}/taken${path.replaceAll("/", "-")}`, helper);
    if (taken !== undefined) return taken;
  }
  return undefined;
}

async function lockDirectory(path: string): Promise<Deno.FsFile | undefined> {
  try {
    if (!(await Deno.lstat(path)).isDirectory) return undefined;
    const file = await Deno.open(path, { read: true });
    if (await file.tryLock(true)) return file;
    file.close();
  } catch {
    // Gone again, or not ours.
  }
  return undefined;
}

async function isEmptyAndOurs(path: string): Promise<boolean> {
  try {
    for await (const _ of Deno.readDir(path)) return false;
    await Deno.remove(await Deno.makeTempDir({ dir: path }));
    return true;
  } catch {
    return false; // closed to us, or read-only
  }
}
