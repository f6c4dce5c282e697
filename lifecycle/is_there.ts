/**
 * Whether there is anything at `path`, be it a link to nowhere.
 *
 * @throws When that cannot be seen.
 */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** For what need not be there. */
export function ignoreAbsent(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

/** The names in a directory, in no order; none when it is not there. */
export async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await Array.fromAsync(Deno.readDir(dir), ({ name }) => name);
  } catch (error) {
    ignoreAbsent(error);
    return [];
  }
}
