import type { Owner, TreeEntry } from "./entry.ts";

/** The launcher layer: `/cnb`, `/cnb/lifecycle`, `/cnb/lifecycle/launcher`, all 0755 and 0:0 (TA-9). */
export function launcherLayer(_launcher: Uint8Array): TreeEntry[] {
  throw new Error("not written yet");
}

/** The process-types layer: a symlink to the launcher for each type, in the given order (TA-9). */
export function processTypesLayer(_types: readonly string[]): TreeEntry[] {
  throw new Error("not written yet");
}

/** Options of {@linkcode filesLayer}. */
export interface FilesLayerOptions {
  /** Owner of every entry. */
  readonly owner: Owner;
  /** Permission bits of the files. Default 0o644. */
  readonly mode?: number | undefined;
}

/** Files from memory by absolute path, with every directory above them (0755), sorted by bytes. */
export function filesLayer(
  _files: ReadonlyMap<string, Uint8Array>,
  _options: FilesLayerOptions,
): TreeEntry[] {
  throw new Error("not written yet");
}
