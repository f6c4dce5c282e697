/** Is the store what it says it is? Every page, every record, every byte (ST-09). */
import { resolve } from "node:path";
import { algorithmOf, type Digest, digestOf, isDigest } from "../oci/digest.ts";
import { isForeignLayerType } from "../oci/media_type.ts";
import { childrenOf, parseDocument } from "../oci/manifest.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { BlobFiles } from "./blob_files.ts";
import { Database, loadSqlite, type Row, translate } from "./database.ts";
import { claimDirectory, onReadOnlyMount } from "./open.ts";
import { hashFile } from "./hash_file.ts";
import { DigestMender, withoutFlip } from "./mend_digests.ts";
import { checkTag } from "./proof.ts";
import { Quarantine } from "./quarantine.ts";
import { salvage } from "./salvage.ts";
import { checkModes } from "./fsck_modes.ts";

/** What can be wrong. */
export type FindingKind =
  /** The database is damaged. */
  | "metadata"
  /** Bytes that are not what their digest says. */
  | "digest"
  /** More or fewer bytes than recorded. */
  | "size"
  /** A record whose bytes are gone. */
  | "absent"
  /** A file that no record knows; a crash may leave one, and a collection takes it. */
  | "orphan"
  /** A name that leads nowhere. */
  | "dangling"
  /** An image without something it needs. */
  | "child"
  /** Others may read or change what is ours alone, or it is not ours. */
  | "mode"
  /** Something that does not belong there, like a symbolic link. */
  | "foreign";

/** One thing that is not as it should be. */
export interface Finding {
  readonly kind: FindingKind;
  /** `false` for what does no harm: an orphan. */
  readonly fault: boolean;
  /** The path below the store, or the name of an image. */
  readonly subject: string;
  /** What was seen and wanted. */
  readonly problem: string;
  /** What was done about it, if anything. */
  readonly repair?: string | undefined;
}

/** What a check has gone through. */
export interface CheckReport {
  /** Blobs and documents read and hashed. */
  readonly contents: number;
  /** Bytes of those. */
  readonly bytes: number;
  /** Findings that are faults and were not put right. */
  readonly faults: number;
  /** Findings that do no harm, and those that were put right. */
  readonly notes: number;
}

/** Options of {@linkcode checkStore}. */
export interface CheckOptions {
  /** Move what is wrong to `quarantine/`, so that the next pull brings it back. Nothing is deleted. */
  readonly repair?: boolean | undefined;
  /** The store may belong to another user. */
  readonly foreignOwner?: boolean | undefined;
  /** Ends the check early. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each finding as it is made. */
  readonly onFinding?: ((finding: Finding) => void) | undefined;
}

/** Rows looked at together. */
const PAGE = 500;

/**
 * Checks the store in `dir`, while others may use it. Reads every byte.
 *
 * @throws {OciError} When there is no store, or it is another user's.
 */
export async function checkStore(dir: string, options: CheckOptions = {}): Promise<CheckReport> {
  const path = resolve(dir);
  await claimDirectory(path, { create: false, foreignOwner: options.foreignOwner ?? false });
  const check = new Check(path, options);
  await checkModes(path, options.repair ?? false, (finding) => check.found(finding));
  let db: Database | undefined;
  try {
    await loadSqlite();
    db = openDatabase(path, options.repair ?? false);
  } catch (error) {
    db = await check.damaged([(error as Error).message]);
  }
  try {
    const broken = db?.faults() ?? [];
    if (db !== undefined && broken.length > 0) {
      if (!options.repair) await check.damaged(broken);
      else if (!await check.reindex(db, broken)) {
        await db.close();
        db = await check.damaged(broken);
      }
    }
    if (db === undefined) await check.filesAlone();
    else await check.all(db);
  } finally {
    await db?.close();
  }
  return check.report();
}

/** For writing where that is possible: a log that a crash left is then read, too. */
function openDatabase(path: string, repair: boolean): Database {
  try {
    return new Database(path, false);
  } catch (error) {
    if (repair || !onReadOnlyMount(path)) throw error;
    return new Database(path, true);
  }
}

