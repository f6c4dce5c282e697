/** `builder create --flatten`: modules that share a layer, whether they came from directories or packages. */
import type { FoundModule } from "../../lifecycle/platform/package/locate.ts";
import { insideOf, keyOf } from "../../lifecycle/platform/package/module.ts";
import { locate } from "../../lifecycle/sandbox/tree_files.ts";
import { untarTo } from "../../registry/layer/extract.ts";
import { UsageError } from "../exit.ts";

/**
 * Makes directories of the packaged modules that `keys` name: their own layers are of no use then.
 *
 * @param keys `id@version`.
 * @param scratch A directory of ours.
 * @throws {UsageError} For a package whose layer does not hold what its label says.
 */
export async function unpackFlattened(
  modules: readonly FoundModule[],
  keys: readonly string[],
  scratch: string,
  signal: AbortSignal,
): Promise<readonly FoundModule[]> {
  const out: FoundModule[] = [];
  for (const one of modules) {
    if (!("layer" in one) || !keys.includes(keyOf(one.info))) {
      out.push(one);
      continue;
    }
    const dir = await Deno.makeTempDir({ dir: scratch, prefix: "flatten-" });
    const source = await one.layer.blob();
    await untarTo(dir, await source.open({ signal }), { signal });
    // Links in it lead to places in it: a package cannot make a file of this machine part of a builder.
    const inside = insideOf(one.info);
    const found = locate(dir, inside);
    if (found === undefined || !(await Deno.lstat(found)).isDirectory) {
      throw new UsageError(`Cannot flatten ${keyOf(one.info)}: its layer has no ${inside}`);
    }
    out.push({ info: one.info, dirs: [found] });
  }
  return out;
}
