import { algorithmOf, type Digest, digestOf } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { bytesSource, fileSource, readAll, type Source } from "../source.ts";
import type { BlobFiles } from "./blob_files.ts";
import type { Database, Row } from "./database.ts";
import { TOUCH_MS } from "./leases.ts";
import { Quarantine } from "./quarantine.ts";
import type { Rows } from "./rows.ts";
import { verifiedSource } from "./verified.ts";

/** What {@linkcode Contents} reads from. */
export interface ContentsOptions {
  /** The store's. */
  readonly dir: string;
  /** Its metadata, with small contents in it. */
  readonly db: Database;
  /** Its rows. */
  readonly rows: Rows;
  /** Its other contents. */
  readonly files: BlobFiles;
  /** Nothing is noted, and nothing put aside. */
  readonly readOnly: boolean;
  /** Whether bytes are checked against their digest while they are read. */
  readonly verify: boolean;
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
}

/** Reading what rows speak of, wherever its bytes are. */
export class Contents {
  readonly #options: ContentsOptions;

  constructor(options: ContentsOptions) {
    this.#options = options;
  }

  /** A row whose file is gone or cut short says nothing: the blob is not there. */
  isPresent(row: Row): boolean {
    return row["bytes"] !== null ||
      this.#options.files.sizeOf(row["digest"] as Digest) === row["size"];
  }

  /** Before anybody is told of it: then no collector takes it in between. Many of one moment share a transaction. */
  async touch(row: Row): Promise<void> {
    const { db, rows, readOnly, now } = this.#options;
    if (readOnly || now() - Number(row["touched"]) < TOUCH_MS) return;
    try {
      await db.together(() => rows.touch(Number(row["id"])));
    } catch { /* a full disk must not keep anyone from reading */ }
  }

  /** Its bytes as they are read; `undefined` when they are not there. */
  async source(row: Row, verify = true): Promise<Source | undefined> {
    if (!this.isPresent(row)) return undefined;
    await this.touch(row);
    const { dir, files, readOnly } = this.#options;
    const digest = row["digest"] as Digest;
    const bytes = row["bytes"] as Uint8Array | null;
    const source = bytes === null
      ? fileSource(files.path(digest), Number(row["size"]))
      : bytesSource(bytes);
    if (!this.#options.verify || !verify) return source;
    const seen = bytes === null && !readOnly ? files.stamp(digest) : undefined;
    return verifiedSource(source, digest, dir, () => {
      if (seen !== undefined) this.#putAside(digest, seen);
    });
  }

  /**
   * All bytes of a manifest; `undefined` when they are not there.
   *
   * @throws {OciError} `DIGEST_INVALID` when they have changed on the disk.
   */
  async document(row: Row, repository: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    await this.touch(row);
    const { files, verify } = this.#options;
    const digest = row["digest"] as Digest;
    const inline = row["bytes"] as Uint8Array<ArrayBuffer> | null;
    let bytes: Uint8Array<ArrayBuffer>;
    if (inline !== null) bytes = inline;
    else {
      const size = files.sizeOf(digest);
      if (size === undefined) return undefined;
      bytes = await readAll(fileSource(files.path(digest), size), size);
    }
    if (verify && digestOf(bytes, algorithmOf(digest)) !== digest) {
      throw new OciError(
        "DIGEST_INVALID",
        `Cannot read manifest ${digest} of ${repository}: its bytes have changed on the disk`,
      );
    }
    return bytes;
  }

  /** What was found to be wrong is as good as absent from now on, so that a push or a pull brings it back. */
  #putAside(digest: Digest, seen: string): void {
    const { db, dir, files } = this.#options;
    try {
      db.write(() => {
        // Whoever publishes does so inside a transaction: this is still the file that was read, or a better one.
        if (files.stamp(digest) !== seen) return;
        new Quarantine(dir).moveSync(files.path(digest));
      });
    } catch { /* the reader hears of the wrong bytes; fsck can do the rest */ }
  }
}
