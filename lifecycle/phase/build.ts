/** The fourth phase: runs the buildpacks that take part. */
import type { Context } from "../../registry/context.ts";
import { type Capabilities, platformCapabilities } from "../api.ts";
import { buildpackEnv } from "../env/buildpack.ts";
import { buildEnv, type Env } from "../env/env.ts";
import { BuildpackError, ExitCode, failAs, LifecycleError } from "../error.ts";
import { formatBuildpackPlan } from "../file/build_plan.ts";
import { type Build, parseBuildToml } from "../file/build_toml.ts";
import { readContained } from "../file/contained.ts";
import { writeText } from "../file/document.ts";
import type { GroupMember } from "../file/group_toml.ts";
import { type Label, type Launch, parseLaunchToml, type Slice } from "../file/launch_toml.ts";
import { type BuildMetadata, formatMetadataToml } from "../file/metadata_toml.ts";
import { escapeId, moduleName } from "../file/module.ts";
import type { Require } from "../file/plan_toml.ts";
import { requiresFor, withoutMet } from "../plan/entries.ts";
import type { Dir } from "../sandbox/executor.ts";
import {
  collectSboms,
  copySboms,
  formatLegacyBom,
  type OwnedBomEntry,
  type SbomFile,
} from "../sbom.ts";
import { makeDirFor, makeFileFor, removeAll, removeLink } from "./build_files.ts";
import { runModule } from "./run_module.ts";
import {
  contributeBuildLayers,
  ignoreUnusedLayers,
  listNames,
  readLayers,
} from "./build_layers.ts";
import { addProcesses, listProcesses, NO_PROCESSES, withOneCommand } from "./build_process.ts";
import type { BuildInput, BuildResult, BuiltLayer } from "./build_types.ts";
import { capabilitiesOf } from "./capabilities.ts";
import type { Buildpack } from "./detect_types.ts";

/** A buildpack of the group, looked up. */
interface Builder {
  readonly member: GroupMember;
  readonly buildpack: Buildpack;
  readonly can: Capabilities;
  /** Its layers directory. */
  readonly layers: Dir;
  /** Where links it left may lead. */
  readonly roots: readonly Dir[];
}

/** What one buildpack left. */
interface Left {
  readonly layers: readonly BuiltLayer[];
  readonly sboms: readonly SbomFile[];
  readonly build: Build;
  readonly launch: Launch;
}

/**
 * Runs `bin/build` of each member of the group in order, and writes `<layers>/config/metadata.toml`
 * and `<layers>/sbom`.
 *
 * Buildpacks see only what `input` holds: no credentials, no environment of ours (BU-11).
 *
 * @throws {BuildpackError} 51 when a `bin/build` failed or could not be started.
 * @throws {LifecycleError} 11 or 12 for an API version that is not supported; 52 for all else, also for
 * files of a buildpack that cannot be used.
 * @see CNB buildpack spec, "Phase #3: Build"; BU-1 to BU-11
 */
export async function build(input: BuildInput, ctx: Context): Promise<BuildResult> {
  return await failAs(ExitCode.build, ctx.signal, async () => {
    const can = platformCapabilities(input.platformApi);
    const builders = lookUp(input);
    const { outside } = input.layersDir;
    await removeAll(`${outside}/sbom`);
    let env = buildEnv(input.env);
    let plan = input.plan;
    let processes = NO_PROCESSES;
    const labels: Label[] = [];
    const slices: Slice[] = [];
    const launchBom: OwnedBomEntry[] = [];
    const buildBom: OwnedBomEntry[] = [];
    const layers = new Map<string, readonly BuiltLayer[]>();
    const sboms: { readonly builder: Builder; readonly files: readonly SbomFile[] }[] = [];
    for (const builder of builders) {
      const { member } = builder;
      const requested = requiresFor(plan, member.id);
      await run(builder, requested, env, input, ctx);
      const left = await blame(builder, () => readLeft(builder, requested));
      const kept = await ignoreUnusedLayers(left.layers, builder.layers.outside);
      env = contributeBuildLayers(env, kept, builder.layers.inside, builder.roots);
      const met = requested.map(({ name }) => name)
        .filter((name) => !left.build.unmet.includes(name));
      plan = withoutMet(plan, met);
      const added = addProcesses(processes, left.launch.processes);
      processes = added.processes;
      for (const warning of [...left.launch.warnings, added.warning, bomWarning(left)]) {
        if (warning !== undefined) ctx.log.warn(warning);
      }
      labels.push(...left.launch.labels);
      slices.push(...left.launch.slices);
      const { id, version } = member;
      const owned = (entry: Launch["bom"][number]) => ({ ...entry, buildpack: { id, version } });
      launchBom.push(...left.launch.bom.map(owned));
      buildBom.push(...left.build.bom.map(owned));
      layers.set(id, kept);
      sboms.push({ builder, files: left.sboms });
    }
    // A buildpack may have put something in the way of what is written here.
    await removeAll(`${outside}/sbom`);
    removeLink(`${outside}/config`);
    for (const { builder, files } of can.sboms ? sboms : []) {
      await blame(
        builder,
        () => copySboms(files, escapeId(builder.member.id), input.layersDir, builder.roots),
      );
    }
    if (can.legacyBomFiles) {
      await writeText(`${outside}/sbom/launch/sbom.legacy.json`, formatLegacyBom(launchBom));
      await writeText(`${outside}/sbom/build/sbom.legacy.json`, formatLegacyBom(buildBom));
    }
    const metadata: BuildMetadata = {
      defaultProcessType: processes.defaultType,
      buildpacks: input.group,
      extensions: input.extensions ?? [],
      labels,
      processes: listProcesses(processes)
        .map((process) => can.commandArray ? process : withOneCommand(process)),
      slices,
      ...(can.legacyBomFiles ? {} : { bom: launchBom }),
    };
    const file = formatMetadataToml(metadata, { commandArray: can.commandArray });
    await writeText(`${outside}/config/metadata.toml`, file);
    return { metadata, layers };
  });
}

