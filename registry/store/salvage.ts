/** Damaged metadata: what can still be read is brought over to a new database; the old one is kept aside. */
import { DatabaseSync, type SupportedValueType } from "node:sqlite";
import { join } from "node:path";
import { algorithmOf, type Digest, digestOf } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { parseDocument } from "../oci/manifest.ts";
import { referrerOf } from "../referrer.ts";
import { BlobFiles } from "./blob_files.ts";
import { Database, type Row } from "./database.ts";
import { hashFile } from "./hash_file.ts";
import { Leases } from "./leases.ts";
import { makeMetadata } from "./open.ts";
import type { Quarantine } from "./quarantine.ts";
import { DigestMender } from "./mend_digests.ts";
import { carveContent } from "./salvage_carve.ts";
import { copyDatabase, dropCopy, mendCopy, pageSizeOf } from "./salvage_copy.ts";

/** Tables in the order they refer to each other, and what orders their rows. */
const TABLES: readonly Source[] = [
  { table: "repository", key: ["id"] },
  { table: "repository", key: ["name", "id"], index: "sqlite_autoindex_repository_1", whole: true },
  { table: "content", key: ["id"] },
  { table: "member", key: ["repository", "content"] },
  { table: "member", key: ["content", "repository"], index: "member_of", whole: true },
  { table: "manifest", key: ["repository", "content"] },
  { table: "child", key: ["repository", "parent", "child"] },
  { table: "child", key: ["child", "repository", "parent"], index: "child_of", whole: true },
  { table: "tag", key: ["repository", "name"] },
  { table: "tag", key: ["repository", "content", "name"], index: "tag_of", whole: true },
  { table: "layer", key: ["diff_id", "digest"] },
  { table: "location", key: ["digest", "host", "repository"] },
  { table: "memo", key: ["key"] },
];

/** What a table holds, for people; what is not here is only remembered and costs time. */
const LOST: Readonly<Record<string, string>> = {
  repository: "names of repositories",
  content: "records of blobs and small documents",
  member: "records of which repository holds which blob",
  manifest: "records of which documents are images",
  child: "records of what images need",
  tag: "tags",
};

/** Where rows are read from: a table, or an index that holds all its columns that cannot be made again. */
interface Source {
  readonly table: string;
  readonly key: readonly string[];
  readonly index?: string;
  /** Who has read all of the index has missed nothing. */
  readonly whole?: boolean;
}

/** Something that could not be brought over. */
export interface Loss {
  /** `false` for what only costs time. */
  readonly fault: boolean;
  /** For people. */
  readonly problem: string;
}

const BATCH = 500;

/** What was brought over. */
export interface Salvaged {
  /** The new metadata, open. */
  readonly db: Database;
  /** For people. */
  readonly said: string;
  /** One for each kind of thing that could not be brought over. */
  readonly losses: readonly Loss[];
  /** Where the old metadata are kept, below the store. */
  readonly kept: string;
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
  // What is read is a copy: the old one stays as it was found. Without room for it nothing has happened yet.
  const copy = quarantine.freeSync("metadata.db.copy");
  const scratch = quarantine.freeSync("metadata.db.pattern");
  try {
    copyDatabase(join(dir, "metadata.db"), copy);
    Deno.mkdirSync(scratch, { mode: 0o700 });
    const empty = Deno.statSync(copy).size === 0;
    if (!empty) await mendCopy(copy, scratch);
    const moved = quarantine.moveDatabaseSync(dir);
    const kept = moved.slice(join(dir, "/").length);
    await makeMetadata(dir);
    const db = new Database(dir, false, "always");
    const brought = bringAllOver(copy, db);
    if (brought.broken.has("content")) brought.rows += carve(copy, db, brought);
    await new DigestMender(db, new BlobFiles(dir)).all();
    const blobs = await recordFiles(dir, db, brought.contents);
    const losses = tellLosses(db, brought, rebuildManifests(dir, db, brought.manifests), empty);
    await db.durable();
    const said =
      `kept as ${kept}; ${brought.rows} records brought over, ${blobs} blobs found again`;
    return { db, said, losses, kept };
  } finally {
    dropCopy(copy);
    Deno.removeSync(scratch, { recursive: true });
  }
}

/** What came of reading the old metadata. */
interface Brought {
  rows: number;
  /** Tables of which something may be missing. */
  readonly broken: Set<string>;
  /** Whether all of the index of digests could be read. */
  listed: boolean;
  /** What the index of digests knows besides. */
  readonly contents: Map<string, number>;
  /** Pairs of repository and content that are manifests, besides. */
  readonly manifests: Row[];
}

