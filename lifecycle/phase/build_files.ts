/** Makes what executables of buildpacks write into, with their owner. */
import type { Owner } from "./detect_types.ts";

/**
 * Makes the directory `path` (on this machine) with its parents, or the file `path` with `content`.
 * Files are for their owner only. What is there already is taken over.
 */
export async function makeFor(
  path: string,
  owner: Owner | undefined,
  content?: string,
): Promise<void> {
  if (content === undefined) await Deno.mkdir(path, { recursive: true, mode: 0o755 });
  else await Deno.writeTextFile(path, content, { mode: 0o600 });
  if (owner === undefined) return;
  const { uid, gid } = await Deno.lstat(path);
  if (uid !== owner.uid || gid !== owner.gid) await Deno.chown(path, owner.uid, owner.gid);
}
