/**
 * Layers that lie in the cache as plain tars, by the helper: it hashes and writes on all processors, at the price of the system calls.
 * It takes the plainest dialect alone, and leaves all that is odd or damaged to the strict reader.
 */
import type { Context } from "../../registry/context.ts";
import { type Digest, isDigest } from "../../registry/oci/digest.ts";
import type { Cache, UncheckedLayer } from "../cache/cache.ts";
import { restoreWith, type TarLayer } from "../sandbox/restore.ts";
import { within } from "./export_directory.ts";
import type { LayerToRestore } from "./restore_layer.ts";
import { removeContents } from "./restore_remove.ts";
import type { RestoredLayer, RestoreInput } from "./restore_types.ts";

interface Tar {
  readonly layer: LayerToRestore;
  readonly diffId: Digest;
  readonly there: UncheckedLayer;
  readonly words: TarLayer;
}

/**
 * Restores those of `wanted` that the helper takes. Of the others nothing is on disk that was not there before, and nothing was told.
 *
 * @throws The signal's reason.
 */
export async function restoreTars(
  wanted: readonly LayerToRestore[],
  cache: Cache,
  { helper, looks, owner }: Pick<RestoreInput, "helper" | "looks" | "owner">,
  ctx: Context,
): Promise<readonly RestoredLayer[]> {
  if (helper === undefined) return [];
  const tars: Tar[] = [];
  for (const layer of wanted) {
    const tar = await plainTar(layer, cache);
    if (tar !== undefined) tars.push(tar);
  }
  if (tars.length === 0) return [];
  const restored: RestoredLayer[] = [];
  const unsure = new Set(tars);
  try {
    const said = await restoreWith(helper, tars.map(({ words }) => words), ctx.signal, owner);
    for (const [at, tar] of tars.entries()) {
      const { id, directory, name } = tar.layer;
      const word = said[at];
      if (word === undefined) continue;
      if ("why" in word) {
        ctx.log.debug(`Layer '${id}' is read the long way: ${word.why}`);
        if (!word.touched) unsure.delete(tar);
        continue;
      }
      unsure.delete(tar);
      tar.there.confirm();
      ctx.log.info(`Restoring data for "${id}" from cache`);
      restored.push({
        id,
        directory: within(directory, name),
        diffId: tar.diffId,
        frame: word.frame,
        looks: looks ? word.looks : undefined,
      });
    }
  } catch (error) {
    ctx.log.debug(
      `Layers are read the long way: ${error instanceof Error ? error.message : error}`,
    );
  } finally {
    // Also when the restore ends here: nobody may find what was not checked.
    for (const { words } of unsure) await removeContents(words.directory, words.name);
  }
  ctx.signal.throwIfAborted();
  return restored;
}

/** What the helper is told of a layer; `undefined` when it is none of its business. */
async function plainTar(layer: LayerToRestore, cache: Cache): Promise<Tar | undefined> {
  const { sha, directory, name } = layer;
  if (!isDigest(sha) || !sha.startsWith("sha256:")) return undefined;
  try {
    const there = await cache.unchecked?.(sha);
    if (there?.tar.file === undefined) return undefined;
    await Deno.mkdir(directory.outside, { recursive: true });
    if (await isThere(`${directory.outside}/${name}`)) return undefined;
    const tar = there.tar.file;
    const words = { tar, directory: directory.outside, inside: directory.inside, name, sha };
    return { layer, diffId: sha, there, words };
  } catch {
    return undefined; // the long way says what is wrong
  }
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
