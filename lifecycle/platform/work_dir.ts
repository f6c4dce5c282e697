/** The private directory of one build: gone when the build ends, however it ends. */
import { join } from "node:path";

/** Directories of one build, on this machine. All are empty at first. */
export interface WorkDir extends AsyncDisposable {
  /** Holds all the others. */
  readonly path: string;
  /** Becomes `/layers`. */
  readonly layers: string;
  /** Becomes the app directory. */
  readonly app: string;
  /** Becomes `/platform`. */
  readonly platform: string;
  /** Plans of buildpacks. */
  readonly temp: string;
  /** Unpacked archives of buildpacks. */
  readonly buildpacks: string;
  /** Leaves it to the user when it is disposed, under a name of its own, which is returned. */
  keep(): string;
}

/**
 * Makes one below `parent`, and first removes those that builds killed without warning left there: each holds
 * a lock that dies with its process, so an unlocked one is nobody's.
 *
 * @param removeTrees Deletes trees with any mode and owner.
 */
export async function openWorkDir(
  parent: string,
  removeTrees: (paths: readonly string[]) => Promise<void>,
): Promise<WorkDir> {
  await Deno.mkdir(parent, { recursive: true, mode: 0o711 });
  await removeTrees(await abandoned(parent));
  const path = await Deno.makeTempDir({ dir: parent, prefix: PREFIX });
  const lock = await Deno.open(join(path, LOCK), { create: true, write: true });
  await lock.lock(true);
  // The build user passes through when it is another one than we are; names inside are not secret.
  await Deno.chmod(path, 0o711);
  const names = ["layers", "app", "platform", "temp", "buildpacks"] as const;
  for (const name of names) {
    await Deno.mkdir(join(path, name));
    await Deno.chmod(join(path, name), 0o755);
  }
  const dirs = Object.fromEntries(names.map((name) => [name, join(path, name)])) as Record<
    typeof names[number],
    string
  >;
  let kept: string | undefined;
  return {
    path,
    ...dirs,
    keep: () => kept ??= join(parent, path.slice(path.lastIndexOf("/") + 1).replace(PREFIX, KEPT)),
    async [Symbol.asyncDispose]() {
      if (kept === undefined) await removeTrees([path]);
      else await Deno.rename(path, kept);
      lock.close();
    },
  };
}

const PREFIX = "wherry-build-";
/** Not what the next build clears away. */
const KEPT = "kept-";
const LOCK = ".lock";

async function abandoned(parent: string): Promise<readonly string[]> {
  const paths: string[] = [];
  for await (const entry of Deno.readDir(parent)) {
    if (!entry.isDirectory || !entry.name.startsWith(PREFIX)) continue;
    const path = join(parent, entry.name);
    try {
      // In a directory that all share, other people's are other people's.
      if (Deno.lstatSync(path).uid !== Deno.uid()) continue;
      using lock = await Deno.open(join(path, LOCK), { write: true });
      if (await lock.tryLock(true)) paths.push(path);
    } catch {
      // Being made or removed right now, or not ours to open.
    }
  }
  return paths;
}
