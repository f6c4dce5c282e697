/**
 * The statements over contents, repositories, manifests and tags. No files, no promises: whoever calls a method that writes
 * is inside a transaction, and knows whether the bytes are there.
 */
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, parseDigest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { childrenOf, type Document } from "../oci/manifest.ts";
import { isForeignLayerType, isIndexType, isManifestType } from "../oci/media_type.ts";
import { referrerOf } from "../referrer.ts";
import type { CallOptions, ListOptions } from "../registry.ts";
import { addChildren, addImageChildren, forgetChildren } from "./children.ts";
import type { Database, Row } from "./database.ts";
import { checkTag, tagProof } from "./proof.ts";

/** Rows fetched at once by a listing: no query stays open while a caller thinks. */
const PAGE = 1000;

/** A content that a document needs. */
export interface Child {
  /** Its row. */
  readonly id: number;
  /** Its digest. */
  readonly digest: Digest;
  /** Its bytes are in a file, not in the row. */
  readonly filed: boolean;
}

/** What {@linkcode FileStore} asks of its database. */
export class Rows {
  readonly #db: Database;
  readonly #now: () => number;

  /** `now`: milliseconds since 1970, for what is touched. */
  constructor(db: Database, now: () => number) {
    this.#db = db;
    this.#now = now;
  }

  /** A content, whoever has it. */
  content(digest: Digest): Row | undefined {
    return this.#db.get("SELECT * FROM content WHERE digest = ?", digest);
  }

