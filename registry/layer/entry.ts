/** What goes into a layer: one value an entry, with no time (TA-4 fixes it) and no owner names. */

/** Who owns an entry, as numbers. */
export interface Owner {
  /** User. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
}

/** One directory seen twice: where it is read, and what the image calls it. */
export interface Place {
  /** Absolute path on this machine. */
  readonly outside: string;
  /** Absolute path in the image, clean and without a trailing slash. */
  readonly inside: string;
}

/** A regular file on disk, named together with the object it was when it was looked at. */
export interface FileBody {
  /** Path on this machine. */
  readonly path: string;
  /** Device it lay on. */
  readonly dev: number;
  /** Its inode: another one at the same path is another file, and refused. */
  readonly ino: number;
}

/** The kinds of entry a layer written by us can hold (TA-6). */
export type EntryType = "file" | "directory" | "symlink" | "link" | "fifo" | "char" | "block";

/** One entry of a layer to be written. */
export interface TreeEntry extends Owner {
  /** Absolute path in the image, no trailing slash (TA-1). */
  readonly name: string;
  /** What it is. */
  readonly type: EntryType;
  /** Permission bits with setuid, setgid and sticky; no type bits (TA-5). */
  readonly mode: number;
  /** Bytes of the body; 0 for all but files. */
  readonly size: number;
  /** Target, for symlinks; for `link` the name of the file, an earlier entry, that this is another name of. */
  readonly linkName?: string | undefined;
  /** Device numbers, for `char` and `block`. */
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
  /** The bytes of a file: in memory or still on disk. */
  readonly body?: Uint8Array | FileBody | undefined;
  /** PAX records besides those that the other fields ask for: extended attributes, one character a byte. */
  readonly pax?: ReadonlyMap<string, string> | undefined;
}

/** Seconds since 1970 of every entry: 1980-01-01T00:00:01Z (TA-4). */
export const LAYER_MTIME = 315_532_801;
