/**
 * What documents need, in rows of `child`. Images of one repository that have the same layers share a list of them: a parent
 * below zero, which is a child of each of these images. A fleet's image is two rows so, in place of one for each layer; whoever
 * asks what needs a content finds the list, since it is there as long as somebody has it.
 */
import type { Database } from "./database.ts";

/** Children that go into one statement: more than most images have layers. */
const FEW = 64;
/** Shorter lists save nothing. */
const LEAST = 3;

/** Writes: what an index needs. */
export function addChildren(
  db: Database,
  repository: number,
  parent: number,
  children: readonly number[],
): void {
  // In order they go in one behind the other.
  const ids = children.toSorted((a, b) => a - b);
  for (let at = 0; at < ids.length; at += FEW) {
    const some = ids.slice(at, at + FEW);
    db.run(insertion(some.length), repository, parent, ...some);
  }
}

/** Writes: what an image needs. `children` has its config first. */
export function addImageChildren(
  db: Database,
  repository: number,
  image: number,
  children: readonly number[],
): void {
  const list = listOf(db, repository, children);
  if (list === undefined) addChildren(db, repository, image, children);
  else addChildren(db, repository, image, [list, children[0]!]);
}

/**
 * The list of layers that others have had, too. The first of them keeps rows of its own, so that layers that no two images
 * share cost nothing more.
 */
function listOf(db: Database, repository: number, children: readonly number[]): number | undefined {
  if (children.length <= LEAST) return undefined;
  const known = db.known();
  const key = `${repository} ${children.join(" ").slice(String(children[0]).length)}`;
  const before = known.get(key);
  if (before === undefined) {
    known.set(key, { list: null });
    return undefined;
  }
  if (before["list"] !== null) return Number(before["list"]);
  const list = freeNumber(db, repository);
  addChildren(db, repository, list, children.slice(1));
  known.set(key, { list });
  return list;
}

/** Below all that lists of the repository were ever called, also those of which a repair found a part. */
function freeNumber(db: Database, repository: number): number {
  const row = db.get(
    `SELECT min(
       coalesce((SELECT min(parent) FROM child WHERE repository = ?), 0),
       coalesce((SELECT min(child) FROM child), 0), 0) AS least`,
    repository,
  );
  return Number(row!["least"]) - 1;
}

/** What a document needs: contents, not the list they may be in. */
export function childrenIn(db: Database, repository: number, parent: number): number[] {
  return db.all(
    `SELECT child AS id FROM child WHERE repository = ?1 AND parent = ?2 AND child > 0
     UNION SELECT c.child FROM child l JOIN child c ON c.repository = ?1 AND c.parent = l.child
       WHERE l.repository = ?1 AND l.parent = ?2 AND l.child < 0`,
    repository,
    parent,
  ).map((row) => Number(row["id"]));
}

/** SQL: whether the document behind two columns has the content `child`. */
export const isLinked = (repository: string, parent: string, child: string) =>
  `EXISTS (SELECT 1 FROM child WHERE repository = ${repository} AND parent = ${parent} AND child = ${child})
   OR EXISTS (SELECT 1 FROM child l JOIN child c ON c.repository = l.repository AND c.parent = l.child
     WHERE l.repository = ${repository} AND l.parent = ${parent} AND l.child < 0 AND c.child = ${child})`;

/** Writes: a document is there no more. A list goes with the last that has it. */
export function forgetChildren(db: Database, repository: number, parent: number): void {
  const lists = db.all(
    "SELECT child FROM child WHERE repository = ? AND parent = ? AND child < 0",
    repository,
    parent,
  );
  db.run("DELETE FROM child WHERE repository = ? AND parent = ?", repository, parent);
  for (const { child: list } of lists) {
    db.run(
      `DELETE FROM child WHERE repository = ?1 AND parent = ?2
       AND NOT EXISTS (SELECT 1 FROM child WHERE child = ?2 AND repository = ?1)`,
      repository,
      Number(list),
    );
  }
}

/** Writes: takes away lists that nobody has. There are none, unless damage took away who had them. */
export function forgetStrayLists(db: Database): void {
  db.run(
    `DELETE FROM child WHERE (repository, parent) IN (
       SELECT r.id, l.parent FROM repository r JOIN child l ON l.repository = r.id AND l.parent < 0
       WHERE NOT EXISTS (SELECT 1 FROM child o WHERE o.child = l.parent AND o.repository = r.id))`,
  );
}

const insertions: string[] = [];

/** The statement for so many: a list of values takes less than rows made of a text with them. */
function insertion(count: number): string {
  return insertions[count] ??= "INSERT OR IGNORE INTO child VALUES " +
    Array.from({ length: count }, (_, at) => `(?1, ?2, ?${at + 3})`).join();
}
