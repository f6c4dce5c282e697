/** Where a repair puts what is wrong: `quarantine/` in the store. Nothing is ever deleted (ST-09). */
import { basename, join } from "node:path";
import { renameSync } from "node:fs";
import type { Digest } from "../oci/digest.ts";

/** The quarantine of one store. */
export class Quarantine {
  readonly #dir: string;

  /** Of the store in `dir`; made when it is first needed. */
  constructor(dir: string) {
    this.#dir = join(dir, "quarantine");
  }

  /** Moves a file there; returns words for people. Synchronous, for transactions. */
  moveSync(path: string): string {
    const name = this.#free(basename(path));
    renameSync(path, join(this.#dir, name));
    return `moved to quarantine/${name}`;
  }

  /** Moves the metadata of the store `dir` there, log and all; returns where its main file is now. */
  moveDatabaseSync(dir: string): string {
    const name = this.#free("metadata.db");
    for (const part of ["-wal", "-shm", ""]) {
      try {
        renameSync(join(dir, `metadata.db${part}`), join(this.#dir, `${name}${part}`));
      } catch (error) {
        if ((error as { code?: unknown }).code !== "ENOENT") throw error;
      }
    }
    return join(this.#dir, name);
  }

  /** A path there that nothing has, for work that ends with its removal. */
  freeSync(name: string): string {
    return join(this.#dir, this.#free(name));
  }

  /** Keeps bytes that have no file of their own; returns words for people. */
  async keepBytes(digest: Digest, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
    const name = this.#free(digest.replace(":", "-"));
    await Deno.writeFile(join(this.#dir, name), bytes, { createNew: true, mode: 0o600 });
    return `kept as quarantine/${name}`;
  }

  /** Writes down what has no bytes, like a name; returns words for people. */
  noteSync(text: string): string {
    this.#make();
    const line = `${new Date().toISOString()} ${text}\n`;
    Deno.writeTextFileSync(join(this.#dir, "removed.txt"), line, { append: true, mode: 0o600 });
    return "written down in quarantine/removed.txt";
  }

  #make(): void {
    Deno.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
  }

  #free(name: string): string {
    this.#make();
    for (let turn = 0;; turn++) {
      const candidate = turn === 0 ? name : `${name}.${turn}`;
      try {
        Deno.lstatSync(join(this.#dir, candidate));
      } catch {
        return candidate;
      }
    }
  }
}
