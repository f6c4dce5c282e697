/** Are the bytes of the store what their digests say, and does a record know them? */
import { algorithmOf, type Digest, digestOf, isDigest } from "../oci/digest.ts";
import type { Database, Row } from "./database.ts";
import { type Check, nextTurn, PAGE } from "./fsck_check.ts";
import { neededBy } from "./fsck_manifests.ts";
import { DigestMender, withoutFlip } from "./mend_digests.ts";

/** Without metadata: are the files what their names say? */
export async function filesAlone(check: Check): Promise<void> {
  for await (const shard of check.files.list()) {
    for (const { digest } of shard) {
      const seen = await check.hash(digest);
      if (seen === undefined || seen.digest === digest) continue;
      wrongFile(check, digest, "digest", `its bytes have digest ${seen.digest}`);
    }
  }
}

/** Hashes what is recorded; with repair what is wrong is mended, or put aside. */
export async function checkContents(check: Check, db: Database): Promise<void> {
  const mender = check.repair ? new DigestMender(db, check.files) : undefined;
  for (let after = 0;;) {
    const rows = db.all(
      `SELECT id, digest, size, bytes IS NULL AS filed FROM content WHERE id > ? ORDER BY id LIMIT ${PAGE}`,
      after,
    );
    for (const row of rows) {
      check.signal?.throwIfAborted();
      after = Number(row["id"]);
      const digest = String(row["digest"]);
      const mended = await mendDigest(check, db, mender, row);
      if (!isDigest(digest) || mended !== undefined) {
        check.found({
          kind: "metadata",
          fault: true,
          subject: "metadata.db",
          problem: `content ${after} has the digest ${JSON.stringify(digest.slice(0, 100))}`,
          repair: mended && `it is ${mended} again, as its bytes are`,
        });
      } else if (row["filed"] === 1) await checkFile(check, db, row, digest);
      else await checkInline(check, db, after, digest, Number(row["size"]));
    }
    if (rows.length < PAGE) return;
    await nextTurn();
  }
}

/** The digest of a row that was only damaged itself, set again. */
async function mendDigest(
  check: Check,
  db: Database,
  mender: DigestMender | undefined,
  { id, digest, filed }: Row,
): Promise<Digest | undefined> {
  if (mender === undefined) return undefined;
  const said = String(digest);
  if (filed === 1) {
    const there = isDigest(said) && check.files.sizeOf(said) !== undefined;
    return there ? undefined : await mender.filed(Number(id), said);
  }
  const bytes = db.get("SELECT bytes FROM content WHERE id = ?", Number(id))?.["bytes"];
  return bytes instanceof Uint8Array
    ? mender.inline(Number(id), said, bytes as Uint8Array<ArrayBuffer>)
    : undefined;
}

async function checkFile(check: Check, db: Database, row: Row, digest: Digest): Promise<void> {
  const seen = await check.hash(digest);
  const size = Number(row["size"]);
  if (seen === undefined) {
    const still = db.get(
      `SELECT 1 FROM content c WHERE digest = ?1 AND bytes IS NULL AND
       (EXISTS (SELECT 1 FROM member WHERE content = c.id)
        OR EXISTS (SELECT 1 FROM manifest WHERE content = c.id))`,
      digest,
    );
    // Without a repository nobody was told of it: a collection killed half way leaves such a record.
    if (still === undefined || check.files.sizeOf(digest) !== undefined) return;
    check.found({
      kind: "absent",
      fault: true,
      subject: check.files.name(digest),
      problem: `there is no such file; it is wanted by ${neededBy(db, digest)}`,
    });
  } else if (seen.size !== size) {
    wrongFile(check, digest, "size", `it has ${seen.size} bytes, want ${size}`);
  } else if (seen.digest !== digest) {
    wrongFile(check, digest, "digest", `its bytes have digest ${seen.digest}`);
  }
}

async function checkInline(
  check: Check,
  db: Database,
  id: number,
  digest: Digest,
  size: number,
): Promise<void> {
  const row = db.get("SELECT bytes FROM content WHERE id = ? AND digest = ?", id, digest);
  const bytes = row?.["bytes"];
  if (!(bytes instanceof Uint8Array)) return; // collected meanwhile
  check.read(bytes.byteLength);
  const sized = bytes.byteLength === size;
  if (sized && digestOf(bytes, algorithmOf(digest)) === digest) return;
  let repair: string | undefined;
  if (check.repair) {
    const seen = bytes as Uint8Array<ArrayBuffer>;
    const mended = withoutFlip(seen, digest);
    if (mended === undefined) {
      check.aside.add(digest);
      repair = await check.quarantine.keepBytes(digest, seen);
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
  check.found({
    kind: sized ? "digest" : "size",
    fault: true,
    subject: `document ${digest}`,
    problem: sized
      ? `its bytes have digest ${digestOf(bytes, algorithmOf(digest))}`
      : `it has ${bytes.byteLength} bytes, want ${size}`,
    repair,
  });
}

/** Tells of it, and with repair puts it aside. */
function wrongFile(check: Check, digest: Digest, kind: "size" | "digest", problem: string): void {
  if (check.repair) check.aside.add(digest);
  const repair = check.repair ? check.quarantine.moveSync(check.files.path(digest)) : undefined;
  check.found({ kind, fault: true, subject: check.files.name(digest), problem, repair });
}

/** Files without a record, and what is no blob at all. */
export async function checkFiles(check: Check, db: Database): Promise<void> {
  for await (const shard of check.files.list()) {
    check.signal?.throwIfAborted();
    for (const { digest } of shard) {
      const known = () =>
        db.get("SELECT 1 FROM content WHERE digest = ? AND bytes IS NULL", digest) !== undefined;
      if (known()) continue;
      // Whoever publishes does it inside a transaction: inside one of ours nobody is half way.
      let repair: string | undefined;
      let orphan = true;
      if (check.repair) {
        db.write(() => {
          orphan = !known() && check.files.sizeOf(digest) !== undefined;
          if (orphan) repair = check.quarantine.moveSync(check.files.path(digest));
        });
      }
      if (!orphan) continue;
      check.found({
        kind: "orphan",
        fault: false,
        subject: check.files.name(digest),
        problem: "no record knows this file; wherry store gc removes it",
        repair,
      });
    }
  }
}
