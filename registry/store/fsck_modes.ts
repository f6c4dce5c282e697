/** Whose the files of a store are and who else may touch them (ST-07, R-12, X-15). */
import { join } from "node:path";
import { isDigest } from "../oci/digest.ts";
import type { Check } from "./fsck_check.ts";

type Kind = "file" | "directory";

/**
 * Looks at everything the store made: nothing may be a link, belong to somebody else, or be open to others. With
 * `repair` modes are put right; what is no file of ours is only told.
 */
export async function checkModes(check: Check): Promise<void> {
  const { dir, repair } = check;
  const look = async (name: string, want: Kind, forbidden: number, mode: number) => {
    const path = join(dir, name);
    const info = await Deno.lstat(path).catch(() => undefined);
    if (info === undefined) return;
    const subject = name === "" ? dir : name;
    const seen = kindOf(info);
    if (seen !== want) {
      const problem = `it is a ${seen}, want a ${want}`;
      return check.found({ kind: "foreign", fault: true, subject, problem });
    }
    if (info.uid !== null && info.uid !== Deno.uid() && info.uid !== await ownerOf(dir)) {
      const problem = `it belongs to user ${info.uid}`;
      check.found({ kind: "mode", fault: true, subject, problem });
    }
    const bits = (info.mode ?? mode) & 0o777;
    if ((bits & forbidden) === 0) return;
    let done: string | undefined;
    if (repair) {
      await Deno.chmod(path, mode);
      done = `set to ${octal(mode)}`;
    }
    const problem = `its mode is ${octal(bits)}, want ${octal(mode)}`;
    check.found({ kind: "mode", fault: true, subject, problem, repair: done });
  };
  const tree = async (name: string, depth: number, file: number) => {
    await look(name, "directory", 0o077, 0o700);
    if (!(await isDirectory(join(dir, name)))) return;
    for await (const entry of Deno.readDir(join(dir, name))) {
      const path = `${name}/${entry.name}`;
      if (depth > 0) await tree(path, depth - 1, file);
      else {
        // What waits in ingest/ is read-only for all a moment before it is published.
        await look(path, "file", file === 0o444 ? 0o222 : 0o033, file);
        const algorithm = path.split("/")[1] ?? "";
        if (file === 0o444 && !isDigest(`${algorithm}:${entry.name}`)) {
          check.found({
            kind: "foreign",
            fault: true,
            subject: path,
            problem: "its name is no digest",
          });
        }
      }
    }
  };
  await look("", "directory", 0o066, 0o700); // others may pass through to the work of a build, but not look
  for (const name of ["metadata.db", "metadata.db-wal", "metadata.db-shm", "ballast"]) {
    await look(name, "file", 0o077, 0o600);
  }
  await tree("blobs", 2, 0o444);
  await tree("ingest", 0, 0o600);
  await tree("leases", 0, 0o600);
  await look("quarantine", "directory", 0o077, 0o700);
  await look("cache", "directory", 0o022, 0o700);
}

function kindOf(info: Deno.FileInfo): string {
  if (info.isSymlink) return "symbolic link";
  return info.isDirectory ? "directory" : info.isFile ? "file" : "special file";
}

async function isDirectory(path: string): Promise<boolean> {
  return (await Deno.lstat(path).catch(() => undefined))?.isDirectory ?? false;
}

async function ownerOf(dir: string): Promise<number | null> {
  return (await Deno.lstat(dir)).uid;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
