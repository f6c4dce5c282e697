/** Directories of a build at their very places in a root that nothing can be mounted into. */
import { dirname, join } from "node:path";
import { ExitCode, LifecycleError } from "../error.ts";
import { ignoreAbsent } from "../is_there.ts";
import { follow } from "../sandbox/tree_files.ts";
import { clearTrees, removeTrees } from "../sandbox/trees.ts";

/** What was put into a root. Disposing takes it out again and puts back what was there. */
export interface Placed extends AsyncDisposable {
  /**
   * Makes `inside` an empty directory of the root; gives its path on this machine.
   *
   * @throws {LifecycleError} When something with files in it is mounted there, which nobody can set aside.
   */
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
  const write = async (note: Note) => {
    placed.push(note);
    if (journal !== undefined) {
      await Deno.writeTextFile(journal, JSON.stringify(note) + "\n", { append: true });
    }
  };
  return {
    async place(inside) {
      const { found, missing } = follow(root, inside);
      const path = join(root, ...found, ...missing);
      await Deno.mkdir(dirname(path), { recursive: true });
      const aside = await isThere(path);
      await write({ path, aside });
      if (aside && !await setAside(path)) {
        await wantEmpty(path, inside);
        await write({ path, aside: false, mounted: true });
      } else await Deno.mkdir(path);
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
  /** An empty directory was mounted there, and serves. */
  readonly mounted?: boolean;
}

/** @returns Whether it could be moved; what is mounted there stays. */
async function setAside(path: string): Promise<boolean> {
  try {
    await Deno.rename(path, path + ASIDE);
    return true;
  } catch (thrown) {
    if ((thrown as { readonly code?: string }).code === "EBUSY") return false;
    throw thrown;
  }
}

async function wantEmpty(path: string, inside: string): Promise<void> {
  const names = await Array.fromAsync(Deno.readDir(path), ({ name }) => name).catch(
    () => ["a file"],
  );
  if (names.length === 0) return;
  throw new LifecycleError(
    ExitCode.arguments,
    `Cannot make ${inside} a directory of the build: what is mounted there has ${
      names.sort().slice(0, 3).join(", ")
    }, want an empty directory; mount it elsewhere, such as at /source`,
  );
}

async function undo(notes: readonly Note[], helper: string): Promise<void> {
  for (const { path, aside, mounted = false } of notes.toReversed()) {
    if (mounted) {
      await clearTrees(helper, [path]);
      continue;
    }
    // Written down, but not done: what is there is the builder's own.
    if (aside && !await isThere(path + ASIDE)) continue;
    await removeTrees(helper, [path]);
    if (aside) await Deno.rename(path + ASIDE, path);
  }
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
