/** The whole of a build: analyze, detect, restore, build, export, with the machine as build image. */
import { join } from "node:path";
import type { Context } from "../../registry/context.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import type { Registry } from "../../registry/registry.ts";
import type { Cache } from "../cache/cache.ts";
import type { RunImageNames } from "../file/lifecycle_metadata.ts";
import { formatReportToml } from "../file/report_toml.ts";
import { writeText } from "../file/document.ts";
import { analyze } from "../phase/analyze.ts";
import type { AccessCheck, ImagePlace, RunImage } from "../phase/analyze_types.ts";
import { build } from "../phase/build.ts";
import { detect } from "../phase/detect.ts";
import type { Buildpack, RunTarget } from "../phase/detect_types.ts";
import { exportImage } from "../phase/export.ts";
import type {
  Destination,
  ExportResult,
  Launcher,
  LayerStore,
  OwnSbom,
} from "../phase/export_types.ts";
import { restore } from "../phase/restore.ts";
import { platformCapabilities } from "../api.ts";
import type { Dir } from "../sandbox/executor.ts";
import { prepareInPlace, type Sandbox } from "../sandbox/in_place.ts";
import { chooseNamespaces } from "../sandbox/probe.ts";
import { probeMachine, removeTrees } from "../sandbox/run.ts";
import { prepareApp } from "./app_source.ts";
import { bringNear, gatherBuildpacks } from "./buildpack_source.ts";
import { copySboms } from "./outputs.ts";
import { readDistro } from "./distro.ts";
import { isPassable } from "./passable.ts";
import { openWorkDir, type WorkDir } from "./work_dir.ts";

/** What a build is made from; everything is resolved, nothing is a flag. Paths are absolute. */
export interface BuildRequest {
  /** Platform API of the image. */
  readonly platformApi: string;
  /** The app: a directory, a zip or jar, or a tar. */
  readonly app: string;
  /** Where the app is for buildpacks and in the image. Usually `/workspace`. */
  readonly appDir: string;
  /** Buildpacks and order as the user named them. */
  readonly buildpacks: {
    /** See `BuildpackRequest.buildpacks`. */
    readonly named: readonly string[];
    /** See `BuildpackRequest.orderFile`. */
    readonly orderFile?: string | undefined;
    /** See `BuildpackRequest.buildpacksDir`. */
    readonly dir?: string | undefined;
    /** What relative names are relative to. */
    readonly cwd: string;
  };
  /** Variables for buildpacks, from the user. */
  readonly env: Readonly<Record<string, string>>;
  /** Variables the platform dir gets besides: service bindings and the like come later. */
  readonly machine: Machine;
  /** Owner of layers and app. */
  readonly owner: { readonly uid: number; readonly gid: number };
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
  /** `production`, `test`, ... */
  readonly execEnv: string;
  /** Creation time of the image. */
  readonly created?: Date | undefined;
  /** Gets a copy of report.toml. */
  readonly reportDir?: string | undefined;
  /** Gets a copy of the bills of materials. */
  readonly sbomDir?: string | undefined;
}

/** The machine buildpacks run on. */
export interface Machine {
  /** The sandbox helper's executable. */
  readonly helper: string;
  /** Its environment; buildpacks get the few variables of ENV-1 from it. */
  readonly env: Readonly<Record<string, string>>;
  /** Work directories are made below the first one that will do. */
  readonly workDirs: readonly [string, ...string[]];
  /** HOME of the caller: hidden. */
  readonly home?: string | undefined;
  /** Other directories that are hidden: the store, where credentials are. */
  readonly hide: readonly string[];
  /** See `InPlaceOptions.network`. */
  readonly network?: "host" | "none" | undefined;
  /** See `InPlaceOptions.allowRootBuild`. */
  readonly allowRootBuild?: boolean | undefined;
}

/** What a build ends with. */
export interface BuildOutcome extends ExportResult {
  /** Who took part, in order. */
  readonly group: readonly { readonly id: string; readonly version: string }[];
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
  const { machine, owner } = request;
  const capability = platformCapabilities(request.platformApi);
  // Root that can make no namespaces drops to the build's user on the machine's own tree: that user has to get
  // to all that it shall see.
  const probe = await probeMachine(machine.helper);
  const exposed = probe.uid === 0 && chooseNamespaces(probe) === undefined;
  const parent = exposed ? machine.workDirs.find(isPassable) : machine.workDirs[0];
  await using work = await openWorkDir(
    parent ?? machine.workDirs[0],
    (paths) => removeTrees(machine.helper, paths),
  );
  const imageLayers: Dir = { inside: "/layers", outside: work.layers };
  const imageApp: Dir = { inside: request.appDir, outside: work.app };
  const { named, orderFile, dir, cwd } = request.buildpacks;
  const found = await gatherBuildpacks({
    buildpacks: named,
    orderFile,
    buildpacksDir: dir,
    cwd,
    scratch: work.buildpacks,
  });
  const gathered = exposed ? await bringNear(found, work.buildpacks, ctx.signal) : found;
  const app = await prepareApp(request.app, work.app, ctx.signal);
  for (const name of app.skipped) ctx.log.warn(`${name} is no file and was left out`);
  await writePlatform(work.platform, request.env);

