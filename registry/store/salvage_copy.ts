/** A copy of damaged metadata in which all that is the same in every store is put right, so that the rest can be read. */
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { copyFileSync } from "node:fs";
import { Database, PAGE_BYTES, type Row } from "./database.ts";

const OLD_PAGE_BYTES = 4096;
/** Of the first page: what belongs to the file as a whole. */
const HEADER = 100;
/** The most that a copy grows to: a count of pages may be damaged, too. */
const MAX_BYTES = 8 * 1024 ** 3;

/** Where the pages of a table or an index begin. */
interface Root {
  readonly page: number;
  readonly keyed: boolean;
}

/**
 * Puts right `copy`, a copy of `metadata.db`, with what a new store has in the same place: the header, the missing end
 * (as empty pages), the schema and the kind of each first page. `scratch` is a directory for a new store that is made
 * for comparison.
 */
export async function mendCopy(copy: string, scratch: string): Promise<void> {
  const pageSize = likelyPageSize(copy);
  const pattern = new Database(scratch, false, "always", pageSize);
  await pattern.close();
  const path = join(scratch, "metadata.db");
  const good = Deno.readFileSync(path);
  mendHeader(copy, good.subarray(0, HEADER), pageSize);
  const wanted = readSchema(path) ?? [];
  // The log is folded in by this, if there is one.
  if (!sameSchema(wanted, readSchema(copy))) {
    writeAt(copy, HEADER, good.subarray(HEADER, pageSize));
  }
  const roots = (readSchema(copy) ?? wanted).filter((row) => Number(row["rootpage"]) > 1);
  for (const row of roots) {
    const keyed = row["type"] === "table" && !/WITHOUT ROWID\s*$/.test(String(row["sql"]));
    mendRoot(copy, { page: Number(row["rootpage"]), keyed }, pageSize);
  }
}

/** Copies the database at `from`, log and all. */
export function copyDatabase(from: string, to: string): void {
  copyFileSync(from, to);
  try {
    copyFileSync(`${from}-wal`, `${to}-wal`);
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ENOENT") throw error;
  }
}

function mendHeader(path: string, good: Uint8Array, pageSize: number): void {
  const size = Deno.statSync(path).size;
  const header = good.slice();
  const view = new DataView(header.buffer);
  const seen = new DataView(new ArrayBuffer(HEADER));
  readAt(path, 0, new Uint8Array(seen.buffer));
  const there = Math.ceil(size / pageSize);
  const said = seen.getUint32(28);
  const pages = Math.max(1, there, said * pageSize <= MAX_BYTES ? said : 0);
  view.setUint32(24, 1);
  view.setUint32(28, pages);
  view.setUint32(92, 1); // as many pages as it says, because it is as new as the change counter
  view.setUint32(32, 0);
  view.setUint32(36, 0); // whatever was free: nothing will be written
  Deno.truncateSync(path, pages * pageSize);
  writeAt(path, 0, header);
}

/** What the header says, if it can be so; else where a second page begins. Stores before version 4 have pages of 4096 bytes. */
function likelyPageSize(path: string): number {
  const said = pageSizeOf(path);
  if (said === OLD_PAGE_BYTES || said === PAGE_BYTES) return said;
  const kind = new Uint8Array(1);
  readAt(path, OLD_PAGE_BYTES, kind);
  return [0x02, 0x05, 0x0a, 0x0d].includes(kind[0]!) ? OLD_PAGE_BYTES : PAGE_BYTES;
}

/** The names, first pages and words of all tables and indexes, or `undefined` when they cannot be read. */
function readSchema(path: string): Row[] | undefined {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path);
    return db.prepare("SELECT type, name, rootpage, sql FROM sqlite_schema ORDER BY name")
      .all() as Row[];
  } catch {
    return undefined;
  } finally {
    db?.close();
  }
}

/** Since the first version `tag` got a column and `child_of` another place; all else never changed. */
function sameSchema(wanted: readonly Row[], seen: readonly Row[] | undefined): boolean {
  const words = (rows: readonly Row[]) =>
    JSON.stringify(rows.filter(({ name }) => name !== "tag" && name !== "child_of"));
  return seen !== undefined && seen.length === wanted.length && words(seen) === words(wanted);
}

/** A page's first byte tells its kind; which of two it is, the ninth and tenth byte tell, too. */
function mendRoot(path: string, { page, keyed }: Root, pageSize: number): void {
  const [inner, leaf] = keyed ? [0x05, 0x0d] : [0x02, 0x0a];
  const start = (page - 1) * pageSize;
  const head = new Uint8Array(10);
  readAt(path, start, head);
  if (head[0] === inner || head[0] === leaf) return;
  if (head.every((byte) => byte === 0)) return; // lost, not damaged
  const cells = head[3]! * 256 + head[4]!;
  // A leaf has the place of its first cell there, an inner page the upper half of a page's number.
  const first = head[8]! * 256 + head[9]!;
  writeAt(path, start, Uint8Array.of(cells > 0 && first < 8 ? inner : leaf));
}

function readAt(path: string, at: number, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { read: true });
  file.seekSync(at, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) {
    const count = file.readSync(bytes.subarray(done));
    if (count === null) return;
    done += count;
  }
}

function writeAt(path: string, at: number, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}

/** Bytes of a page of the database at `path`, whose header is right. */
export function pageSizeOf(path: string): number {
  const bytes = new Uint8Array(2);
  readAt(path, 16, bytes);
  const size = bytes[0]! * 256 + bytes[1]!;
  return size === 1 ? 65536 : size || 4096;
}

/** Removes a copy and what SQLite put beside it. */
export function dropCopy(copy: string): void {
  for (const part of ["", "-wal", "-shm", "-journal"]) {
    try {
      Deno.removeSync(`${copy}${part}`);
    } catch { /* there is none */ }
  }
}
