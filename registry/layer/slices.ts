import type { Place, TreeEntry } from "./entry.ts";
import { type Glob, parseGlob } from "./glob.ts";
import { compareBytes } from "../compare_bytes.ts";
import { type WalkOptions, walkTree } from "./tree.ts";
import { nextTurn, SLICE_MS } from "./turn.ts";

/** One `[[slices]]` table: globs in the syntax of Go's filepath.Match (SL-1). */
export interface Slice {
  /** Relative to the app directory, or absolute inside it (D10). */
  readonly paths: readonly string[];
}

/** Options of {@linkcode sliceTree}. */
export interface SliceOptions extends WalkOptions {
  /** Stops the walk. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Parts the app directory among `slices`: n lists for n slices, then one with the rest (SL-3); each sorted by full
 * path as bytes (SL-4), behind the directories above the app directory. A path goes to the first slice that
 * matches it or a directory it lies in; directories on the way to it, the app directory included, come along with
 * every slice that needs them, and stay out of the rest when slices took all that is in them. A list of nothing
 * is an empty layer.
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
  const tree = await readTree(app, options);
  const taken = new Set<string>();
  const lists = matchers.map((globs) => takeSlice(tree, app.inside, globs, taken));
  lists.push([...tree.entries.values()].filter(({ name }) => !taken.has(name)));
  return lists.map((list) => {
    if (list.length === 0) return list;
    return [...tree.above, ...list.sort((a, b) => compareBytes(a.name, b.name))];
  });
}

/** The app directory in memory. */
interface Tree {
  /** Directories above it. */
  readonly above: readonly TreeEntry[];
  /** It and all below it, by name, a directory before what is in it. */
  readonly entries: ReadonlyMap<string, TreeEntry>;
  /** Names in each directory. */
  readonly children: ReadonlyMap<string, readonly string[]>;
}

async function readTree(app: Place, options: SliceOptions): Promise<Tree> {
  const above: TreeEntry[] = [];
  const entries = new Map<string, TreeEntry>();
  const children = new Map<string, string[]>();
  let deadline = performance.now() + SLICE_MS;
  for (const entry of walkTree(app, options)) {
    if (performance.now() > deadline) {
      await nextTurn();
      options.signal?.throwIfAborted();
      deadline = performance.now() + SLICE_MS;
    }
    if (entry.name.length < app.inside.length) {
      above.push(entry);
      continue;
    }
    entries.set(entry.name, entry);
    if (entry.type === "directory") children.set(entry.name, []);
    children.get(parentOf(entry.name))?.push(entry.name);
  }
  return { above, entries, children };
}

/** What of `tree` is in one slice, without order; `taken` gets what no later slice and not the rest may have. */
function takeSlice(
  { entries, children }: Tree,
  root: string,
  globs: readonly Glob[],
  taken: Set<string>,
): TreeEntry[] {
  const own = new Set<string>();
  for (const name of entries.keys()) {
    if (name === root || !globs.some((matches) => matches(name.slice(root.length + 1)))) continue;
    const stack = [name];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      // What an earlier slice took it took with all below.
      if (taken.has(next)) continue;
      taken.add(next);
      own.add(next);
      stack.push(...children.get(next) ?? []);
    }
  }
  const needed = new Set<string>();
  for (const name of own) {
    for (let up = parentOf(name); up.length >= root.length; up = parentOf(up)) {
      if (needed.has(up)) break;
      if (!own.has(up)) needed.add(up);
    }
  }
  // The deepest first: a directory is used up when all in it is.
  const deepest = [...needed].sort((a, b) => b.split("/").length - a.split("/").length);
  for (const directory of deepest) {
    if (children.get(directory)!.every((child) => taken.has(child))) taken.add(directory);
  }
  return [...own, ...needed].map((name) => entries.get(name)!);
}

/** None when the pattern can match nothing here, as absolute ones outside the app directory. */
function matcher(pattern: string, app: string): Glob[] {
  const cleaned = clean(pattern);
  const glob = parseGlob(cleaned);
  // The directory itself is no match in Go; here it stands for all in it.
  if (cleaned === "." || cleaned === app) return [(path) => !path.includes("/")];
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
