/** `USER` and `--chown` as numbers, by the users and groups of the image. */
import { readGroups, readUsers } from "../sandbox/tree_files.ts";

/** A user as the kernel knows it, and its HOME. */
export interface ImageUser {
  /** User. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
  /** HOME; `/` when the image does not know the user. */
  readonly home: string;
}

/**
 * Reads `user`, `user:group`, with names or numbers. Nothing is root.
 *
 * @param root The image's files on this machine.
 * @throws {TypeError} For a name that the image does not know.
 */
export function findUser(root: string, text: string): ImageUser {
  const [user = "", group = ""] = text.split(":");
  const wanted = user === "" ? "0" : user;
  const users = readUsers(root);
  const known = users.find(({ name }) => name === wanted) ??
    users.find(({ uid }) => `${uid}` === wanted);
  const uid = known?.uid ?? number(wanted);
  if (uid === undefined) throw new TypeError(`the image has no user ${JSON.stringify(user)}`);
  const gid = group === "" ? known?.gid ?? 0 : readGroups(root).get(group) ?? number(group);
  if (gid === undefined) throw new TypeError(`the image has no group ${JSON.stringify(group)}`);
  return { uid, gid, home: known?.home || (uid === 0 ? "/root" : "/") };
}

function number(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}
