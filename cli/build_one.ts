/** Turns the flags of `wherry build` into a request for one platform, and runs it. */
import { join } from "node:path";
import { ExitCode, LifecycleError } from "../lifecycle/error.ts";
import type { ImagePlace } from "../lifecycle/phase/analyze_types.ts";
import type { Launcher } from "../lifecycle/phase/export_types.ts";
import { isProcessType } from "../lifecycle/file/launch_toml.ts";
import { buildImage, type BuildOutcome } from "../lifecycle/platform/build.ts";
import { formatPlatform } from "../registry/oci/platform.ts";
import { launcherBytes } from "./assets.ts";
import { accessOf, openCacheOf, readCacheFlags } from "./build_cache.ts";
import type { BuildFlags } from "./build_flags.ts";
import type { Destination } from "./destination.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import { type BuildTarget, openTarget } from "./build_target.ts";
import { openRun } from "./open_run.ts";
import { inStore, openForReading, readPlace } from "./places.ts";
import type { Session } from "./session.ts";
import { machinePlatform, platformOf } from "./platform.ts";
import { siteRequest } from "./site_request.ts";
import { VERSION } from "./version.ts";

/** An image that was built, and where it went. */
export interface Built {
  /** Where. */
  readonly target: BuildTarget;
  /** What. */
  readonly outcome: BuildOutcome;
}

/**
 * Builds the image for one platform.
 *
 * @param part Set when it is one of several: its file name. The image gets no tag then, and its own cache.
 */
export async function buildOne(
  session: Session,
  destination: Destination,
  flags: BuildFlags,
  part?: string,
): Promise<Built> {
  const { io, ctx, log } = session;
  await using stack = new AsyncDisposableStack();
  const platform = platformOf(flags);
  const created = creationTime(io, flags);
  const cache = readCacheFlags(session, flags, destination);
  for (const image of [flags.runImage, flags.previousImage]) if (image) readPlace(image);
  if (flags.defaultProcess !== undefined && !isProcessType(flags.defaultProcess)) {
    throw new UsageError(
      `Cannot use --default-process ${
        JSON.stringify(flags.defaultProcess)
      }: want the type of a process`,
    );
  }
  const store = await session.store();
  stack.use(await store.lease()); // however long the build takes, nothing it needs is collected
  const site = await siteRequest(session, flags, stack);
  const here = machinePlatform();
  if (site.builder === undefined && platform.architecture !== here.architecture) {
    log.warn(
      `Buildpacks run on this machine, ${formatPlatform(here)}: what they compile for ${
        formatPlatform(platform)
      } starts there only if they heed CNB_TARGET_ARCH (or want --builder)`,
    );
  }
  const target = await openTarget(session, destination, flags.publish, stack);
  const previous = await openPrevious(session, flags, target, stack);
  const caches = await openCacheOf(session, flags, cache, target, part, stack);
  const { openCache, access: cacheAccess } = caches;
  const knownRuns = site.builder?.runImages;
  const { run, runNames } = await openRun(session, flags, target, platform, knownRuns, stack);
  // Known before any buildpack runs, so it is said before.
  const launcher = launcherFor(
    run === "scratch" ? platform.architecture : run.image.config.architecture,
  );
  const callers = Deno.umask(0o022); // else modes in the image would depend on who builds it
  using _umask = { [Symbol.dispose]: () => void Deno.umask(callers) };
  const outcome = await buildImage(
    {
      ...site,
      run,
      runNames,
      openRun: async (name) => {
        // Extensions are foreign code: files of this machine are not theirs to name.
        if (readPlace(name).kind !== "registry") {
          throw new LifecycleError(
            ExitCode.generate,
            `Cannot use ${JSON.stringify(name)} as run image: want the name of an image`,
          );
        }
        const changed = { ...flags, runImage: name };
        const opened = await openRun(session, changed, target, platform, knownRuns, stack, true);
        if (opened.run !== "scratch") return { ...opened, run: opened.run };
        throw new LifecycleError(ExitCode.generate, "Cannot use scratch as run image here");
      },
      trees: join(session.storeDir(), "unpacked"),
      // For all images: what an instruction makes depends on the base and what was before it, not on the app.
      extendCache: {
        dir: join(session.storeDir(), "cache", "extend"),
        ...(flags.clearCache ? { ttlMs: 0 } : {}),
      },
      platform,
      previous,
      access: [...accessOf(previous, "read"), ...cacheAccess, ...target.access],
      openCache,
      store,
      storeRepository: target.spoolRepository,
      to: target.registry,
      destinations: part === undefined
        ? target.destinations
        : target.destinations.map(({ tag: _, ...one }) => one),
      launcher: () => launcher,
      ownSboms: [],
      processType: flags.defaultProcess,
      keepSandbox: flags.keepSandbox,
      failureShell: flags.shell ? { env: shellEnv(io) } : undefined,
      created,
      reportDir: flags.reportOutputDir && session.path(flags.reportOutputDir),
      sbomDir: flags.sbomOutputDir && session.path(flags.sbomOutputDir),
    },
    ctx,
    (bytes) => log.output(bytes),
  );
  Deno.umask(callers);
  if (part === undefined) await target.finish(outcome.image);
  if (flags.sbomReferrer) await attach(session, target, outcome);
  return { target, outcome };
}

