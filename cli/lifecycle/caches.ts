/** The cache a phase uses: an image before a directory (IN-0). */
import type { Cache } from "../../lifecycle/cache/cache.ts";
import { openDirCache } from "../../lifecycle/cache/dir_cache.ts";
import { openImageCache } from "../../lifecycle/cache/image_cache.ts";
import { failing } from "./fail.ts";
import type { PhaseImages } from "./images.ts";
import { machinePlatform } from "../platform.ts";
import type { PhaseRun } from "./phase_run.ts";

/**
 * Opens the cache.
 *
 * @param scratch An existing private directory, for layers on their way into a cache image.
 * @returns `undefined` when none was given.
 * @throws {PhaseFailure} `exitCode` when it cannot be opened.
 */
export async function openCache(
  phase: PhaseRun,
  caches: PhaseImages,
  scratch: string,
  exitCode: number,
): Promise<Cache | undefined> {
  const { inputs, can, ctx, log } = phase;
  if (inputs.cacheImage !== "") {
    return await failing(
      "create image cache",
      exitCode,
      ctx.signal,
      async () =>
        await openImageCache({
          place: await caches.open(inputs.cacheImage),
          platform: machinePlatform(),
          scratch,
          deleteOld: !can.keepsOldCacheImage,
          log,
        }, ctx.signal),
    );
  }
  if (inputs.cacheDir === "") return undefined;
  return await failing(
    "create volume cache",
    exitCode,
    ctx.signal,
    () => openDirCache(inputs.cacheDir, { signal: ctx.signal }),
  );
}
