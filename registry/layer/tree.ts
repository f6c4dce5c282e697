import type { Owner, Place, TreeEntry } from "./entry.ts";

/** Options of {@linkcode walkTree}. */
export interface WalkOptions {
  /** Owner of the directory and all below it (TA-3). */
  readonly owner: Owner;
  /**
   * The directories above `dir.inside`: `configured` (default) gives them `owner` and mode 0755, so that the
   * same configuration makes the same layer on any machine; `disk` asks the disk above `dir.outside`, as the
   * Go lifecycle does; `none` leaves them out.
   */
  readonly parents?: "configured" | "disk" | "none" | undefined;
  /** Told of what is left out: sockets. `path` is the one on this machine. */
  readonly onSkip?: ((path: string, why: string) => void) | undefined;
}

/**
 * The entries of a directory layer, in the order of TA-2: parents from `/...` down, the directory, then a
 * pre-order walk with children in byte order. Lazy: each directory is read when its turn comes.
 *
 * @throws {TypeError} For a name or link target that is not UTF-8, naming the directory that holds it.
 */
export function walkTree(_dir: Place, _options: WalkOptions): Iterable<TreeEntry> {
  throw new Error("not written yet");
}
