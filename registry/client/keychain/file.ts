import { KeychainError } from "./http.ts";

const MAX_FILE = 1024 * 1024;

/**
 * Reads a text file of at most 1 MiB.
 *
 * @returns `undefined` when it is not there, cannot be read or is no file.
 * @throws {KeychainError} When it is larger.
 */
export async function readSmallText(path: string): Promise<string | undefined> {
  try {
    const info = await Deno.stat(path);
    if (!info.isFile) return undefined;
    if (info.size > MAX_FILE) {
      throw new KeychainError(`${path} is larger than ${MAX_FILE} bytes`);
    }
    return await Deno.readTextFile(path);
  } catch (error) {
    const absent = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.PermissionDenied;
    if (absent) return undefined;
    throw error;
  }
}
