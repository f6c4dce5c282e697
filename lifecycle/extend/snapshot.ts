/**
 * What a command changed: a root file system is looked at before and after, by what `lstat` says. No content is read;
 * whatever changes a file changes its ctime, which no program can set.
 */
import { compareBytes } from "../../registry/compare_bytes.ts";
import { openExactLook } from "../../registry/layer/libc.ts";
import type { EntryType, Owner, TreeEntry } from "../../registry/layer/entry.ts";

/** What was there. */
export type Seen = Deno.FileInfo & {
  /** The ctime to the nanosecond, which Deno cuts to seconds; absent for directories, and where there is no C library. */
  changed?: bigint | undefined;
};

/** Paths inside the root, and what was there. */
export type Snapshot = ReadonlyMap<string, Seen>;

/** Which part of a machine is looked at. */
export interface SnapshotScope {
  /** The root on this machine; `/` for the one we stand in. */
  readonly root: string;
  /** Paths inside that are no part of the image, nor what is below. */
  readonly ignore: ReadonlySet<string>;
}

/** Nothing of these is ever part of an image. */
export const NO_IMAGE: readonly string[] = ["/proc", "/sys", "/dev", "/var/run"];

/** The kernel's clock for files is coarse: within this two changes may have the same time, in milliseconds. */
const COARSE_MS = 20;
/** As Deno tells it. */
const SECOND_MS = 1000;

/**
 * Looks at all of it. When something was changed just now, waits until a later change can be told from it.
 *
 * @param odd Gets the paths of what cannot be looked at: their names are not UTF-8.
 */
export async function takeSnapshot(
  { root, ignore }: SnapshotScope,
  signal: AbortSignal,
  odd?: Set<string>,
): Promise<Snapshot> {
  const found = new Map<string, Seen>();
  using lister = new Lister(signal);
  const top = root === "/" ? "" : root;
  const stack = [""];
  for (let dir = stack.pop(); dir !== undefined; dir = stack.pop()) {
    for (const name of lister.names(`${top}${dir}/`)) {
      const inside = `${dir}/${name}`;
      if (ignore.has(inside)) continue;
      const info = lister.look(`${top}${inside}`);
      if (info === undefined) { // somebody else on this machine took it away
        if (isOdd(name)) odd?.add(inside);
        continue;
      }
      found.set(inside, info);
      if (info.isDirectory) stack.push(inside);
    }
  }
  await lister.settle();
  return found;
}

/** Whether a name that leads nowhere is one that Deno could not read. */
export const isOdd = (name: string): boolean => name.includes("\ufffd");

/** What is thrown for such a name. */
export function notUtf8(path: string): TypeError {
  return new TypeError(`${JSON.stringify(path)} cannot be part of a layer: its name is not UTF-8`);
}

/** Looks at the entries of a tree, one after the other. */
export class Lister implements Disposable {
  readonly #exact = openExactLook();
  readonly #started = Date.now();
  #newest = 0;

  constructor(readonly signal: AbortSignal) {}