function bringAllOver(copy: string, db: Database): Brought {
  const brought: Brought = {
    rows: 0,
    listed: false,
    broken: new Set(),
    contents: new Map(),
    manifests: [],
  };
  let old: DatabaseSync | undefined;
  try {
    old = new DatabaseSync(copy);
    for (const source of TABLES) {
      const { rows, whole } = bringOver(old, db, source);
      brought.rows += rows;
      if (!whole && source.index === undefined) brought.broken.add(source.table);
      if (whole && source.whole) brought.broken.delete(source.table);
    }
    // Damage need not show as an error: what the indexes know besides is missed, too.
    const content = "SELECT digest, id FROM content INDEXED BY sqlite_autoindex_content_1";
    const digests = readAcross(old, `${content} ORDER BY digest`, (row) => {
      if (db.get("SELECT 1 FROM content WHERE digest = ?", row["digest"]!) !== undefined) return;
      brought.contents.set(String(row["digest"]), Number(row["id"]));
    });
    brought.listed = digests;
    settle(brought.broken, "content", digests, brought.contents.size);
    const manifest = "SELECT repository, content FROM manifest INDEXED BY manifest_of";
    const known = "SELECT 1 FROM manifest WHERE repository = ? AND content = ?";
    const pairs = readAcross(old, `${manifest} ORDER BY content`, (row) => {
      if (db.get(known, row["repository"]!, row["content"]!) === undefined) {
        brought.manifests.push(row);
      }
    });
    settle(brought.broken, "manifest", pairs, brought.manifests.length);
  } catch {
    for (const { table } of TABLES) brought.broken.add(table); // not a database any more
  } finally {
    old?.close();
  }
  return brought;
}

/**
 * Rows of content that no page leads to any more, found by their looks. A number that two of them claim, because one was
 * deleted, is nobody's; where the index of digests can be read it decides.
 */
function carve(copy: string, db: Database, brought: Brought): number {
  const pageSize = pageSizeOf(copy);
  const claims = new Map<number, Digest | "two">();
  for (const { id, digest } of carveContent(copy, pageSize)) {
    const claimed = claims.get(id) ?? digest;
    claims.set(id, claimed === digest ? digest : "two");
  }
  const isMeant = (id: number, digest: Digest) =>
    brought.listed
      ? brought.contents.get(digest) === id
      : claims.get(id) === digest && (brought.contents.get(digest) ?? id) === id;
  let rows = 0;
  for (const row of carveContent(copy, pageSize)) {
    const { id, digest, bytes } = row;
    if (!isMeant(id, digest)) continue;
    if (db.get("SELECT 1 FROM content WHERE id = ? OR digest = ?", id, digest) !== undefined) {
      continue;
    }
    // A file is recorded when it is found to be right, with this number.
    if (bytes === null) brought.contents.set(digest, id);
    else rows += db.write(() => insert(db, "content", { ...row, bytes }));
  }
  return rows;
}

/** Gives each row that can be read to `take`; returns whether that was all. */
function readAcross(old: DatabaseSync, sql: string, take: (row: Row) => void): boolean {
  try {
    for (const row of (old.prepare(sql) as unknown as Iterating).iterate()) take(row);
    return countable(old, sql);
  } catch {
    return false;
  }
}

/** Whether all rows can be reached. Iterating does not tell: it ends at the damage as at the end. */
function countable(old: DatabaseSync, sql: string): boolean {
  try {
    old.prepare(sql.replace(/^SELECT .*? FROM/, "SELECT count(*) FROM")).get();
    return true;
  } catch {
    return false;
  }
}

function settle(broken: Set<string>, table: string, whole: boolean, missed: number): void {
  if (missed > 0) broken.add(table);
  else if (whole) broken.delete(table);
}

/** One for each kind; `rebuilt` says that every manifest that a name or a list leads to is recorded again. */
function tellLosses(db: Database, brought: Brought, rebuilt: boolean, empty: boolean): Loss[] {
  if (empty) {
    const problem = "all names and records are lost: the file was empty";
    return [{ fault: true, problem }];
  }
  const losses: Loss[] = [];
  for (const table of brought.broken) {
    const what = LOST[table];
    if (what === undefined || table === "manifest" && rebuilt) continue;
    let count = "some or all";
    if (table === "content" && (brought.contents.size > 0 || brought.listed)) {
      const left = [...brought.contents.keys()].filter((digest) =>
        db.get("SELECT 1 FROM content WHERE digest = ?", digest) === undefined
      ).length;
      if (left > 0) {
        count = `at least ${left}`;
      } else if (brought.listed) {
        continue;
      }
    }
    losses.push({ fault: true, problem: `${count} ${what} could not be read and are lost` });
  }
  if ([...brought.broken].some((table) => LOST[table] === undefined)) {
    const problem = "some of what was only remembered is lost; it costs time, nothing else";
    losses.push({ fault: false, problem });
  }
  return losses;
}

