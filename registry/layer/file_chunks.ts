/** Reading a whole file on this thread: what was read is still in the processor's cache when it is used. */
import { closeFile, OPEN, openFile, readFile } from "./descriptors.ts";
import { nextTurn, SLICE_MS } from "./turn.ts";

/**
 * Small enough to stay in the cache between being read and being hashed or written. Measured on a restore of 400 MiB:
 * the thread pool's reads into fresh memory cost twice the CPU of the whole restore.
 */
const CHUNK = 256 * 1024;

/**
 * Gives `take` the file at `path` in order; the memory is used again for the next chunk. Lets others run every few
 * milliseconds.
 *
 * @throws What `take` throws, what the file system says, and the signal's reason.
 */
export async function eachChunk(
  path: string,
  take: (chunk: Uint8Array) => void,
  signal?: AbortSignal,
): Promise<void> {
  const fd = openFile(path, OPEN.readOnly);
  try {
    const buffer = new Uint8Array(CHUNK);
    let deadline = performance.now() + SLICE_MS;
    for (let got = readFile(fd, buffer); got > 0; got = readFile(fd, buffer)) {
      take(buffer.subarray(0, got));
      if (performance.now() < deadline) continue;
      await nextTurn();
      signal?.throwIfAborted();
      deadline = performance.now() + SLICE_MS;
    }
  } finally {
    closeFile(fd);
  }
}
