/** Puts the SBOM files of restored layers beside them, where buildpacks expect them (RE-17). */
import type { ReadLimits } from "../../registry/layer/read_limits.ts";
import { escapeId } from "../file/module.ts";
import type { Dir } from "../sandbox/executor.ts";
import { hasDirectory } from "./export_directory.ts";
import { isLayerName } from "../file/layer_toml.ts";

/** Bills of materials are a few files of JSON: an image or a cache that brings more wants our disk. */
export const SBOM_LIMITS: ReadLimits = { maxBytes: 2 * 2 ** 30, maxEntries: 100_000 };

/**
 * Copies `<layers>/sbom/{cache,launch}/<bp>/<layer>/sbom.*json` to `<layers>/<bp>/<layer>.sbom.*json` for the
 * buildpacks of the group that have a directory, launch over cache, then removes `<layers>/sbom`. Files of a
 * buildpack as a whole are not brought back. Links are not followed: the tree came from an image or a cache.
 *
 * @throws {TypeError} When a link lies where a directory should be.
 */
export async function copySboms(
  group: readonly { readonly id: string }[],
  layers: Dir,
): Promise<void> {
  for (const kind of ["cache", "launch"]) {
    for (const { id } of group) {
      const directory = `${layers.outside}/${escapeId(id)}`;
      const sboms = `sbom/${kind}/${escapeId(id)}`;
      const from = `${layers.outside}/${sboms}`;
      if (!hasDirectory(layers, escapeId(id))) continue;
      if (!hasDirectory(layers, sboms)) continue;
      for await (const layer of Deno.readDir(from)) {
        if (!layer.isDirectory || !isLayerName(layer.name)) continue;
        for await (const file of Deno.readDir(`${from}/${layer.name}`)) {
          const rest = /^sbom\.(.*json)$/.exec(file.name)?.[1];
          if (!file.isFile || rest === undefined) continue;
          const bytes = await Deno.readFile(`${from}/${layer.name}/${file.name}`);
          // Written beside and renamed: a link that lies there is replaced, not followed.
          const target = `${directory}/${layer.name}.sbom.${rest}`;
          const temporary = `${target}.${crypto.randomUUID()}.tmp`;
          await Deno.writeFile(temporary, bytes, { createNew: true });
          await Deno.rename(temporary, target);
        }
      }
    }
  }
  try {
    await Deno.remove(`${layers.outside}/sbom`, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
