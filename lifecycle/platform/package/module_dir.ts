/** Modules that lie in a directory: their descriptors, and the layers they become. */
import { join } from "node:path";
import type { Context } from "../../../registry/context.ts";
import type { TreeEntry } from "../../../registry/layer/entry.ts";
import { walkTree } from "../../../registry/layer/tree.ts";
import { compareBytes } from "../../../registry/compare_bytes.ts";
import { LifecycleError } from "../../error.ts";
import { parseBuildpackToml } from "../../file/buildpack_toml.ts";
import { readDocument } from "../../file/document.ts";
import { type ExtensionDescriptor, parseExtensionToml } from "../../file/extension_toml.ts";
import type { Target } from "../../file/module.ts";
import { makeLayers } from "../../phase/export_make.ts";
import type { LayerStore } from "../../phase/export_types.ts";
import { findTree } from "../platform_tree.ts";
import {
  insideOf,
  keyOf,
  type ModuleInfo,
  type ModuleKind,
  type PackagedModule,
} from "./module.ts";

/** A module in one or several directories: what lies in a later one covers what lies in an earlier. */
export interface ModuleDir {
  /** What its descriptor says. */
  readonly info: ModuleInfo;
  /** Absolute; at least one. */
  readonly dirs: readonly string[];
  /** Names directly below the first directory that are not part of it: trees for other platforms. */
  readonly without?: ReadonlySet<string> | undefined;
}

/**
 * Reads the module in `dir`.
 *
 * @throws {LifecycleError} When it has no descriptor or one without a version or an API, which a package has to have.
 */
export async function readModuleDir(
  dir: string,
  kind: ModuleKind = "buildpack",
): Promise<ModuleDir> {
  const file = join(dir, `${kind}.toml`);
  const descriptor = kind === "buildpack"
    ? await readDocument(file, parseBuildpackToml)
    : extensionAs(await readDocument(file, parseExtensionToml));
  if (descriptor === undefined) {
    throw new LifecycleError(1, `Cannot package ${dir}: it has no ${kind}.toml`);
  }
  const { api, id, version, name, homepage, targets, stacks, order } = descriptor;
  for (const [key, value] of [[`${kind}.version`, version], ["api", api]]) {
    if (value === "") throw new LifecycleError(1, `Cannot package ${file}: ${key} is missing`);
  }
  return { info: { kind, api, id, version, name, homepage, targets, stacks, order }, dirs: [dir] };
}

/** An extension has neither stacks nor an order. */
function extensionAs(descriptor: ExtensionDescriptor | undefined) {
  return descriptor && { ...descriptor, stacks: [], order: [] };
}

/**
 * The entries of a module's layer: owner 0:0, a fixed time, modes 0755 and 0644, so that the same files make the same
 * bytes whoever checked them out (BP-1).
 */
export function* moduleEntries({ info, dirs, without }: ModuleDir): Iterable<TreeEntry> {
  const inside = insideOf(info);
  const walk = (outside: string, parents: "configured" | "none") =>
    walkTree({ outside, inside }, { owner: { uid: 0, gid: 0 }, parents });
  const left = (name: string) => {
    const first = name.slice(inside.length + 1).split("/")[0]!;
    return without?.has(first) ?? false;
  };
  if (dirs.length === 1) {
    for (const entry of walk(dirs[0]!, "configured")) {
      if (!left(entry.name)) yield plain(entry, inside);
    }
    return;
  }
  const all = new Map<string, TreeEntry>();
  for (const [at, dir] of dirs.entries()) {
    for (const entry of walk(dir, at === 0 ? "configured" : "none")) {
      if (at === 0 && left(entry.name)) continue;
      all.set(entry.name, plain(entry, inside));
    }
  }
  yield* [...all.values()].sort((a, b) => compareSteps(a.name, b.name));
}

/** A pre-order: a directory comes before what it holds, siblings in byte order. */
function compareSteps(a: string, b: string): number {
  const left = a.split("/");
  const right = b.split("/");
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const order = compareBytes(left[at]!, right[at]!);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

const EXECUTABLES = new Set(["bin/detect", "bin/build", "bin/generate"]);

/** pack gives these modes: what somebody may execute, everybody may. */
function plain(entry: TreeEntry, inside: string): TreeEntry {
  const executable = entry.type === "directory" || entry.type === "symlink" ||
    (entry.mode & 0o111) !== 0 || EXECUTABLES.has(entry.name.slice(inside.length + 1));
  return { ...entry, mode: entry.type === "symlink" ? 0o777 : executable ? 0o755 : 0o644 };
}

/** Where the layers of modules are kept until an image has them. */
export interface LayerPlace {
  /** It. */
  readonly store: LayerStore;
  /** The repository of it. */
  readonly repository: string;
}

/** One layer to be made. */
export interface PlannedLayer {
  /** Names it for progress, and in the memory of what it was last time. */
  readonly id: string;
  /** For the image's history. */
  readonly createdBy: string;
  /** Its entries, anew at each call. */
  readonly entries: () => Iterable<TreeEntry>;
}

/** Makes layers; what is in the store already is neither compressed nor written again. In the order of `plans`. */
export async function planToLayers(
  plans: readonly PlannedLayer[],
  { store, repository }: LayerPlace,
  ctx: Context,
) {
  return await makeLayers(
    plans.map((plan) => ({ ...plan, field: "launch" as const, candidates: [] })),
    {
      previous: undefined,
      store,
      repository,
      fits: () => true,
      compression: "gzip",
      concurrency: 2,
      onMade: () => {},
      onLayer: () => {},
    },
    ctx,
  );
}

/**
 * Makes the layers of modules.
 *
 * @param groups Each becomes one layer; usually of one module, of several when a package is flattened.
 */
export async function layModules(
  groups: readonly (readonly ModuleDir[])[],
  place: LayerPlace,
  ctx: Context,
): Promise<readonly PackagedModule[]> {
  const made = await planToLayers(
    groups.map((modules) => {
      const names = modules.map(({ info }) => keyOf(info)).join(",");
      return {
        id: `${modules[0]!.info.kind}:${names}`,
        createdBy: `${modules[0]!.info.kind} ${names}`,
        entries: () => joined(modules),
      };
    }),
    place,
    ctx,
  );
  return groups.flatMap((modules, at) =>
    modules.map(({ info }) => ({ info, layer: made[at]!.layer }))
  );
}

/** The entries of several modules: directories above them once. */
function* joined(modules: readonly ModuleDir[]): Iterable<TreeEntry> {
  if (modules.length === 1) return yield* moduleEntries(modules[0]!);
  const seen = new Set<string>();
  for (const module of modules) {
    for (const entry of moduleEntries(module)) {
      if (entry.type === "directory") {
        if (seen.has(entry.name)) continue;
        seen.add(entry.name);
      }
      yield entry;
    }
  }
}

/** The module with the first of `trees` that it has, such as `linux/arm64`, over the files that all platforms share. */
export async function withTree(
  module: ModuleDir,
  trees: readonly string[],
  targets: readonly Target[],
): Promise<ModuleDir> {
  const root = module.dirs[0]!;
  const tree = await findTree(root, trees, targets);
  return tree === undefined ? module : { ...module, dirs: [root, tree.dir], without: tree.systems };
}
