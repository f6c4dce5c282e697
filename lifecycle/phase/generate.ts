/** The second half of detection: image extensions write Dockerfiles, and those say what the run image is. */
import type { Context } from "../../registry/context.ts";
import { type PlatformCapabilities, platformCapabilities } from "../api.ts";
import { checkBuildDockerfile, checkRunDockerfile } from "../dockerfile/check.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { buildpackEnv } from "../env/buildpack.ts";
import { buildEnv } from "../env/env.ts";
import { ExitCode, failAs, FileError, LifecycleError } from "../error.ts";
import { formatBuildpackPlan } from "../file/build_plan.ts";
import { findContained, readContained } from "../file/contained.ts";
import { writeText } from "../file/document.ts";
import { parseExtendConfig } from "../file/extend_config.ts";
import type { GroupMember } from "../file/group_toml.ts";
import { escapeId, moduleName } from "../file/module.ts";
import type { Require } from "../file/plan_toml.ts";
import { requiresFor, withoutMet } from "../plan/entries.ts";
import type { Dir } from "../sandbox/executor.ts";
import { makeDirFor, makeFileFor, removeAll } from "./build_files.ts";
import { runModule } from "./run_module.ts";
import { capabilitiesOf } from "./capabilities.ts";
import type { Extension } from "./detect_types.ts";
import { copyTree } from "./generate_files.ts";
import type { ExtendKind, GenerateInput, GenerateResult } from "./generate_types.ts";

/** A Dockerfile of an extension. */
interface Generated {
  readonly member: GroupMember;
  readonly kind: ExtendKind;
  /** The new base; empty when it keeps the one it gets. */
  readonly base: string;
  /** It changes the image. */
  readonly extend: boolean;
  /** A later one switches the base, so it has no effect (GE-6). */
  ignored: boolean;
}

/**
 * Runs `bin/generate` of each extension in order, checks what it wrote and leaves it in `<generated>`.
 *
 * @throws {BuildpackError} 91 when a `bin/generate` failed or could not be started.
 * @throws {LifecycleError} 11 or 12 for an API version that is not supported; 92 for all else, also for
 * Dockerfiles that cannot be used.
 * @see CNB image extension spec, "Phase: Generation"; GE-1 to GE-9
 */
export async function generate(input: GenerateInput, ctx: Context): Promise<GenerateResult> {
  return await failAs(ExitCode.generate, ctx.signal, async () => {
    const platform = platformCapabilities(input.platformApi);
    const extensions = input.extensions.map((member) => {
      const extension = input.extensionStore?.find(member.id, member.version);
      if (extension !== undefined) {
        return { member, extension, can: capabilitiesOf(platform, extension) };
      }
      throw new LifecycleError(
        ExitCode.generate,
        `Cannot find extension "${moduleName(member)}", named by the group`,
      );
    });
    let { plan } = input;
    const found: Generated[] = [];
    await Deno.mkdir(input.generatedDir.outside, { recursive: true });
    for (const { member, extension, can } of extensions) {
      const name = moduleName(member);
      ctx.log.debug(`Running generate for extension ${name}`);
      const requested = requiresFor(plan, member.id, true);
      // What an earlier build left is not this one's.
      for (const old of oldOutput(member, platform)) {
        await removeAll(`${input.generatedDir.outside}/${old}`);
      }
      const place = platform.stableExtensions
        ? within(input.generatedDir, member)
        : within(input.tempDir, member, `generate-${crypto.randomUUID()}-`);
      try {
        makeDirFor(place.outside, input.owner);
        await produce({ member, extension, can, place, requested }, input, ctx);
        const dockerfiles = readOutput(member, place, platform, ctx);
        found.push(...dockerfiles);
        // Every one of them counts as met: there is no file to say otherwise (GE-1).
        plan = withoutMet(plan, requested.map((one) => one.name));
        if (!platform.stableExtensions) {
          for (const one of dockerfiles) await keepOld(one, place, input.generatedDir);
        }
      } finally {
        if (!platform.stableExtensions) await removeAll(place.outside);
      }
      ctx.log.debug(`Finished running generate for extension ${name}`);
    }
    ctx.log.debug("Checking run image");
    const { base, extend } = chooseBase(found, ctx);
    for (const one of found) {
      if (one.ignored) await ignore(one, input.generatedDir, platform);
    }
    return {
      plan,
      runImage: withBase(base, extend, input, platform, ctx),
      extend: { build: found.some(({ kind }) => kind === "build"), run: extend },
    };
  });
}

