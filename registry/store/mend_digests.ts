/** Digests and documents in the metadata with a little damage: each of the two says what the other was. */
import { algorithmOf, type Digest, digestOf, isDigest } from "../oci/digest.ts";
import type { BlobFiles } from "./blob_files.ts";
import type { Database } from "./database.ts";

/** Bytes that differ have digests that differ everywhere; so many characters may be damage. */
const MOST_DAMAGED = 8;

/** Longer documents have too many bits to try them all: at this length it takes half a second. */
const MAX_TRIED = 8 * 1024;

/** `bytes` with the one bit turned back that makes them `digest`; `undefined` when there is none, or they are long. */
export function withoutFlip(
  bytes: Uint8Array<ArrayBuffer>,
  digest: Digest,
): Uint8Array<ArrayBuffer> | undefined {
  if (bytes.byteLength > MAX_TRIED) return undefined;
  const tried = bytes.slice();
  for (let at = 0; at < tried.byteLength; at++) {
    const before = tried[at]!;
    for (let bit = 0; bit < 8; bit++) {
      tried[at] = before ^ 1 << bit;
      if (digestOf(tried, algorithmOf(digest)) === digest) return tried;
    }
    tried[at] = before;
  }
  return undefined;
}

/** Puts damaged digests right, one row at a time. */
export class DigestMender {
  readonly #db: Database;
  readonly #files: BlobFiles;
  #strays: Promise<readonly Digest[]> | undefined;

  /** For the metadata `db` of the store with `files`. */
  constructor(db: Database, files: BlobFiles) {
    this.#db = db;
    this.#files = files;
  }

  /** The document in row `id` is `bytes` and said to be `digest`; returns what it is called now, if that was it. */
  inline(id: number, digest: string, bytes: Uint8Array<ArrayBuffer>): Digest | undefined {
    const seen = digestOf(bytes, isDigest(digest) ? algorithmOf(digest) : "sha256");
    return this.#rename(id, digest, seen);
  }

  /** Row `id` speaks of a file that is not there; some file that no row speaks of may be it. */
  async filed(id: number, digest: string): Promise<Digest | undefined> {
    const strays = await (this.#strays ??= this.#findStrays());
    const meant = strays.find((stray) => near(stray, digest));
    return meant === undefined ? undefined : this.#rename(id, digest, meant);
  }

  /** All rows of the metadata. */
  async all(): Promise<void> {
    for (let after = 0;;) {
      const row = this.#db.get(
        "SELECT id, digest, bytes FROM content WHERE id > ? ORDER BY id",
        after,
      );
      if (row === undefined) return;
      const { digest, bytes } = row;
      after = Number(row["id"]);
      if (bytes instanceof Uint8Array) {
        this.inline(after, String(digest), bytes as Uint8Array<ArrayBuffer>);
      } else if (!isDigest(String(digest)) || this.#files.sizeOf(digest as Digest) === undefined) {
        await this.filed(after, String(digest));
      }
    }
  }

  #rename(id: number, digest: string, right: Digest): Digest | undefined {
    if (right === digest || !near(right, digest)) return undefined;
    try {
      this.#db.write(() => this.#db.run("UPDATE content SET digest = ? WHERE id = ?", right, id));
      return right;
    } catch {
      return undefined; // another row has it: the one for this is lost
    }
  }

  async #findStrays(): Promise<readonly Digest[]> {
    const strays: Digest[] = [];
    for await (const shard of this.#files.list()) {
      for (const { digest } of shard) {
        const known = this.#db.get("SELECT 1 FROM content WHERE digest = ?", digest);
        if (known === undefined) strays.push(digest);
      }
    }
    return strays;
  }
}

function near(right: string, damaged: string): boolean {
  if (right.length !== damaged.length) return false;
  let wrong = 0;
  for (let at = 0; at < right.length; at++) if (right[at] !== damaged[at]) wrong++;
  return wrong <= MOST_DAMAGED;
}
