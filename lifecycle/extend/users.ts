/** `USER` and `--chown` as numbers, by the users and groups of the image. Pure. */

/** A user as the kernel knows it, and its HOME. */
export interface ImageUser {
  /** User. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
  /** HOME; `/` when the image does not know the user. */
  readonly home: string;
}

/** The texts of `/etc/passwd` and `/etc/group` of the image; empty without. */
export interface UserFiles {
  /** Users. */
  readonly passwd: string;
  /** Groups. */
  readonly group: string;
}

/**
 * Reads `user`, `user:group`, with names or numbers. Nothing is root.
 *
 * @throws {TypeError} For a name that the image does not know.
 */
export function findUser(text: string, { passwd, group }: UserFiles): ImageUser {
  const [user = "", given = ""] = text.split(":");
  const users = linesOf(passwd);
  const wanted = user === "" ? "0" : user;
  const line = users.find(([name]) => name === wanted) ??
    users.find(([, , uid]) => uid === wanted);
  const uid = number(line?.[2] ?? wanted);
  if (uid === undefined) throw new TypeError(`the image has no user ${JSON.stringify(user)}`);
  const gidText = given === ""
    ? line?.[3] ?? "0"
    : linesOf(group).find(([name]) => name === given)?.[2] ?? given;
  const gid = number(gidText);
  if (gid === undefined) throw new TypeError(`the image has no group ${JSON.stringify(given)}`);
  return { uid, gid, home: line?.[5] || (uid === 0 ? "/root" : "/") };
}

function linesOf(text: string): readonly (readonly string[])[] {
  return text.split("\n").map((line) => line.split(":"));
}

function number(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}
