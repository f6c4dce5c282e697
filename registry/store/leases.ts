/**
 * Who is at work in a store: one file below `leases/` for each process that has it open for writing, and one for
 * each thing that must not be collected meanwhile. Each is held by an OS lock, so it ends with its process (ST-03).
 */
import { join } from "node:path";
import { makeDir } from "./blob_files.ts";
import { translate } from "./database.ts";

/** A look at a blob keeps it from the collector; one note in this time is enough, in milliseconds. */
export const TOUCH_MS = 10 * 60 * 1000;
/** Between making a file and locking it there is a moment; younger files are left alone. */
const UNLOCKED_MS = 60 * 1000;

/** What others are doing, at one moment. */
export interface Others {
  /** Another process, or another opening in this one, may be between two steps of a push. */
  readonly writing: boolean;
  /** When the oldest living lease was taken, ours included; milliseconds since 1970. */
  readonly leasedSince: number | undefined;
}

/** The lease files of one store, seen by one opening of it. */
export class Leases {
  readonly #dir: string;
  #writer: { readonly name: string; readonly file: Deno.FsFile } | undefined;

  /** Of the store in `dir`; touches nothing. */
  constructor(dir: string) {
    this.#dir = join(dir, "leases");
  }

  /** Says that this process writes; until {@linkcode close}. */
  async open(now: number): Promise<void> {
    await makeDir(this.#dir);
    await this.#sweep();
    this.#writer = await this.#make("writer", now);
  }

  /** Takes a lease; what it returns gives it back. Idempotent. */
  async take(now: number): Promise<() => void> {
    const { name, file } = await this.#make("lease", now);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#drop(name, file);
    };
  }

  /** Looks around. Synchronous, to be asked inside the transaction that acts on the answer. */
  othersSync(): Others {
    let writing = false;
    let leasedSince: number | undefined;
    for (const { name } of this.#names()) {
      const said = /^(writer|lease)-(\d+)-/.exec(name);
      if (said === null || name === this.#writer?.name || !isHeld(join(this.#dir, name))) continue;
      if (said[1] === "writer") writing = true;
      else leasedSince = Math.min(leasedSince ?? Infinity, Number(said[2]));
    }
    return { writing, leasedSince };
  }

  #names(): readonly { readonly name: string }[] {
    try {
      return [...Deno.readDirSync(this.#dir)];
    } catch (error) {
      if ((error as { code?: unknown }).code === "ENOENT") return []; // nobody has written here yet
      throw error;
    }
  }

  /** Says that this process writes no more. Idempotent. */
  close(): void {
    if (this.#writer !== undefined) this.#drop(this.#writer.name, this.#writer.file);
    this.#writer = undefined;
  }

  async #make(kind: "writer" | "lease", now: number): Promise<{ name: string; file: Deno.FsFile }> {
    const name = `${kind}-${Math.max(0, Math.floor(now))}-${crypto.randomUUID()}`;
    const path = join(this.#dir, name);
    try {
      const file = await Deno.open(path, { createNew: true, read: true, write: true, mode: 0o600 });
      // Waits only for somebody who is just asking whether it is held.
      await file.lock(true);
      return { name, file };
    } catch (cause) {
      throw translate(cause, `write to ${path}`);
    }
  }

  #drop(name: string, file: Deno.FsFile): void {
    try {
      Deno.removeSync(join(this.#dir, name));
    } catch { /* the next opening sweeps it */ }
    file.close();
  }

  /** Files of processes that died. */
  async #sweep(): Promise<void> {
    for await (const { name } of Deno.readDir(this.#dir)) {
      const path = join(this.#dir, name);
      const info = await Deno.lstat(path).catch(() => undefined);
      const age = Date.now() - (info?.mtime?.getTime() ?? Date.now());
      if (info?.isFile && age > UNLOCKED_MS && !isHeld(path)) {
        await Deno.remove(path).catch(() => {});
      }
    }
  }
}

/** Locks belong to openings, not to processes, so that ours are seen, too. */
function isHeld(path: string): boolean {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true, write: true });
  } catch (error) {
    return (error as { code?: unknown }).code !== "ENOENT"; // given back meanwhile
  }
  try {
    return !file.tryLockSync(true);
  } finally {
    file.close();
  }
}