class Check {
  readonly #dir: string;
  readonly #files: BlobFiles;
  readonly #options: CheckOptions;
  readonly #quarantine: Quarantine;
  #contents = 0;
  #bytes = 0;
  #faults = 0;
  #notes = 0;
  /** Where metadata are that were replaced. */
  #kept: string | undefined;
  /** What this check has put aside. */
  readonly #aside = new Set<Digest>();

  constructor(dir: string, options: CheckOptions) {
    this.#dir = dir;
    this.#files = new BlobFiles(dir);
    this.#options = options;
    this.#quarantine = new Quarantine(dir);
  }

  found(finding: Finding): void {
    if (finding.fault && finding.repair === undefined) this.#faults++;
    else this.#notes++;
    this.#options.onFinding?.(finding);
  }

  report(): CheckReport {
    return {
      contents: this.#contents,
      bytes: this.#bytes,
      faults: this.#faults,
      notes: this.#notes,
    };
  }

  /** Without metadata: are the files what their names say? */
  async filesAlone(): Promise<void> {
    for await (const shard of this.#files.list()) {
      for (const { digest } of shard) {
        const seen = await this.#hash(digest);
        if (seen === undefined || seen.digest === digest) continue;
        this.#wrongFile(digest, "digest", `its bytes have digest ${seen.digest}`);
      }
    }
  }

  /** Tells what is wrong with the metadata; with repair makes new ones of what is left. */
  async damaged(broken: readonly string[]): Promise<Database | undefined> {
    const saved = this.#options.repair ? await salvage(this.#dir, this.#quarantine) : undefined;
    for (const problem of broken) {
      const subject = "metadata.db";
      this.found({ kind: "metadata", fault: true, subject, problem, repair: saved?.said });
    }
    for (const { fault, problem } of saved?.losses ?? []) {
      const said = `${problem}; the damaged file is kept as ${saved?.kept}`;
      this.found({ kind: "metadata", fault, subject: "metadata.db", problem: said });
    }
    this.#kept = saved?.kept;
    return saved?.db;
  }

  /** When only indexes are wrong, they are made anew. */
  async reindex(db: Database, broken: readonly string[]): Promise<boolean> {
    if (!broken.every((said) => /missing from index|entries in index|non-unique/.test(said))) {
      return false;
    }
    try {
      db.write(() => db.run("REINDEX"));
      await db.durable();
    } catch {
      return false;
    }
    if (db.faults().length > 0) return false;
    for (const problem of broken) {
      const repair = "indexes made anew";
      this.found({ kind: "metadata", fault: true, subject: "metadata.db", problem, repair });
    }
    return true;
  }

  async all(db: Database): Promise<void> {
    try {
      await this.#checkContents(db);
      await this.#checkFiles(db);
      this.#checkNames(db);
      await this.#checkTags(db);
      await this.#checkManifests(db);
      if (this.#options.repair) await db.durable();
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      const { message } = translate(error, `read store ${this.#dir}`);
      this.found({ kind: "metadata", fault: true, subject: "metadata.db", problem: message });
      await this.filesAlone();
    }
  }

  async #checkContents(db: Database): Promise<void> {
    const mender = this.#options.repair ? new DigestMender(db, this.#files) : undefined;
    for (let after = 0;;) {
      const rows = db.all(
        `SELECT id, digest, size, bytes IS NULL AS filed FROM content WHERE id > ? ORDER BY id LIMIT ${PAGE}`,
        after,
      );
      for (const row of rows) {
        this.#options.signal?.throwIfAborted();
        after = Number(row["id"]);
        const digest = String(row["digest"]);
        const mended = await this.#mendDigest(db, mender, row);
        if (!isDigest(digest) || mended !== undefined) {
          this.found({
            kind: "metadata",
            fault: true,
            subject: "metadata.db",
            problem: `content ${after} has the digest ${JSON.stringify(digest.slice(0, 100))}`,
            repair: mended && `it is ${mended} again, as its bytes are`,
          });
        } else if (row["filed"] === 1) await this.#checkFile(db, row, digest);
        else await this.#checkInline(db, after, digest, Number(row["size"]));
      }
      if (rows.length < PAGE) return;
      await nextTurn();
    }
  }

