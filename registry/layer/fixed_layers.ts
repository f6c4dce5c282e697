import type { Owner, TreeEntry } from "./entry.ts";
import { compareBytes } from "../compare_bytes.ts";
import { checkInside, parentsOf } from "./path_bytes.ts";

const ROOT: Owner = { uid: 0, gid: 0 };
const LAUNCHER = "/cnb/lifecycle/launcher";

/** The launcher layer: `/cnb`, `/cnb/lifecycle`, `/cnb/lifecycle/launcher`, all 0755 and 0:0 (TA-9). */
export function launcherLayer(launcher: Uint8Array): TreeEntry[] {
  return filesLayer(new Map([[LAUNCHER, launcher]]), { owner: ROOT, mode: 0o755 });
}

/**
 * The process-types layer: a symlink to the launcher for each type, in the given order (TA-9).
 *
 * @throws {TypeError} For a type that cannot be a file name.
 */
export function processTypesLayer(types: readonly string[]): TreeEntry[] {
  const links = types.map((type): TreeEntry => {
    const name = `/cnb/process/${type}`;
    checkInside(name);
    return { ...ROOT, name, type: "symlink", mode: 0o755, size: 0, linkName: LAUNCHER };
  });
  return [directory("/cnb", ROOT), directory("/cnb/process", ROOT), ...links];
}

/** Options of {@linkcode filesLayer}. */
export interface FilesLayerOptions {
  /** Owner of every entry. */
  readonly owner: Owner;
  /** Permission bits of the files. Default 0o644. */
  readonly mode?: number | undefined;
}

/**
 * Files from memory by absolute path, with every directory above them (0755), sorted by bytes.
 *
 * @throws {TypeError} For a path that is not absolute and clean.
 */
export function filesLayer(
  files: ReadonlyMap<string, Uint8Array>,
  options: FilesLayerOptions,
): TreeEntry[] {
  const { owner, mode = 0o644 } = options;
  const entries = new Map<string, TreeEntry>();
  for (const [name, body] of files) {
    checkInside(name);
    for (const parent of parentsOf(name)) entries.set(parent, directory(parent, owner));
    entries.set(name, { ...owner, name, type: "file", mode, size: body.byteLength, body });
  }
  return [...entries.values()].sort((a, b) => compareBytes(a.name, b.name));
}

function directory(name: string, { uid, gid }: Owner): TreeEntry {
  return { name, type: "directory", mode: 0o755, uid, gid, size: 0 };
}
