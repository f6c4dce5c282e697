/** What a platform takes out of the layers directory after a build. */
import { dirname, join } from "node:path";

/**
 * Copies `<layers>/sbom` into `into` as `layers/sbom/...`, the shape `sbom download` has, so that both can be
 * read by the same tools. Without any bill of materials nothing is made.
 */
export async function copySboms(layersDir: string, into: string): Promise<void> {
  for (const file of walk(join(layersDir, "sbom"))) {
    const target = join(into, "layers", "sbom", file);
    await Deno.mkdir(dirname(target), { recursive: true });
    await Deno.copyFile(join(layersDir, "sbom", file), target);
  }
}

function* walk(dir: string, below = ""): Iterable<string> {
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(join(dir, below))];
  } catch {
    return;
  }
  for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory) yield* walk(dir, path);
    else if (entry.isFile) yield path;
  }
}