/** The bill of materials beside the image, in each of its repositories. */
async function attach(
  { ctx }: Session,
  { registry, destinations, name }: BuildTarget,
  { image }: BuildOutcome,
): Promise<void> {
  const { attachAfterBuild } = await import("./sbom_attach.ts");
  for (const repository of new Set(destinations.map((one) => one.repository))) {
    const digest = await attachAfterBuild(image, registry, repository, name, ctx);
    if (digest !== undefined) ctx.log.info(`Attached the bill of materials as ${digest}`);
  }
}

/** A finished build for programs. */
export function describeBuild(
  target: BuildTarget,
  { report, image, group, layers, usage }: BuildOutcome,
  ms: number,
): Readonly<Record<string, unknown>> {
  return {
    name: target.name,
    tags: report.image.tags,
    digest: report.image.digest,
    manifest_size: report.image.manifestSize,
    config: image.manifest.config.digest,
    run_image: report.runImage ?? null,
    buildpacks: group.map(({ id, version }) => ({ id, version })),
    layers,
    ...usage === undefined ? {} : { memory_peak: usage.memoryPeak, cpu_milliseconds: usage.cpuMs },
    milliseconds: Math.round(ms),
  };
}

/** How the terminal is spoken to; buildpacks do not see it. */
function shellEnv({ env }: Io): Readonly<Record<string, string>> {
  const names = ["TERM", "COLORTERM", "LANG", "NO_COLOR"];
  return Object.fromEntries(names.flatMap((name) => env[name] ? [[name, env[name]]] : []));
}

async function openPrevious(
  session: Session,
  flags: BuildFlags,
  target: BuildTarget,
  stack: AsyncDisposableStack,
): Promise<ImagePlace | undefined> {
  if (flags.previousImage === undefined) return target.previous;
  const place = readPlace(flags.previousImage);
  // A plain name means the same place as the destination, as pack has it: the registry when publishing.
  if (place.kind === "registry" && !flags.publish) return await inStore(session, place.reference);
  return await openForReading(session, place, stack);
}

function launcherFor(architecture: string): Launcher {
  if (architecture !== "amd64" && architecture !== "arm64") {
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot add a launcher for ${
        architecture || "an image without an architecture"
      }: there is one for amd64 and arm64`,
    );
  }
  return { bytes: launcherBytes(architecture), version: VERSION };
}

/** `--creation-time`, else SOURCE_DATE_EPOCH; one that is no number is a warning in the spec, an error here. */
function creationTime(io: Io, flags: BuildFlags): Date | undefined {
  const text = flags.creationTime ?? io.env["SOURCE_DATE_EPOCH"];
  if (text === undefined || text === "") return undefined;
  if (text === "now") return new Date();
  if (/^\d{1,11}$/.test(text)) return new Date(Number(text) * 1000);
  const where = flags.creationTime === undefined ? "SOURCE_DATE_EPOCH" : "--creation-time";
  throw new UsageError(
    `Cannot use ${where} ${JSON.stringify(text)}: want seconds since 1970, or now`,
  );
}
