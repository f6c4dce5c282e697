/** What a restore takes away again. */
import { ignoreAbsent } from "../is_there.ts";

/** Removes what `directory`, a path of this machine, has under `name`. Nothing is fine, too. */
export async function removeContents(directory: string, name: string): Promise<void> {
  await Deno.remove(`${directory}/${name}`, { recursive: true }).catch(ignoreAbsent);
}
