/** Makes what executables of buildpacks write into, with their owner. */
import type { Owner } from "./detect_types.ts";

/**
 * Makes the directory `path` (on this machine), whose parent is there. One that is there already is
 * taken over; a link is removed first, since an earlier buildpack may have planted it.
 */
export async function makeDirFor(path: string, owner: Owner | undefined): Promise<void> {
  await removeLink(path);
  await Deno.mkdir(path, { recursive: true, mode: 0o755 });
  await give(path, owner);
}

/**
 * Makes the file `path` (on this machine), which must not be there.
 *
 * @param mode Default: only its owner can read it.
 */
export async function makeFileFor(
  path: string,
  content: string,
  owner: Owner | undefined,
  mode = 0o600,
): Promise<void> {
  await Deno.writeTextFile(path, content, { mode, createNew: true });
  await give(path, owner);
}

/** Removes `path` when it is a link, so that what is written to it later stays where it belongs. */
export async function removeLink(path: string): Promise<void> {
  try {
    if ((await Deno.lstat(path)).isSymlink) await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Removes `path` and all below it; nothing happens when it is not there. */
export async function removeAll(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function give(path: string, owner: Owner | undefined): Promise<void> {
  if (owner === undefined) return;
  const { uid, gid } = await Deno.lstat(path);
  if (uid !== owner.uid || gid !== owner.gid) await Deno.chown(path, owner.uid, owner.gid);
}