/** Where output of an extension is kept, relative to `<generated>` (GE-2). */
function oldOutput(
  { id }: GroupMember,
  { stableExtensions }: PlatformCapabilities,
): readonly string[] {
  const name = escapeId(id);
  return stableExtensions ? [name] : [`run/${name}`, `build/${name}`];
}

function within(dir: Dir, { id }: GroupMember, prefix = ""): Dir {
  const name = `${prefix}${escapeId(id)}`;
  return { inside: `${dir.inside}/${name}`, outside: `${dir.outside}/${name}` };
}

/** What one extension is run with. */
interface Work {
  readonly member: GroupMember;
  readonly extension: Extension;
  readonly can: ReturnType<typeof capabilitiesOf>;
  readonly place: Dir;
  readonly requested: readonly Require[];
}

/** Runs `bin/generate`, or takes the directory `generate` of the extension as its output (EXT-3). */
async function produce(work: Work, input: GenerateInput, ctx: Context): Promise<void> {
  const { member, extension: { descriptor, dir }, can, place, requested } = work;
  const name = moduleName(member);
  if (findContained(`${dir.inside}/bin/generate`, [dir]) === undefined) {
    ctx.log.debug(`Extension ${name} has no bin/generate: its directory generate is the output`);
    // Go takes it where it lies, and its extender then does not find it.
    await copyTree(`${dir.outside}/generate`, place.outside);
    return;
  }
  const planDir = `generate-${crypto.randomUUID()}`;
  const planOutside = `${input.tempDir.outside}/${planDir}`;
  const planPath = `${input.tempDir.inside}/${planDir}/plan.toml`;
  try {
    makeDirFor(planOutside, input.owner);
    const entries = formatBuildpackPlan(requested);
    makeFileFor(`${planOutside}/plan.toml`, entries, input.owner, 0o644);
    const env = buildpackEnv(buildEnv(input.env), {
      can,
      descriptor,
      fixed: {
        CNB_BP_PLAN_PATH: planPath,
        CNB_EXTENSION_DIR: dir.inside,
        CNB_OUTPUT_DIR: place.inside,
        CNB_PLATFORM_DIR: input.platformDir.inside,
      },
      platformDir: input.platformDir,
      buildConfigDir: input.buildConfigDir,
      target: input.target,
      buildDistro: input.buildDistro,
      // Go does not give it here (ENV-5).
      execEnv: "",
      inputs: {},
    });
    await runModule(input.executor, {
      program: `${dir.inside}/bin/generate`,
      args: [place.inside, input.platformDir.inside, planPath],
      cwd: input.appDir.inside,
      env,
      signal: ctx.signal,
      onOutput: input.output,
    }, {
      act: "generate",
      name,
      sandboxFault: ExitCode.generate,
      moduleFault: ExitCode.extensionGenerate,
    });
  } finally {
    await removeAll(planOutside);
  }
}

