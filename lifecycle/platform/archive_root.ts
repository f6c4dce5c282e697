/** What a buildpack in an archive may be. */
import { basename, join } from "node:path";
import { untarTo } from "../../registry/layer/extract.ts";
import { LifecycleError } from "../error.ts";

/**
 * Unpacks a (compressed) tar into a new directory of `scratch`.
 *
 * @param complaint What is said when it is none; without a full stop.
 * @returns The directory of the module in it, and the one it was unpacked to.
 * @throws {LifecycleError} Exit code 3 with `complaint`, or as {@linkcode rootOfArchive}.
 */
export async function unpackArchive(
  path: string,
  scratch: string,
  called: string,
  complaint: string,
): Promise<{ readonly root: string; readonly into: string }> {
  const into = join(scratch, `${basename(path)}-${crypto.randomUUID().slice(0, 8)}`);
  await Deno.mkdir(into, { recursive: true });
  using file = await Deno.open(path);
  try {
    await untarTo(into, file.readable);
  } catch (cause) {
    throw new LifecycleError(3, complaint, { cause });
  }
  return { root: await rootOfArchive(into, called), into };
}

/**
 * The directory of an unpacked archive that holds the module: its root, or the one directory in it. What we read of it
 * is in the archive: a link in the place of the directory or of its descriptors would make a directory of this machine
 * the buildpack, with our rights.
 *
 * @throws {LifecycleError} Exit code 3 when one of them is a link.
 */
async function rootOfArchive(into: string, name: string): Promise<string> {
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
