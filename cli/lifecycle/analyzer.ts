/** `analyzer`: what is there already, and on what the new image will stand (5). */
import { ExitCode } from "../../lifecycle/error.ts";
import { type Analyzed, formatAnalyzedToml } from "../../lifecycle/file/analyzed_toml.ts";
import { writeText } from "../../lifecycle/file/document.ts";
import { analyze } from "../../lifecycle/phase/analyze.ts";
import type { AccessCheck, AnalyzeResult, RunImage } from "../../lifecycle/phase/analyze_types.ts";
import { readImage } from "../../registry/image.ts";
import { machinePlatform } from "../platform.ts";
import { failing, PhaseFailure } from "./fail.ts";
import type { PhaseImages } from "./images.ts";
import { checkLaunchCache, checkParallel, checkSameRegistry, imageNames } from "./image_inputs.ts";
import {
  dropPrivileges,
  guardLayout,
  idsOf,
  onlyWord,
  openImages,
  openRegistryImages,
  type PhaseRun,
  refuseDaemon,
} from "./phase_run.ts";
import { chooseRunImage, readRunNames } from "./run_names.ts";

/** What analysis works on, resolved. */
export interface AnalyzeNames {
  /** The image to be. */
  readonly output: string;
  /** Its other names. */
  readonly tags: readonly string[];
  /** The image whose layers may be reused. */
  readonly previous: string;
  /** The base. */
  readonly runImage: string;
}

/** Runs the phase. */
export async function run(phase: PhaseRun): Promise<void> {
  const { inputs } = phase;
  const output = onlyWord(phase);
  const known = await readRunNames(phase);
  const names = imageNames(phase, [output, ...inputs.tags], known);
  await using images = await openImages(phase, names, [output, ...inputs.tags]);
  await using caches = await openRegistryImages(phase, [inputs.cacheImage], [inputs.cacheImage]);
  const resolved = await resolveNames(phase, output, known, images);
  checkParallel(phase);
  guardLayout(phase);
  refuseDaemon(phase);
  await dropPrivileges(phase, [inputs.layersDir, inputs.launchCacheDir]);
  await analyzeImages(phase, resolved, images, caches);
}

/**
 * Resolves and checks the images of an analysis (VAL-2 to VAL-5).
 *
 * @throws {PhaseFailure} 3.
 */
export async function resolveNames(
  phase: PhaseRun,
  output: string,
  known: Awaited<ReturnType<typeof readRunNames>>,
  images: PhaseImages,
): Promise<AnalyzeNames> {
  const { inputs } = phase;
  const tags = inputs.tags.filter((tag) => tag !== "");
  const runImage = await chooseRunImage(phase, known, output, images);
  checkLaunchCache(phase);
  imageNames(phase, [runImage], []);
  checkSameRegistry([output, ...tags]);
  return { output, tags, previous: inputs.previousImage || output, runImage };
}

/**
 * Analyzes and writes `analyzed.toml`.
 *
 * @throws {PhaseFailure} 32.
 */
export async function analyzeImages(
  phase: PhaseRun,
  names: AnalyzeNames,
  images: PhaseImages,
  caches: PhaseImages,
): Promise<{ readonly result: AnalyzeResult; readonly analyzed: Analyzed }> {
  const { inputs, can, ctx, log } = phase;
  const layers = { inside: inputs.layersDir, outside: inputs.layersDir };
  const found = await failing("analyze", ExitCode.analyze, ctx.signal, async () => {
    const previous = await images.open(names.previous);
    return await log.timed("Analyzer", () =>
      analyze({
        previous,
        run: () => openRun(phase, names.runImage, images),
        platform: machinePlatform(),
        owner: idsOf(phase),
        layers,
        access: accessChecks(phase, names, images, caches),
        skipLayers: inputs.skipLayers || inputs.skipRestore || !can.sboms,
      }, ctx));
  }).catch((error) => {
    if (!(error instanceof PhaseFailure)) throw error;
    const why = error.message.replace(/^failed to analyze: /, "");
    if (!why.startsWith("validating registry ")) throw error;
    throw new PhaseFailure(error.exitCode, "initialize analyzer", why, { cause: error });
  });
  const { runImage } = found.analyzed;
  const analyzed: Analyzed = can.targets ? found.analyzed : {
    ...found.analyzed,
    runImage: { reference: runImage.reference, image: "", extend: false },
  };
  await failing(
    "write analyzed metadata",
    ExitCode.failure,
    ctx.signal,
    () => writeText(inputs.analyzedPath, formatAnalyzedToml(analyzed)),
  );
  return { result: found, analyzed };
}

async function openRun(phase: PhaseRun, name: string, images: PhaseImages): Promise<RunImage> {
  const place = await images.open(name);
  const image = await readImage(
    place.registry,
    place.repository,
    place.reference,
    machinePlatform(),
    { signal: phase.ctx.signal },
  );
  if (image === undefined) {
    throw new Error(`getting run image: Image with name "${name}" not found`);
  }
  return { image, name, reference: `${place.repositoryName}@${image.raw.digest}` };
}

/** Reading first, then writing, each name once (AN-3). */
function accessChecks(
  { inputs }: PhaseRun,
  names: AnalyzeNames,
  images: PhaseImages,
  caches: PhaseImages,
): readonly AccessCheck[] {
  const read = [...new Set([names.previous, names.runImage])];
  const write = [...new Set([names.output, ...names.tags])];
  return [
    ...read.map((name) => images.access(name, "read")),
    ...(inputs.cacheImage === "" ? [] : [caches.access(inputs.cacheImage, "read/write")]),
    ...write.map((name) => images.access(name, "read/write")),
  ];
}
