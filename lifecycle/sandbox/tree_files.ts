/**
 * Looking into an unpacked root file system from outside. Its links are the image's, so nothing is ever opened by a
 * path that the kernel would follow them on. Nobody writes to such a tree, so what was looked up stays true. Looks are
 * short and many: each waited for by itself would take ten times as long.
 */
import { join } from "node:path";

/** As the kernel. */
const MOST_LINKS = 40;

/**
 * The path on this machine of `path` of the tree, links resolved as a chroot of it would; `undefined` when it is not
 * there. The result has no link on the way.
 */
export function locate(tree: string, path: string): string | undefined {
  const { found, missing } = follow(tree, path);
  return missing.length === 0 ? join(tree, ...found) : undefined;
}

/**
 * As {@linkcode locate}, for something to be mounted: the steps that are there, links resolved, and the steps that
 * would have to be made.
 */
export function follow(
  tree: string,
  path: string,
): { readonly found: readonly string[]; readonly missing: readonly string[] } {
  const found: string[] = [];
  const rest = path.split("/").filter((step) => step !== "" && step !== ".");
  for (let links = 0; rest.length > 0;) {
    const step = rest.shift()!;
    if (step === "..") {
      found.pop();
      continue;
    }
    const about = look(join(tree, ...found, step));
    if (about === undefined) return { found, missing: [step, ...rest] };
    if (!about.isSymlink) {
      found.push(step);
      if (!about.isDirectory && rest.length > 0) return { found, missing: rest };
      continue;
    }
    if (++links > MOST_LINKS) return { found, missing: [step, ...rest] };
    const target = Deno.readLinkSync(join(tree, ...found, step));
    if (target.startsWith("/")) found.length = 0;
    rest.unshift(...target.split("/").filter((one) => one !== "" && one !== "."));
  }
  return { found, missing: [] };
}

function look(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch {
    return undefined;
  }
}

/** A line of passwd(5). */
export interface User {
  /** Login name. */
  readonly name: string;
  /** Numbers. */
  readonly uid: number;
  /** Primary group. */
  readonly gid: number;
  /** HOME. */
  readonly home: string;
}

/** The users of the tree's `/etc/passwd`; malformed lines are left out. */
export function readUsers(tree: string): readonly User[] {
  const text = readTextIn(tree, "/etc/passwd") ?? "";
  return text.split("\n").flatMap((line) => {
    const [name = "", , uid = "", gid = "", , home = ""] = line.split(":");
    if (name === "" || !/^\d{1,10}$/.test(uid) || !/^\d{1,10}$/.test(gid)) return [];
    return [{ name, uid: Number(uid), gid: Number(gid), home }];
  });
}

/** Groups of the tree's `/etc/group`, by name. */
export function readGroups(tree: string): ReadonlyMap<string, number> {
  const text = readTextIn(tree, "/etc/group") ?? "";
  return new Map(
    text.split("\n").flatMap((line) => {
      const [name = "", , gid = ""] = line.split(":");
      return name !== "" && /^\d{1,10}$/.test(gid) ? [[name, Number(gid)] as const] : [];
    }),
  );
}

const MAX_TEXT = 16 * 1024 * 1024;

/** A regular file of the tree as text; `undefined` when there is none, or one beyond 16 MiB. */
export function readTextIn(tree: string, path: string): string | undefined {
  const real = locate(tree, path);
  const about = real === undefined ? undefined : Deno.lstatSync(real);
  if (!about?.isFile || about.size > MAX_TEXT) return undefined;
  try {
    return Deno.readTextFileSync(real!);
  } catch {
    return undefined; // closed to us: as if it were not there
  }
}

/** The names in a directory of the tree, sorted; none when it is no directory. */
export function namesIn(tree: string, path: string): readonly string[] {
  const dir = locate(tree, path);
  if (dir === undefined || !Deno.lstatSync(dir).isDirectory) return [];
  return Array.from(Deno.readDirSync(dir), ({ name }) => name).sort();
}
