/** What each instruction changed of a root, whichever way the root is looked at. */
import { type FileCapabilities, openFileCapabilities } from "../../registry/layer/libc.ts";
import type { Difference, Place, Seen } from "./snapshot.ts";

/** How a root was at a moment. */
export interface Look {
  /** What was at a path inside; `undefined` for nothing. */
  get(path: string): Seen | undefined;
}

/** A way to look at a root, and to compare two looks. */
export interface Looking<L extends Look> {
  /** Looks. */
  take(signal: AbortSignal): Promise<L>;
  /**
   * Compares.
   *
   * @param same Told of every entry that may have changed; those it knows to be the same do not count.
   */
  compare(
    before: L,
    after: L,
    same: (path: string, before: Seen, after: Seen) => boolean,
  ): Difference;
  /** Where an entry lies on this machine. */
  outside(path: string): string;
  /** A tree of the image as it was; asked for only when that may make a difference. `undefined`: there is none. */
  pristine(): Promise<string | undefined>;
  /** Whether the file at a path is the one that was there, written to or not, rather than another that took its place. */
  isOld(path: string, before: Seen, after: Seen): boolean;
  /** Whether files give rights that count. */
  readonly capabilities: boolean;
}

/** What was changed between two moments, and how it is now. */
export interface Changes extends Difference, Place {
  /** Whether the entry at a path is the image's own, perhaps changed. */
  isOld(path: string): boolean;
}

/** Follows a root from one instruction to the next. */
export interface Watch {
  /** What was changed since the last call; the first call begins. */
  changes(signal: AbortSignal): Promise<Changes>;
}

/**
 * Starts to watch. A file that something touched, and that is in the end what it is in the image, was not changed:
 * `chown -R` touches all, an overlay copies what is only opened, and neither shall make a layer.
 */
export function watch<L extends Look>(looking: Looking<L>): Watch {
  let before: L | undefined;
  /** What of the image is not as it was: paths of earlier differences. */
  const changed = new Set<string>();
  return {
    async changes(signal) {
      const after = await looking.take(signal);
      const first = before ?? after;
      before = after;
      const doubtful: string[] = [];
      let difference = looking.compare(first, after, (path, was, is) => {
        if (!changed.has(path) && looksSame(was, is)) doubtful.push(path);
        return false;
      });
      if (doubtful.length > 0) {
        const same = await pristineOf(doubtful, looking);
        if (same.size > 0) difference = looking.compare(first, after, (path) => same.has(path));
      }
      for (const path of difference.changed) changed.add(path);
      return {
        ...difference,
        after,
        outside: looking.outside,
        isOld(path) {
          const [was, is] = [first.get(path), after.get(path)];
          return was !== undefined && is !== undefined && was.isDirectory === is.isDirectory &&
            looking.isOld(path, was, is);
        },
      };
    },
  };
}

/** Whether all but the content is the same. */
function looksSame(a: Seen, b: Seen): boolean {
  return !b.isDirectory && a.isDirectory === b.isDirectory && a.isFile === b.isFile &&
    a.isSymlink === b.isSymlink && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid &&
    a.nlink === b.nlink && a.size === b.size && a.rdev === b.rdev;
}

/** Which entries are what the image has there. */
async function pristineOf(
  paths: readonly string[],
  looking: Pick<Looking<Look>, "pristine" | "outside" | "capabilities">,
): Promise<ReadonlySet<string>> {
  const tree = await looking.pristine();
  if (tree === undefined) return new Set();
  using rights = looking.capabilities ? openFileCapabilities() : undefined;
  return new Set(paths.filter((path) => {
    try {
      return isSameContent(`${tree}${path}`, looking.outside(path), rights);
    } catch {
      return false; // not of the image, or closed to us
    }
  }));
}

const CHUNK = 1 << 16;

function isSameContent(
  one: string,
  other: string,
  rights: Pick<FileCapabilities, "get"> | undefined,
): boolean {
  const was = Deno.lstatSync(one);
  const is = Deno.lstatSync(other);
  if (was.mode !== is.mode || was.size !== is.size) return false;
  if (is.isSymlink) return Deno.readLinkSync(one) === Deno.readLinkSync(other);
  if (!is.isFile) return was.rdev === is.rdev;
  if (`${rights?.get(one)}` !== `${rights?.get(other)}`) return false;
  using a = Deno.openSync(one);
  using b = Deno.openSync(other);
  const [left, right] = [new Uint8Array(CHUNK), new Uint8Array(CHUNK)];
  for (;;) {
    const length = readFull(a, left);
    if (length !== readFull(b, right)) return false;
    for (let at = 0; at < length; at++) if (left[at] !== right[at]) return false;
    if (length < CHUNK) return true;
  }
}

function readFull(file: Deno.FsFile, into: Uint8Array): number {
  let length = 0;
  while (length < into.length) {
    const more = file.readSync(into.subarray(length));
    if (more === null) break;
    length += more;
  }
  return length;
}
