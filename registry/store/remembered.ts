/** What a store knows besides images: facts that save work. None is synced; losing one costs time only. */
import { type Descriptor, descriptorSchema } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { Database } from "./database.ts";
import type { Memo } from "./store.ts";

/** Facts of each kind; the oldest go first. */
const MAX_FACTS = 100_000;
/** Counting is not free: the bound is kept once in so many additions. */
const PRUNE_EVERY = 512;
const MAX_VALUE = 64 * 1024;

/** Layers by diffID, blobs by place, and memos. On a read-only store additions are dropped. */
export class Remembered implements Memo {
  readonly #db: Database;
  readonly #readOnly: boolean;
  readonly #now: () => number;
  #added = 0;

  /** Over the tables `layer`, `location` and `memo` of `db`. */
  constructor(db: Database, readOnly: boolean, now: () => number) {
    this.#db = db;
    this.#readOnly = readOnly;
    this.#now = now;
  }

  /** Whose bytes may be gone; newest first. */
  layers(diffId: Digest): Descriptor[] {
    const sql = "SELECT descriptor FROM layer WHERE diff_id = ? ORDER BY seen DESC, digest";
    return this.#db.all(sql, diffId).map((row) =>
      descriptorSchema.parse(JSON.parse(String(row["descriptor"])))
    );
  }

  /** `descriptor` is `diffId`, compressed. */
  addLayer(diffId: Digest, { mediaType, digest, size }: Descriptor): void {
    this.#add(
      "layer",
      `INSERT INTO layer (diff_id, digest, descriptor, seen) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET descriptor = excluded.descriptor, seen = excluded.seen`,
      [diffId, digest, JSON.stringify({ mediaType, digest, size })],
    );
  }

  /** Newest first, a handful: a mount tries one or two. */
  locations(digest: Digest, host: string): string[] {
    return this.#db.all(
      "SELECT repository FROM location WHERE digest = ? AND host = ? ORDER BY seen DESC, repository LIMIT 16",
      digest,
      host,
    ).map((row) => String(row["repository"]));
  }

  /** `repository` of `host` holds `digest`. */
  addLocation(digest: Digest, host: string, repository: string): void {
    this.#add(
      "location",
      `INSERT INTO location (digest, host, repository, seen) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET seen = excluded.seen`,
      [digest, host, repository],
    );
  }

  /** It does not after all. */
  removeLocation(digest: Digest, host: string, repository: string): void {
    if (this.#readOnly) return;
    this.#db.write(() =>
      this.#db.run(
        "DELETE FROM location WHERE digest = ? AND host = ? AND repository = ?",
        digest,
        host,
        repository,
      )
    );
  }

  // deno-lint-ignore require-await
  async get(key: string): Promise<string | undefined> {
    const row = this.#db.get("SELECT value FROM memo WHERE key = ?", key);
    return row && String(row["value"]);
  }

  async set(key: string, value: string): Promise<void> {
    if (value.length > MAX_VALUE) {
      throw new RangeError(
        `Cannot remember ${key}: ${value.length} characters, want at most ${MAX_VALUE}`,
      );
    }
    if (this.#readOnly) return;
    await this.#db.together(() =>
      this.#insert(
        "memo",
        `INSERT INTO memo (key, value, seen) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET value = excluded.value, seen = excluded.seen`,
        [key, value],
      )
    );
  }

  #add(table: "layer" | "location", sql: string, values: string[]): void {
    if (this.#readOnly) return;
    this.#db.write(() => this.#insert(table, sql, values));
  }

  #insert(table: "layer" | "location" | "memo", sql: string, values: string[]): void {
    this.#db.run(sql, ...values, this.#now());
    if (++this.#added % PRUNE_EVERY !== 0) return;
    this.#db.run(
      `DELETE FROM ${table} WHERE seen <
       (SELECT seen FROM ${table} ORDER BY seen DESC LIMIT 1 OFFSET ${MAX_FACTS})`,
    );
  }
}
