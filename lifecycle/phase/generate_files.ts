/** Files that an extension brings along instead of making them. */

/** Copies files, directories and links (as links) below `from` into the existing directory `into`; nothing without `from`. */
export async function copyTree(from: string, into: string): Promise<void> {
  let entries: readonly Deno.DirEntry[];
  try {
    entries = await Array.fromAsync(Deno.readDir(from));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  for (const { name, isDirectory, isSymlink, isFile } of entries) {
    const source = `${from}/${name}`;
    const target = `${into}/${name}`;
    if (isSymlink) await Deno.symlink(await Deno.readLink(source), target);
    else if (isFile) await Deno.copyFile(source, target);
    else if (isDirectory) {
      await Deno.mkdir(target, { mode: 0o755 });
      await copyTree(source, target);
    }
  }
}
