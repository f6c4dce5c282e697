/** Buildpacks that were found, and where they lie. */
import { join } from "node:path";
import { type GroupOrder, moduleName } from "../file/module.ts";
import type { Buildpack, BuildpackStore } from "../phase/detect_types.ts";
import { prepareApp } from "./app_source.ts";
import { compareVersions } from "./module_version.ts";
import { isPassable } from "./passable.ts";

/** What will be tried. */
export interface Gathered {
  /** All that may take part. `dir.inside` is `/cnb/buildpacks/<id>/<version>`. */
  readonly store: BuildpackStore;
  /** Groups, best first. */
  readonly order: GroupOrder;
  /** The same buildpacks as a list, without repetition. */
  readonly all: readonly Buildpack[];
  /** What people should be told about the order. */
  readonly warnings: readonly string[];
}

/** Finds buildpacks by id and version; without a version the newest. */
export function storeOf(found: ReadonlyMap<string, Buildpack>): BuildpackStore {
  return {
    find: (id, version) => {
      if (version) return found.get(`${id}@${version}`);
      const versions = [...found.values()].filter((one) => one.descriptor.id === id);
      return versions.sort((a, b) => compareVersions(a.descriptor.version, b.descriptor.version))
        .at(-1);
    },
  };
}

/** The same buildpacks, those that others cannot get to as copies in `into`. */
export async function bringNear(
  gathered: Gathered,
  into: string,
  signal: AbortSignal,
): Promise<Gathered> {
  let copies = 0;
  return await withDirs(gathered, async ({ dir: { outside } }) => {
    if (isPassable(outside)) return outside;
    const copy = join(into, `near-${copies++}`);
    await Deno.mkdir(copy);
    await prepareApp(outside, copy, signal);
    return copy;
  });
}

/** The same buildpacks, each where `move` says it lies. */
export async function withDirs(
  gathered: Gathered,
  move: (buildpack: Buildpack) => Promise<string>,
): Promise<Gathered> {
  const moved = new Map<string, Buildpack>();
  for (const buildpack of gathered.all) {
    const dir = { ...buildpack.dir, outside: await move(buildpack) };
    moved.set(moduleName(buildpack.descriptor), { ...buildpack, dir });
  }
  return { ...gathered, store: storeOf(moved), all: [...moved.values()] };
}
