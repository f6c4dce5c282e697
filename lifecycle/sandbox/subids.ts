/** Subordinate ids: those that a machine lends a plain user, so that its user namespaces have more than one. */
import { access, constants } from "node:fs/promises";
import { readTextIn, readUsers } from "./tree_files.ts";

/** A map for both kinds of ids, as `newuidmap` and `newgidmap` want it: `INSIDE OUTSIDE COUNT` three or six times. */
export interface SubIds {
  /** The program, absolute. */
  readonly newuidmap: string;
  /** The program, absolute. */
  readonly newgidmap: string;
  /** Root inside is the caller; 1 and up are lent. */
  readonly uidMap: string;
  /** See `uidMap`. */
  readonly gidMap: string;
}

/** What the helper's verb `subids` wants to know before the program and its arguments. */
export function subIdWords({ newuidmap, uidMap, newgidmap, gidMap }: SubIds): string[] {
  return ["subids", newuidmap, uidMap, newgidmap, gidMap, "--"];
}

/** As many as images use. */
const ENOUGH = 65536;

/**
 * What this machine lends the user `uid`, or why nothing.
 *
 * @param root Where `/etc` is; another one than `/` for tests.
 */
export async function findSubIds(
  { uid, gid, path, noNewPrivs }: {
    readonly uid: number;
    readonly gid: number;
    readonly path: string;
    readonly noNewPrivs: boolean;
  },
  root = "/",
): Promise<SubIds | { readonly reason: string }> {
  if (uid === 0) return { reason: "root needs none" };
  if (noNewPrivs) return { reason: "newuidmap may not gain rights here (no_new_privs)" };
  const programs = await Promise.all(["newuidmap", "newgidmap"].map((name) => which(name, path)));
  const [newuidmap, newgidmap] = programs;
  if (newuidmap === undefined || newgidmap === undefined) {
    return { reason: "newuidmap and newgidmap are not installed (Debian: uidmap)" };
  }
  const name = readUsers(root).find((user) => user.uid === uid)?.name;
  const maps: string[] = [];
  for (const [file, own] of [["/etc/subuid", uid], ["/etc/subgid", gid]] as const) {
    const start = lent(readTextIn(root, file) ?? "", [name ?? `${uid}`, `${uid}`]);
    if (start === undefined) {
      return { reason: `${file} lends ${name ?? uid} no ${ENOUGH} ids (usermod --add-subuids)` };
    }
    maps.push(`0 ${own} 1 1 ${start} ${ENOUGH - 1}`);
  }
  return { newuidmap, newgidmap, uidMap: maps[0]!, gidMap: maps[1]! };
}

function lent(text: string, owners: readonly string[]): number | undefined {
  for (const line of text.split("\n")) {
    const [owner = "", start = "", count = ""] = line.trim().split(":");
    const numbers = /^\d{1,10}$/.test(start) && /^\d{1,10}$/.test(count);
    if (numbers && owners.includes(owner) && Number(count) >= ENOUGH) return Number(start);
  }
  return undefined;
}

async function which(name: string, path: string): Promise<string | undefined> {
  for (const dir of [...path.split(":"), "/usr/bin", "/usr/sbin"]) {
    const file = `${dir}/${name}`;
    if (dir.startsWith("/") && await access(file, constants.X_OK).then(() => true, () => false)) {
      return file;
    }
  }
  return undefined;
}
