/** `exporter`: layers, config and labels become an image, and the image gets its names (13). */
import type { Cache } from "../../lifecycle/cache/cache.ts";
import { ExitCode } from "../../lifecycle/error.ts";
import type { Analyzed } from "../../lifecycle/file/analyzed_toml.ts";
import { parseBuildBom } from "../../lifecycle/file/build_toml.ts";
import { readContained } from "../../lifecycle/file/contained.ts";
import { readDocument, writeText } from "../../lifecycle/file/document.ts";
import type { GroupMember } from "../../lifecycle/file/group_toml.ts";
import type { RunImageNames } from "../../lifecycle/file/lifecycle_metadata.ts";
import {
  type BuildMetadata,
  type OwnedBomEntry,
  parseMetadataToml,
} from "../../lifecycle/file/metadata_toml.ts";
import { escapeId } from "../../lifecycle/file/module.ts";
import { parseProjectMetadataToml } from "../../lifecycle/file/project_metadata_toml.ts";
import { formatReportToml } from "../../lifecycle/file/report_toml.ts";
import { runNamesFor } from "../../lifecycle/phase/analyze_run_image.ts";
import type { RunImage } from "../../lifecycle/phase/analyze_types.ts";
import {
  type ExtendedImage,
  hasExtendedImage,
  readExtendedImage,
} from "../../lifecycle/phase/extended_image.ts";
import { exportImage } from "../../lifecycle/phase/export.ts";
import type { Destination, LayerNotes } from "../../lifecycle/phase/export_types.ts";
import { readNotes } from "../../lifecycle/phase/note_file.ts";
import { type Image, pushImage, readImage } from "../../registry/image.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { openStore } from "../../registry/store/store.ts";
import { helperIfAny } from "../assets.ts";
import { machinePlatform } from "../platform.ts";
import { openCache } from "./caches.ts";
import { badArguments, badInputs, failing } from "./fail.ts";
import { checkCache, checkLaunchCache, checkSameRegistry, imageNames } from "./image_inputs.ts";
import { type OpenedImage, type PhaseImages, readName } from "./images.ts";
import { readLauncher, readOwnSboms } from "./launcher_input.ts";
import {
  dropPrivileges,
  guardExperimental,
  guardLayout,
  idsOf,
  openImages,
  openRegistryImages,
  type PhaseRun,
  readAnalyzed,
  readGroup,
  refuseDaemon,
  tempDir,
} from "./phase_run.ts";
import { readRunNames, sameName } from "./run_names.ts";

/** Runs the phase. */
export async function run(phase: PhaseRun): Promise<void> {
  const { inputs, words, ctx } = phase;
  if (words.length === 0) throw badArguments("at least one image argument is required");
  const tags = words.filter((name, at) => at === 0 || name !== "");
  refuseRunImage(phase);
  const analyzed = await failing(
    "resolve inputs",
    ExitCode.arguments,
    ctx.signal,
    () => readAnalyzed(phase),
  );
  if (!analyzed?.runImage?.reference) throw badInputs("run image not found in analyzed metadata");
  checkCache(phase);
  checkLaunchCache(phase);
  const names = imageNames(phase, tags, []);
  checkSameRegistry(tags);
  guardLayout(phase);
  const references = inputs.useLayout
    ? []
    : [analyzed.runImage.reference, analyzed.previousReference];
  await using images = await openImages(phase, [...names, ...references], tags);
  await using caches = await openRegistryImages(phase, [inputs.cacheImage], [inputs.cacheImage]);
  refuseDaemon(phase);
  await dropPrivileges(phase, [inputs.cacheDir, inputs.launchCacheDir]);
  const group = await readGroup(phase, ExitCode.export);
  if (!phase.can.stableExtensions && await hasExtendedImage(inputs.extendedDir)) {
    guardExperimental(phase, "Dockerfiles");
  }
  await using temp = await tempDir();
  const cache = await openCache(phase, caches, temp.path, ExitCode.export);
  try {
    const noted = readNotes({ inside: inputs.layersDir, outside: inputs.layersDir });
    cache?.believe?.(noted.cached);
    const notes = noted.layers;
    await exportBuild(
      phase,
      { tags, analyzed, group: group.group, images, cache, notes },
      temp.path,
    );
  } finally {
    await cache?.close();
  }
}

