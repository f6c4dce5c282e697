/** A file that is read again when it changed: passwords, policy. */

/** Options of {@linkcode watchFile}. */
export interface WatchOptions {
  /** Called with why a change could not be taken; what was read before still holds. */
  readonly onError?: ((error: Error) => void) | undefined;
  /** The clock, in milliseconds. */
  readonly now?: (() => number) | undefined;
  /** How long an answer holds without looking at the file. Default 1 s. */
  readonly everyMs?: number | undefined;
}

/** What a file says now. */
export interface WatchedFile<T> {
  /** What it said when it was last well. Looks at its time, size and inode first, not more often than asked. */
  current(): Promise<T>;
}

/**
 * Reads a file and keeps up with it. A change that cannot be read is told once and not taken: a half-written
 * file must lock nobody out, and let nobody in.
 *
 * @throws What `parse` throws, and Deno's errors, on the first read.
 */
export async function watchFile<T>(
  path: string,
  parse: (text: string) => T,
  options: WatchOptions = {},
): Promise<WatchedFile<T>> {
  const { onError, now = Date.now, everyMs = 1000 } = options;
  let seen = await stampOf(path);
  let value = parse(await Deno.readTextFile(path));
  let looked = now();
  let looking: Promise<void> | undefined;
  const look = async () => {
    try {
      const stamp = await stampOf(path);
      if (stamp === seen) return;
      // Kept before it is parsed: one bad file is one complaint.
      seen = stamp;
      value = parse(await Deno.readTextFile(path));
    } catch (error) {
      const gone = error instanceof Deno.errors.NotFound;
      if (!gone || seen !== "") onError?.(error as Error);
      if (gone) seen = "";
    } finally {
      looked = now();
      looking = undefined;
    }
  };
  return {
    async current() {
      if (now() - looked >= everyMs) await (looking ??= look());
      return value;
    },
  };
}

async function stampOf(path: string): Promise<string> {
  const { mtime, size, ino } = await Deno.stat(path);
  return `${mtime?.getTime()} ${size} ${ino}`;
}
