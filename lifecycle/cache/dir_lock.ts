/** A lock on a directory between processes: the kernel's, so that it goes with the process that held it. */

/** A lock that is held; disposing lets it go. */
export interface DirLock extends Disposable {
  /** The file that is locked; it stays behind. */
  readonly path: string;
}

/** How long to wait before asking again; commits of other builds take seconds. */
const RETRY_MS = 50;

/**
 * Takes the lock of `dir`, waiting while somebody else has it, also within this process.
 *
 * @throws The signal's reason when it is aborted first.
 */
export async function lockDir(dir: string, signal?: AbortSignal): Promise<DirLock> {
  const path = `${dir}/wherry.lock`;
  const file = await Deno.open(path, { create: true, write: true });
  try {
    // Not `lock()`: it would hold a thread that no signal can free.
    while (!(await file.tryLock(true))) {
      signal?.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  } catch (error) {
    file.close();
    throw error;
  }
  return { path, [Symbol.dispose]: () => file.close() };
}
