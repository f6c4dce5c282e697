/** Checks of image names and of caches that several phases share (2.4). */
import type { RunImageNames } from "../../lifecycle/file/lifecycle_metadata.ts";
import { badInputs } from "./fail.ts";
import { readName } from "./images.ts";
import type { PhaseRun } from "./phase_run.ts";

/**
 * All names of images in the inputs, and `more`, each checked (VAL-3); those of `run.toml` are checked when they
 * are used.
 *
 * @throws {PhaseFailure} 3.
 */
export function imageNames(
  { inputs }: PhaseRun,
  more: readonly string[],
  known: readonly RunImageNames[],
): readonly string[] {
  const own = [...more, inputs.previousImage, inputs.runImage, inputs.buildImage, inputs.cacheImage]
    .filter((name) => name !== "");
  if (more[0] === "") throw badInputs("image argument is required");
  for (const name of own) readName(name);
  const others = known.flatMap(({ image, mirrors }) => [image, ...mirrors]).filter((name) => {
    try {
      readName(name);
      return true;
    } catch {
      return false;
    }
  });
  return [...new Set([...own, ...others])];
}

/**
 * All destinations must be on one registry (VAL-4).
 *
 * @throws {PhaseFailure} 3.
 */
export function checkSameRegistry(names: readonly string[]): void {
  const hosts = new Set(names.map((name) => readName(name).registry));
  if (hosts.size > 1) throw badInputs("writing to multiple registries is unsupported");
}

/** Warns when there is no cache (VAL-8). */
export function checkCache({ inputs, log }: PhaseRun): void {
  if (inputs.cacheImage === "" && inputs.cacheDir === "") {
    log.warn("No cached data will be used, no cache specified.");
  }
}

/** Warns of a launch cache, which takes a daemon (VAL-8). */
export function checkLaunchCache({ inputs, log }: PhaseRun): void {
  if (inputs.launchCacheDir !== "" && !inputs.useDaemon) {
    log.warn("Ignoring -launch-cache, only intended for use with -daemon");
  }
}

/** Warns when there is nothing to do in parallel (VAL-8). */
export function checkParallel({ inputs, log }: PhaseRun): void {
  if (!inputs.parallelExport || inputs.cacheImage !== "" || inputs.cacheDir !== "") return;
  log.warn(
    "Parallel export has been enabled, but it has not taken effect because no cache has been specified.",
  );
}
