/** The collector: takes away what no name leads to, while others push and pull. */
import type { Digest } from "../oci/digest.ts";
import type { BlobFiles } from "./blob_files.ts";
import type { Database } from "./database.ts";
import type { GcOptions, GcReport } from "./store.ts";

/** Longer than any push: what was touched within it may belong to one (ST-04). */
const GRACE_MS = 60 * 60 * 1000;
/** Rows a transaction: others wait at most a few milliseconds. */
const BATCH = 200;

/** A manifest that no tag names, no index lists, and that speaks of nothing that is here. */
const LOOSE = `
  NOT EXISTS (SELECT 1 FROM tag t WHERE t.repository = m.repository AND t.content = m.content)
  AND NOT EXISTS (SELECT 1 FROM child p WHERE p.repository = m.repository AND p.child = m.content)
  AND (m.subject IS NULL OR NOT EXISTS (SELECT 1 FROM content s JOIN manifest sm
    ON sm.content = s.id AND sm.repository = m.repository WHERE s.digest = m.subject))`;

/**
 * Marks by asking and sweeps in small transactions. A blob is unlinked inside the transaction that forgets it,
 * and published inside one that records it, so neither sees the other half way. Killed anywhere it leaves a
 * sound store.
 */
export async function collectGarbage(
  db: Database,
  files: BlobFiles,
  writers: Deno.FsFile,
  now: number,
  options: GcOptions,
): Promise<GcReport> {
  const { signal } = options;
  const alone = await isAlone(writers);
  const wanted = options.graceMs ?? GRACE_MS;
  const floor = now - (alone ? wanted : Math.max(wanted, GRACE_MS));
  const manifests = options.keepUntagged ? 0 : await sweepManifests(db, floor, signal);
  await batches(signal, () =>
    db.run(
      `DELETE FROM member WHERE (repository, content) IN (
         SELECT m.repository, m.content FROM member m JOIN content c ON c.id = m.content
         WHERE c.touched < ? AND NOT EXISTS (SELECT 1 FROM child p
           WHERE p.repository = m.repository AND p.child = m.content) LIMIT ${BATCH})`,
      floor,
    ), db);
  let blobs = 0;
  let bytes = 0;
  await batches(signal, () => {
    const rows = db.all(
      `SELECT id, digest, size, bytes IS NULL AS filed FROM content c WHERE touched < ?
       AND NOT EXISTS (SELECT 1 FROM member WHERE content = c.id)
       AND NOT EXISTS (SELECT 1 FROM manifest WHERE content = c.id) LIMIT ${BATCH}`,
      floor,
    );
    for (const row of rows) {
      db.run("DELETE FROM content WHERE id = ?", Number(row["id"]));
      if (row["filed"] === 1) files.removeSync(row["digest"] as Digest);
      blobs++;
      bytes += Number(row["size"]);
    }
    return rows.length;
  }, db);
  // A crash between a rename and its record leaves a file nobody knows.
  for await (const shard of files.list()) {
    signal?.throwIfAborted();
    const old = shard.filter(({ modified }) => modified < floor);
    if (old.length === 0) continue;
    db.write(() => {
      for (const { digest } of old) {
        const known = db.get("SELECT bytes IS NULL AS filed FROM content WHERE digest = ?", digest);
        if (known?.["filed"] === 1) continue;
        files.removeSync(digest);
        blobs++;
      }
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

/** Removing an index frees its children, and a subject its referrers: again until nothing is loose. */
async function sweepManifests(
  db: Database,
  floor: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  let swept = 0;
  await batches(signal, () => {
    const rows = db.all(
      `SELECT m.repository, m.content FROM manifest m JOIN content c ON c.id = m.content
       WHERE c.touched < ? AND ${LOOSE} LIMIT ${BATCH}`,
      floor,
    );
    for (const row of rows) {
      const [repository, content] = [Number(row["repository"]), Number(row["content"])];
      db.run("DELETE FROM child WHERE repository = ? AND parent = ?", repository, content);
      db.run("DELETE FROM manifest WHERE repository = ? AND content = ?", repository, content);
    }
    swept += rows.length;
    return rows.length;
  }, db);
  return swept;
}

/** Runs `act` in transactions until it changes nothing; lets others in between. */
async function batches(
  signal: AbortSignal | undefined,
  act: () => number,
  db: Database,
): Promise<void> {
  while (db.write(act) > 0) {
    signal?.throwIfAborted();
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
  }
}

/** Whether nobody else has the store open for writing: every writer holds this lock shared. */
async function isAlone(writers: Deno.FsFile): Promise<boolean> {
  const alone = await writers.tryLock(true);
  await writers.lock(false); // a refused upgrade loses the shared lock as well (flock(2))
  return alone;
}
