/** What commands changed of a tree in an overlay: only what they touched is looked at, not the whole image. */
import { compareBytes } from "../../registry/compare_bytes.ts";
import type { HeldTree } from "../sandbox/held.ts";
import type { Look } from "./changes.ts";
import {
  addWithParents,
  type Difference,
  isOdd,
  isSame,
  Lister,
  notUtf8,
  type Seen,
} from "./snapshot.ts";

/** The upper directory at a moment. What it does not have is as in the tree below. */
export interface OverlayLook extends Look {
  /** Entries of the upper directory, by their path. */
  readonly entries: ReadonlyMap<string, Seen>;
  /** Its directories, and all names that are in them with those from below. */
  readonly names: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Looks at the upper directory. When something was changed just now, waits until a later change can be told from it. */
export async function lookAtOverlay(
  { root, upper }: Pick<HeldTree, "root" | "upper">,
  tree: string,
  ignore: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<OverlayLook> {
  using lister = new Lister(signal);
  const entries = new Map<string, Seen>();
  const names = new Map<string, ReadonlySet<string>>();
  const stack = [""];
  for (let dir = stack.pop(); dir !== undefined; dir = stack.pop()) {
    const kept = (name: string) => !ignore.has(`${dir}/${name}`);
    names.set(dir, new Set(lister.names(`${root}${dir}`).filter(kept)));
    for (const name of lister.names(`${upper}${dir}`).filter(kept)) {
      const path = `${dir}/${name}`;
      const info = lister.look(`${upper}${path}`);
      if (info === undefined && isOdd(name)) throw notUtf8(path);
      if (info === undefined || isGone(info)) continue;
      entries.set(path, info);
      if (info.isDirectory) stack.push(path);
    }
  }
  await lister.settle();
  return { entries, names, get: (path) => find(path, entries, names, tree) };
}

/** What an overlay puts in the place of something that is gone: no command may make such a device. */
function isGone({ isCharDevice, rdev }: Deno.FileInfo): boolean {
  return isCharDevice === true && rdev === 0;
}

function find(
  path: string,
  entries: OverlayLook["entries"],
  names: OverlayLook["names"],
  tree: string,
): Seen | undefined {
  const known = entries.get(path);
  if (known !== undefined) return known;
  const steps = path.split("/").slice(1);
  let dir = "";
  for (const step of steps) {
    const here = names.get(dir);
    if (here === undefined) break; // from here on all is as it was
    if (!here.has(step)) return undefined;
    dir = `${dir}/${step}`;
  }
  try {
    return Deno.lstatSync(`${tree}${path}`);
  } catch {
    return undefined;
  }
}

/** Compares two looks at the same overlay. What only the tree below has is the same. */
export function compareOverlay(
  before: OverlayLook,
  after: OverlayLook,
  { tree, ignore }: { readonly tree: string; readonly ignore: ReadonlySet<string> },
  same: (path: string, before: Seen, after: Seen) => boolean,
): Difference {
  const changed = new Set<string>();
  const gone: string[] = [];
  const namesBefore = (dir: string): Iterable<string> => {
    const known = before.names.get(dir);
    if (known !== undefined) return known;
    if (dir !== "" && !before.get(dir)?.isDirectory) return [];
    return [...Deno.readDirSync(`${tree}${dir}`)].map(({ name }) => name);
  };
  const visit = (dir: string, now: ReadonlySet<string>): void => {
    for (const name of now) {
      const path = `${dir}/${name}`;
      const is = after.entries.get(path);
      if (is === undefined) continue; // of the tree below, and whatever hides that is never taken away
      const was = before.get(path);
      const isSameHere = was !== undefined &&
        (isSame(was, is) || (!is.isDirectory && same(path, was, is)));
      if (!isSameHere) addWithParents(changed, path);
      const below = after.names.get(path);
      if (is.isDirectory && below !== undefined) visit(path, below);
    }
    for (const name of namesBefore(dir)) {
      const path = `${dir}/${name}`;
      if (now.has(name) || ignore.has(path) || before.get(path) === undefined) continue;
      gone.push(path);
      if (dir !== "") addWithParents(changed, dir);
    }
  };
  visit("", after.names.get("") ?? new Set());
  return { changed: [...changed].sort(compareBytes), gone: gone.sort(compareBytes) };
}
