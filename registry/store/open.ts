/** Who may use a directory as a store. */
import { join } from "node:path";
import { OciError } from "../oci/error.ts";
import { makeDir, syncDir } from "./blob_files.ts";
import { translate } from "./database.ts";

/**
 * Makes sure `dir` is a store of ours, or an empty directory that becomes one: modes 0700 and 0600 (ST-07).
 *
 * @throws {OciError} `DENIED` for another user's directory, `UNAVAILABLE` for one that is no store or cannot
 * be made.
 */
export async function claimDirectory(
  dir: string,
  options: { readonly create: boolean; readonly foreignOwner: boolean },
): Promise<void> {
  if (options.create) await makeDir(dir);
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(dir);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw translate(cause, `open store ${dir}`);
    throw new OciError("UNAVAILABLE", `Cannot open store ${dir}: there is no such directory`, {
      cause,
    });
  }
  if (!info.isDirectory) {
    throw new OciError("UNAVAILABLE", `Cannot open store ${dir}: it is not a directory`);
  }
  const uid = Deno.uid();
  // A link that somebody planted in a shared directory leads where they choose.
  const link = await Deno.lstat(dir);
  if (link.isSymlink && link.uid !== null && link.uid !== uid && link.uid !== 0) {
    throw new OciError(
      "DENIED",
      `Cannot open store ${dir}: it is a symbolic link of user ${link.uid}, this is user ${uid}`,
    );
  }
  if (info.uid !== null && info.uid !== uid && !options.foreignOwner) {
    throw new OciError(
      "DENIED",
      `Cannot open store ${dir}: it belongs to user ${info.uid}, this is user ${uid}`,
    );
  }
  const metadata = join(dir, "metadata.db");
  if (await isFile(metadata)) return;
  if (!options.create) {
    throw new OciError("UNAVAILABLE", `Cannot open store ${dir}: there is no store in it`);
  }
  for await (const { name } of Deno.readDir(dir)) {
    if (name.startsWith("metadata.db") || name === "leases" || name === "cache") continue;
    throw new OciError(
      "UNAVAILABLE",
      `Cannot open store ${dir}: it holds ${
        JSON.stringify(name)
      } and is no store; want an empty directory`,
    );
  }
  await makeMetadata(dir);
}

/** Makes an empty `metadata.db`, unless there is one, so that it and the files beside it are ours alone (ST-07). */
export async function makeMetadata(dir: string): Promise<void> {
  try {
    const path = join(dir, "metadata.db");
    (await Deno.open(path, { createNew: true, write: true, mode: 0o600 })).close(); // a valid new database
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) throw translate(cause, `open store ${dir}`);
  }
  await syncDir(dir);
}

/** Whether nothing in the store `dir` can be written because of where it lies, not because of who asks. */
export function onReadOnlyMount(dir: string): boolean {
  try {
    Deno.openSync(join(dir, "metadata.db"), { read: true, write: true }).close();
    return false;
  } catch (error) {
    return (error as { code?: unknown }).code === "EROFS";
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    const info = await Deno.lstat(path);
    if (info.isFile) return true;
    throw new OciError(
      "DENIED",
      `Cannot open store ${path}: it is a ${
        info.isSymlink ? "symbolic link" : "special file"
      }, want a file`,
    );
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw translate(cause, `open store ${path}`);
  }
}