/**
 * The run image is the one that was analyzed (VAL-7).
 *
 * @throws {PhaseFailure} 3.
 */
function refuseRunImage({ inputs, io }: PhaseRun): void {
  if (inputs.runImage !== "" && inputs.runImage !== io.env["CNB_RUN_IMAGE"]) {
    throw badInputs("-run-image is unsupported");
  }
  if (inputs.oldRunImage !== "") throw badInputs("-image is unsupported");
}

/** What an export works on. */
export interface ExportWork {
  /** Names of the image, the first of all first. */
  readonly tags: readonly string[];
  /** What was analyzed. */
  readonly analyzed: Analyzed;
  /** Who took part, in order. */
  readonly group: readonly GroupMember[];
  /** Where images are. */
  readonly images: PhaseImages;
  /** What the next build finds. */
  readonly cache: Cache | undefined;
  /** Restored layers that can be told to be untouched. */
  readonly notes?: LayerNotes | undefined;
}

/**
 * Exports and writes `report.toml`; nothing is reported when a tag failed (RPT-2).
 *
 * @param scratch An existing private directory, for layers on their way.
 * @throws {PhaseFailure} 62.
 */
export async function exportBuild(
  phase: PhaseRun,
  work: ExportWork,
  scratch: string,
): Promise<void> {
  const { inputs, can, ctx, log } = phase;
  const { tags, analyzed, group, images, cache } = work;
  const { signal } = ctx;
  await failing("export", ExitCode.export, signal, async () => {
    const build = await readBuild(phase, group);
    const project = await readDocument(inputs.projectMetadataPath, parseProjectMetadataToml);
    if (project === undefined) {
      log.debug(`No project metadata found at path '${inputs.projectMetadataPath}'`);
    }
    const run = await openRun(phase, analyzed, images);
    const extended = await openExtended(phase, analyzed, run);
    const previous = await openPrevious(phase, analyzed, images);
    const target = await images.open(tags[0]!, true);
    const layouts = inputs.useLayout ? await openLayoutNames(tags, images) : [];
    await using store = await openStore(`${scratch}/store`, { temporary: true });
    const report = await log.timed("Exporter", async () => {
      const exported = await exportImage({
        platformApi: can.platformApi,
        run,
        extended,
        runNames: await namesForLabel(phase, run.name, build),
        previous,
        previousMetadata: analyzed.metadata,
        build,
        project,
        layers: { inside: inputs.layersDir, outside: inputs.layersDir },
        app: { inside: inputs.appDir, outside: inputs.appDir },
        // What the Go lifecycle would make here, so that either can reuse what the other made (TA-2).
        parents: "disk",
        owner: idsOf(phase),
        launcher: await readLauncher(phase, run.image.config.architecture),
        ownSboms: await readOwnSboms(phase),
        processType: inputs.processType || undefined,
        execEnv: can.execEnv ? inputs.execEnv : undefined,
        created: creationTime(phase),
        helper: helperIfAny(),
        store,
        storeRepository: "layers",
        to: target.registry,
        destinations: inputs.useLayout
          ? [{ ...destinationOf(tags[0]!), repository: target.repository }]
          : tags.map(destinationOf),
        cache,
        parallel: can.parallelExport && inputs.parallelExport,
        notes: work.notes,
      }, ctx);
      for (const layout of layouts) await keepOnly(exported.image, layout);
      return { ...exported.report, image: { ...exported.report.image, tags } };
    });
    const buildBom = can.legacyBomFiles ? undefined : readBuildBom(phase, group);
    await writeText(inputs.reportPath, formatReportToml({ ...report, buildBom }));
  });
}

/** A layout and what was in it before. */
interface LayoutName extends OpenedImage {
  readonly tag: string;
  readonly old: Descriptor | undefined;
}

/** In layouts each name is a place of its own. */
async function openLayoutNames(
  names: readonly string[],
  images: PhaseImages,
): Promise<readonly LayoutName[]> {
  return await Promise.all(names.map(async (name) => {
    const opened = await images.open(name, true);
    const old = await opened.registry.stat(opened.repository, opened.reference);
    return { ...opened, tag: destinationOf(name).tag, old };
  }));
}

