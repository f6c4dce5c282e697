/** The whole of a build: analyze, detect, restore, build, export, with the machine as build image. */
import { join } from "node:path";
import type { Context } from "../../registry/context.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import { OciError } from "../../registry/oci/error.ts";
import type { Registry } from "../../registry/registry.ts";
import type { Cache } from "../cache/cache.ts";
import type { RunImageNames } from "../file/lifecycle_metadata.ts";
import { formatReportToml } from "../file/report_toml.ts";
import { writeText } from "../file/document.ts";
import { analyze } from "../phase/analyze.ts";
import type { AccessCheck, ImagePlace, RunImage } from "../phase/analyze_types.ts";
import { build } from "../phase/build.ts";
import { detect } from "../phase/detect.ts";
import type { RunTarget } from "../phase/detect_types.ts";
import { exportImage } from "../phase/export.ts";
import { refuseTakenNames } from "../phase/export_names.ts";
import type {
  Destination,
  ExportResult,
  Launcher,
  LayerStore,
  OwnSbom,
} from "../phase/export_types.ts";
import { noteLayers } from "../phase/layer_notes.ts";
import { restore } from "../phase/restore.ts";
import { platformCapabilities } from "../api.ts";
import { LifecycleError } from "../error.ts";

import { copySboms } from "./outputs.ts";

import type { Usage } from "../sandbox/cgroup.ts";
import type { ExtendedBuild, ExtendRequest } from "./extend_build.ts";
import { lookInto, type ShellOptions } from "./failure_shell.ts";
import { MOST_PROCESSES } from "../sandbox/cgroup.ts";
import { openSite } from "./build_site.ts";
import type { Site, SiteRequest } from "./build_site_types.ts";

/** What a build is made from; everything is resolved, nothing is a flag. Paths are absolute. */
export interface BuildRequest extends SiteRequest, ExtendRequest {
  /** The base. */
  readonly run: RunImage | "scratch";
  /** Names of the run image for the label. */
  readonly runNames?: RunImageNames | undefined;
  /** What the image is for. */
  readonly platform: Platform;
  /** The image whose layers may be reused. */
  readonly previous?: ImagePlace | undefined;
  /** Rights to ask for before any work. */
  readonly access: readonly AccessCheck[];
  /** Opens the cache; absent for none. */
  readonly openCache?: (() => Promise<Cache>) | undefined;
  /** Where new layers are kept; the very `to` when the image stays there. */
  readonly store: LayerStore;
  /** The repository of `store` that new layers are filed under. */
  readonly storeRepository: string;
  /** Where the image goes. */
  readonly to: Registry;
  /** Its names there. */
  readonly destinations: readonly Destination[];
  /** The launcher for an architecture (OCI's name of it). */
  readonly launcher: (architecture: string) => Launcher;
  /** Bills of materials of our own parts. */
  readonly ownSboms: readonly OwnSbom[];
  /** Which process starts by default. */
  readonly processType?: string | undefined;
  /** Creation time of the image. */
  readonly created?: Date | undefined;
  /** When the build fails, its directories are left to the user. */
  readonly keepSandbox?: boolean | undefined;
  /** When buildpacks fail, a person is given a shell in their place. */
  readonly failureShell?: ShellOptions | undefined;
  /** Gets a copy of report.toml. */
  readonly reportDir?: string | undefined;
  /** Gets a copy of the bills of materials. */
  readonly sbomDir?: string | undefined;
}

/** What a build ends with. */
export interface BuildOutcome extends ExportResult {
  /** Who took part, in order. */
  readonly group: readonly { readonly id: string; readonly version: string }[];
  /** What buildpacks used, where they had a control group. */
  readonly usage?: Usage | undefined;
}

/**
 * Builds an image. On any failure, and when the signal is aborted, nothing is left running, no work directory
 * is left behind, and no name points to anything new.
 *
 * @param output Gets what buildpacks print, as it comes.
 * @throws {LifecycleError} With the exit code of the phase that could not go on.
 */