  /** The digest of a row that was only damaged itself, set again. */
  async #mendDigest(
    db: Database,
    mender: DigestMender | undefined,
    { id, digest, filed }: Row,
  ): Promise<Digest | undefined> {
    if (mender === undefined) return undefined;
    const said = String(digest);
    if (filed === 1) {
      const there = isDigest(said) && this.#files.sizeOf(said) !== undefined;
      return there ? undefined : await mender.filed(Number(id), said);
    }
    const bytes = db.get("SELECT bytes FROM content WHERE id = ?", Number(id))?.["bytes"];
    return bytes instanceof Uint8Array
      ? mender.inline(Number(id), said, bytes as Uint8Array<ArrayBuffer>)
      : undefined;
  }

  async #checkFile(db: Database, row: Row, digest: Digest): Promise<void> {
    const seen = await this.#hash(digest);
    const size = Number(row["size"]);
    if (seen === undefined) {
      const still = db.get(
        `SELECT 1 FROM content c WHERE digest = ?1 AND bytes IS NULL AND
         (EXISTS (SELECT 1 FROM member WHERE content = c.id)
          OR EXISTS (SELECT 1 FROM manifest WHERE content = c.id))`,
        digest,
      );
      // Without a repository nobody was told of it: a collection killed half way leaves such a record.
      if (still === undefined || this.#files.sizeOf(digest) !== undefined) return;
      this.found({
        kind: "absent",
        fault: true,
        subject: this.#files.name(digest),
        problem: `there is no such file; it is wanted by ${neededBy(db, digest)}`,
      });
    } else if (seen.size !== size) {
      this.#wrongFile(digest, "size", `it has ${seen.size} bytes, want ${size}`);
    } else if (seen.digest !== digest) {
      this.#wrongFile(digest, "digest", `its bytes have digest ${seen.digest}`);
    }
  }

  async #checkInline(db: Database, id: number, digest: Digest, size: number): Promise<void> {
    const row = db.get("SELECT bytes FROM content WHERE id = ? AND digest = ?", id, digest);
    const bytes = row?.["bytes"];
    if (!(bytes instanceof Uint8Array)) return; // collected meanwhile
    this.#contents++;
    this.#bytes += bytes.byteLength;
    const sized = bytes.byteLength === size;
    if (sized && digestOf(bytes, algorithmOf(digest)) === digest) return;
    let repair: string | undefined;
    if (this.#options.repair) {
      const seen = bytes as Uint8Array<ArrayBuffer>;
      const mended = withoutFlip(seen, digest);
      if (mended === undefined) {
        this.#aside.add(digest);
        repair = await this.#quarantine.keepBytes(digest, seen);
      } else repair = "one bit of it was wrong, and is right again";
      db.write(() =>
        db.run(
          "UPDATE content SET bytes = ?, size = ? WHERE id = ? AND bytes = ?",
          mended ?? null,
          mended?.byteLength ?? size,
          id,
          bytes,
        )
      );
    }
    this.found({
      kind: sized ? "digest" : "size",
      fault: true,
      subject: `document ${digest}`,
      problem: sized
        ? `its bytes have digest ${digestOf(bytes, algorithmOf(digest))}`
        : `it has ${bytes.byteLength} bytes, want ${size}`,
      repair,
    });
  }

  #wrongFile(digest: Digest, kind: "size" | "digest", problem: string): void {
    if (this.#options.repair) this.#aside.add(digest);
    const repair = this.#options.repair
      ? this.#quarantine.moveSync(this.#files.path(digest))
      : undefined;
    this.found({ kind, fault: true, subject: this.#files.name(digest), problem, repair });
  }

  /** Files without a record, and what is no blob at all. */
  async #checkFiles(db: Database): Promise<void> {
    for await (const shard of this.#files.list()) {
      this.#options.signal?.throwIfAborted();
      for (const { digest } of shard) {
        const known = () =>
          db.get("SELECT 1 FROM content WHERE digest = ? AND bytes IS NULL", digest) !== undefined;
        if (known()) continue;
        // Whoever publishes does it inside a transaction: inside one of ours nobody is half way.
        let repair: string | undefined;
        let orphan = true;
        if (this.#options.repair) {
          db.write(() => {
            orphan = !known() && this.#files.sizeOf(digest) !== undefined;
            if (orphan) repair = this.#quarantine.moveSync(this.#files.path(digest));
          });
        }
        if (!orphan) continue;
        this.found({
          kind: "orphan",
          fault: false,
          subject: this.#files.name(digest),
          problem: "no record knows this file; wherry store gc removes it",
          repair,
        });
      }
    }
  }

  async #checkTags(db: Database): Promise<void> {
    let repository = -1;
    let name = "";
    while (true) {
      const rows = db.all(
        `SELECT t.repository AS id, t.name AS tag, t.proof, r.name AS repository, c.digest, c.size
         FROM tag t JOIN repository r ON r.id = t.repository JOIN content c ON c.id = t.content
         WHERE (t.repository, t.name) > (?, ?) ORDER BY t.repository, t.name LIMIT ${PAGE}`,
        repository,
        name,
      );
      for (const row of rows) {
        [repository, name] = [Number(row["id"]), String(row["tag"])];
        const said = { repository: String(row["repository"]), tag: name, proof: row["proof"] };
        try {
          checkTag({ ...said, digest: String(row["digest"]), size: Number(row["size"]) });
        } catch {
          this.found({
            kind: "metadata",
            fault: true,
            subject: `${said.repository}:${name}`,
            problem: `its record is damaged; it seems to name ${row["digest"]}; want it set again`,
          });
        }
      }
      if (rows.length < PAGE) return;
      await nextTurn();
    }
  }

  #checkNames(db: Database): void {
    const rows = db.all(
      `SELECT r.name AS repository, t.repository AS id, t.name AS tag,
         (SELECT digest FROM content WHERE id = t.content) AS digest FROM tag t
       LEFT JOIN repository r ON r.id = t.repository
       WHERE NOT EXISTS (SELECT 1 FROM manifest m JOIN content c ON c.id = m.content
         WHERE m.repository = t.repository AND m.content = t.content) OR r.id IS NULL LIMIT 10000`,
    );
    for (const row of rows) {
      const subject = `${row["repository"] ?? `repository ${row["id"]}`}:${row["tag"]}`;
      let repair: string | undefined;
      if (this.#options.repair) {
        repair = this.#quarantine.noteSync(
          `tag ${subject}${row["digest"] === null ? "" : ` of ${row["digest"]}`}`,
        );
        db.write(() =>
          db.run(
            "DELETE FROM tag WHERE repository = ? AND name = ?",
            Number(row["id"]),
            String(row["tag"]),
          )
        );
      }
      const problem = "it leads to no manifest";
      this.found({ kind: "dangling", fault: true, subject, problem, repair });
    }
    if (this.#kept !== undefined && rows.length > 0) {
      this.found({
        kind: "metadata",
        fault: true,
        subject: "metadata.db",
        problem:
          `${rows.length} tags are lost, because what they led to is; they are written down in quarantine/removed.txt, and the damaged file is kept as ${this.#kept}`,
      });
    }
    for (const table of ["member", "manifest"] as const) {
      const lost = `content NOT IN (SELECT id FROM content)
        OR repository NOT IN (SELECT id FROM repository)`;
      const count = Number(db.get(`SELECT count(*) AS n FROM ${table} WHERE ${lost}`)?.["n"] ?? 0);
      if (count === 0) continue;
      let repair: string | undefined;
      if (this.#options.repair) {
        repair = this.#quarantine.noteSync(`${count} rows of ${table} without content`);
        db.write(() => db.run(`DELETE FROM ${table} WHERE ${lost}`));
      }
      this.found({
        kind: "dangling",
        fault: true,
        subject: "metadata.db",
        problem: `${count} rows of ${table} name content or a repository that is not there`,
        repair,
      });
    }
  }

  async #checkManifests(db: Database): Promise<void> {
    let repository = -1;
    let content = -1;
    while (true) {
      const rows = db.all(
        `SELECT m.repository, m.content, m.media_type, r.name, c.digest, c.bytes
         FROM manifest m JOIN content c ON c.id = m.content JOIN repository r ON r.id = m.repository
         WHERE (m.repository, m.content) > (?, ?) ORDER BY m.repository, m.content LIMIT ${PAGE}`,
        repository,
        content,
      );
      for (const row of rows) {
        this.#options.signal?.throwIfAborted();
        [repository, content] = [Number(row["repository"]), Number(row["content"])];
        this.#checkManifest(db, row, repository, content);
      }
      if (rows.length < PAGE) return;
      await nextTurn();
    }
  }

  #checkManifest(db: Database, row: Row, repository: number, content: number): void {
    const digest = row["digest"] as Digest;
    const name = () => imageName(db, repository, content, String(row["name"]), digest);
    if (this.#aside.has(digest)) {
      const problem = "its own document is put aside; want it pulled or built again";
      this.found({ kind: "absent", fault: true, subject: name(), problem });
      return;
    }
    let bytes = row["bytes"] as Uint8Array<ArrayBuffer> | null;
    let children: readonly Descriptor[];
    try {
      bytes ??= Deno.readFileSync(this.#files.path(digest));
      if (digestOf(bytes, algorithmOf(digest)) !== digest) return; // said already
      const document = parseDocument(bytes, String(row["media_type"]));
      children = childrenOf(document).filter(({ mediaType }) =>
        document.kind === "index" || !isForeignLayerType(mediaType)
      );
    } catch {
      return; // absent, or not a document: said already
    }
    for (const child of children) {
      const found = db.get(
        `SELECT c.id, c.size, c.bytes IS NULL AS filed,
           EXISTS (SELECT 1 FROM child WHERE repository = ?1 AND parent = ?2 AND child = c.id) AS linked,
           EXISTS (SELECT 1 FROM manifest WHERE repository = ?1 AND content = c.id)
             OR EXISTS (SELECT 1 FROM member WHERE repository = ?1 AND content = c.id) AS visible
         FROM content c WHERE c.digest = ?3`,
        repository,
        content,
        child.digest,
      );
      const there = found !== undefined && found["visible"] === 1 &&
        (found["filed"] === 0 || this.#files.sizeOf(child.digest) === found["size"]);
      if (there && found["linked"] === 1) continue;
      if (there && this.#options.repair) {
        db.write(() =>
          db.run(
            "INSERT OR IGNORE INTO child VALUES (?, ?, ?)",
            repository,
            content,
            Number(found["id"]),
          )
        );
      }
      if (
        db.get(
          "SELECT 1 FROM manifest WHERE repository = ? AND content = ?",
          repository,
          content,
        ) === undefined
      ) {
        return; // removed meanwhile
      }
      this.found({
        kind: "child",
        fault: true,
        subject: name(),
        problem: there
          ? `a collector does not know that it needs ${child.digest}`
          : `it needs ${child.digest}, which is not there; want it pulled or built again`,
        repair: there && this.#options.repair ? "recorded" : undefined,
      });
    }
  }

  async #hash(
    digest: Digest,
  ): Promise<{ readonly digest: string; readonly size: number } | undefined> {
    const seen = await hashFile(this.#files.path(digest), digest, this.#options.signal);
    if (seen === undefined) return undefined; // gone, or said with the modes
    this.#contents++;
    this.#bytes += seen.size;
    return seen;
  }
}