  /** Names in a directory; none when it is gone. */
  names(dir: string): readonly string[] {
    this.signal.throwIfAborted();
    try {
      return Array.from(Deno.readDirSync(dir), ({ name }) => name);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** An entry; `undefined` when it is gone. */
  look(path: string): Seen | undefined {
    let info: Seen;
    try {
      info = Deno.lstatSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    if (info.isDirectory) return info;
    info.changed = this.#changedAt(path);
    const changed = info.changed ?? BigInt(info.ctime?.getTime() ?? 0) * NS_IN_MS;
    this.#newest = Math.max(this.#newest, Number(changed / NS_IN_MS));
    return info;
  }

  /** Waits until a change from now on has another time than any that was seen. */
  async settle(): Promise<void> {
    const coarse = this.#exact === undefined ? SECOND_MS + COARSE_MS : COARSE_MS;
    const wait = this.#newest + coarse - this.#started;
    if (wait > 0 && wait <= coarse) await new Promise((resolve) => setTimeout(resolve, wait));
  }

  #changedAt(path: string): bigint | undefined {
    try {
      return this.#exact?.(path).changed;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#exact?.[Symbol.dispose]();
  }
}

const NS_IN_MS = 1_000_000n;

/** What is other than it was. */
export interface Difference {
  /** New, or not as before; with all directories above, sorted. */
  readonly changed: readonly string[];
  /** Gone; not what lay below. */
  readonly gone: readonly string[];
}

/**
 * Compares two looks.
 *
 * @param same Told of what may have changed and is no directory; what it knows to be the same does not count.
 */
export function compareSnapshots(
  before: Snapshot,
  after: Snapshot,
  same: (path: string, before: Seen, after: Seen) => boolean = () => false,
): Difference {
  const changed = new Set<string>();
  for (const [path, is] of after) {
    const was = before.get(path);
    if (was !== undefined && (isSame(was, is) || (!is.isDirectory && same(path, was, is)))) {
      continue;
    }
    addWithParents(changed, path);
  }
  const gone: string[] = [];
  for (const path of before.keys()) {
    if (after.has(path)) continue;
    const parent = path.slice(0, path.lastIndexOf("/"));
    // A directory that is gone, or no directory any more, takes along what lay in it.
    if (parent !== "" && !after.get(parent)?.isDirectory) continue;
    gone.push(path);
    if (parent !== "") addWithParents(changed, parent);
  }
  return { changed: [...changed].sort(compareBytes), gone: gone.sort(compareBytes) };
}

/** Adds a path and all directories above it. */
export function addWithParents(set: Set<string>, path: string): void {
  for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    if (set.has(at)) return;
    set.add(at);
  }
}

/** Whether nothing touched an entry; of a directory, itself. */
export function isSame(a: Seen, b: Seen): boolean {
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid) return false;
  // Its times and size follow from what is in it.
  if (b.isDirectory) return a.isDirectory;
  return a.changed === b.changed && a.ino === b.ino && a.size === b.size && a.rdev === b.rdev &&
    a.ctime?.getTime() === b.ctime?.getTime() && a.mtime?.getTime() === b.mtime?.getTime();
}

/** What of a file `lstat` does not tell. */
export interface EntryNotes {
  /** Whose an entry is in the image. Default: as on disk. */
  readonly owner?: ((path: string, info: Deno.FileInfo) => Owner) | undefined;
  /** The capabilities of a file, by its place on this machine. Default: none. */
  readonly capability?: ((outside: string) => Uint8Array | undefined) | undefined;
}

/** What is there now, and where on this machine. */
export interface Place {
  /** By path. */
  readonly after: { get(path: string): Seen | undefined };
  /** Of a path. */
  outside(path: string): string;
}

/** Where tars keep the capabilities of a file. */
export const CAPABILITY_RECORD = "SCHILY.xattr.security.capability";

/**
 * The layer that makes what was before to what is there now: entries and whiteouts, sorted so that directories come before
 * what is in them. The first name of a file is the file, others are links to it: whatever changes it changes the
 * ctime of all of them.
 */
export function* differenceEntries(
  { changed, gone, after, outside: placeOf }: Difference & Place,
  notes: EntryNotes = {},
): Generator<TreeEntry> {
  const whiteouts = gone.map((path) => {
    const at = path.lastIndexOf("/");
    return `${path.slice(0, at)}/.wh.${path.slice(at + 1)}`;
  });
  const names = [...changed, ...whiteouts].sort(compareBytes);
  const made = new Set(whiteouts);
  const firsts = new Map<string, TreeEntry>();
  for (const name of names) {
    if (made.has(name)) {
      yield { name, type: "file", mode: 0, uid: 0, gid: 0, size: 0, body: new Uint8Array() };
      continue;
    }
    const info = after.get(name);
    if (info === undefined) continue;
    const inode = info.isFile && (info.nlink ?? 1) > 1 ? `${info.dev}:${info.ino}` : "";
    const first = firsts.get(inode);
    if (first !== undefined) {
      const { mode, uid, gid } = first;
      yield { name, type: "link", mode, uid, gid, size: 0, linkName: first.name };
      continue;
    }
    const outside = placeOf(name);
    const found = entryOf(name, info, outside);
    if (found === undefined) continue;
    const rights = info.isFile ? notes.capability?.(outside) : undefined;
    const pax = rights && new Map([[CAPABILITY_RECORD, String.fromCharCode(...rights)]]);
    const entry = { ...found, ...notes.owner?.(name, info), ...(pax ? { pax } : {}) };
    if (inode !== "") firsts.set(inode, entry);
    yield entry;
  }
}

/** `undefined` for a socket, which no layer holds. */
function entryOf(name: string, info: Deno.FileInfo, outside: string): TreeEntry | undefined {
  const common = {
    name,
    mode: (info.mode ?? 0) & 0o7777,
    uid: info.uid ?? 0,
    gid: info.gid ?? 0,
    size: 0,
  };
  const device = () => {
    const rdev = info.rdev ?? 0;
    return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
  };
  const type = typeOf(info);
  switch (type) {
    case undefined:
      return undefined;
    case "file": {
      const body = { path: outside, dev: info.dev, ino: info.ino ?? 0 };
      return { ...common, type, size: info.size, body };
    }
    case "symlink":
      return { ...common, type, linkName: Deno.readLinkSync(outside) };
    case "char":
    case "block":
      return { ...common, type, device: device() };
    default:
      return { ...common, type };
  }
}

function typeOf(info: Deno.FileInfo): EntryType | undefined {
  if (info.isFile) return "file";
  if (info.isDirectory) return "directory";
  if (info.isSymlink) return "symlink";
  if (info.isFifo) return "fifo";
  if (info.isCharDevice) return "char";
  if (info.isBlockDevice) return "block";
  return undefined;
}
