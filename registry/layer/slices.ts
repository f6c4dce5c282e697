import type { Place, TreeEntry } from "./entry.ts";
import type { WalkOptions } from "./tree.ts";

/** One `[[slices]]` table: globs in the syntax of Go's filepath.Match (SL-1). */
export interface Slice {
  /** Relative to the app directory, or absolute inside it (D10). */
  readonly paths: readonly string[];
}

/**
 * Parts the app directory among `slices`: n lists for n slices, then one with the rest and the app directory
 * itself (SL-3); each sorted by full path as bytes (SL-4).
 *
 * @throws {SyntaxError} For a malformed glob, naming it (exit 62).
 * @throws {TypeError} For a name that is not UTF-8.
 */
export function sliceTree(
  _app: Place,
  _slices: readonly Slice[],
  _options: Omit<WalkOptions, "parents"> & { readonly signal?: AbortSignal | undefined },
): Promise<TreeEntry[][]> {
  return Promise.reject(new Error("not written yet"));
}
