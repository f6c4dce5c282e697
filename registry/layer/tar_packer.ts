/** Makes the bytes of a layer's tar, into memory it is given: no promise, no copy, one open file at a time. */
import { closeFile, OPEN, openFile, readFile } from "./descriptors.ts";
import { type FileBody, LAYER_MTIME, type TreeEntry } from "./entry.ts";
import { encodeHeader } from "./tar_encode.ts";
import { BLOCK, padded } from "./tar_format.ts";
import { unreadable } from "./unreadable.ts";

/** The end of an archive: two blocks of zeros, no more (TA-7). */
export const END_OF_TAR: Uint8Array = new Uint8Array(2 * BLOCK);

const ONE_BYTE = new Uint8Array(1);

interface OpenFile {
  readonly fd: number;
  readonly path: string;
  readonly size: number;
  left: number;
}

/** A tar on its way out. Call {@linkcode fill} until `done`; `using` closes what is open. */
export class TarPacker implements Disposable {
  readonly #entries: Iterator<TreeEntry>;
  /** Bytes in memory to come next: a header, a body, padding. */
  #pending: Uint8Array = END_OF_TAR.subarray(0, 0);
  /** The file whose body comes behind `#pending`. */
  #file: OpenFile | undefined;
  #padding = 0;
  #ended = false;

  /** Nothing of `entries` is looked at before the first {@linkcode fill}. */
  constructor(entries: Iterable<TreeEntry>) {
    this.#entries = entries[Symbol.iterator]();
  }

  /** Whether all bytes were given out. */
  get done(): boolean {
    return this.#ended && this.#pending.byteLength === 0;
  }

  /**
   * Puts bytes into `into` from `at` on and returns where it stopped: at the end of `into`, when done, or soon
   * after `deadline` (of `performance.now()`), so that whoever calls can let others run.
   *
   * @throws {RangeError} When a file is not what it was when it was walked.
   */
  fill(into: Uint8Array, at: number, deadline = Infinity): number {
    for (let turn = 1; at < into.byteLength; turn++) {
      if (this.#pending.byteLength > 0) {
        const part = this.#pending.subarray(0, into.byteLength - at);
        into.set(part, at);
        at += part.byteLength;
        this.#pending = this.#pending.subarray(part.byteLength);
      } else if (this.#file !== undefined) {
        at += this.#read(this.#file, into.subarray(at));
      } else if (this.#padding > 0) {
        this.#pending = END_OF_TAR.subarray(0, this.#padding);
        this.#padding = 0;
      } else if (this.#ended) {
        return at;
      } else if (turn % 16 === 0 && performance.now() > deadline) {
        return at;
      } else {
        this.#next();
      }
    }
    return at;
  }

  #next(): void {
    const { done, value: entry } = this.#entries.next();
    if (done) {
      this.#ended = true;
      this.#pending = END_OF_TAR;
      return;
    }
    this.#pending = headerOf(entry);
    if (entry.type !== "file" || entry.size === 0 && entry.body instanceof Uint8Array) return;
    if (entry.body === undefined) {
      if (entry.size === 0) return;
      throw new TypeError(`Cannot pack ${entry.name}: it has a size of ${entry.size} and no body`);
    }
    this.#padding = padded(entry.size) - entry.size;
    if (entry.body instanceof Uint8Array) {
      if (entry.body.byteLength !== entry.size) throw changed(entry.name, entry.size);
      // Most are tiny: join them to the header rather than keep a second pending piece.
      const both = new Uint8Array(this.#pending.byteLength + entry.size);
      both.set(this.#pending);
      both.set(entry.body, this.#pending.byteLength);
      this.#pending = both;
    } else {
      this.#file = { ...openBody(entry.body, entry.size), left: entry.size };
    }
  }

  #read(file: OpenFile, into: Uint8Array): number {
    if (file.left === 0) {
      // One more byte would be a file that grew while it was read.
      const more = readFile(file.fd, ONE_BYTE);
      this.#close();
      if (more !== 0) throw changed(file.path, file.size);
      return 0;
    }
    const want = into.subarray(0, Math.min(file.left, into.byteLength));
    const got = readFile(file.fd, want);
    if (got === 0) throw changed(file.path, file.size);
    file.left -= got;
    return got;
  }

  #close(): void {
    if (this.#file !== undefined) closeFile(this.#file.fd);
    this.#file = undefined;
  }

  /** Closes what is open and ends the walk behind the entries. */
  [Symbol.dispose](): void {
    this.#close();
    this.#ended = true;
    this.#entries.return?.();
  }
}

/** The header of an entry in the tars we make, with the PAX header it may need. */
export function headerOf(entry: TreeEntry): Uint8Array {
  return encodeHeader({
    name: entry.name,
    type: entry.type,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    size: entry.type === "file" ? entry.size : 0,
    mtime: LAYER_MTIME,
    linkName: entry.linkName ?? "",
    major: entry.device?.major ?? 0,
    minor: entry.device?.minor ?? 0,
    ...(entry.pax === undefined ? {} : { pax: entry.pax }),
  });
}

/**
 * Opens the very file that was walked. The last step is not followed when it is a symlink now; a swapped step
 * further up shows in another inode. Without blocking, should it have become a fifo.
 */
function openBody(
  body: FileBody,
  size: number,
): { readonly fd: number; readonly path: string; readonly size: number } {
  let fd: number;
  try {
    fd = openFile(body.path, OPEN.noFollow | OPEN.noBlock);
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "ELOOP") throw unreadable(body.path, cause);
    throw new RangeError(`Cannot pack ${body.path}: it became a symlink while it was read`, {
      cause,
    });
  }
  let now: Deno.FileInfo;
  try {
    // What the descriptor stands for. fstat of node:fs would take ten times as long (6.5 us).
    now = Deno.statSync(`/proc/self/fd/${fd}`);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
  if (now.dev === body.dev && now.ino === body.ino && now.size === size && now.isFile) {
    return { fd, path: body.path, size };
  }
  closeFile(fd);
  if (now.dev !== body.dev || now.ino !== body.ino) {
    throw new RangeError(`Cannot pack ${body.path}: another file took its place while it was read`);
  }
  throw changed(body.path, size);
}

function changed(path: string, size: number): RangeError {
  return new RangeError(
    `Cannot pack ${path}: it changed while it was read, want the ${size} bytes it had`,
  );
}
