/** Directories of a build at their very places in a root that nothing can be mounted into. */
import { dirname, join } from "node:path";
import { ignoreAbsent } from "../is_there.ts";
import { follow } from "../sandbox/tree_files.ts";
import { removeTrees } from "../sandbox/trees.ts";

/** What was put into a root. Disposing takes it out again and puts back what was there. */
export interface Placed extends AsyncDisposable {
  /** Makes `inside` an empty directory of the root; gives its path on this machine. */
  place(inside: string): Promise<string>;
}

/** What was there waits under this name. */
const ASIDE = ".wherry-aside";

/**
 * Starts to place directories into `root`.
 *
 * @param helper Deletes trees with any mode and owner.
 * @param journal Where it is written down what was done, for {@linkcode clearPlaces}; absent for a root of one build.
 */
export function placeInside(root: string, helper: string, journal?: string): Placed {
  const placed: Note[] = [];
  return {
    async place(inside) {
      const { found, missing } = follow(root, inside);
      const path = join(root, ...found, ...missing);
      await Deno.mkdir(dirname(path), { recursive: true });
      const note = { path, aside: await isThere(path) };
      placed.push(note);
      if (journal !== undefined) {
        await Deno.writeTextFile(journal, JSON.stringify(note) + "\n", { append: true });
      }
      if (note.aside) await Deno.rename(path, path + ASIDE);
      await Deno.mkdir(path);
      await Deno.chmod(path, 0o755);
      return path;
    },
    async [Symbol.asyncDispose]() {
      await undo(placed, helper);
      if (journal !== undefined) await Deno.remove(journal).catch(ignoreAbsent);
    },
  };
}

/** Where the journal of an unpacked builder's tree is. */
export const journalOf = (tree: string): string =>
  tree === "/" ? "/cnb/.wherry-places" : join(dirname(tree), "places");

/** Takes out what a killed build left in a root, before anything is read from there: it is not the builder's. */
export async function clearPlaces(journal: string, helper: string): Promise<void> {
  const text = await Deno.readTextFile(journal).catch(() => "");
  const notes = text.split("\n").filter((line) => line.endsWith("}")).map((line) =>
    JSON.parse(line) as Note
  );
  await undo(notes, helper);
  await Deno.remove(journal).catch(ignoreAbsent);
}

interface Note {
  /** On this machine. */
  readonly path: string;
  /** Whether something was there, which waits beside. */
  readonly aside: boolean;
}

async function undo(notes: readonly Note[], helper: string): Promise<void> {
  for (const { path, aside } of notes.toReversed()) {
    // Written down, but not done: what is there is the builder's own.
    if (aside && !await isThere(path + ASIDE)) continue;
    await removeTrees(helper, [path]);
    if (aside) await Deno.rename(path + ASIDE, path);
  }
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
