/** The collector: takes away what no name leads to, while others push and pull. */
import type { Digest } from "../oci/digest.ts";
import type { BlobFiles } from "./blob_files.ts";
import { forgetChildren, forgetStrayLists } from "./children.ts";
import type { Database } from "./database.ts";
import { type Leases, TOUCH_MS } from "./leases.ts";
import type { GcOptions, GcReport } from "./store.ts";
import { type ThrowAway, writeWithTrash } from "./trash.ts";

/** Longer than any push: what was touched within it may belong to one (ST-04). */
export const GRACE_MS = 60 * 60 * 1000;
/** Contents a transaction: others wait at most a few milliseconds. */
const WINDOW = 1000;

/** A manifest that no tag names, no index lists, and that speaks of nothing that is here. */
export const LOOSE = `
  NOT EXISTS (SELECT 1 FROM tag t WHERE t.repository = m.repository AND t.content = m.content)
  AND NOT EXISTS (SELECT 1 FROM child p WHERE p.repository = m.repository AND p.child = m.content)
  AND (m.subject IS NULL OR NOT EXISTS (SELECT 1 FROM content s JOIN manifest sm
    ON sm.content = s.id AND sm.repository = m.repository WHERE s.digest = m.subject))`;

/**
 * Marks by asking and sweeps in small transactions. A blob is moved aside inside the transaction that forgets it,
 * and published inside one that records it, so neither sees the other half way. Killed anywhere it leaves a
 * sound store.
 */
export async function collectGarbage(
  db: Database,
  files: BlobFiles,
  leases: Leases,
  now: number,
  options: GcOptions,
): Promise<GcReport> {
  const { signal } = options;
  const floor = () => floorOf(leases, now, options.graceMs ?? GRACE_MS);
  let manifests = 0;
  if (!options.keepUntagged) {
    // Removing an index frees its children, and a subject its referrers: again until nothing is loose.
    for (let swept = -1; swept !== 0; manifests += swept) {
      swept = await windows(
        db,
        files,
        signal,
        (low, high) => sweepManifests(db, floor(), low, high),
      );
    }
  }
  db.write(() => forgetStrayLists(db));
  await windows(db, files, signal, (low, high) =>
    db.run(
      `DELETE FROM member WHERE (repository, content) IN (
         SELECT m.repository, m.content FROM content c JOIN member m ON m.content = c.id
         WHERE c.id BETWEEN ? AND ? AND c.touched < ? AND NOT EXISTS (SELECT 1 FROM child p
           WHERE p.repository = m.repository AND p.child = m.content))`,
      low,
      high,
      floor(),
    ));
  // Whoever was told that a name is gone may cut the power: then no record may come back without its file.
  await db.durable();
  let bytes = 0;
  let blobs = await windows(db, files, signal, (low, high, throwAway) => {
    const rows = db.all(
      `SELECT id, digest, size, bytes IS NULL AS filed FROM content c
       WHERE id BETWEEN ? AND ? AND touched < ?
       AND NOT EXISTS (SELECT 1 FROM member WHERE content = c.id)
       AND NOT EXISTS (SELECT 1 FROM manifest WHERE content = c.id)
       AND NOT EXISTS (SELECT 1 FROM child WHERE child = c.id)`,
      low,
      high,
      floor(),
    );
    for (const row of rows) {
      db.run("DELETE FROM content WHERE id = ?", Number(row["id"]));
      if (row["filed"] === 1) throwAway(row["digest"] as Digest);
      bytes += Number(row["size"]);
    }
    return rows.length;
  });
  // A crash between a rename and its record leaves a file nobody knows.
  for await (const shard of files.list()) {
    signal?.throwIfAborted();
    if (!shard.some(({ modified }) => modified < now - (options.graceMs ?? GRACE_MS))) continue;
    blobs += await writeWithTrash(db, files, (throwAway) => {
      const young = floor();
      let strays = 0;
      for (const { digest, modified } of shard) {
        if (modified >= young) continue;
        const known = db.get("SELECT bytes IS NULL AS filed FROM content WHERE digest = ?", digest);
        if (known?.["filed"] === 1) continue;
        throwAway(digest);
        strays++;
      }
      return strays;
    });
  }
  db.write(() =>
    db.run(
      `DELETE FROM repository WHERE NOT EXISTS (SELECT 1 FROM member WHERE repository = repository.id)
       AND NOT EXISTS (SELECT 1 FROM manifest WHERE repository = repository.id)
       AND NOT EXISTS (SELECT 1 FROM tag WHERE repository = repository.id)`,
    )
  );
  const uploads = await files.purge(now);
  await db.durable();
  return { manifests, blobs, bytes, uploads };
}

function sweepManifests(db: Database, floor: number, low: number, high: number): number {
  const rows = db.all(
    `SELECT m.repository, m.content FROM content c JOIN manifest m ON m.content = c.id
     WHERE c.id BETWEEN ? AND ? AND c.touched < ? AND ${LOOSE}`,
    low,
    high,
    floor,
  );
  for (const row of rows) {
    const [repository, content] = [Number(row["repository"]), Number(row["content"])];
    forgetChildren(db, repository, content);
    db.run("DELETE FROM manifest WHERE repository = ? AND content = ?", repository, content);
  }
  return rows.length;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Runs `act` over all contents, a window of ids a transaction; lets others in between. Adds up its counts. */
async function windows(
  db: Database,
  files: BlobFiles,
  signal: AbortSignal | undefined,
  act: (low: number, high: number, throwAway: ThrowAway) => number,
): Promise<number> {
  const last = Number(db.get("SELECT max(id) AS id FROM content")?.["id"] ?? 0);
  let count = 0;
  for (let low = 0; low <= last; low += WINDOW) {
    signal?.throwIfAborted();
    count += await writeWithTrash(db, files, (throwAway) => act(low, low + WINDOW - 1, throwAway));
    await nextTurn();
  }
  return count;
}

/**
 * What was touched at this time or later stays. Asked anew inside each transaction: whoever opens the store or takes
 * a lease waits for a transaction of its own before it looks at anything, so the next one of ours knows of it.
 */
export function floorOf(leases: Leases, now: number, graceMs: number): number {
  const { writing, leasedSince } = leases.othersSync();
  const floor = now - (writing ? Math.max(graceMs, GRACE_MS) : graceMs);
  return Math.min(floor, (leasedSince ?? Infinity) - TOUCH_MS);
}
