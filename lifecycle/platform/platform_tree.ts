/** Buildpacks for several platforms in one directory: `linux/arm64/bin` and the like lie over what all of them share. */
import { join } from "node:path";
import type { Target } from "../file/module.ts";
import { prepareApp } from "./app_source.ts";

/** A platform as targets name it. */
export interface TreePlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

/**
 * Names of the directories that may hold what is for `platform` alone, the most special first: `linux/arm64/v8`.
 *
 * @param distros Those whose own directories count, too.
 */
export function treesOf(
  { os, architecture, variant }: TreePlatform,
  distros: Target["distros"] = [],
): readonly string[] {
  const base = [
    os,
    `${os}/${architecture}`,
    ...(variant ? [`${os}/${architecture}/${variant}`] : []),
  ].reverse();
  const special = distros.map(({ name, version }) =>
    `${base[0]}/${version ? `${name}@${version}` : name}`
  );
  return [...special, ...base];
}

/** What of a module's directory is for one platform. */
export interface PlatformTree {
  /** The directory, absolute. */
  readonly dir: string;
  /** Names at the root that hold such trees and are no part of the module. */
  readonly systems: ReadonlySet<string>;
}

/** The first of `trees` that has a `bin` in `root`. */
export async function findTree(
  root: string,
  trees: readonly string[],
  targets: readonly Target[],
): Promise<PlatformTree | undefined> {
  for (const tree of trees) {
    const dir = join(root, tree);
    const bin = await Deno.stat(join(dir, "bin")).catch(() => undefined);
    if (!bin?.isDirectory) continue;
    const names = [tree, ...targets.map(({ os }) => os)].map((one) => one.split("/")[0]!);
    return { dir, systems: new Set(names.filter((name) => name !== "")) };
  }
  return undefined;
}

/** A copy of `root`, below `scratch`, with the platform's files over those of all. */
export async function layTree(
  root: string,
  { dir, systems }: PlatformTree,
  scratch: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<string> {
  const into = join(scratch, `platform-${crypto.randomUUID().slice(0, 8)}`);
  const over = `${into}-over`;
  await Deno.mkdir(into);
  await Deno.mkdir(over);
  await prepareApp(root, into, signal, (path) => !systems.has(path));
  await prepareApp(dir, over, signal);
  mergeInto(over, into);
  await Deno.remove(over, { recursive: true });
  return into;
}

/** Moves what is in `from` over what is in `to`. */
function mergeInto(from: string, to: string): void {
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    const target = join(to, name);
    const there = statQuietly(target);
    if (isDirectory && there?.isDirectory) {
      mergeInto(join(from, name), target);
      continue;
    }
    if (there !== undefined) Deno.removeSync(target, { recursive: true });
    Deno.renameSync(join(from, name), target);
  }
}

function statQuietly(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch {
    return undefined;
  }
}
