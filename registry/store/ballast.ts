/**
 * Room that is given up when the disk is full: removing an image writes to the metadata before it frees anything, so
 * without it a full disk could not be emptied with the store's own means (ST-06).
 */
import { join } from "node:path";
import { isOciError } from "../oci/error.ts";

/** Enough to open the store (32 KiB of shared memory) and to log the removal of an image or two. */
const BYTES = 512 * 1024;

/** The ballast of one store. */
export class Ballast {
  readonly #path: string;

  /** Of the store in `dir`; touches nothing. */
  constructor(dir: string) {
    this.#path = join(dir, "ballast");
  }

  /** Gives up the room; `false` when there was none. */
  async drop(): Promise<boolean> {
    try {
      const { size, isFile } = await Deno.lstat(this.#path);
      if (!isFile || size === 0) return false;
      await Deno.truncate(this.#path, 0);
      return true;
    } catch {
      return false;
    }
  }

  /** Takes room, when there is some; for stores that hold files. Never throws. */
  async take(): Promise<void> {
    try {
      const info = await Deno.lstat(this.#path).catch(() => undefined);
      if (info !== undefined && (!info.isFile || info.size >= BYTES)) return;
      await Deno.writeFile(this.#path, new Uint8Array(BYTES), { mode: 0o600 });
    } catch {
      await Deno.truncate(this.#path, 0).catch(() => {}); // what is left belongs to others
    }
  }

  /** Runs `act`; when it fails for want of room, gives up the ballast and runs it once more. */
  async spend<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      const full = isOciError(error, "UNAVAILABLE") &&
        (error.status === 507 || /disk I\/O error/.test(error.message)); // SQLite's words for no shared memory
      if (!full || !await this.drop()) throw error;
      return await act();
    }
  }
}
