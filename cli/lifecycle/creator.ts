/** `creator`: all phases in one process (14). */
import { ExitCode } from "../../lifecycle/error.ts";
import type { LayerNotes } from "../../lifecycle/phase/export_types.ts";
import { noteLayers } from "../../lifecycle/phase/layer_notes.ts";
import { PhaseFailure } from "./fail.ts";
import { analyzeImages, resolveNames } from "./analyzer.ts";
import { buildGroup } from "./builder.ts";
import { openCache } from "./caches.ts";
import { buildpackInput, detectGroup } from "./detector.ts";
import { exportBuild } from "./exporter.ts";
import { checkCache, checkParallel, imageNames } from "./image_inputs.ts";
import {
  dropPrivileges,
  guardLayout,
  idsOf,
  onlyWord,
  openImages,
  openRegistryImages,
  type PhaseRun,
  refuseDaemon,
  tempDir,
  userEnv,
} from "./phase_run.ts";
import { withOldRunImage } from "./old_run_image.ts";
import { restoreLayers } from "./restorer.ts";
import { readRunNames } from "./run_names.ts";

/** Runs all phases. */
export async function run(given: PhaseRun): Promise<void> {
  const output = onlyWord(given);
  const phase = withOldRunImage(given);
  const { inputs, can, log } = phase;
  const known = await readRunNames(phase);
  const names = imageNames(phase, [output, ...inputs.tags], known);
  await using images = await openImages(phase, names, [output, ...inputs.tags]);
  await using caches = await openRegistryImages(phase, [inputs.cacheImage], [inputs.cacheImage]);
  checkCache(phase);
  const resolved = await resolveNames(phase, output, known, images);
  checkParallel(phase);
  guardLayout(phase);
  refuseDaemon(phase);
  await dropPrivileges(phase, [inputs.cacheDir, inputs.launchCacheDir, inputs.layersDir]);
  const env = { ...phase.io.env, ...await userEnv(phase) };
  await using temp = await tempDir();
  const cache = await openCache(phase, caches, temp.path, ExitCode.failure);
  try {
    log.step("ANALYZING");
    const { analyzed } = await analyzeImages(phase, resolved, images, caches);
    log.step("DETECTING");
    const input = await buildpackInput(phase, analyzed, temp.path, env);
    const { group, plan } = await detectGroup(phase, input);
    if (group.extensions.length > 0) {
      throw new PhaseFailure(
        ExitCode.detect,
        "detect",
        "detected order contains extensions which is not supported by the creator",
      );
    }
    // Below P0.10 nothing at all is restored when nothing is to be (CR-3).
    let notes: LayerNotes | undefined;
    if (!inputs.skipRestore || can.skippingRestoresStore) {
      log.step("RESTORING");
      const { written } = await restoreLayers(phase, group.group, analyzed.metadata, cache, true);
      // Else something that detection left running could write to them unseen.
      if (!input.executor.leavesProcesses) {
        notes = await noteLayers(written, { owner: idsOf(phase), parents: "disk" }, phase.ctx);
      }
    }
    log.step("BUILDING");
    await buildGroup(phase, input, group, plan);
    log.step("EXPORTING");
    const tags = [resolved.output, ...resolved.tags];
    await exportBuild(
      phase,
      { tags, analyzed, group: group.group, images, cache, notes },
      temp.path,
    );
  } finally {
    await cache?.close();
  }
}
