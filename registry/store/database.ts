/**
 * The store's metadata: which repository holds what, under which tags, and the small documents themselves.
 * One SQLite file in write-ahead mode (docs/decision/0006-store.md says why not a log of our own).
 */
import { DatabaseSync, type StatementSync, type SupportedValueType } from "node:sqlite";
import { join } from "node:path";
import { soon } from "../layer/turn.ts";
import { OciError } from "../oci/error.ts";
import { LogFolder } from "./log_folder.ts";

/** One row, by column name. */
export type Row = Readonly<Record<string, SupportedValueType>>;

/** Raised when the schema changes; a store of a newer one is refused, an older one is brought up. */
const VERSION = 4;
const APPLICATION = 0x77687279; // "whry"
/** Of new stores. A document of 18 KB is three pages; of SQLite's own 4096 bytes it is five, each written by two calls. */
export const PAGE_BYTES = 8192;

/** Everything refers to `content.id`, so that a digest is stored once however many images share it. */
const SCHEMA = `
CREATE TABLE repository (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- bytes is NULL for content that is a file below blobs/ (over 64 KiB)
CREATE TABLE content (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
  touched INTEGER NOT NULL, bytes BLOB);
CREATE TABLE member (repository INTEGER NOT NULL, content INTEGER NOT NULL,
  PRIMARY KEY (repository, content)) WITHOUT ROWID;
CREATE INDEX member_of ON member (content);
CREATE TABLE manifest (repository INTEGER NOT NULL, content INTEGER NOT NULL, media_type TEXT NOT NULL,
  subject TEXT, referrer TEXT, PRIMARY KEY (repository, content)) WITHOUT ROWID;
CREATE INDEX manifest_of ON manifest (content);
CREATE INDEX manifest_subject ON manifest (repository, subject) WHERE subject IS NOT NULL;
-- a parent below zero is a list of layers that images of the repository share, which have it as a child (children.ts)
CREATE TABLE child (repository INTEGER NOT NULL, parent INTEGER NOT NULL, child INTEGER NOT NULL,
  PRIMARY KEY (repository, parent, child)) WITHOUT ROWID;
CREATE INDEX child_of ON child (child, repository);
-- proof: a checksum over all that the row means, names and digest written out (proof.ts)
CREATE TABLE tag (repository INTEGER NOT NULL, name TEXT NOT NULL, content INTEGER NOT NULL, proof INTEGER,
  PRIMARY KEY (repository, name)) WITHOUT ROWID;
CREATE INDEX tag_of ON tag (repository, content);
CREATE TABLE layer (diff_id TEXT NOT NULL, digest TEXT NOT NULL, descriptor TEXT NOT NULL,
  seen INTEGER NOT NULL, PRIMARY KEY (diff_id, digest)) WITHOUT ROWID;
CREATE INDEX layer_seen ON layer (seen);
CREATE TABLE location (digest TEXT NOT NULL, host TEXT NOT NULL, repository TEXT NOT NULL,
  seen INTEGER NOT NULL, PRIMARY KEY (digest, host, repository)) WITHOUT ROWID;
CREATE INDEX location_seen ON location (seen);
CREATE TABLE memo (key TEXT PRIMARY KEY, value TEXT NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX memo_seen ON memo (seen);
`;

/** Rows remembered at most: some hundred bytes each. */
const MAX_KNOWN = 20_000;

/** A statement, and whether what is {@linkcode Database.known} may be wrong after it. */
interface Prepared {
  readonly statement: StatementSync;
  readonly forgets: boolean;
}

/** Takes rows away, or makes them mean something else. */
const FORGETTING = /^\s*(DELETE|UPDATE content SET (?!touched))/;

/** One of several that share a transaction. */
interface Act {
  readonly act: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Loads SQLite alone. A database that is opened without this brings all of Deno's Node layer, 30 ms of it. */
export async function loadSqlite(): Promise<void> {
  await import("node:sqlite");
}

/** The metadata of one store, opened by one process. Call {@linkcode loadSqlite} first. */
export class Database {
  readonly #db: DatabaseSync;
  readonly #dir: string;
  readonly #statements = new Map<string, Prepared>();
  readonly #readOnly: boolean;
  readonly #make: "unused" | "always";
  /** The write-ahead file, opened to be synced without stopping the main thread. */
  #log: Deno.FsFile | undefined;
  #syncing: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;
  readonly #batch: Act[] = [];
  #folder: LogFolder | undefined;
  /** Transactions so far, and those that the sync under way covers. */
  #commits = 0;
  #covered = -1;
  #closed = false;
  #neverSync = false;
  readonly #known = new Map<string, Row>();
  /** Whether {@linkcode known} was looked at in this transaction, and what others had committed then. */
  #knownNow = false;
  #others: SupportedValueType | undefined;
  /** Why nothing may be written any more. */
  #lost: OciError | undefined;