export async function buildImage(
  request: BuildRequest,
  ctx: Context,
  output: (bytes: Uint8Array) => void,
): Promise<BuildOutcome> {
  await using site = await openSite(request, ctx);
  try {
    return await buildInSite(request, site, ctx, output);
  } catch (error) {
    const { outOfMemory, outOfProcesses } = await request.machine.group?.usage() ?? {};
    if (outOfMemory) {
      ctx.log.warn("A process of the buildpacks was killed: it needed more memory than there was");
    }
    if (outOfProcesses) {
      ctx.log.warn(`Buildpacks wanted more than ${MOST_PROCESSES} processes at a time`);
    }
    const { mode } = request.builder?.entry ?? { mode: "in-place" };
    if (request.keepSandbox && site.placed) {
      ctx.log.warn(
        `--keep-sandbox has no meaning with --isolation ${mode}: the next build needs the place`,
      );
    } else if (request.keepSandbox && !ctx.signal.aborted) {
      const kept = site.work.keep();
      ctx.log.warn(
        `Kept ${kept}: app, layers and platform as the failed build left them${
          request.builder ? `; the builder's files are in ${request.builder.tree}` : ""
        }`,
      );
    }
    throw error;
  }
}

async function buildInSite(
  request: BuildRequest,
  site: Site,
  ctx: Context,
  output: (bytes: Uint8Array) => void,
): Promise<BuildOutcome> {
  const { owner } = request;
  const capability = platformCapabilities(request.platformApi);

  ctx.log.info("===> ANALYZING");
  const analyzed = await analyze({
    previous: request.previous,
    run: request.run,
    platform: request.platform,
    owner,
    layers: site.layers,
    access: request.access,
  }, ctx).catch(plainly);
  refuseTakenNames(request.destinations, analyzed.analyzed.runImage.image, request.runNames);
  await using enclosure = await site.enclose(targetOf(analyzed.analyzed.runImage.target));
  const { sandbox, input } = enclosure;
  await using stack = new AsyncDisposableStack();

  ctx.log.info("===> DETECTING");
  ctx.log.info(`isolation: ${sandbox.describe}`);
  const { failureShell, machine: { helper } } = request;
  const detected = await lookInto(sandbox, failureShell, "in the end", ctx, (executor) =>
    detect({
      ...input,
      executor,
      order: { order: site.order, orderExtensions: site.orderExtensions },
      system: site.system,
    }, ctx));
  const { group, extensions } = detected.group;
  const { run, runNames } = { run: analyzed.run, runNames: request.runNames };
  const extended: ExtendedBuild = extensions.length === 0
    ? { run, runNames, extended: undefined, plan: detected.plan, target: input.target }
    : await (await import("./extend_build.ts")).extendBuild(
      { ...request, run },
      { layers: site.layers, app: site.app, scratch: site.work.path },
      detected,
      input,
      stack,
      ctx,
      output,
    );

  const changed = extended.builder;
  const entered = changed === undefined
    ? enclosure
    : stack.use(await site.enclose(extended.target, changed));

  await using cache = closing(await request.openCache?.());
  ctx.log.info("===> RESTORING");
  const restored = await restore({
    group,
    app: analyzed.analyzed.metadata,
    cache: cache.value,
    layers: entered.input.layersDir,
    capability,
    forLater: true,
    looks: true,
    owner: entered.input.owner,
    helper,
  }, ctx);
  await entered.sandbox.handOver([entered.input.layersDir.outside]);
  // The sandbox leaves no process of detection running, so until the first buildpack builds only we write here.
  const notes = await noteLayers(restored.written, { owner }, ctx);

  ctx.log.info("===> BUILDING");
  const { plan, target } = extended;
  const built = await lookInto(
    entered.sandbox,
    failureShell,
    "at once",
    ctx,
    (executor) =>
      build({ ...entered.input, executor, target, group, extensions, plan, output }, ctx),
  );

  ctx.log.info("===> EXPORTING");
  const exported = await exportImage({
    platformApi: request.platformApi,
    run: extended.run,
    extended: extended.extended,
    runNames: extended.runNames,
    previous: analyzed.previous,
    previousMetadata: analyzed.analyzed.metadata,
    build: built.metadata,
    project: site.project,
    layers: entered.input.layersDir,
    app: entered.input.appDir,
    owner,
    launcher: request.launcher(extended.run.image.config.architecture),
    ownSboms: request.ownSboms,
    processType: request.processType,
    execEnv: capability.execEnv ? request.execEnv : undefined,
    created: request.created,
    helper,
    store: request.store,
    storeRepository: request.storeRepository,
    to: request.to,
    destinations: request.destinations,
    cache: cache.value,
    notes,
  }, ctx);
  const usage = await request.machine.group?.usage();
  if (request.reportDir !== undefined) {
    const report = { ...exported.report, usage };
    await writeText(join(request.reportDir, "report.toml"), formatReportToml(report));
  }
  if (request.sbomDir !== undefined) {
    await copySboms(entered.input.layersDir.outside, request.sbomDir);
  }
  return { ...exported, group, usage };
}

/** The target as detect wants it: absent parts are empty. */
export function targetOf(target: {
  readonly id?: string | undefined;
  readonly os: string;
  readonly arch: string;
  readonly variant?: string | undefined;
  readonly distro?: { readonly name: string; readonly version: string } | undefined;
}): RunTarget {
  const { id = "", os, arch, variant = "", distro } = target;
  return { id, os, arch, variant, ...(distro ? { distro } : {}) };
}

/** A value that may be absent, closed with its scope. */
function closing(
  value: Cache | undefined,
): AsyncDisposable & { readonly value: Cache | undefined } {
  return { value, [Symbol.asyncDispose]: async () => await value?.close() };
}

/** A place that refuses is told in its own words: nobody called a phase by its name here. */
function plainly(error: unknown): never {
  if (error instanceof LifecycleError && error.cause instanceof OciError) {
    const { exitCode, cause } = error;
    throw new LifecycleError(exitCode, cause.message, { cause });
  }
  throw error;
}