/** Images that list `digest`, or are it, for people: the first few. */
function neededBy(db: Database, digest: Digest): string {
  const rows = db.all(
    `SELECT ch.repository, ch.parent, r.name, p.digest FROM content c JOIN child ch ON ch.child = c.id
     JOIN repository r ON r.id = ch.repository JOIN content p ON p.id = ch.parent
     WHERE c.digest = ? LIMIT 4`,
    digest,
  );
  if (rows.length === 0) {
    rows.push(...db.all(
      `SELECT m.repository, m.content AS parent, r.name, c.digest FROM content c
       JOIN manifest m ON m.content = c.id JOIN repository r ON r.id = m.repository
       WHERE c.digest = ? LIMIT 4`,
      digest,
    ));
  }
  const names = rows.slice(0, 3).map((row) =>
    imageName(
      db,
      Number(row["repository"]),
      Number(row["parent"]),
      String(row["name"]),
      row["digest"] as Digest,
    )
  );
  if (rows.length > 3) names.push("others");
  return names.join(", ") || "no image";
}

function imageName(
  db: Database,
  repository: number,
  content: number,
  name: string,
  digest: Digest,
): string {
  const tag = db.get(
    "SELECT name FROM tag WHERE repository = ? AND content = ? ORDER BY name LIMIT 1",
    repository,
    content,
  );
  return tag === undefined ? `${name}@${digest}` : `${name}:${tag["name"]}`;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