/** Finds every member before any is run (VER-4). */
function lookUp(input: BuildInput): readonly Builder[] {
  const platform = platformCapabilities(input.platformApi);
  return input.group.map((member) => {
    const name = moduleName(member);
    const buildpack = input.store.find(member.id, member.version);
    if (buildpack === undefined) {
      throw new LifecycleError(
        ExitCode.build,
        `Cannot find buildpack "${name}", named by the group`,
      );
    }
    const can = capabilitiesOf(platform, buildpack);
    const { inside, outside } = input.layersDir;
    const directory = escapeId(member.id);
    return {
      member,
      buildpack,
      can,
      layers: { inside: `${inside}/${directory}`, outside: `${outside}/${directory}` },
      roots: [input.layersDir, input.appDir, buildpack.dir],
    };
  });
}

/** Runs one `bin/build` (BU-2). */
async function run(
  builder: Builder,
  requested: readonly Require[],
  env: Env,
  input: BuildInput,
  ctx: Context,
): Promise<void> {
  const { buildpack: { descriptor, dir }, can, layers, member } = builder;
  const name = moduleName(member);
  ctx.log.debug(`Running build for buildpack ${name}`);
  makeDirFor(layers.outside, input.owner);
  const planDir = `build-${crypto.randomUUID()}`;
  const planOutside = `${input.tempDir.outside}/${planDir}`;
  const planPath = `${input.tempDir.inside}/${planDir}/plan.toml`;
  try {
    makeDirFor(planOutside, input.owner);
    // Readable for all, as Go makes it: a buildpack may copy it into a layer, mode and all.
    const entries = formatBuildpackPlan(requested);
    makeFileFor(`${planOutside}/plan.toml`, entries, input.owner, 0o644);
    const variables = buildpackEnv(env, {
      can,
      descriptor,
      fixed: { CNB_BUILDPACK_DIR: dir.inside },
      platformDir: input.platformDir,
      buildConfigDir: input.buildConfigDir,
      target: input.target,
      buildDistro: input.buildDistro,
      execEnv: input.execEnv,
      inputs: { CNB_BP_PLAN_PATH: planPath, CNB_LAYERS_DIR: layers.inside },
    });
    await runModule(input.executor, {
      program: `${dir.inside}/bin/build`,
      args: [layers.inside, input.platformDir.inside, planPath],
      cwd: input.appDir.inside,
      env: variables,
      signal: ctx.signal,
      onOutput: input.output,
    }, {
      act: "build",
      name,
      sandboxFault: ExitCode.build,
      moduleFault: ExitCode.buildpackBuild,
    });
  } finally {
    await removeAll(planOutside);
  }
}

/** Reads all that a buildpack left behind. */
async function readLeft(builder: Builder, requested: readonly Require[]): Promise<Left> {
  const { layers: { inside, outside }, roots, buildpack: { descriptor }, can, member } = builder;
  if (!(await Deno.lstat(outside)).isDirectory) {
    throw new Error(`Cannot use ${inside}: the buildpack replaced its layers directory`);
  }
  const layers = await readLayers(inside, roots);
  const types = new Map(layers.map(({ name, file }) => [name, file.types]));
  const names = await listNames(inside, roots);
  const buildPath = `${inside}/build.toml`;
  const build = parseBuildToml(
    readContained(buildPath, roots) ?? "",
    buildPath,
    requested.map(({ name }) => name),
  );
  const sboms = collectSboms(inside, names, types, descriptor.sbomFormats);
  const launchPath = `${inside}/launch.toml`;
  const launch = parseLaunchToml(
    readContained(launchPath, roots) ?? "",
    launchPath,
    member.id,
    can.buildpack,
  );
  return { layers, sboms, build, launch };
}

/** What goes wrong with files of a buildpack is told with its name. */
async function blame<T>(builder: Builder, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (cause instanceof LifecycleError) throw cause;
    const name = moduleName(builder.member);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new BuildpackError(ExitCode.build, why, { cause, buildpack: name });
  }
}

/** The forerunner of SBOM files is deprecated; who writes both knows (LTM-6). */
function bomWarning({ launch, build, sboms }: Left): string | undefined {
  if (launch.bom.length + build.bom.length === 0 || sboms.length > 0) return undefined;
  return "BOM table is deprecated in this buildpack api version, though it remains supported for " +
    "backwards compatibility. Buildpack authors should write BOM information to " +
    "<layer>.sbom.<ext>, launch.sbom.<ext>, or build.sbom.<ext>.";
}
