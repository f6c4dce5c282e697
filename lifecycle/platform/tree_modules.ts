/** The modules that an unpacked builder or package holds. */
import { parseBuildpackToml } from "../file/buildpack_toml.ts";
import { readDocument } from "../file/document.ts";
import { parseExtensionToml } from "../file/extension_toml.ts";
import { escapeId } from "../file/module.ts";
import type { Buildpack, Extension } from "../phase/detect_types.ts";
import type { Dir } from "../sandbox/executor.ts";
import { locate, namesIn } from "../sandbox/tree_files.ts";
import { MODULES_DIR } from "./package/module.ts";

/** Its buildpacks. `dir.inside` is where they lie in it. */
export async function readBuildpacks(tree: string): Promise<readonly Buildpack[]> {
  return await readModules(tree, MODULES_DIR.buildpack, "buildpack.toml", parseBuildpackToml);
}

/** Its extensions. */
export async function readExtensions(tree: string): Promise<readonly Extension[]> {
  return await readModules(tree, MODULES_DIR.extension, "extension.toml", parseExtensionToml);
}

async function readModules<D extends { readonly id: string; readonly version: string }>(
  tree: string,
  root: string,
  name: string,
  parse: (source: string, file: string) => D,
): Promise<readonly { readonly descriptor: D; readonly dir: Dir }[]> {
  const found: { readonly descriptor: D; readonly dir: Dir }[] = [];
  for (const id of namesIn(tree, root)) {
    for (const version of namesIn(tree, `${root}/${id}`)) {
      const inside = `${root}/${id}/${version}`;
      const outside = locate(tree, inside);
      const file = locate(tree, `${inside}/${name}`);
      if (outside === undefined || file === undefined) continue;
      const descriptor = await readDocument(file, parse);
      // The name of the directory decides the version (BPT-2).
      if (descriptor === undefined || escapeId(descriptor.id) !== id) continue;
      found.push({ descriptor: { ...descriptor, version }, dir: { inside, outside } });
    }
  }
  return found;
}
