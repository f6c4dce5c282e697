/**
 * Whether there is anything at `path`, be it a link to nowhere.
 *
 * @throws When that cannot be seen.
 */
export async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
