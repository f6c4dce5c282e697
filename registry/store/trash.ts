/** Taking blobs away together with their records. */
import type { Digest } from "../oci/digest.ts";
import type { BlobFiles } from "./blob_files.ts";
import type { Database } from "./database.ts";

/** Takes the file of a blob away when the transaction it is called in succeeds. */
export type ThrowAway = (digest: Digest) => void;

/**
 * Runs `act` as one transaction. Files it throws away are moved aside at once, which takes microseconds, and
 * unlinked when the transaction is over. When it fails, as on a full disk, they come back.
 */
export async function writeWithTrash<T>(
  db: Database,
  files: BlobFiles,
  act: (throwAway: ThrowAway) => T,
): Promise<T> {
  const moved: { readonly path: string; readonly digest: Digest }[] = [];
  let result: T;
  try {
    result = db.write(() =>
      act((digest) => {
        const path = files.trashSync(digest);
        if (path !== undefined) moved.push({ path, digest });
      })
    );
  } catch (error) {
    for (const { path, digest } of moved) files.untrashSync(path, digest);
    throw error;
  }
  await files.discardTrash(moved.map(({ path }) => path));
  return result;
}
