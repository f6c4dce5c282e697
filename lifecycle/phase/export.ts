/** The last phase: layers, config and labels become an image, and the image gets its names. */
import type { Context } from "../../registry/context.ts";
import { type Image, type Layer, makeImage } from "../../registry/image.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { isDockerType } from "../../registry/oci/media_type.ts";
import { platformCapabilities } from "../api.ts";
import { ExitCode, failAs } from "../error.ts";
import type {
  BuildpackLayers,
  LayerMetadata,
  LifecycleMetadata,
} from "../file/lifecycle_metadata.ts";
import type { ReportFile } from "../file/report_toml.ts";
import { exportCache } from "./export_cache.ts";
import { checkImage } from "./export_check.ts";
import { checkProcessTypes, chooseDefaultType, composeConfig } from "./export_config.ts";
import { composeLabels } from "./export_labels.ts";
import { type MadeLayer, makeLayers } from "./export_make.ts";
import { refuseTakenNames } from "./export_names.ts";
import { type BuildpackOnDisk, type LayerPlan, planLayers, readBuildpacks } from "./export_plan.ts";
import { type EarlyPush, pushToAll, startPush } from "./export_push.ts";
import { CacheSpools } from "./export_spool.ts";
import { type MadeExtensionLayer, makeExtensionLayers } from "./export_extended.ts";
import { writeOwnSboms } from "./export_sbom.ts";
import type { ExportInput, ExportResult } from "./export_types.ts";
import { DEFAULT_CREATED } from "./created.ts";

/** Layers made at once: each hashes on the main thread, so more would not be faster. */
const CONCURRENCY = 2;

/**
 * Makes the app image, pushes it, and then writes the cache (13, 12). The same input gives the same digest.
 * Nothing can be pulled before it is whole; a cache that cannot be written costs a warning (SV-3).
 *
 * @throws {LifecycleError} 62 with what is wrong; after a failed tag all others were written (SV-1).
 */
export async function exportImage(input: ExportInput, ctx: Context): Promise<ExportResult> {
  return await failAs(ExitCode.export, ctx.signal, async () => {
    refuseTakenNames(input.destinations, input.run.name, input.runNames);
    const types = input.build.processes.map(({ type }) => type);
    checkProcessTypes(types);
    const defaultType = chooseDefaultType(
      types,
      input.processType,
      input.build.defaultProcessType || undefined,
    );
    writeOwnSboms(input.layers, input.ownSboms ?? []);
    const buildpacks = await readBuildpacks(input);
    const plans = await planLayers(input, buildpacks, ctx.signal);
    const repository = input.destinations[0]?.repository;
    if (repository === undefined) throw new TypeError("Cannot export image: it has no destination");
    await using early = startPush(input.to, repository, ctx);
    for (const layer of asBefore(input, repository)) early.add(layer);
    const extensions = input.extended === undefined
      ? []
      : await makeExtensionLayers(input.extended, input.run, {
        store: input.store,
        repository: input.storeRepository,
        compression: compressionFor(input, isDockerType(input.run.image.raw.mediaType), ctx),
      }, ctx);
    for (const { layer } of extensions) early.add(layer);
    await using spools = await CacheSpools.of(input.cache, ctx);
    const made = await makeAll(plans, input, { early, spools }, ctx);
    const image = composeImage(input, buildpacks, extensions, made, defaultType, ctx);
    checkImage(image, input.run.image);
    const push = (ctx: Context) => pushToAll(image, input.to, input.destinations, early, ctx);
    const save = async (ctx: Context) => {
      if (input.cache) await saveCache(input, buildpacks, { made, spools }, ctx);
    };
    if (input.parallel) await together(push, save, ctx);
    else {
      await push(ctx);
      await save(ctx);
    }
    return {
      image,
      report: reportOf(input, image),
      layers: made.map(({ id, diffId, how }) => ({ id, diffId, how })),
    };
  });
}

