/** `restorer`: brings back what the last build left (8). */
import { ExitCode } from "../../lifecycle/error.ts";
import { type Analyzed, formatAnalyzedToml } from "../../lifecycle/file/analyzed_toml.ts";
import type { Cache } from "../../lifecycle/cache/cache.ts";
import { writeText } from "../../lifecycle/file/document.ts";
import type { Group, GroupMember } from "../../lifecycle/file/group_toml.ts";
import type { LifecycleMetadata } from "../../lifecycle/file/lifecycle_metadata.ts";
import { EMPTY_METADATA } from "../../lifecycle/phase/analyze_types.ts";
import { restore } from "../../lifecycle/phase/restore.ts";
import { noteLayers } from "../../lifecycle/phase/layer_notes.ts";
import { writeNotes } from "../../lifecycle/phase/note_file.ts";
import type { RestoredLayer, RestoreResult } from "../../lifecycle/phase/restore_types.ts";
import { type Image, readImage } from "../../registry/image.ts";
import { helperIfAny } from "../assets.ts";
import { machinePlatform } from "../platform.ts";
import { openCache } from "./caches.ts";
import { failing, messageOf, PhaseFailure } from "./fail.ts";
import { checkCache, imageNames } from "./image_inputs.ts";
import type { OpenedImage, PhaseImages } from "./images.ts";
import {
  dropPrivileges,
  idsOf,
  noWords,
  openImages,
  openRegistryImages,
  type PhaseRun,
  readAnalyzed,
  readGroup,
  refuseDaemon,
  tempDir,
} from "./phase_run.ts";
import { readRunNames, sameName } from "./run_names.ts";
import { KANIKO, saveSparse } from "./sparse_layout.ts";
import { runTarget } from "../../lifecycle/phase/run_target.ts";

/** Runs the phase. */
export async function run(phase: PhaseRun): Promise<void> {
  const { inputs, ctx } = phase;
  noWords(phase);
  checkCache(phase);
  const before = await readUsable(phase);
  const names = imageNames(phase, [], []);
  const runName = before?.runImage?.image ?? "";
  await using images = await openImages(phase, [...names, runName], []);
  await using registries = await openRegistryImages(phase, [...names, runName], [
    inputs.cacheImage,
  ]);
  refuseDaemon(phase);
  await dropPrivileges(phase, [inputs.layersDir, inputs.cacheDir, KANIKO]);
  const group = await readGroup(phase, ExitCode.restore);
  if (before !== undefined) {
    const after = await updateAnalyzed(phase, before, group, images, registries);
    if (after !== before) {
      await failing(
        "write analyzed metadata",
        ExitCode.restore,
        ctx.signal,
        () => writeText(inputs.analyzedPath, formatAnalyzedToml(after)),
      );
    }
  }
  await using temp = await tempDir();
  const cache = await openCache(phase, registries, temp.path, ExitCode.restore);
  try {
    const app = before?.metadata ?? EMPTY_METADATA;
    const { written } = await restoreLayers(phase, group.group, app, cache, true);
    if (written.length > 0) await leaveNotes(phase, written, cache);
  } finally {
    await cache?.close();
  }
}

/** A file that cannot be read is not used here (ANT-2). */
async function readUsable(phase: PhaseRun): Promise<Analyzed | undefined> {
  try {
    return await readAnalyzed(phase);
  } catch (error) {
    phase.log.warn(`Not using analyzed data, usable file not found: ${messageOf(error)}`);
    return undefined;
  }
}

/**
 * Restores.
 *
 * @param forLater As {@linkcode restore} has it.
 * @throws {PhaseFailure} 42.
 */
export async function restoreLayers(
  phase: PhaseRun,
  group: readonly GroupMember[],
  app: LifecycleMetadata,
  cache: Cache | undefined,
  forLater = false,
): Promise<RestoreResult> {
  const { inputs, can, ctx, log } = phase;
  const layers = { inside: inputs.layersDir, outside: inputs.layersDir };
  const helper = helperIfAny();
  const skipLayers = inputs.skipLayers || inputs.skipRestore;
  return await failing(
    "restore",
    ExitCode.restore,
    ctx.signal,
    () =>
      log.timed(
        "Restorer",
        () =>
          restore({
            ...{ group, app, cache, layers, skipLayers, capability: can, helper, forLater },
            looks: forLater,
          }, ctx),
      ),
  );
}