  ctx.log.info("===> ANALYZING");
  const analyzed = await analyze({
    previous: request.previous,
    run: request.run,
    platform: request.platform,
    owner,
    layers: imageLayers,
    access: request.access,
  }, ctx);

  await using sandbox = await enclose(request, work, gathered.all);
  const seen = (outside: string): Dir => {
    const { inside } = sandbox.plan.dirs.find((one) => one.outside === outside)!;
    return { inside, outside };
  };
  const buildpackStore = {
    find: (id: string, version?: string): Buildpack | undefined => {
      const found = gathered.store.find(id, version);
      return found && { ...found, dir: seen(found.dir.outside) };
    },
  };
  const forBuildpacks = {
    platformApi: request.platformApi,
    store: buildpackStore,
    executor: sandbox,
    appDir: seen(work.app),
    layersDir: seen(work.layers),
    platformDir: seen(work.platform),
    tempDir: seen(work.temp),
    env: { ...machine.env, HOME: sandbox.plan.home },
    execEnv: request.execEnv,
    target: targetOf(analyzed.analyzed.runImage.target),
    buildDistro: await readDistro("/etc/os-release"),
    // Where buildpacks run under another user of this machine, what we make for them must be theirs.
    ...(sandbox.plan.owner ? { owner: sandbox.plan.owner } : {}),
  };

  ctx.log.info("===> DETECTING");
  ctx.log.info(`isolation: ${sandbox.describe}`);
  const detected = await detect({
    ...forBuildpacks,
    order: { order: gathered.order, orderExtensions: [] },
  }, ctx);
  const { group } = detected.group;

  await using cache = closing(await request.openCache?.());
  ctx.log.info("===> RESTORING");
  await restore({
    group,
    app: analyzed.analyzed.metadata,
    cache: cache.value,
    layers: imageLayers,
    capability,
  }, ctx);
  await sandbox.handOver([work.layers]);

  ctx.log.info("===> BUILDING");
  const built = await build({ ...forBuildpacks, group, plan: detected.plan, output }, ctx);

  ctx.log.info("===> EXPORTING");
  const exported = await exportImage({
    platformApi: request.platformApi,
    run: analyzed.run,
    runNames: request.runNames,
    previous: analyzed.previous,
    previousMetadata: analyzed.analyzed.metadata,
    build: built.metadata,
    layers: imageLayers,
    app: imageApp,
    owner,
    launcher: request.launcher(analyzed.run.image.config.architecture),
    ownSboms: request.ownSboms,
    processType: request.processType,
    execEnv: capability.execEnv ? request.execEnv : undefined,
    created: request.created,
    store: request.store,
    storeRepository: request.storeRepository,
    to: request.to,
    destinations: request.destinations,
    cache: cache.value,
  }, ctx);
  if (request.reportDir !== undefined) {
    await writeText(join(request.reportDir, "report.toml"), formatReportToml(exported.report));
  }
  if (request.sbomDir !== undefined) await copySboms(work.layers, request.sbomDir);
  return { ...exported, group };
}

async function enclose(
  request: BuildRequest,
  work: WorkDir,
  buildpacks: readonly Buildpack[],
): Promise<Sandbox> {
  const { machine, owner } = request;
  return await prepareInPlace({
    helper: machine.helper,
    scratchDir: work.path,
    dirs: [
      { outside: work.layers, inside: "/layers", access: "rw" },
      { outside: work.app, inside: request.appDir, access: "rw" },
      { outside: work.platform, inside: "/platform", access: "ro" },
      { outside: work.temp, inside: "/cnb/plans", access: "rw" },
      ...buildpacks.map(({ dir }) => ({ ...dir, access: "ro" as const })),
    ],
    ...owner,
    path: machine.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ...(machine.home === undefined ? {} : { home: machine.home }),
    hide: machine.hide,
    ...(machine.network === undefined ? {} : { network: machine.network }),
    ...(machine.allowRootBuild === undefined ? {} : { allowRootBuild: machine.allowRootBuild }),
  });
}

/** `<platform>/env/<NAME>`, one file a variable, contents verbatim (ENV-3). */
async function writePlatform(dir: string, env: Readonly<Record<string, string>>): Promise<void> {
  await Deno.mkdir(join(dir, "env"));
  for (const [name, value] of Object.entries(env)) {
    await Deno.writeTextFile(join(dir, "env", name), value);
  }
}

function targetOf(target: {
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
