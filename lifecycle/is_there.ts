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