/** Records manifests again whose row is lost and whose document is there; `false` when one stays unknown. */
function rebuildManifests(dir: string, db: Database, listed: readonly Row[]): boolean {
  if (listed.length === 0) return false;
  const files = new BlobFiles(dir);
  let all = true;
  for (const { repository, content } of listed) {
    const [at, id] = [Number(repository), Number(content)];
    const known = "SELECT 1 FROM manifest WHERE repository = ? AND content = ?";
    if (db.get(known, at, id) !== undefined) continue;
    const row = db.get("SELECT digest, size, bytes FROM content WHERE id = ?", id);
    try {
      const digest = String(row?.["digest"]) as Digest;
      const bytes = (row?.["bytes"] ?? Deno.readFileSync(files.path(digest))) as Uint8Array<
        ArrayBuffer
      >;
      if (digestOf(bytes, algorithmOf(digest)) !== digest) throw new Error("not its bytes");
      const document = parseDocument(bytes);
      const { mediaType } = document;
      const said = referrerOf(document, { mediaType, digest, size: bytes.byteLength });
      db.write(() =>
        insert(db, "manifest", {
          repository: at,
          content: id,
          media_type: mediaType,
          subject: said?.subject ?? null,
          referrer: said === undefined ? null : JSON.stringify(said.descriptor),
        })
      );
    } catch {
      all = false;
    }
  }
  return all;
}

/** Of `StatementSync` since Node 22.13; our types are older. One row at a time, so that those before the damage count. */
interface Iterating {
  iterate(...values: SupportedValueType[]): Iterable<Row>;
}

/** Reads from both ends towards the damage; `whole` when there was none. */
function bringOver(
  old: DatabaseSync,
  db: Database,
  { table, key, index }: Source,
): { readonly rows: number; readonly whole: boolean } {
  const columns = key.join(", ");
  const from = index === undefined
    ? `SELECT * FROM ${table}`
    : `SELECT ${columns} FROM ${table} INDEXED BY ${index}`;
  let rows = 0;
  let whole = countable(old, index === undefined ? `${from} NOT INDEXED` : from);
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
          whole = false;
        }
        rows += db.write(() => found.reduce((sum, row) => sum + insert(db, table, row), 0));
        const end = found.at(-1);
        if (broken || end === undefined || found.length < BATCH) break;
        last = key.map((column) => end[column]!);
      }
    } catch {
      whole = false; // not even its first page can be read
    }
    if (whole) break; // from one end to the other
  }
  return { rows, whole };
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

/** With the number of `ids` where there is one, so that what is left of other tables leads to it. */
async function recordFiles(
  dir: string,
  db: Database,
  ids: ReadonlyMap<string, number>,
): Promise<number> {
  const files = new BlobFiles(dir);
  let found = 0;
  let last = highestId(db, ids);
  for await (const shard of files.list()) {
    for (const { digest } of shard) {
      if (db.get("SELECT 1 FROM content WHERE digest = ?", digest) !== undefined) continue;
      const seen = await hashFile(files.path(digest), digest);
      if (seen?.digest !== digest) continue;
      found += db.write(() =>
        db.run(
          "INSERT OR IGNORE INTO content (id, digest, size, touched, bytes) VALUES (?, ?, ?, ?, NULL)",
          ids.get(digest) ?? ++last,
          digest,
          seen.size,
          Date.now(),
        )
      );
    }
  }
  return found;
}

/** The highest number that any row knows content by: a lost one must not become another's. */
function highestId(db: Database, ids: ReadonlyMap<string, number>): number {
  const row = db.get(
    `SELECT max(n) AS n FROM (SELECT max(id) AS n FROM content UNION ALL SELECT max(content) FROM member
     UNION ALL SELECT max(content) FROM manifest UNION ALL SELECT max(content) FROM tag
     UNION ALL SELECT max(max(parent, child)) FROM child)`,
  );
  let highest = Number(row?.["n"] ?? 0);
  for (const id of ids.values()) highest = Math.max(highest, id);
  return highest;
}
