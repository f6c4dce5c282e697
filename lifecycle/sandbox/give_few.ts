/** Small trees given to a user without the helper: to start a process takes longer than that. */

/** More entries are faster with the helper. */
const FEW = 64;

/**
 * Gives all in `paths` to `uid`:`gid`, when that is little and nothing in it is odd. Nobody else may be writing there.
 *
 * @returns Whether it was done; else nothing was.
 * @throws When an entry cannot be looked at or given.
 */
export function giveFew(paths: readonly string[], uid: number, gid: number): boolean {
  const entries: string[] = [];
  const others: string[] = [];
  const gather = (path: string): boolean => {
    const about = Deno.lstatSync(path);
    // Giving a link would give what it leads to.
    if (about.isSymlink || entries.push(path) > FEW) return false;
    if (about.uid !== uid || about.gid !== gid) others.push(path);
    if (!about.isDirectory) return true;
    for (const { name } of Deno.readDirSync(path)) {
      // A name that is not UTF-8 cannot be opened from here.
      if (name.includes("\ufffd") || !gather(`${path}/${name}`)) return false;
    }
    return true;
  };
  if (!paths.every(gather)) return false;
  for (const path of others) Deno.chownSync(path, uid, gid);
  return true;
}