/** The base's layers; those that the previous image has in the repository already need not be mounted again. */
function asBefore({ run, previous, to }: ExportInput, repository: string): readonly Layer[] {
  const there = new Map(
    previous?.layers
      .filter(({ origin }) =>
        (origin?.registry as unknown) === to && origin?.repository === repository
      )
      .map((layer) => [layer.descriptor.digest, layer]),
  );
  return run.image.layers.map((layer) => there.get(layer.descriptor.digest) ?? layer);
}

/** Both at once; an image that cannot be pushed ends the cache too (SV-3). */
async function together(
  push: (ctx: Context) => Promise<void>,
  save: (ctx: Context) => Promise<void>,
  ctx: Context,
): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([ctx.signal, stop.signal]);
  const { log } = ctx;
  const stoppable: Context = {
    signal,
    log,
    now: () => ctx.now(),
    meter: (label, total) => ctx.meter(label, total),
  };
  const saving = save(stoppable);
  saving.catch(() => {}); // told below, when the push is over
  try {
    await push(ctx);
  } catch (error) {
    stop.abort(error);
    await saving.catch(() => {});
    throw error;
  }
  await saving;
}

async function makeAll(
  plans: readonly LayerPlan[],
  input: ExportInput,
  { early, spools }: { readonly early: EarlyPush; readonly spools: CacheSpools | undefined },
  ctx: Context,
): Promise<readonly MadeLayer[]> {
  const docker = isDockerType(input.run.image.raw.mediaType);
  const compression = compressionFor(input, docker, ctx);
  const apps = { reused: 0, added: 0 };
  const total = plans.filter(({ field }) => field === "app").length;
  return await makeLayers(plans, {
    previous: input.previous,
    helper: input.helper,
    notes: input.notes,
    spools,
    store: input.store,
    repository: input.storeRepository,
    compression,
    fits: (mediaType) => !docker || !mediaType.endsWith("+zstd"),
    concurrency: input.concurrency ?? CONCURRENCY,
    onMade: ({ layer }) => early.add(layer),
    onLayer: ({ plan, id, how }) => {
      const word = how === "reused" ? "Reusing" : "Adding";
      if (plan.field !== "app") {
        ctx.log.info(`${word} layer '${id}'`);
        return;
      }
      ctx.log.debug(`${word} layer '${id}'`);
      apps[how === "reused" ? "reused" : "added"]++;
      if (apps.reused + apps.added < total) return;
      if (apps.reused > 0) ctx.log.info(`Reused ${apps.reused}/${total} app layer(s)`);
      if (apps.added > 0) ctx.log.info(`Added ${apps.added}/${total} app layer(s)`);
    },
  }, ctx);
}

/** Docker's media types know no zstd, and an image stays within one family (CF-6). */
function compressionFor(input: ExportInput, docker: boolean, ctx: Context): "gzip" | "zstd" {
  const wanted = input.compression ?? "gzip";
  if (wanted === "gzip" || !docker) return wanted;
  ctx.log.warn("Layers are compressed with gzip: the run image has Docker's media types");
  return "gzip";
}

function composeImage(
  input: ExportInput,
  buildpacks: readonly BuildpackOnDisk[],
  extensions: readonly MadeExtensionLayer[],
  made: readonly MadeLayer[],
  defaultType: string | undefined,
  ctx: Context,
): Image {
  const base = input.run.image;
  // Only how it starts: system and architecture are the run image's (EX-2).
  const baseConfig = input.extended
    ? { ...base.config, config: input.extended.config }
    : base.config;
  const metadata = metadataOf(input, buildpacks, made);
  const can = platformCapabilities(input.platformApi);
  const labels = composeLabels(
    {
      metadata,
      commandArray: can.commandArray,
      build: input.build,
      launcher: {
        version: input.launcher.version,
        repository: input.launcher.repository ?? "",
        commit: input.launcher.commit ?? "",
      },
      project: input.project,
      execEnv: input.execEnv,
    },
    (key) => ctx.log.warn(`Label '${key}' of a buildpack is left out: io.buildpacks. is reserved`),
  );
  for (const key of labels.keys()) ctx.log.info(`Adding label '${key}'`);
  ctx.log.info(
    defaultType === undefined
      ? "no default process type"
      : `Setting default process type '${defaultType}'`,
  );
  const config = composeConfig(baseConfig, {
    platformApi: input.platformApi,
    layersDir: input.layers.inside,
    appDir: input.app.inside,
    defaultType,
    labels,
    createdBy: [
      ...extensions.map(({ createdBy }) => createdBy),
      ...made.map(({ plan }) => plan.createdBy),
    ],
    history: can.history,
    created: input.created ?? DEFAULT_CREATED,
    baseLayers: base.layers.length,
  });
  const added = [...extensions, ...made].map(({ layer }) => layer);
  return makeImage(config, [...base.layers, ...added], base);
}

