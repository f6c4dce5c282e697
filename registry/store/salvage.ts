/** Damaged metadata: what can still be read is brought over to a new database; the old one is kept aside. */
import { DatabaseSync, type SupportedValueType } from "node:sqlite";
import { join } from "node:path";
import { OciError } from "../oci/error.ts";
import { BlobFiles } from "./blob_files.ts";
import { Database, type Row } from "./database.ts";
import { hashFile } from "./hash_file.ts";
import { Leases } from "./leases.ts";
import { makeMetadata } from "./open.ts";
import type { Quarantine } from "./quarantine.ts";

/** Tables in the order they refer to each other, and what orders their rows. */
const TABLES: readonly Source[] = [
  { table: "repository", key: ["id"] },
  { table: "content", key: ["id"] },
  { table: "member", key: ["repository", "content"] },
  { table: "member", key: ["content", "repository"], index: "member_of" },
  { table: "manifest", key: ["repository", "content"] },
  { table: "child", key: ["repository", "parent", "child"] },
  { table: "child", key: ["child", "repository", "parent"], index: "child_of" },
  { table: "tag", key: ["repository", "name"] },
  { table: "tag", key: ["repository", "content", "name"], index: "tag_of" },
  { table: "layer", key: ["diff_id", "digest"] },
];

/** Where rows are read from: a table, or an index that holds all its columns that cannot be made again. */
interface Source {
  readonly table: string;
  readonly key: readonly string[];
  readonly index?: string;
}

const BATCH = 500;

/** What was brought over. */
export interface Salvaged {
  /** The new metadata, open. */
  readonly db: Database;
  /** For people. */
  readonly said: string;
}

/**
 * Makes new metadata for the store in `dir` of what the old has left. Blobs that no row leads to any more are recorded,
 * when their bytes are right, so that a pull finds them. The caller checks what came of it.
 *
 * @throws {OciError} `UNAVAILABLE` while another process has the store open.
 */
export async function salvage(dir: string, quarantine: Quarantine): Promise<Salvaged> {
  if (new Leases(dir).othersSync().writing) {
    throw new OciError(
      "UNAVAILABLE",
      `Cannot repair store ${dir}: another process has it open; want it ended first`,
    );
  }
  const moved = quarantine.moveDatabaseSync(dir);
  await makeMetadata(dir);
  const db = new Database(dir, false);
  let rows = 0;
  let old: DatabaseSync | undefined;
  try {
    old = new DatabaseSync(moved);
    for (const source of TABLES) rows += bringOver(old, db, source);
  } catch {
    /* not a database any more: nothing to bring */
  } finally {
    old?.close();
  }
  const blobs = await recordFiles(dir, db);
  await db.durable();
  const kept = moved.slice(join(dir, "/").length);
  return { db, said: `kept as ${kept}; ${rows} records brought over, ${blobs} blobs found again` };
}

/** Of `StatementSync` since Node 22.13; our types are older. One row at a time, so that those before the damage count. */
interface Iterating {
  iterate(...values: SupportedValueType[]): Iterable<Row>;
}

/** Reads from both ends towards the damage. */
function bringOver(old: DatabaseSync, db: Database, { table, key, index }: Source): number {
  const columns = key.join(", ");
  const from = index === undefined
    ? `SELECT * FROM ${table}`
    : `SELECT ${columns} FROM ${table} INDEXED BY ${index}`;
  let rows = 0;
  for (const [order, than] of [["ASC", ">"], ["DESC", "<"]]) {
    const sorted = key.map((column) => `${column} ${order}`).join(", ");
    let last: readonly SupportedValueType[] | undefined;
    try {
      while (true) {
        const where = last === undefined
          ? ""
          : `WHERE (${columns}) ${than} (${key.map(() => "?").join(", ")})`;
        const text = `${from} ${where} ORDER BY ${sorted} LIMIT ${BATCH}`;
        const statement = old.prepare(text) as unknown as Iterating;
        const found: Row[] = [];
        let broken = false;
        try {
          for (const row of statement.iterate(...(last ?? []))) found.push(row);
        } catch {
          broken = true;
        }
        rows += db.write(() => found.reduce((sum, row) => sum + insert(db, table, row), 0));
        const end = found.at(-1);
        if (broken || end === undefined || found.length < BATCH) break;
        last = key.map((column) => end[column]!);
      }
    } catch { /* not even its first page can be read */ }
  }
  return rows;
}

function insert(db: Database, table: string, row: Row): number {
  const names = Object.keys(row);
  const marks = names.map(() => "?").join(", ");
  try {
    return db.run(
      `INSERT OR IGNORE INTO ${table} (${names.join(", ")}) VALUES (${marks})`,
      ...Object.values(row),
    );
  } catch {
    return 0; // a row that is no row
  }
}

async function recordFiles(dir: string, db: Database): Promise<number> {
  const files = new BlobFiles(dir);
  let found = 0;
  for await (const shard of files.list()) {
    for (const { digest } of shard) {
      if (db.get("SELECT 1 FROM content WHERE digest = ?", digest) !== undefined) continue;
      const seen = await hashFile(files.path(digest), digest);
      if (seen?.digest !== digest) continue;
      found += db.write(() =>
        db.run(
          "INSERT INTO content (digest, size, touched, bytes) VALUES (?, ?, ?, NULL)",
          digest,
          seen.size,
          Date.now(),
        )
      );
    }
  }
  return found;
}
