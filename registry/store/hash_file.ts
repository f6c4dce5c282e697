import { algorithmOf, type Digest, Digester } from "../oci/digest.ts";
import { translate } from "./database.ts";

/**
 * The digest and size of a file, by the algorithm of `like`; `undefined` when it is no plain file. What cannot be
 * read has a digest that says so, and is equal to none.
 */
export async function hashFile(
  path: string,
  like: Digest,
  signal?: AbortSignal,
): Promise<{ readonly digest: string; readonly size: number } | undefined> {
  let file: Deno.FsFile;
  try {
    if (!(await Deno.lstat(path)).isFile) return undefined;
    file = await Deno.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw translate(error, `read ${path}`);
  }
  using _file = file;
  const digester = new Digester(algorithmOf(like));
  const buffer = new Uint8Array(1024 * 1024);
  let size = 0;
  try {
    for (let got = await file.read(buffer); got !== null; got = await file.read(buffer)) {
      signal?.throwIfAborted();
      digester.update(buffer.subarray(0, got));
      size += got;
    }
  } catch (error) {
    signal?.throwIfAborted();
    return { digest: `unreadable (${(error as Error).message})`, size };
  }
  return { digest: digester.digest(), size };
}
