/** Directories of a build where nothing can be mounted: in the builder's own root, or in the copy that extensions changed. */
import { prepareApp } from "./app_source.ts";
import type { SiteRequest } from "./build_site_types.ts";
import { type Gathered, withDirs } from "./gathered.ts";
import type { Dir } from "../sandbox/executor.ts";
import { type Placed, placeInside } from "./place_inside.ts";
import type { WorkDir } from "./work_dir.ts";

/** Copies of the buildpacks that the builder does not bring, where it would have them. */
export async function bringInside(
  gathered: Gathered,
  { builder }: SiteRequest,
  placed: Placed,
  signal: AbortSignal,
): Promise<Gathered> {
  const own = new Set(builder?.buildpacks.map(({ dir }) => dir.outside));
  return await withDirs(gathered, async ({ dir }) => {
    if (own.has(dir.outside)) return dir.outside;
    const copy = await placed.place(dir.inside);
    await prepareApp(dir.outside, copy, signal);
    return copy;
  });
}

/** What lies in the builder's root moves to its copy, which is removed as a whole. */
export async function moveInto(
  tree: string,
  { appDir, builder, machine }: SiteRequest,
  work: WorkDir,
  gathered: Gathered,
): Promise<{ readonly work: WorkDir; readonly gathered: Gathered }> {
  const placed = placeInside(tree, machine.helper);
  const move = async ({ inside, outside }: Dir) => {
    const path = await placed.place(inside);
    await Deno.rename(outside, path);
    return path;
  };
  const own = new Set(builder?.buildpacks.map(({ dir }) => dir.outside));
  return {
    work: {
      ...work,
      layers: await move({ inside: "/layers", outside: work.layers }),
      app: await move({ inside: appDir, outside: work.app }),
      platform: await move({ inside: "/platform", outside: work.platform }),
      temp: await move({ inside: "/cnb/plans", outside: work.temp }),
    },
    gathered: await withDirs(
      gathered,
      async ({ dir }) => own.has(dir.outside) ? dir.outside : await move(dir),
    ),
  };
}
