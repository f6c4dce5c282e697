/** What a collection would take away now. Changes nothing, and lets others write meanwhile. */
import type { BlobFiles } from "./blob_files.ts";
import type { Database } from "./database.ts";
import { floorOf, GRACE_MS } from "./gc.ts";
import type { Leases } from "./leases.ts";
import type { GcOptions, GcReport } from "./store.ts";

/** Manifests that would go, by repository and content; only this connection sees it. */
const GONE = `CREATE TEMP TABLE gone (repository INTEGER NOT NULL, content INTEGER NOT NULL,
  PRIMARY KEY (repository, content)) WITHOUT ROWID`;

/** Of `row` (a manifest), that it goes. */
const isGone = (repository: string, content: string) =>
  `EXISTS (SELECT 1 FROM temp.gone g WHERE g.repository = ${repository} AND g.content = ${content})`;

/** Of a row `p` of child, that its parent stays: a document, or a list that one of its documents keeps. */
const STAYS = `CASE WHEN p.parent > 0 THEN NOT ${isGone("p.repository", "p.parent")}
  ELSE EXISTS (SELECT 1 FROM child o WHERE o.repository = p.repository AND o.child = p.parent
    AND NOT ${isGone("o.repository", "o.parent")}) END`;

/** Something in repository `r` that stays lists content `c`. */
const isListed = (r: string, c: string) =>
  `EXISTS (SELECT 1 FROM child p WHERE p.repository = ${r} AND p.child = ${c} AND ${STAYS})`;

/**
 * The same question as `collectGarbage`, asked of the store as it is. Between the two others may push, tag and remove: what
 * is told is what would have gone at this moment.
 */
export async function previewGarbage(
  db: Database,
  files: BlobFiles,
  leases: Leases,
  now: number,
  options: GcOptions,
): Promise<GcReport> {
  const graceMs = options.graceMs ?? GRACE_MS;
  const floor = floorOf(leases, now, graceMs);
  db.keepTemporaryInMemory();
  db.run(GONE);
  try {
    let manifests = 0;
    for (let more = options.keepUntagged ? 0 : -1; more !== 0; manifests += more) {
      options.signal?.throwIfAborted();
      more = db.run(
        `INSERT INTO temp.gone SELECT m.repository, m.content FROM manifest m
         JOIN content c ON c.id = m.content
         WHERE c.touched < ? AND NOT ${isGone("m.repository", "m.content")}
         AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.repository = m.repository AND t.content = m.content)
         AND NOT ${isListed("m.repository", "m.content")}
         AND (m.subject IS NULL OR NOT EXISTS (SELECT 1 FROM content s
           JOIN manifest sm ON sm.content = s.id AND sm.repository = m.repository
           WHERE s.digest = m.subject AND NOT ${isGone("sm.repository", "sm.content")}))`,
        floor,
      );
    }
    const row = db.get(
      `SELECT count(*) AS blobs, coalesce(sum(size), 0) AS bytes FROM content c WHERE touched < ?
       AND NOT EXISTS (SELECT 1 FROM member b WHERE b.content = c.id AND ${
        isListed("b.repository", "c.id")
      })
       AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.content = c.id
         AND NOT ${isGone("m.repository", "m.content")})
       AND NOT EXISTS (SELECT 1 FROM child p WHERE p.child = c.id AND ${STAYS})`,
      floor,
    );
    let blobs = Number(row?.["blobs"] ?? 0);
    for await (const shard of files.list()) {
      options.signal?.throwIfAborted();
      for (const { digest, modified } of shard) {
        if (modified >= floor) continue;
        const known = db.get("SELECT bytes IS NULL AS filed FROM content WHERE digest = ?", digest);
        if (known?.["filed"] !== 1) blobs++;
      }
    }
    const uploads = await files.purge(now, true);
    return { manifests, blobs, bytes: Number(row?.["bytes"] ?? 0), uploads };
  } finally {
    db.run("DROP TABLE temp.gone");
  }
}
