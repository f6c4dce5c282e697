/**
 * Telling that a tree still is the one that was restored, without reading its files.
 *
 * A layer's tar is its frame and the bodies of its files. The frame is cheap to make again, and compared whole. A body is the one that
 * was written as long as the kernel's time of change of its inode is: it moves with every write, also through a mapping or another name,
 * with every change of mode, owner and times, and no program can set it. It moves in ticks, though, so the tree must have been at rest
 * for longer than a tick before anybody else could write to it; {@linkcode noteTree} waits for that.
 */
import { type Digest, digestOf } from "../oci/digest.ts";
import type { TreeEntry } from "./entry.ts";
import { FrameDigester } from "./frame.ts";
import { type ExactLook, openExactLook } from "./libc.ts";

/** Longer than any tick of a kernel's clock: 10 ms with HZ=100. */
const REST_MS = 25;

/** The clock must not have been set back by more than this, or times of change say nothing. */
const CLOCK_SLACK_MS = 100;

/**
 * File systems whose inodes carry this kernel's own time of change: ext2 to ext4, XFS, Btrfs, tmpfs, F2FS, bcachefs, and overlayfs,
 * which shows those of what lies below. Network file systems and FUSE have the times of somebody else.
 */
const TRUSTED = new Set(
  [0xef53, 0x58465342, 0x9123683e, 0x01021994, 0xf2f52010, 0xca451a4e, 0x794c7630],
);

/** What is known of a tree at rest. */
export interface TreeNote {
  /** Of its tar, when it was noted. */
  readonly diffId: Digest;
  /** Of its tar's frame and of what the kernel says of each file. */
  readonly state: Digest;
  /** Wall clock ahead of the kernel's monotonic one, then, in milliseconds: the same for every process until the next boot. */
  readonly offset: number;
}

/** What the kernel said of the files of a tree as each was written. */
export interface TreeLooks {
  /** Of the {@linkcode ExactStat} bytes of all files, in the order of the tar. */
  readonly digest: Digest;
  /** The latest time of change, nanoseconds since 1970; 0 without files. */
  readonly newest: bigint;
}

/** A tree that was just written from a tar. */
export interface WrittenTree {
  /** Of that tar, verified. */
  readonly diffId: Digest;
  /** Of that tar's frame. */
  readonly frame: Digest;
  /** Where it lies on this machine. */
  readonly outside: string;
  /** Its entries as the tar to be made has them. */
  readonly entries: () => Iterable<TreeEntry>;
  /** Spares a walk. Whether the tar to be made is the one it came from is told by {@linkcode isUnchanged} then. */
  readonly looks?: TreeLooks | undefined;
}

/**
 * Notes a tree. Nobody but us may have had a chance to write to it since it was written, nor have one before the promise settles.
 *
 * @returns `undefined` when this machine gives no sound way to tell, or the tree's tar would be another one than it came from.
 */
export async function noteTree(tree: WrittenTree): Promise<TreeNote | undefined> {
  using look = openExactLook();
  if (look === undefined || !TRUSTED.has(look.fileSystem(tree.outside))) return undefined;
  const { looks } = tree;
  const before = looks === undefined
    ? stateOf(tree.entries(), look)
    : { frame: tree.frame, state: stateDigest(tree.frame, looks.digest), newest: looks.newest };
  if (before === undefined || before.frame !== tree.frame) return undefined;
  const rest = restOf(before.newest);
  // A time of change far ahead is of another clock.
  if (rest > 10 * REST_MS) return undefined;
  if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
  return { diffId: tree.diffId, state: before.state, offset: clockOffset(look) };
}

/** Milliseconds until what changed then is at rest; negative when it is. */
function restOf(changed: bigint): number {
  return Number(changed / 1_000_000n) + REST_MS - Date.now();
}

/** Whether `entries` are of the tree that was noted, and none of its files was touched since. */
export function isUnchanged(note: TreeNote, entries: Iterable<TreeEntry>): boolean {
  using look = openExactLook();
  if (look === undefined || wasSetBack(note.offset, look)) return false;
  return stateOf(entries, look)?.state === note.state;
}

/** What somebody else saw of a tree without reading its files. */
export interface SeenTree {
  /** Of the tar that we would make of it. */
  readonly frame: Digest;
  /** As of {@linkcode TreeLooks}. */
  readonly looks: Digest;
}

/** As {@linkcode isUnchanged}, of a tree that was seen since the note was taken. */
export function isAsNoted(note: TreeNote, { frame, looks }: SeenTree): boolean {
  using look = openExactLook();
  if (look === undefined || wasSetBack(note.offset, look)) return false;
  return stateDigest(frame, looks) === note.state;
}

/** What is known of a file at rest. */
export interface FileMark {
  /** What the kernel said of it, in hex. */
  readonly look: string;
  /** As of {@linkcode TreeNote}. */
  readonly offset: number;
}

/**
 * Marks a file, before it is read: what is read from then on is what {@linkcode isMarked} later says is still there.
 *
 * @returns `undefined` when this machine gives no sound way to tell, or the file has changed just now.
 */
export function markFile(path: string): FileMark | undefined {
  using look = openExactLook();
  if (look === undefined || !TRUSTED.has(look.fileSystem(path))) return undefined;
  try {
    const { bytes, changed } = look(path);
    if (restOf(changed) > 0) return undefined;
    return { look: bytes.toHex(), offset: clockOffset(look) };
  } catch {
    return undefined;
  }
}

/** Whether the file at `path` is the one that was marked, and nobody has written to it since. */
export function isMarked(path: string, mark: FileMark): boolean {
  using look = openExactLook();
  if (look === undefined || wasSetBack(mark.offset, look)) return false;
  try {
    return look(path).bytes.toHex() === mark.look;
  } catch {
    return false;
  }
}

function wasSetBack(offset: number, look: ExactLook): boolean {
  return clockOffset(look) < offset - CLOCK_SLACK_MS;
}

interface State {
  readonly frame: Digest;
  readonly state: Digest;
  readonly newest: bigint;
}

/** `undefined` when a file cannot be looked at. */
function stateOf(entries: Iterable<TreeEntry>, look: ExactLook): State | undefined {
  const frame = new FrameDigester();
  const files = new FrameDigester();
  let newest = 0n;
  for (const entry of entries) {
    frame.addEntry(entry);
    if (entry.type !== "file") continue;
    if (entry.body === undefined || entry.body instanceof Uint8Array) return undefined;
    try {
      const { bytes, changed } = look(entry.body.path);
      files.add(bytes);
      if (changed > newest) newest = changed;
    } catch {
      return undefined;
    }
  }
  frame.addEnd();
  const frameDigest = frame.digest();
  return { frame: frameDigest, state: stateDigest(frameDigest, files.digest()), newest };
}

function stateDigest(frame: Digest, files: Digest): Digest {
  return digestOf(new TextEncoder().encode(frame + files));
}

function clockOffset(look: ExactLook): number {
  return Date.now() - look.monotonic();
}
