/** What a restore takes away again. */

/** Removes what `directory`, a path of this machine, has under `name`. Nothing is fine, too. */
export async function removeContents(directory: string, name: string): Promise<void> {
  await Deno.remove(`${directory}/${name}`, { recursive: true }).catch(ignoreAbsent);
}

/** For what need not be there. */
export function ignoreAbsent(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