  /**
   * Opens `metadata.db` below `dir`, making it unless `readOnly`. An empty one in a store that was used has lost
   * all that it held: it is an error, unless `make` says `always`. A new one has pages of `pageBytes`.
   *
   * @throws {OciError} `UNAVAILABLE` when it is damaged, not ours, of a newer wherry or cannot be opened.
   */
  constructor(
    dir: string,
    readOnly: boolean,
    make: "unused" | "always" = "unused",
    pageBytes = PAGE_BYTES,
  ) {
    this.#dir = dir;
    this.#readOnly = readOnly;
    this.#make = make;
    const path = join(dir, "metadata.db");
    // Before SQLite opens it: it would write a header to an empty file, and drop its log.
    if (make === "unused" && wasUsed(dir) && sizeOf(path) === 0) throw lostMetadata(dir);
    try {
      this.#db = readOnly ? openReadOnly(path) : new DatabaseSync(path);
    } catch (cause) {
      throw translate(cause, `open store ${dir}`);
    }
    try {
      this.#db.exec(`PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA cache_size = -16384`);
      if (!readOnly) this.#prepare(pageBytes);
      this.#checkVersion();
    } catch (cause) {
      this.#db.close();
      throw translate(cause, `open store ${dir}`);
    }
  }

  #prepare(pageBytes: number): void {
    this.#db.exec(`PRAGMA page_size = ${pageBytes}`); // of one that is still empty
    // On file systems without shared memory SQLite stays with its rollback journal, and then syncs itself.
    const mode = this.#db.prepare("PRAGMA journal_mode = WAL").get() as Row;
    const logs = mode["journal_mode"] === "wal";
    this.#db.exec(`PRAGMA synchronous = ${logs ? "NORMAL" : "FULL"}`);
    if (logs) {
      this.#folder = new LogFolder(
        join(this.#dir, "metadata.db"),
        (pages) => this.#db.exec(`PRAGMA wal_autocheckpoint = ${pages}`),
      );
    }
    if ([1, 2, 3].includes(this.#version())) this.#bringUp();
    if (this.#version() !== 0) return;
    this.write(() => {
      if (this.#version() !== 0) return; // another process was faster
      if (this.#make === "unused" && wasUsed(this.#dir)) throw lostMetadata(this.#dir);
      this.#db.exec(SCHEMA);
      this.#db.exec(`PRAGMA application_id = ${APPLICATION}; PRAGMA user_version = ${VERSION}`);
    });
  }

  /**
   * Since version 2 it can be asked who needs a content without naming a repository; since 3 tags prove themselves; since 4
   * images share lists of layers, which an older wherry would take away too late or not at all.
   */
  #bringUp(): void {
    this.write(() => {
      const version = this.#version();
      if (version === VERSION) return; // another process was faster
      if (version < 3) {
        this.#db.exec("DROP INDEX child_of; CREATE INDEX child_of ON child (child, repository)");
        this.#db.exec("ALTER TABLE tag ADD COLUMN proof INTEGER");
      }
      this.#db.exec(`PRAGMA user_version = ${VERSION}`);
    });
  }

  #version(): number {
    return Number((this.#db.prepare("PRAGMA user_version").get() as Row)["user_version"]);
  }

  #checkVersion(): void {
    const id = Number((this.#db.prepare("PRAGMA application_id").get() as Row)["application_id"]);
    const version = this.#version();
    if (version === 0 && wasUsed(this.#dir)) throw lostMetadata(this.#dir);
    const readable = version === VERSION || this.#readOnly && version === 3; // all it has, 4 has, too
    if (id !== APPLICATION || !readable) {
      throw new OciError(
        "UNAVAILABLE",
        `Cannot open store ${this.#dir}: its metadata has version ${version}, this wherry reads ${VERSION}`,
      );
    }
  }

  /** Rows of a query, all at once: for bounded results. */
  all(sql: string, ...values: SupportedValueType[]): Row[] {
    try {
      return this.#statement(sql).all(...values) as Row[];
    } catch (cause) {
      throw translate(cause, `read store ${this.#dir}`);
    }
  }

  /** The first row of a query. */
  get(sql: string, ...values: SupportedValueType[]): Row | undefined {
    try {
      return this.#statement(sql).get(...values) as Row | undefined;
    } catch (cause) {
      throw translate(cause, `read store ${this.#dir}`);
    }
  }

  /**
   * Inside {@linkcode write}: rows that were seen or made, which stay true until something is deleted. Empty when that
   * may have happened: here, by another process (which cannot write before this transaction ends), or by a rollback.
   */
  known(): Map<string, Row> {
    if (!this.#knownNow) {
      const { data_version: others } = this.get("PRAGMA data_version")!;
      if (others !== this.#others || this.#known.size > MAX_KNOWN) this.#known.clear();
      this.#others = others;
      this.#knownNow = true;
    }
    return this.#known;
  }

  /** Runs one statement inside {@linkcode write}; returns how many rows changed. */
  run(sql: string, ...values: SupportedValueType[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }

  /** As {@linkcode run}, of a statement that adds one row: its id, or `undefined` when it was there. */
  insert(sql: string, ...values: SupportedValueType[]): number | undefined {
    const { changes, lastInsertRowid } = this.#statement(sql).run(...values);
    return Number(changes) === 0 ? undefined : Number(lastInsertRowid);
  }

  /**
   * Runs `act` as one transaction: all of it is visible at once or none of it. It must not wait for anything.
   * It is durable only after {@linkcode durable}.
   */
  write<T>(act: () => T): T {
    if (this.#readOnly) {
      throw new OciError("UNSUPPORTED", `Cannot write to store ${this.#dir}: it is read-only`);
    }
    if (this.#lost !== undefined) throw this.#lost;
    try {
      this.#statement("BEGIN IMMEDIATE").run();
      this.#knownNow = false;
    } catch (cause) {
      throw translate(cause, `write to store ${this.#dir}`);
    }
    try {
      const result = act();
      this.#statement("COMMIT").run();
      this.#commits++;
      return result;
    } catch (cause) {
      this.#known.clear();
      try {
        this.#db.exec("ROLLBACK");
      } catch { /* it has rolled back by itself, as it does when the disk is full */ }
      throw translate(cause, `write to store ${this.#dir}`);
    }
  }

  /**
   * As {@linkcode write}, in one transaction with others of the same moment: what comes while a sync is under way waits
   * for its end, as it has to wait for the next sync anyway. Of ten that share a transaction each pays a tenth of the
   * pages it writes. `act` may run twice, since one that throws takes the others with it: it may do nothing but ask and
   * change the database.
   */
  together<T>(act: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#batch.push({ act, resolve: resolve as (value: unknown) => void, reject });
      if (this.#batch.length > 1) return;
      const flush = () => this.#flush();
      // Not at once: of many at work, each comes this far before the first has to wait.
      if (this.#syncing === undefined) soon(flush);
      else this.#syncing.then(flush, flush);
    });
  }

  #flush(): void {
    const pause = this.#closed ? undefined : this.#folder?.pause;
    if (pause !== undefined) {
      pause.then(() => this.#flush());
      return;
    }
    const batch = this.#batch.splice(0);
    if (batch.length === 0) return; // closed meanwhile, which did it
    this.#folder?.written(batch.length);
    const results: unknown[] = [];
    const one = ({ act, resolve, reject }: Act) => {
      try {
        resolve(this.write(act));
      } catch (error) {
        reject(error);
      }
    };
    if (batch.length === 1) return one(batch[0]!);
    try {
      this.write(() => {
        for (const { act } of batch) results.push(act());
      });
    } catch {
      batch.forEach(one);
      return;
    }
    batch.forEach(({ resolve }, at) => resolve(results[at]));
  }

  /**
   * Resolves when every transaction before this call is on the disk. All callers of one moment share a sync
   * (ST-05 "group commit"): a sync under way may have begun too early for this call, so it waits for the next, unless
   * nothing was committed since it began.
   */
  async durable(): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#neverSync) return;
    if (this.#syncing === undefined) return await this.#sync();
    if (this.#covered === this.#commits) return await this.#syncing;
    this.#waiting ??= this.#syncing.catch(() => {}).then(() => {
      this.#waiting = undefined;
      return this.#sync();
    });
    return await this.#waiting;
  }

  #sync(): Promise<void> {
    this.#syncing = (async () => {
      try {
        this.#log ??= await Deno.open(join(this.#dir, "metadata.db-wal"));
        this.#covered = this.#commits;
        await this.#log.syncData();
      } catch (cause) {
        // Without a write-ahead file the journal mode is the one that syncs by itself.
        if (!(cause instanceof Deno.errors.NotFound)) {
          // The kernel tells of a lost write once and then calls the page clean: a second sync would succeed and
          // mean nothing, and everything after the lost frame would go with it. So this opening has ended.
          this.#lost = new OciError(
            "UNAVAILABLE",
            `Cannot write to store ${this.#dir}: an earlier sync of its metadata failed; want it opened again`,
            { cause },
          );
          throw translate(cause, `sync store ${this.#dir}`);
        }
      } finally {
        this.#syncing = undefined;
      }
    })();
    return this.#syncing;
  }

  /** From now on nothing is synced: for what need not outlive its process. */
  neverSync(): void {
    this.#db.exec("PRAGMA synchronous = OFF");
    this.#folder = undefined;
    this.#neverSync = true;
  }

  /** Waits for the transaction that is under way elsewhere, if one is: what is asked next sees its end. */
  barrier(): void {
    this.write(() => {});
  }

  /** What is wrong with the pages and indexes of the metadata, at most 100 lines. Reads all of it. */
  faults(): readonly string[] {
    try {
      const rows = this.#db.prepare("PRAGMA integrity_check(100)").all() as Row[];
      return rows.map((row) => String(row["integrity_check"])).filter((said) => said !== "ok");
    } catch (cause) {
      return [cause instanceof Error ? cause.message : String(cause)];
    }
  }

  /** Lets sorting and temporary tables stay in memory: nothing may be written outside the store. */
  keepTemporaryInMemory(): void {
    this.#db.exec("PRAGMA temp_store = MEMORY");
  }

  #statement(sql: string): StatementSync {
    let prepared = this.#statements.get(sql);
    if (prepared === undefined) {
      prepared = { statement: this.#db.prepare(sql), forgets: FORGETTING.test(sql) };
      this.#statements.set(sql, prepared);
    }
    if (prepared.forgets) this.#known.clear();
    return prepared.statement;
  }

  /** Folds the write-ahead file into the main one, when nobody else reads it, and closes. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#batch.length > 0) this.#flush();
    await this.#waiting?.catch(() => {});
    await this.#syncing?.catch(() => {});
    await this.#folder?.close();
    this.#log?.close();
    this.#statements.clear();
    this.#db.close();
  }
}

/** Whether anything was ever put into the store: that happens only when its metadata has its tables. */
function wasUsed(dir: string): boolean {
  return ["blobs", "ingest", "ballast", "quarantine"].some((name) =>
    sizeOf(join(dir, name)) !== undefined
  ) || (sizeOf(join(dir, "metadata.db-wal")) ?? 0) > 0 && sizeOf(join(dir, "metadata.db")) === 0;
}

function sizeOf(path: string): number | undefined {
  try {
    return Deno.lstatSync(path).size;
  } catch {
    return undefined;
  }
}

function lostMetadata(dir: string): OciError {
  return new OciError(
    "UNAVAILABLE",
    `Cannot open store ${dir}: its metadata.db is empty, but the store was used; wherry store fsck --repair makes a new one of what is left`,
  );
}

/** How long a writer waits for another process: transactions take well under a millisecond. */
const BUSY_MS = 10_000;

/** A mount that cannot be written has no place for the shared memory of a live store: read it as it lies. */
function openReadOnly(path: string): DatabaseSync {
  Deno.statSync(path);
  const url = new URL("file:///");
  url.pathname = path.replaceAll("%", "%25").replaceAll("?", "%3f").replaceAll("#", "%23");
  const db = new DatabaseSync(`${url.href}?mode=ro`);
  try {
    db.prepare("SELECT count(*) FROM repository").get();
    return db;
  } catch {
    db.close();
    return new DatabaseSync(`${url.href}?immutable=1`);
  }
}

/** SQLite's words, and the system's, as an error a caller can act on. */
export function translate(cause: unknown, act: string): Error {
  if (cause instanceof OciError) return cause;
  const said = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (/disk is full|ENOSPC|EDQUOT|No space left|quota exceeded/i.test(`${code} ${said}`)) {
    return new OciError("UNAVAILABLE", `Cannot ${act}: no space left on the device`, {
      cause,
      status: 507,
    });
  }
  if (/malformed|not a database|is corrupt/i.test(said)) {
    return new OciError("UNAVAILABLE", `Cannot ${act}: its metadata is damaged (${said})`, {
      cause,
    });
  }
  if (/is locked|busy/i.test(said)) {
    return new OciError("UNAVAILABLE", `Cannot ${act}: another process holds it for too long`, {
      cause,
    });
  }
  if (
    code === "ERR_SQLITE_ERROR" || cause instanceof Deno.errors.NotFound || /^E[A-Z]+$/.test(code)
  ) {
    return new OciError("UNAVAILABLE", `Cannot ${act}: ${said}`, { cause });
  }
  return cause instanceof Error ? cause : new Error(said);
}