/** What the label tells the next build (LB-1). */
function metadataOf(
  input: ExportInput,
  buildpacks: readonly BuildpackOnDisk[],
  made: readonly MadeLayer[],
): LifecycleMetadata {
  const sha = (field: LayerPlan["field"]) => ({
    sha: made.find(({ plan }) => plan.field === field)?.diffId ?? "",
  });
  const sbom = sha("sbom");
  const names = input.runNames;
  const can = platformCapabilities(input.platformApi);
  return {
    app: made.filter(({ plan }) => plan.field === "app").map(({ diffId }) => ({ sha: diffId })),
    ...(sbom.sha === "" ? {} : { sbom }),
    buildpacks: buildpacks.map((buildpack) => layersOf(buildpack, made)),
    config: sha("config"),
    launcher: sha("launcher"),
    processTypes: sha("processTypes"),
    runImage: {
      topLayer: input.run.image.layers.at(-1)?.diffId ?? "",
      reference: input.run.reference,
      ...(can.runImageInLabel ? names : {}),
    },
    stack: { runImage: { ...names } },
    ...(input.execEnv ? { execEnv: input.execEnv } : {}),
  };
}

function layersOf(buildpack: BuildpackOnDisk, made: readonly MadeLayer[]): BuildpackLayers {
  const layers: Record<string, LayerMetadata> = Object.create(null);
  for (const { plan, diffId } of made) {
    if (plan.layer?.member !== buildpack.member) continue;
    const { name, file } = plan.layer;
    layers[name] = { sha: diffId, data: file.metadata ?? null, ...file.types };
  }
  const { member: { id, version }, store } = buildpack;
  return { key: id, version, layers, ...(store ? { store: { metadata: store } } : {}) };
}

async function saveCache(
  input: ExportInput,
  buildpacks: readonly BuildpackOnDisk[],
  { made, spools }: {
    readonly made: readonly MadeLayer[];
    readonly spools: CacheSpools | undefined;
  },
  ctx: Context,
): Promise<void> {
  const known = new Map<string, Digest>();
  for (const { plan, diffId } of made) if (plan.layer) known.set(plan.id, diffId);
  try {
    const { layers, owner, parents } = input;
    const { sboms } = platformCapabilities(input.platformApi);
    const walk = { owner, parents };
    const { notes, helper } = input;
    const parts = { buildpacks, layers, walk, sboms, known, notes, helper, spools };
    await exportCache(input.cache!, parts, ctx);
  } catch (error) {
    ctx.signal.throwIfAborted();
    ctx.log.warn(`Failed to export cache: ${error instanceof Error ? error.message : error}`);
  }
}

function reportOf(input: ExportInput, image: Image): ReportFile {
  return {
    image: {
      tags: input.destinations.map(({ name }) => name),
      digest: image.raw.digest,
      manifestSize: image.raw.bytes.byteLength,
    },
    runImage: {
      image: input.runNames?.image ?? input.run.name,
      mirrors: input.runNames?.mirrors,
      reference: input.run.reference,
      topLayer: input.run.image.layers.at(-1)?.diffId,
    },
  };
}
