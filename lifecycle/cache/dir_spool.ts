/**
 * Tars on their way into a directory cache before there is a draft of it. A draft holds the lock of the cache, and other builds would
 * wait for as long as an image is made and pushed; these files are locked each by itself, and a killed build's are told by that.
 */
import type { SpooledLayer } from "./cache.ts";

const PREFIX = "spool-";

/** A file of its own in the directory of the cache, locked until it has gone. */
export class DirSpool implements SpooledLayer {
  readonly #file: Deno.FsFile;
  #path: string | undefined;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  /** Starts an empty one in `dir`. */
  static async create(dir: string): Promise<DirSpool> {
    const path = `${dir}/${PREFIX}${crypto.randomUUID()}`;
    const file = await Deno.open(path, { createNew: true, write: true });
    const spool = new DirSpool(path, file);
    try {
      if (await file.tryLock(true)) return spool;
      throw new Error(`Cannot use ${path}: somebody clears it away`);
    } catch (error) {
      await spool.drop();
      throw error;
    }
  }

  get path(): string | undefined {
    return this.#path;
  }

  write(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.byteLength;) at += this.#file.writeSync(chunk.subarray(at));
  }

  /** Renames the file to `path`; once. */
  async moveTo(path: string): Promise<void> {
    if (this.#path === undefined) throw new TypeError("Cannot use a spooled layer: it is gone");
    await Deno.rename(this.#path, path);
    this.#path = undefined;
    this.#file.close();
  }

  async drop(): Promise<void> {
    const path = this.#path;
    if (path === undefined) return;
    this.#path = undefined;
    this.#file.close();
    await Deno.remove(path).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

/** Removes what killed builds left in `dir`, and nothing that a living one writes. */
export async function clearSpools(dir: string): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(dir)) {
    if (!name.startsWith(PREFIX) || !isFile) continue;
    try {
      using file = await Deno.open(`${dir}/${name}`);
      if (await file.tryLock(true)) await Deno.remove(`${dir}/${name}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // its build took it meanwhile
    }
  }
}
