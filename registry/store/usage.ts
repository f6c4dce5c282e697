/** What takes how much room, and how much of it a collection would give back. */
import { join, resolve } from "node:path";
import { Database, loadSqlite } from "./database.ts";
import { floorOf, GRACE_MS } from "./gc.ts";
import { Leases } from "./leases.ts";
import { claimDirectory } from "./open.ts";

/** A number of things and their bytes. */
export interface Amount {
  readonly count: number;
  /** As they would be read; the disk may need a little more. */
  readonly bytes: number;
}

/** The room a store takes. */
export interface StoreUsage {
  /** Absolute. */
  readonly dir: string;
  /** Images and indexes. */
  readonly manifests: number;
  readonly tags: number;
  readonly repositories: number;
  /** Files below `blobs/`. */
  readonly blobs: Amount;
  /** Manifests, configurations and other small things that lie in the metadata. */
  readonly documents: Amount;
  /** `metadata.db` and its log, documents included. */
  readonly metadata: Amount;
  /** Build caches, by name. */
  readonly caches: readonly { readonly name: string; readonly bytes: number }[];
  /** Uploads under way or left behind. */
  readonly ingest: Amount;
  /** What `fsck --repair` put aside. */
  readonly quarantine: Amount;
  /** Images that were unpacked to be entered. */
  readonly unpacked: Amount;
  /** Directories of builds that run, or were killed. */
  readonly work: Amount;
  /** What `store gc` would remove from blobs and documents now. */
  readonly reclaimable: Amount;
}

/** What leads to a content: names, what is young, what an index lists, what speaks of something that stays. */
const LIVE = `WITH RECURSIVE live (repository, content) AS (
  SELECT repository, content FROM tag
  UNION SELECT m.repository, m.content FROM content c JOIN manifest m ON m.content = c.id
    WHERE c.touched >= ?1
  UNION SELECT ch.repository, ch.child FROM live l
    JOIN child ch ON ch.repository = l.repository AND ch.parent = l.content
  UNION SELECT m.repository, m.content FROM live l JOIN content s ON s.id = l.content
    JOIN manifest m ON m.repository = l.repository AND m.subject = s.digest)
SELECT count(*) AS count, coalesce(sum(size), 0) AS bytes FROM content
  WHERE touched < ?1 AND id NOT IN (SELECT content FROM live)`;

/**
 * Measures the store in `dir`; reads no blob.
 *
 * @throws {OciError} When there is no store, or it is another user's.
 */
export async function measureStore(
  dir: string,
  options: { readonly foreignOwner?: boolean | undefined; readonly now?: Date | undefined } = {},
): Promise<StoreUsage> {
  const path = resolve(dir);
  await claimDirectory(path, { create: false, foreignOwner: options.foreignOwner ?? false });
  await loadSqlite();
  const db = new Database(path, true);
  try {
    db.keepTemporaryInMemory();
    const count = (sql: string) => Number(db.get(`SELECT count(*) AS n FROM ${sql}`)?.["n"] ?? 0);
    const amount = (sql: string, ...values: number[]): Amount => {
      const row = db.get(sql, ...values);
      return { count: Number(row?.["count"] ?? 0), bytes: Number(row?.["bytes"] ?? 0) };
    };
    const floor = floorOf(new Leases(path), (options.now ?? new Date()).getTime(), GRACE_MS);
    const sizes = "SELECT count(*) AS count, coalesce(sum(size), 0) AS bytes FROM content";
    const metadata = await Promise.all(
      ["metadata.db", "metadata.db-wal"].map((name) => treeSize(join(path, name))),
    );
    return {
      dir: path,
      manifests: count("manifest"),
      tags: count("tag"),
      repositories: count("repository"),
      blobs: await treeSize(join(path, "blobs")),
      documents: amount(`${sizes} WHERE bytes IS NOT NULL`),
      metadata: { count: 1, bytes: metadata.reduce((sum, one) => sum + one.bytes, 0) },
      caches: await cachesOf(join(path, "cache")),
      ingest: await treeSize(join(path, "ingest")),
      quarantine: await treeSize(join(path, "quarantine")),
      unpacked: await unpackedSize(join(path, "unpacked")),
      work: await treeSize(join(path, "work")),
      reclaimable: amount(LIVE, floor),
    };
  } finally {
    await db.close();
  }
}

async function cachesOf(dir: string): Promise<{ name: string; bytes: number }[]> {
  const names: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(dir)) if (isDirectory) names.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const sizes = names.sort().map(async (name) => ({
    name,
    bytes: (await treeSize(join(dir, name))).bytes,
  }));
  return await Promise.all(sizes);
}

/** As each of them says: counting a hundred thousand files would take seconds. */
async function unpackedSize(dir: string): Promise<Amount> {
  let count = 0;
  let bytes = 0;
  for (const { name } of await Array.fromAsync(Deno.readDir(dir)).catch(() => [])) {
    const text = await Deno.readTextFile(join(dir, name, "about.json")).catch(() => undefined);
    const said = /"bytes":(\d{1,15})/.exec(text ?? "");
    if (said === null) continue;
    count++;
    bytes += Number(said[1]);
  }
  return { count, bytes };
}

/** Files below `path`, links not followed; what others remove meanwhile counts as nothing. */
async function treeSize(path: string): Promise<Amount> {
  let count = 0;
  let bytes = 0;
  const waiting = [path];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const info = await Deno.lstat(at).catch(() => undefined);
    if (info?.isDirectory) {
      const entries = await Array.fromAsync(Deno.readDir(at)).catch(() => []);
      for (const { name } of entries) waiting.push(join(at, name));
    } else if (info?.isFile) {
      count++;
      bytes += info.size;
    }
  }
  return { count, bytes };
}
