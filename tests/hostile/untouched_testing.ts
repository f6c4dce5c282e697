/** The oracle of everything hostile: whatever happened, nothing beside the box has changed. */
import { deepEqual } from "node:assert/strict";

/** A directory to fill, and what lies around it. */
export interface Box {
  /** May be written; empty. */
  readonly inside: string;
  /** Beside it, with a file `file` and a directory `dir`. */
  readonly outside: string;
  /** Holds both; tests put their archives here. */
  readonly top: string;
}

/**
 * Runs `act` on a box, then compares every inode around it with what it was: names, type, mode, owner, size, links,
 * times of change (which a chmod, chown or link sets and nobody can set back) and contents.
 */
export async function untouched(act: (box: Box) => Promise<void>): Promise<void> {
  const top = await Deno.makeTempDir({ prefix: "wherry-hostile-" });
  try {
    const box = { top, inside: `${top}/in/inside`, outside: `${top}/in/outside` };
    await Deno.mkdir(box.inside, { recursive: true });
    await Deno.mkdir(`${box.outside}/dir`, { recursive: true });
    await Deno.writeTextFile(`${box.outside}/file`, "untouched");
    await Deno.mkdir(`${top}/in/etc`);
    await Deno.writeTextFile(`${top}/in/etc/passwd`, "untouched");
    const before = await look(`${top}/in`, box.inside);
    await act(box);
    deepEqual(await look(`${top}/in`, box.inside), before, "something outside was touched");
  } finally {
    await new Deno.Command("chmod", { args: ["-R", "u+rwx", top], stderr: "null" }).output();
    await Deno.remove(top, { recursive: true });
  }
}

async function look(dir: string, except: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { name } of Deno.readDir(dir)) {
    const path = `${dir}/${name}`;
    if (path === except) continue;
    const info = await Deno.lstat(path);
    lines.push(
      JSON.stringify([
        path,
        info.mode,
        info.uid,
        info.gid,
        info.ino,
        info.nlink,
        info.isDirectory ? 0 : info.size,
        info.mtime?.getTime(),
        info.ctime?.getTime(),
        info.isFile ? await Deno.readTextFile(path) : "",
      ]),
    );
    if (info.isDirectory) lines.push(...await look(path, except));
  }
  return lines.sort();
}
