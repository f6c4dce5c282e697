/** Makes what executables of buildpacks write into, with their owner. */
import type { Owner } from "./detect_types.ts";

/**
 * Makes the directory `path` (on this machine), whose parent is there. One that is there already is
 * taken over; a link is removed first, since an earlier buildpack may have planted it.
 */
export function makeDirFor(path: string, owner: Owner | undefined): void {
  removeLink(path);
  Deno.mkdirSync(path, { recursive: true, mode: 0o755 });
  give(path, owner);
}

/**
 * Makes the file `path` (on this machine), which must not be there.
 *
 * @param mode Default: only its owner can read it.
 */
export function makeFileFor(
  path: string,
  content: string,
  owner: Owner | undefined,
  mode = 0o600,
): void {
  Deno.writeTextFileSync(path, content, { mode, createNew: true });
  give(path, owner);
}

/** Removes `path` when it is a link, so that what is written to it later stays where it belongs. */
export function removeLink(path: string): void {
  try {
    if (Deno.lstatSync(path).isSymlink) Deno.removeSync(path);
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

function give(path: string, owner: Owner | undefined): void {
  if (owner === undefined) return;
  const { uid, gid } = Deno.lstatSync(path);
  if (uid !== owner.uid || gid !== owner.gid) Deno.chownSync(path, owner.uid, owner.gid);
}
