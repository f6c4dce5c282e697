/** Has each image all that it needs? */
import type { Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, type Digest, digestOf } from "../oci/digest.ts";
import { childrenOf, parseDocument } from "../oci/manifest.ts";
import { isForeignLayerType } from "../oci/media_type.ts";
import { isLinked } from "./children.ts";
import type { Database, Row } from "./database.ts";
import { type Check, nextTurn, PAGE } from "./fsck_check.ts";

/** Finds images that lack something, and ties of theirs that are not recorded; those are put right with repair. */
export async function checkManifests(check: Check, db: Database): Promise<void> {
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
      check.signal?.throwIfAborted();
      [repository, content] = [Number(row["repository"]), Number(row["content"])];
      checkManifest(check, db, row, repository, content);
    }
    if (rows.length < PAGE) return;
    await nextTurn();
  }
}

function checkManifest(
  check: Check,
  db: Database,
  row: Row,
  repository: number,
  content: number,
): void {
  const digest = row["digest"] as Digest;
  const name = () => imageName(db, repository, content, String(row["name"]), digest);
  if (check.aside.has(digest)) {
    const problem = "its own document is put aside; want it pulled or built again";
    check.found({ kind: "absent", fault: true, subject: name(), problem });
    return;
  }
  let bytes = row["bytes"] as Uint8Array<ArrayBuffer> | null;
  let children: readonly Descriptor[];
  try {
    bytes ??= Deno.readFileSync(check.files.path(digest));
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
         (${isLinked("?1", "?2", "c.id")}) AS linked,
         EXISTS (SELECT 1 FROM manifest WHERE repository = ?1 AND content = c.id)
           OR EXISTS (SELECT 1 FROM member WHERE repository = ?1 AND content = c.id) AS visible
       FROM content c WHERE c.digest = ?3`,
      repository,
      content,
      child.digest,
    );
    const there = found !== undefined && found["visible"] === 1 &&
      (found["filed"] === 0 || check.files.sizeOf(child.digest) === found["size"]);
    if (there && found["linked"] === 1) continue;
    if (there && check.repair) {
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
    check.found({
      kind: "child",
      fault: true,
      subject: name(),
      problem: there
        ? `a collector does not know that it needs ${child.digest}`
        : `it needs ${child.digest}, which is not there; want it pulled or built again`,
      repair: there && check.repair ? "recorded" : undefined,
    });
  }
}

/** Images that list `digest`, or are it, for people: the first few. */
export function neededBy(db: Database, digest: Digest): string {
  const rows = db.all(
    `WITH RECURSIVE needs (repository, parent) AS (
       SELECT ch.repository, ch.parent FROM content c JOIN child ch ON ch.child = c.id WHERE c.digest = ?
       UNION SELECT o.repository, o.parent FROM needs n
         JOIN child o ON n.parent < 0 AND o.child = n.parent AND o.repository = n.repository LIMIT 1000)
     SELECT n.repository, n.parent, r.name, p.digest FROM needs n
     JOIN repository r ON r.id = n.repository JOIN content p ON p.id = n.parent LIMIT 4`,
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