/** Puts `image` into a layout, as the only one: what reads layouts of lifecycles wants one. */
async function keepOnly(image: Image, layout: LayoutName): Promise<void> {
  const { registry, repository, tag, old } = layout;
  await pushImage(image, registry, repository, { tags: [tag] });
  if (old !== undefined && old.digest !== image.raw.digest) {
    await registry.deleteManifest(repository, old.digest);
  }
}

function destinationOf(name: string): Destination & { readonly tag: string } {
  const { repository, tag, digest } = readName(name);
  if (digest !== undefined) {
    throw new Error(`Cannot write ${name}: its digest is not known before; want a tag`);
  }
  return { repository, tag: tag ?? "latest", name };
}

async function readBuild(
  phase: PhaseRun,
  group: readonly GroupMember[],
): Promise<BuildMetadata> {
  const path = `${phase.inputs.layersDir}/config/metadata.toml`;
  const build = await readDocument(path, parseMetadataToml);
  if (build === undefined) {
    throw new Error(`read build metadata: open ${path}: no such file or directory`);
  }
  // Whose layers are exported is said by group.toml; metadata.toml is what buildpacks could have touched.
  return { ...build, buildpacks: group };
}

async function openRun(
  phase: PhaseRun,
  { runImage }: Analyzed,
  images: PhaseImages,
): Promise<RunImage> {
  const reference = runImage?.reference ?? "";
  const image = await open(phase, reference, images);
  if (image === undefined) {
    throw new Error(`failed to access run image: Image with name "${reference}" not found`);
  }
  const { repositoryName } = await images.openReference(reference);
  return {
    image,
    name: runImage?.image ?? "",
    reference: `${repositoryName}@${image.raw.digest}`,
  };
}

/** What extensions made of the run image, when they did (EX-2). */
async function openExtended(
  { inputs, can, log }: PhaseRun,
  { runImage }: Analyzed,
  run: RunImage,
): Promise<ExtendedImage | undefined> {
  if (!can.runImageExtension || !runImage?.extend) return undefined;
  log.debug("Using config from extensions...");
  return await readExtendedImage(inputs.extendedDir, run.image.layers.length);
}

async function openPrevious(
  phase: PhaseRun,
  { previousReference }: Analyzed,
  images: PhaseImages,
): Promise<Image | undefined> {
  if (previousReference === "") return undefined;
  phase.log.info(`Reusing layers from image '${previousReference}'`);
  const image = await open(phase, previousReference, images);
  if (image === undefined) {
    throw new Error(`failed to access previous image: "${previousReference}" not found`);
  }
  return image;
}

async function open(
  { ctx: { signal } }: PhaseRun,
  name: string,
  images: PhaseImages,
): Promise<Image | undefined> {
  const { registry, repository, reference } = await images.openReference(name);
  return await readImage(registry, repository, reference, machinePlatform(), { signal });
}

/** The names of the run image that a rebase will ask for (EX-4). */
async function namesForLabel(
  phase: PhaseRun,
  runImage: string,
  build: BuildMetadata,
): Promise<RunImageNames | undefined> {
  const known = await readRunNames(phase);
  if (known.length === 0) return undefined;
  if (!phase.can.targets) return known[0];
  return runNamesFor(known, runImage, {
    extended: build.extensions.length > 0,
    normalize: sameName,
  });
}

/** `SOURCE_DATE_EPOCH` (CF-4). */
function creationTime({ io, can, log }: PhaseRun): Date | undefined {
  const text = io.env["SOURCE_DATE_EPOCH"];
  if (!can.sourceDateEpoch || text === undefined || text === "") return undefined;
  if (/^[+-]?\d{1,11}$/.test(text)) {
    // 0 is the zero time, which Go takes for none.
    return new Date(Number(text) * 1000);
  }
  log.warn("Ignoring invalid SOURCE_DATE_EPOCH");
  return undefined;
}

function readBuildBom(
  { inputs }: PhaseRun,
  group: readonly GroupMember[],
): readonly OwnedBomEntry[] {
  const found: OwnedBomEntry[] = [];
  const layers = { inside: inputs.layersDir, outside: inputs.layersDir };
  for (const { id, version } of group) {
    const path = `${inputs.layersDir}/${escapeId(id)}/build.toml`;
    const source = readContained(path, [layers]);
    if (source === undefined) continue;
    for (const entry of parseBuildBom(source, path)) {
      found.push({ ...entry, buildpack: { id, version } });
    }
  }
  return found;
}
