/** Removing one image and, at once, what it alone needed. */
import { type Digest, parseDigest } from "../oci/digest.ts";
import type { Ballast } from "./ballast.ts";
import type { BlobFiles } from "./blob_files.ts";
import { childrenIn, forgetChildren } from "./children.ts";
import type { Database, Row } from "./database.ts";
import { floorOf, LOOSE } from "./gc.ts";
import type { Leases } from "./leases.ts";
import type { GcReport } from "./store.ts";
import { type ThrowAway, writeWithTrash } from "./trash.ts";

/**
 * Deletes what `reference` names in the repository with the row `repository`: a tag, or a manifest with every tag
 * of it. Then follows what it led to: manifests of an index, documents that speak of it, blobs. Each goes when
 * nothing else in the store needs it and nobody who is at work may have seen it.
 *
 * @returns What went, or `undefined` when there was nothing of that name.
 */
export async function releaseManifest(
  db: Database,
  files: BlobFiles,
  leases: Leases,
  ballast: Ballast,
  now: number,
  repository: number,
  reference: string,
): Promise<GcReport | undefined> {
  const forget = () =>
    db.write(() => {
      // No grace when nobody else is at work: what the removed image needed a moment ago, nobody needs now.
      const floor = floorOf(leases, now, -1);
      const content = reference.includes(":")
        ? deleteByDigest(db, repository, parseDigest(reference))
        : deleteTag(db, repository, reference);
      if (content === undefined) return undefined;
      const explicit = reference.includes(":") ? 1 : 0;
      const { seen, manifests } = sweepManifests(db, repository, content, floor);
      for (const one of seen) leave(db, repository, one, floor);
      return { seen, manifests: manifests + explicit };
    });
  const released = await ballast.spend(() => Promise.try(forget));
  // First it is certain that nothing names them, then the files go.
  await db.durable();
  if (released === undefined) return undefined;
  const sweep = (throwAway: ThrowAway) =>
    sweepContents(db, released.seen, floorOf(leases, now, -1), throwAway);
  const freed = await ballast.spend(() => writeWithTrash(db, files, sweep));
  await db.durable();
  return { manifests: released.manifests, ...freed, uploads: 0 };
}

function deleteTag(db: Database, repository: number, name: string): Start | undefined {
  const row = db.get(
    "DELETE FROM tag WHERE repository = ? AND name = ? RETURNING content",
    repository,
    name,
  );
  return row && { content: Number(row["content"]), below: [] };
}

function deleteByDigest(db: Database, repository: number, digest: Digest): Start | undefined {
  const row = db.get("SELECT id FROM content WHERE digest = ?", digest);
  if (row === undefined) return undefined;
  const content = Number(row["id"]);
  const below = childrenAndReferrers(db, repository, content);
  db.run("DELETE FROM tag WHERE repository = ? AND content = ?", repository, content);
  forgetChildren(db, repository, content);
  const gone = db.run(
    "DELETE FROM manifest WHERE repository = ? AND content = ?",
    repository,
    content,
  );
  return gone > 0 ? { content, below } : undefined;
}

interface Start {
  readonly content: number;
  /** What it led to, when it is gone already. */
  readonly below: readonly number[];
}

function childrenAndReferrers(db: Database, repository: number, content: number): number[] {
  const referrers = db.all(
    `SELECT m.content AS id FROM manifest m WHERE m.repository = ?1
       AND m.subject = (SELECT digest FROM content WHERE id = ?2)`,
    repository,
    content,
  ).map((row) => Number(row["id"]));
  return [...new Set([...childrenIn(db, repository, content), ...referrers])];
}

/** Manifests that became loose, and everything that any of them led to. */
function sweepManifests(
  db: Database,
  repository: number,
  start: Start,
  floor: number,
): { readonly seen: ReadonlySet<number>; readonly manifests: number } {
  const seen = new Set([start.content, ...start.below]);
  const queue = [...seen];
  let manifests = 0;
  for (let content = queue.pop(); content !== undefined; content = queue.pop()) {
    const loose = db.get(
      `SELECT 1 FROM manifest m JOIN content c ON c.id = m.content
       WHERE m.repository = ? AND m.content = ? AND c.touched < ? AND ${LOOSE}`,
      repository,
      content,
      floor,
    );
    if (loose === undefined) continue;
    const below = childrenAndReferrers(db, repository, content);
    forgetChildren(db, repository, content);
    db.run("DELETE FROM manifest WHERE repository = ? AND content = ?", repository, content);
    manifests++;
    for (const one of below) {
      // Again also when it was seen: this may have been the last that held it.
      seen.add(one);
      queue.push(one);
    }
  }
  return { seen, manifests };
}

/** Takes a content out of the repository when nothing there needs it any more. */
function leave(db: Database, repository: number, content: number, floor: number): void {
  db.run(
    `DELETE FROM member WHERE repository = ?1 AND content = ?2
     AND (SELECT touched FROM content WHERE id = ?2) < ?3
     AND NOT EXISTS (SELECT 1 FROM child WHERE repository = ?1 AND child = ?2)`,
    repository,
    content,
    floor,
  );
}

function sweepContents(
  db: Database,
  contents: ReadonlySet<number>,
  floor: number,
  throwAway: ThrowAway,
): { readonly blobs: number; readonly bytes: number } {
  let blobs = 0;
  let bytes = 0;
  for (const content of contents) {
    const row: Row | undefined = db.get(
      `DELETE FROM content WHERE id = ?1 AND touched < ?2
       AND NOT EXISTS (SELECT 1 FROM member WHERE content = ?1)
       AND NOT EXISTS (SELECT 1 FROM manifest WHERE content = ?1)
       AND NOT EXISTS (SELECT 1 FROM child WHERE child = ?1)
       RETURNING digest, size, bytes IS NULL AS filed`,
      content,
      floor,
    );
    if (row === undefined) continue;
    if (row["filed"] === 1) throwAway(row["digest"] as Digest);
    blobs++;
    bytes += Number(row["size"]);
  }
  return { blobs, bytes };
}
