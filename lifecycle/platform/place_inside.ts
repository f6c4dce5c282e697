/** Directories of a build at their very places in a root that nothing can be mounted into. */
import { dirname, join } from "node:path";
import { follow } from "../sandbox/tree_files.ts";
import { removeTrees } from "../sandbox/run.ts";

/** What was put into a root. Disposing takes it out again and puts back what was there. */
export interface Placed extends AsyncDisposable {
  /** Makes `inside` an empty directory of the root; gives its path on this machine. */
  place(inside: string): Promise<string>;
}

/** What was there waits under this name. */
const ASIDE = ".wherry-aside";

/**
 * Starts to place directories into `root`. What a killed build left there is taken out when its place is taken again.
 *
 * @param helper Deletes trees with any mode and owner.
 */
export function placeInside(root: string, helper: string): Placed {
  const placed: string[] = [];
  const restore = async (path: string) => {
    await removeTrees(helper, [path]);
    await Deno.rename(path + ASIDE, path).catch(ignoreAbsence);
  };
  return {
    async place(inside) {
      const { found, missing } = await follow(root, inside);
      const path = join(root, ...found, ...missing);
      await Deno.mkdir(dirname(path), { recursive: true });
      if (await isThere(path + ASIDE)) await restore(path);
      await Deno.rename(path, path + ASIDE).catch(ignoreAbsence);
      placed.push(path);
      await Deno.mkdir(path);
      await Deno.chmod(path, 0o755);
      return path;
    },
    async [Symbol.asyncDispose]() {
      for (const path of placed.reverse()) await restore(path);
    },
  };
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

function ignoreAbsence(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