/** Tells the exporter, another process, what it need not read again. */
async function leaveNotes(
  phase: PhaseRun,
  written: readonly RestoredLayer[],
  cache: Cache | undefined,
): Promise<void> {
  const { inputs: { layersDir }, ctx } = phase;
  try {
    const walk = { owner: idsOf(phase), parents: "disk" } as const;
    const layers = await noteLayers(written, walk, ctx);
    const cached = cache?.marks ?? new Map();
    await writeNotes({ inside: layersDir, outside: layersDir }, { layers, cached });
  } catch (error) {
    ctx.signal.throwIfAborted();
    phase.log.debug(`The exporter will hash all layers: ${messageOf(error)}`);
  }
}

/** What is known of build and run image for those who extend them (RE-2). */
async function updateAnalyzed(
  phase: PhaseRun,
  before: Analyzed,
  group: Group,
  images: PhaseImages,
  registries: PhaseImages,
): Promise<Analyzed> {
  const { inputs, can, log } = phase;
  let after = before;
  if (inputs.buildImage !== "" && takesBuildImage(can.platformApi)) {
    log.debug(`Pulling builder image metadata for ${inputs.buildImage}...`);
    const reference = await sparse(phase, inputs.buildImage, registries, "builder");
    after = { ...after, buildReference: reference };
  }
  const { runImage } = before;
  if (runImage === undefined) return after;
  if (can.restoreChecksRunImage) await checkRunImage(phase, runImage.image, images);
  const name = runImage.image || runImage.reference;
  if (can.targets && runImage.extend) {
    log.debug(`Pulling run image metadata for ${name}...`);
    // In layouts too, where Go extends nothing (OL-4).
    await sparse(phase, name, inputs.useLayout ? images : registries, "run");
  } else if (group.extensions.length === 0 || runImage.target?.os) return after;
  const { image, place } = await readNamed(phase, name, images, "run");
  return {
    ...after,
    runImage: {
      ...runImage,
      reference: `${place.repositoryName}@${image.raw.digest}`,
      ...(can.targets ? { target: runTarget(image.config, name) } : {}),
    },
  };
}

/** `-build-image` came with P0.10; below it the variable means nothing. */
function takesBuildImage(platformApi: string): boolean {
  return Number(platformApi.split(".")[1]) >= 10;
}

/** A run image of `run.toml` must still be readable; the choice among mirrors is not made again. */
async function checkRunImage(phase: PhaseRun, name: string, images: PhaseImages): Promise<void> {
  if (name === "") return;
  const known = (await readRunNames(phase)).flatMap(({ image, mirrors }) => [image, ...mirrors]);
  if (!known.some((one) => sameName(one) === sameName(name))) return;
  if (await images.readable(name)) return;
  throw new PhaseFailure(
    ExitCode.failure,
    "check run image",
    `selected run image '${name}' is not accessible`,
  );
}

async function sparse(
  phase: PhaseRun,
  name: string,
  registries: PhaseImages,
  what: "builder" | "run",
): Promise<string> {
  const { image, place } = await readNamed(phase, name, registries, what);
  await failing(`save ${what} image ${name}`, ExitCode.restore, phase.ctx.signal, async () => {
    if (!await Deno.stat(KANIKO).then((info) => info.isDirectory, () => false)) return;
    await saveSparse(image, `${KANIKO}/cache/base/${image.raw.digest}`);
  });
  return `${place.repositoryName}@${image.raw.digest}`;
}

async function readNamed(
  phase: PhaseRun,
  name: string,
  images: PhaseImages,
  what: "builder" | "run",
): Promise<{ readonly image: Image; readonly place: OpenedImage }> {
  const { signal } = phase.ctx;
  return await failing(`pull ${what} image ${name}`, ExitCode.restore, signal, async () => {
    const place = await images.open(name);
    const { registry, repository, reference } = place;
    const image = await readImage(registry, repository, reference, machinePlatform(), { signal });
    if (image === undefined) throw new Error("failed to get remote image");
    return { image, place };
  });
}