/** Reads and checks all that one extension left; `run` before `build`, as Go has them. */
function readOutput(
  member: GroupMember,
  place: Dir,
  platform: PlatformCapabilities,
  ctx: Context,
): readonly Generated[] {
  const configPath = `${place.inside}/extend-config.toml`;
  const config = readContained(configPath, [place]);
  if (config !== undefined) parseExtendConfig(config, configPath);
  const found: Generated[] = [];
  for (const kind of ["run", "build"] as const) {
    const path = `${place.inside}/${kind}.Dockerfile`;
    const source = readContained(path, [place]);
    if (source === undefined) continue;
    try {
      const dockerfile = parseDockerfile(source, path);
      const { base, extend, warnings } = kind === "run"
        ? checkRunDockerfile(dockerfile, path)
        : { base: "", extend: true, warnings: checkBuildDockerfile(dockerfile, path) };
      for (const warning of warnings) ctx.log.warn(warning);
      found.push({ member, kind, base, extend, ignored: false });
    } catch (cause) {
      if (!(cause instanceof FileError)) throw cause;
      const what = `failed to parse ${kind}.Dockerfile for extension ${member.id}`;
      throw new LifecycleError(ExitCode.generate, `${what}: ${cause.message}`, {
        cause,
        file: path,
      });
    }
    ctx.log.debug(`Found ${kind}.Dockerfile for processing`);
  }
  if (platform.stableExtensions) checkContexts(member, place);
  return found;
}

/** One context for both images, or one for each (EXC-1). */
function checkContexts(member: GroupMember, place: Dir): void {
  const isThere = (name: string) =>
    findContained(`${place.inside}/${name}`, [place])?.info.isDirectory === true;
  const shared = isThere("context");
  if (shared && (isThere("context.build") || isThere("context.run"))) {
    throw new LifecycleError(
      ExitCode.generate,
      `Cannot use the contexts of extension ${member.id}: image-specific context dir is provided ` +
        "together with a shared context",
    );
  }
}

/** Before P0.13: `<generated>/<kind>/<id>/Dockerfile`, and the arguments beside it (GE-2). */
async function keepOld({ member, kind }: Generated, from: Dir, generated: Dir): Promise<void> {
  const into = `${generated.outside}/${kind}/${escapeId(member.id)}`;
  const copy = async (name: string, as: string) => {
    const text = readContained(`${from.inside}/${name}`, [from]);
    if (text !== undefined) await writeText(`${into}/${as}`, text);
  };
  await copy(`${kind}.Dockerfile`, "Dockerfile");
  await copy("extend-config.toml", "extend-config.toml");
}

async function ignore(
  { member }: Generated,
  generated: Dir,
  { stableExtensions }: PlatformCapabilities,
): Promise<void> {
  const id = escapeId(member.id);
  const path = stableExtensions ? `${id}/run.Dockerfile` : `run/${id}/Dockerfile`;
  await Deno.rename(`${generated.outside}/${path}`, `${generated.outside}/${path}.ignore`);
}

/** The last run.Dockerfile that switches the base decides; those before it have no effect (GE-6). */
function chooseBase(
  found: readonly Generated[],
  ctx: Context,
): { readonly base: string; readonly extend: boolean } {
  let extend = false;
  let base = "";
  for (const one of found.filter(({ kind }) => kind === "run").reverse()) {
    if (base !== "") {
      one.ignored = true;
      continue;
    }
    extend ||= one.extend;
    if (one.base === "") continue;
    base = one.base;
    ctx.log.debug(
      `Found a run.Dockerfile from extension '${one.member.id}' setting run image to '${base}' `,
    );
  }
  return { base, extend };
}

/** The run image after the Dockerfiles (GE-7). */
function withBase(
  base: string,
  extend: boolean,
  input: GenerateInput,
  { targets }: PlatformCapabilities,
  ctx: Context,
): GenerateResult["runImage"] {
  const { runImage, runNames, normalize = (name) => name } = input;
  const isNew = base !== "" && (!targets || base !== runImage?.image);
  if (!isNew) return runImage && extend ? { ...runImage, extend } : runImage;
  const known = runNames.flatMap(({ image, mirrors }) => [image, ...mirrors ?? []]);
  if (!known.some((name) => normalize(name) === normalize(base))) {
    ctx.log.warn(`new runtime base image '${base}' not found in run metadata`);
  }
  ctx.log.debug(`Updating analyzed metadata with new run image '${base}'`);
  // Without a target: the restorer, which reads the image, tells it.
  return { reference: base, image: base, extend };
}
