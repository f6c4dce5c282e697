/** What a buildpack in an archive may be. */
import { basename, join } from "node:path";
import { LifecycleError } from "../error.ts";

/**
 * The directory of an unpacked archive that holds the module: its root, or the one directory in it. What we read of it
 * is in the archive: a link in the place of the directory or of its descriptors would make a directory of this machine
 * the buildpack, with our rights.
 *
 * @throws {LifecycleError} Exit code 3 when one of them is a link.
 */
export async function rootOfArchive(into: string, name: string): Promise<string> {
  const entries = await Array.fromAsync(Deno.readDir(into));
  const [only] = entries;
  const root = entries.length === 1 && only !== undefined && !only.isFile
    ? join(into, only.name)
    : into;
  await refuseLinksOut(into, root, name);
  return root;
}

/** As {@linkcode rootOfArchive} says, for a root that is known. */
export async function refuseLinksOut(into: string, root: string, name: string): Promise<void> {
  for (
    const file of [
      root,
      ...["buildpack.toml", "extension.toml", "package.toml"].map((one) => join(root, one)),
    ]
  ) {
    const stat = await Deno.lstat(file).catch(() => undefined);
    if (stat === undefined || file === into || (file === root ? stat.isDirectory : stat.isFile)) {
      continue;
    }
    throw new LifecycleError(
      3,
      `Cannot use buildpack ${JSON.stringify(name)}: ${
        JSON.stringify(basename(file))
      } in it is a link or another special file`,
    );
  }
}
