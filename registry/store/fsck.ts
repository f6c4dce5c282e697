/** Is the store what it says it is? Every page, every record, every byte (ST-09). */
import { resolve } from "node:path";
import { Database, loadSqlite, translate } from "./database.ts";
import { Check, type CheckOptions, type CheckReport } from "./fsck_check.ts";
import { checkContents, checkFiles, filesAlone } from "./fsck_contents.ts";
import { checkManifests } from "./fsck_manifests.ts";
import { checkModes } from "./fsck_modes.ts";
import { checkLinks, checkNames, checkTags } from "./fsck_names.ts";
import { claimDirectory, onReadOnlyMount } from "./open.ts";
import { salvage } from "./salvage.ts";

/**
 * Checks the store in `dir`, while others may use it. Reads every byte.
 *
 * @throws {OciError} When there is no store, or it is another user's.
 */
export async function checkStore(dir: string, options: CheckOptions = {}): Promise<CheckReport> {
  const path = resolve(dir);
  await claimDirectory(path, { create: false, foreignOwner: options.foreignOwner ?? false });
  const check = new Check(path, options);
  await checkModes(check);
  let db: Database | undefined;
  try {
    await loadSqlite();
    db = openDatabase(check);
  } catch (error) {
    db = await damaged(check, [(error as Error).message]);
  }
  try {
    const broken = db?.faults() ?? [];
    if (db !== undefined && broken.length > 0) {
      if (!check.repair) await damaged(check, broken);
      else if (!await reindex(check, db, broken)) {
        await db.close();
        db = await damaged(check, broken);
      }
    }
    if (db === undefined) await filesAlone(check);
    else await checkAll(check, db);
  } finally {
    await db?.close();
  }
  return check.report();
}

/** For writing where that is possible: a log that a crash left is then read, too. */
function openDatabase({ dir, repair }: Check): Database {
  try {
    return new Database(dir, false);
  } catch (error) {
    if (repair || !onReadOnlyMount(dir)) throw error;
    return new Database(dir, true);
  }
}

/** Tells what is wrong with the metadata; with repair makes new ones of what is left. */
async function damaged(check: Check, broken: readonly string[]): Promise<Database | undefined> {
  const saved = check.repair ? await salvage(check.dir, check.quarantine) : undefined;
  for (const problem of broken) {
    const subject = "metadata.db";
    check.found({ kind: "metadata", fault: true, subject, problem, repair: saved?.said });
  }
  for (const { fault, problem } of saved?.losses ?? []) {
    const said = `${problem}; the damaged file is kept as ${saved?.kept}`;
    check.found({ kind: "metadata", fault, subject: "metadata.db", problem: said });
  }
  check.kept = saved?.kept;
  return saved?.db;
}

/** When only indexes are wrong, they are made anew. */
async function reindex(check: Check, db: Database, broken: readonly string[]): Promise<boolean> {
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
    check.found({ kind: "metadata", fault: true, subject: "metadata.db", problem, repair });
  }
  return true;
}

async function checkAll(check: Check, db: Database): Promise<void> {
  try {
    await checkContents(check, db);
    await checkFiles(check, db);
    checkNames(check, db);
    checkLinks(check, db);
    await checkTags(check, db);
    await checkManifests(check, db);
    if (check.repair) await db.durable();
  } catch (error) {
    check.signal?.throwIfAborted();
    const { message } = translate(error, `read store ${check.dir}`);
    check.found({ kind: "metadata", fault: true, subject: "metadata.db", problem: message });
    await filesAlone(check);
  }
}
