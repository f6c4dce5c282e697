import type { Place, TreeEntry } from "./entry.ts";
import { type Glob, parseGlob } from "./glob.ts";
import { compareBytes } from "./path_bytes.ts";
import { type WalkOptions, walkTree } from "./tree.ts";
import { nextTurn, SLICE_MS } from "./turn.ts";

/** One `[[slices]]` table: globs in the syntax of Go's filepath.Match (SL-1). */
export interface Slice {
  /** Relative to the app directory, or absolute inside it (D10). */
  readonly paths: readonly string[];
}

/** Options of {@linkcode sliceTree}. */
export interface SliceOptions extends Omit<WalkOptions, "parents"> {
  /** Stops the walk. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Parts the app directory among `slices`: n lists for n slices, then one with the rest and the app directory
 * itself (SL-3); each sorted by full path as bytes (SL-4). A path goes to the first slice that matches it or a
 * directory it lies in; parent directories inside the app directory come along with every slice that needs them.
 *
 * @throws {SyntaxError} For a malformed glob, naming it (exit 62).
 * @throws {TypeError} For a name that is not UTF-8.
 */
export async function sliceTree(
  app: Place,
  slices: readonly Slice[],
  options: SliceOptions,
): Promise<TreeEntry[][]> {
  const matchers = slices.map(({ paths }) => paths.flatMap((path) => matcher(path, app.inside)));
  const lists: TreeEntry[][] = Array.from({ length: slices.length + 1 }, () => []);
  const rest = slices.length;
  const directories = new Map<string, { readonly entry: TreeEntry; readonly slice: number }>();
  let deadline = performance.now() + SLICE_MS;
  for (const entry of walkTree(app, { ...options, parents: "none" })) {
    if (performance.now() > deadline) {
      await nextTurn();
      options.signal?.throwIfAborted();
      deadline = performance.now() + SLICE_MS;
    }
    const relative = entry.name.slice(app.inside.length + 1);
    const above = directories.get(parentOf(entry.name))?.slice ?? rest;
    let slice = 0;
    while (slice < above && !matchers[slice]!.some((matches) => matches(relative))) slice++;
    // The directory itself always stays with the rest, even when "." gives all that is in it away.
    lists[relative === "" ? rest : slice]!.push(entry);
    if (entry.type === "directory") directories.set(entry.name, { entry, slice });
  }
  return lists.map((list) => {
    const names = new Set(list.map(({ name }) => name));
    for (const { name } of list.slice()) {
      for (
        let up = parentOf(name);
        up.length > app.inside.length && !names.has(up);
        up = parentOf(up)
      ) {
        names.add(up);
        list.push(directories.get(up)!.entry);
      }
    }
    return list.sort((a, b) => compareBytes(a.name, b.name));
  });
}

/** None when the pattern can match nothing here, as absolute ones outside the app directory. */
function matcher(pattern: string, app: string): Glob[] {
  const cleaned = clean(pattern);
  const glob = parseGlob(cleaned);
  if (cleaned === "." || cleaned === app) return [(path) => path === ""];
  if (!cleaned.startsWith("/")) return [(path) => path !== "" && glob(path)];
  if (!cleaned.startsWith(app + "/")) return [];
  const inner = parseGlob(cleaned.slice(app.length + 1));
  return [(path) => path !== "" && inner(path)];
}

/** Go's filepath.Clean. */
function clean(path: string): string {
  const rooted = path.startsWith("/");
  const steps: string[] = [];
  for (const step of path.split("/")) {
    if (step === "" || step === ".") continue;
    if (step !== "..") steps.push(step);
    else if (steps.length > 0 && steps.at(-1) !== "..") steps.pop();
    else if (!rooted) steps.push(step);
  }
  return (rooted ? "/" : "") + steps.join("/") || ".";
}

function parentOf(name: string): string {
  return name.slice(0, name.lastIndexOf("/"));
}