  /** A content that is a blob of `repository`. */
  blob(repository: string, digest: Digest): Row | undefined {
    return this.#db.get(
      `SELECT c.* FROM repository r JOIN content c ON c.digest = ?
       JOIN member m ON m.repository = r.id AND m.content = c.id WHERE r.name = ?`,
      digest,
      repository,
    );
  }

  /** A repository that has the blob. */
  holderOf(digest: Digest): string | undefined {
    const row = this.#db.get(
      `SELECT r.name FROM content c JOIN member m ON m.content = c.id
       JOIN repository r ON r.id = m.repository WHERE c.digest = ? LIMIT 1`,
      digest,
    );
    return row && String(row["name"]);
  }

  /** Writes: a content that is there now. Gives its id. */
  addContent(digest: Digest, size: number, bytes: Uint8Array | null): number {
    const now = this.#now();
    const made = this.#db.insert(
      "INSERT OR IGNORE INTO content (digest, size, touched, bytes) VALUES (?, ?, ?, ?)",
      digest,
      size,
      now,
      bytes,
    );
    if (made !== undefined) return made;
    const row = this.#db.get(
      "UPDATE content SET touched = ?, size = ?, bytes = ? WHERE digest = ? RETURNING id",
      now,
      size,
      bytes,
      digest,
    );
    return Number(row!["id"]);
  }

  /** Writes: somebody is about to be told of it. */
  touch(content: number): void {
    this.#db.run("UPDATE content SET touched = ? WHERE id = ?", this.#now(), content);
  }

  /** Writes: the repository has the blob; right after {@linkcode addContent} or {@linkcode touch}, which keep the collector from it. */
  addMember(repository: string, content: number): void {
    this.#db.run(
      "INSERT OR IGNORE INTO member VALUES (?, ?)",
      this.addRepository(repository),
      content,
    );
  }

  /** Writes: a blob that lies in its row, and that the repository has. A manifest that needs it comes next, as a rule. */
  addSmallBlob(repository: string, digest: Digest, size: number, bytes: Uint8Array): void {
    const id = this.addContent(digest, size, bytes);
    this.addMember(repository, id);
    const row = { id, digest, size, filed: 0, isBlob: 1 };
    this.#db.known().set(`${this.addRepository(repository)} ${digest}`, row);
  }

  /** Writes: the repository has it no more. Gives whether it had. */
  removeMember(repository: string, digest: Digest): boolean {
    return this.#db.run(
      `DELETE FROM member WHERE repository = (SELECT id FROM repository WHERE name = ?)
       AND content = (SELECT id FROM content WHERE digest = ?)`,
      repository,
      digest,
    ) > 0;
  }

  /** Writes: the id of `name`, made when new. */
  addRepository(name: string): number {
    const known = this.#db.known();
    let row = known.get(name);
    if (row === undefined) {
      this.#db.run("INSERT OR IGNORE INTO repository (name) VALUES (?)", name);
      row = this.#db.get("SELECT id FROM repository WHERE name = ?", name)!;
      known.set(name, row);
    }
    return Number(row["id"]);
  }

  /** The id of `name`. */
  repository(name: string): number | undefined {
    const row = this.#db.get("SELECT id FROM repository WHERE name = ?", name);
    return row && Number(row["id"]);
  }

  /** A manifest by tag or digest: its content, `media_type`, and `columns`. */
  manifest(repository: string, reference: string, columns: string): Row | undefined {
    const wanted = `c.id, c.digest, c.size, c.touched, m.media_type, ${columns}`;
    if (!reference.includes(":")) {
      const row = this.#db.get(
        `SELECT ${wanted}, t.proof FROM repository r JOIN tag t ON t.repository = r.id AND t.name = ?
         JOIN manifest m ON m.repository = r.id AND m.content = t.content
         JOIN content c ON c.id = t.content WHERE r.name = ?`,
        reference,
        repository,
      );
      if (row !== undefined) proveTag(repository, reference, row);
      return row;
    }
    return this.#db.get(
      `SELECT ${wanted} FROM repository r JOIN content c ON c.digest = ?
       JOIN manifest m ON m.repository = r.id AND m.content = c.id WHERE r.name = ?`,
      parseDigest(reference),
      repository,
    );
  }

  /** Whether a tag names a manifest with one of these digests: without a look at the manifest itself. */
  isTagged(repository: string, tag: string, digests: readonly Digest[]): boolean {
    const id = this.addRepository(repository);
    return digests.some((digest) =>
      this.#db.get(
        `SELECT 1 FROM tag t JOIN manifest m ON m.repository = t.repository AND m.content = t.content
         WHERE t.repository = ? AND t.name = ?
         AND t.content = (SELECT id FROM content WHERE digest = ?)`,
        id,
        tag,
        digest,
      ) !== undefined
    );
  }

  /** What a tag names. */
  tagged(repository: string, tag: string): Digest | undefined {
    return this.manifest(repository, tag, "c.digest")?.["digest"] as Digest | undefined;
  }

  /**
   * The contents a document needs.
   *
   * @param sizeOf The bytes of a blob's file.
   * @throws {OciError} MANIFEST_BLOB_UNKNOWN with those that are not in the repository.
   */
  childrenOf(
    repository: string,
    document: Document,
    sizeOf: (digest: Digest) => number | undefined,
  ): Child[] {
    const id = this.addRepository(repository);
    const missing: string[] = [];
    const found: Child[] = [];
    const inIndex = document.kind === "index";
    const known = this.#db.known();
    for (const child of childrenOf(document)) {
      // Images of one repository share layers: what was a blob of it is one still.
      const key = `${id} ${child.digest}`;
      const before = inIndex ? undefined : known.get(key);
      const row = before ?? this.#db.get(
        `SELECT c.id, c.digest, c.size, c.bytes IS NULL AS filed,
           EXISTS (SELECT 1 FROM manifest WHERE repository = ?1 AND content = c.id) AS isManifest,
           EXISTS (SELECT 1 FROM member WHERE repository = ?1 AND content = c.id) AS isBlob
         FROM content c WHERE c.digest = ?2`,
        id,
        child.digest,
      );
      if (row?.["isBlob"] === 1) known.set(key, row);
      const wantsManifest = inIndex &&
        (isIndexType(child.mediaType) || isManifestType(child.mediaType));
      const there = row !== undefined &&
        (row["isManifest"] === 1 && inIndex || row["isBlob"] === 1 && !wantsManifest) &&
        (row["filed"] === 0 || sizeOf(child.digest) === row["size"]);
      if (there) {
        found.push({ id: Number(row["id"]), digest: child.digest, filed: row["filed"] === 1 });
      } else if (inIndex || !isForeignLayerType(child.mediaType)) missing.push(child.digest);
    }
    if (missing.length === 0) return found;
    throw new OciError(
      "MANIFEST_BLOB_UNKNOWN",
      `Cannot store manifest in ${repository}: it names ${missing.length} blobs that are not there, first ${
        missing[0]
      }`,
      { detail: missing.map((digest) => ({ digest })) },
    );
  }

  /** Writes: a manifest with the contents it needs, and what tags name it. */
  addManifest(
    repository: string,
    document: Document,
    descriptor: Descriptor,
    inline: Uint8Array | null,
    children: readonly Child[],
    tags: readonly string[],
  ): void {
    const { digest, size } = descriptor;
    const id = this.addRepository(repository);
    const content = this.addContent(digest, size, inline);
    const said = referrerOf(document, descriptor);
    this.#db.run(
      `INSERT INTO manifest (repository, content, media_type, subject, referrer) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET media_type = excluded.media_type`,
      id,
      content,
      document.mediaType,
      said?.subject ?? null,
      said === undefined ? null : JSON.stringify(said.descriptor),
    );
    const add = document.kind === "manifest" ? addImageChildren : addChildren;
    add(this.#db, id, content, children.map((child) => child.id));
    for (const tag of tags) {
      this.#db.run(
        `INSERT INTO tag (repository, name, content, proof) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET content = excluded.content, proof = excluded.proof`,
        id,
        tag,
        content,
        tagProof(repository, tag, digest, size),
      );
    }
  }

  /** Writes: takes a tag away, or with a digest a manifest and all its tags. Gives whether it was there. */
  removeManifest(repository: number, reference: string): boolean {
    if (!reference.includes(":")) {
      const sql = "DELETE FROM tag WHERE repository = ? AND name = ?";
      return this.#db.run(sql, repository, reference) > 0;
    }
    const row = this.#db.get("SELECT id FROM content WHERE digest = ?", parseDigest(reference));
    if (row === undefined) return false;
    const content = Number(row["id"]);
    this.#db.run("DELETE FROM tag WHERE repository = ? AND content = ?", repository, content);
    forgetChildren(this.#db, repository, content);
    const sql = "DELETE FROM manifest WHERE repository = ? AND content = ?";
    return this.#db.run(sql, repository, content) > 0;
  }

  /** Repositories with manifests, by name. */
  async *repositories(options: ListOptions): AsyncIterable<string> {
    yield* pages(
      (after) =>
        this.#db.all(
          `SELECT name FROM repository WHERE name > ? AND
           EXISTS (SELECT 1 FROM manifest WHERE repository = repository.id) ORDER BY name LIMIT ?`,
          after,
          PAGE,
        ),
      options,
    );
  }

  /** Tags of a repository, by name. */
  async *tags(repository: string, options: ListOptions): AsyncIterable<string> {
    const id = this.repository(repository);
    if (id === undefined) {
      throw new OciError(
        "NAME_UNKNOWN",
        `Cannot list tags of ${repository}: it is not in the store`,
      );
    }
    yield* pages(
      (after) =>
        this.#db.all(
          `SELECT t.name, t.proof, c.digest, c.size FROM tag t JOIN content c ON c.id = t.content
           WHERE t.repository = ? AND t.name > ? ORDER BY t.name LIMIT ?`,
          id,
          after,
          PAGE,
        ),
      options,
      (row) => proveTag(repository, String(row["name"]), row),
    );
  }

  /** Manifests about `subject`, oldest first. */
  referrers(
    repository: string,
    subject: Digest,
    { artifactType }: CallOptions & { readonly artifactType?: string | undefined },
  ): readonly Descriptor[] {
    const rows = this.#db.all(
      `SELECT m.referrer FROM manifest m JOIN repository r ON r.id = m.repository
       WHERE r.name = ? AND m.subject = ? ORDER BY m.content`,
      repository,
      subject,
    );
    return rows.map((row) => JSON.parse(String(row["referrer"])) as Descriptor).filter((one) =>
      artifactType === undefined || one.artifactType === artifactType
    );
  }
}

async function* pages(
  page: (after: string) => Row[],
  options: ListOptions,
  prove: (row: Row) => void = () => {},
): AsyncIterable<string> {
  let after = options.after ?? "";
  while (true) {
    options.signal?.throwIfAborted();
    const rows = page(after);
    for (const row of rows) {
      prove(row);
      yield after = String(row["name"]);
    }
    if (rows.length < PAGE) return;
  }
}

function proveTag(repository: string, tag: string, row: Row): void {
  const { digest, size, proof } = row;
  checkTag({ repository, tag, digest: String(digest), size: Number(size), proof });
}
