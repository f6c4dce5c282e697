/** Do names lead to images, and are they those that were set? */
import type { Database } from "./database.ts";
import { type Check, nextTurn, PAGE } from "./fsck_check.ts";
import { checkTag } from "./proof.ts";

/** Finds tags that lead to no manifest; with repair they are written down and gone. */
export function checkNames(check: Check, db: Database): void {
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
    if (check.repair) {
      repair = check.quarantine.noteSync(
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
    check.found({ kind: "dangling", fault: true, subject, problem, repair });
  }
  if (check.kept !== undefined && rows.length > 0) {
    check.found({
      kind: "metadata",
      fault: true,
      subject: "metadata.db",
      problem:
        `${rows.length} tags are lost, because what they led to is; they are written down in quarantine/removed.txt, and the damaged file is kept as ${check.kept}`,
    });
  }
}

/** Finds rows that name what is not there; with repair they are gone. */
export function checkLinks(check: Check, db: Database): void {
  for (const table of ["member", "manifest"] as const) {
    const lost = `content NOT IN (SELECT id FROM content)
      OR repository NOT IN (SELECT id FROM repository)`;
    const count = Number(db.get(`SELECT count(*) AS n FROM ${table} WHERE ${lost}`)?.["n"] ?? 0);
    if (count === 0) continue;
    let repair: string | undefined;
    if (check.repair) {
      repair = check.quarantine.noteSync(`${count} rows of ${table} without content`);
      db.write(() => db.run(`DELETE FROM ${table} WHERE ${lost}`));
    }
    check.found({
      kind: "dangling",
      fault: true,
      subject: "metadata.db",
      problem: `${count} rows of ${table} name content or a repository that is not there`,
      repair,
    });
  }
}

/** Finds tags whose records are not what was written. */
export async function checkTags(check: Check, db: Database): Promise<void> {
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
        check.found({
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
