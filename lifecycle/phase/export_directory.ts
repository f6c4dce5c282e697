/** Directories that buildpacks had their hands on: looked at without following what they may have planted. */
import type { Dir } from "../sandbox/executor.ts";

/** A directory below another. */
export function within(dir: Dir, path: string): Dir {
  return { inside: `${dir.inside}/${path}`, outside: `${dir.outside}/${path}` };
}

/**
 * Whether there is a directory at `path` below `dir`. A link anywhere on the way is refused: it could lead
 * out, to files of the one who exports.
 *
 * @throws {TypeError} For a link, naming it as buildpacks see it.
 */
export function hasDirectory(dir: Dir, path: string): boolean {
  let at = "";
  for (const step of path.split("/")) {
    at = at === "" ? step : `${at}/${step}`;
    let info: Deno.FileInfo;
    try {
      info = Deno.lstatSync(`${dir.outside}/${at}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
    if (info.isSymlink) {
      throw new TypeError(
        `Cannot use ${dir.inside}/${at}: it is a symbolic link, want a directory`,
      );
    }
    if (!info.isDirectory) return false;
  }
  return true;
}
