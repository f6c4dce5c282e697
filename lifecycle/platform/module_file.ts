import { ExitCode, FileError, LifecycleError } from "../error.ts";
import { readDocument } from "../file/document.ts";

/**
 * Reads a document of a module that a user named; `undefined` when it is not there.
 *
 * @throws {LifecycleError} Exit code 1 when it cannot be read: what is wrong with it is the user's to mend.
 */
export async function readModuleFile<T>(
  path: string,
  parse: (source: string, file: string) => T,
): Promise<T | undefined> {
  try {
    return await readDocument(path, parse);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw new LifecycleError(ExitCode.failure, error.message, { cause: error, file: error.file });
  }
}
