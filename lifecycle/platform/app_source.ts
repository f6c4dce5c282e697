/** The app as the build will see it: a private copy, so that buildpacks never change the checkout. */
import { join } from "node:path";
import { untarTo } from "../../registry/layer/extract.ts";
import { LifecycleError } from "../error.ts";

/**
 * What of the app goes into the build: asked for each path relative to the app, directories before what they hold.
 * `look inside` enters a directory without keeping it for its own sake.
 */
export type AppFilter = (path: string, isDirectory: boolean) => boolean | "look inside";

/** What a path given as the app turned out to be. */
export type AppKind = "directory" | "zip" | "tar";

/**
 * Puts the app at `path` into the empty directory `into`.
 *
 * Modes of files and directories are kept, links are copied as links, hard links become files of their own.
 * The directory itself is 0755 whatever the source says, because the image's user has to enter it.
 *
 * @param path A directory, a zip or jar file, or a (compressed) tar.
 * @param filter What of it is wanted; all without one.
 * @returns What it was, and the names of special files that were left out.
 * @throws {LifecycleError} Exit code 1 or 3, naming `path`, when there is nothing to build.
 */
export async function prepareApp(
  path: string,
  into: string,
  signal: AbortSignal,
  filter?: AppFilter,
): Promise<{ readonly kind: AppKind; readonly skipped: readonly string[] }> {
  const kind = await kindOfApp(path);
  const skipped: string[] = [];
  if (kind === "directory") {
    try {
      await copyTree({ from: path, to: into, skipped, signal, filter }, "");
    } catch (cause) {
      throw copyError(path, cause, signal);
    }
  } else if (kind === "zip") {
    const { unzipTo } = await import("../../registry/layer/unzip.ts"); // few apps are archives
    await unzipTo(into, path);
  } else {
    using file = await Deno.open(path);
    await untarTo(into, file.readable);
  }
  if (kind !== "directory" && filter !== undefined) removeUnwanted(into, "", filter);
  // A volume that an engine mounted for us is open to all, and not ours to change.
  if (Deno.statSync(into).uid === Deno.uid() || Deno.uid() === 0) await Deno.chmod(into, 0o755);
  return { kind, skipped };
}

/** The system's words name the file; where the copy would have been is of no use to anybody. */
function copyError(path: string, cause: unknown, signal: AbortSignal): unknown {
  if (signal.aborted || cause instanceof LifecycleError || !(cause instanceof Error)) return cause;
  const seen = cause.message.replace(/ \(os error \d+\)/, "").replace(/ -> '.*'$/, "");
  return new LifecycleError(1, `Cannot copy app ${JSON.stringify(path)}: ${seen}`, { cause });
}

/**
 * What is at `path`.
 *
 * @throws {LifecycleError} 3 when no app can be had of it.
 */
export async function kindOfApp(path: string): Promise<AppKind> {
  let stat: Deno.FileInfo;
  try {
    stat = await Deno.stat(path);
  } catch (cause) {
    throw new LifecycleError(
      3,
      `Cannot read app ${JSON.stringify(path)}: no such file or directory`,
      { cause },
    );
  }
  if (stat.isDirectory) return "directory";
  const magic = new Uint8Array(4);
  using file = await Deno.open(path);
  await file.read(magic);
  if (magic[0] === 0x50 && magic[1] === 0x4b) return "zip";
  if (/\.(tar|tgz|tar\.gz|tar\.zst)$/.test(path)) return "tar";
  throw new LifecycleError(
    3,
    `Cannot read app ${JSON.stringify(path)}: want a directory, a zip or jar file, or a tar`,
  );
}

const LARGE = 1024 * 1024;

interface Copying {
  readonly from: string;
  readonly to: string;
  readonly skipped: string[];
  readonly signal: AbortSignal;
  readonly filter: AppFilter | undefined;
}

async function copyTree(copying: Copying, below: string): Promise<void> {
  const { from, to, skipped, signal, filter } = copying;
  signal.throwIfAborted();
  for (const entry of Deno.readDirSync(join(from, below))) {
    const name = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.name.includes("\ufffd")) {
      // Such a name cannot be opened by this runtime: to leave the file out silently would be worse.
      throw new LifecycleError(
        1,
        `Cannot copy app ${JSON.stringify(from)}: a name in ${
          JSON.stringify(below || ".")
        } is not UTF-8`,
      );
    }
    const wanted = filter?.(name, entry.isDirectory) ?? true;
    if (wanted === false) continue;
    const source = join(from, name);
    const target = join(to, name);
    if (entry.isSymlink) Deno.symlinkSync(Deno.readLinkSync(source), target);
    else if (entry.isDirectory) {
      const { mode } = Deno.lstatSync(source);
      Deno.mkdirSync(target);
      await copyTree(copying, name);
      if (wanted === "look inside" && isEmpty(target)) Deno.removeSync(target);
      else Deno.chmodSync(target, (mode ?? 0o755) & 0o7777);
    } else if (entry.isFile) {
      const { mode, size } = Deno.lstatSync(source);
      // Measured: one call that blocks is faster for small files, the other for large ones.
      if (size < LARGE) Deno.copyFileSync(source, target);
      else await Deno.copyFile(source, target);
      Deno.chmodSync(target, (mode ?? 0o644) & 0o7777);
    } else skipped.push(name);
  }
}

/** The same choice after the fact, for archives. */
function removeUnwanted(root: string, below: string, filter: AppFilter): void {
  for (const entry of [...Deno.readDirSync(join(root, below))]) {
    const name = below === "" ? entry.name : `${below}/${entry.name}`;
    const path = join(root, name);
    const wanted = filter(name, entry.isDirectory);
    if (wanted === false) Deno.removeSync(path, { recursive: true });
    else if (entry.isDirectory) {
      removeUnwanted(root, name, filter);
      if (wanted === "look inside" && isEmpty(path)) Deno.removeSync(path);
    }
  }
}

function isEmpty(dir: string): boolean {
  return Deno.readDirSync(dir)[Symbol.iterator]().next().done === true;
}
