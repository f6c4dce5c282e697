/** Carries out the Dockerfiles of image extensions, one layer for each instruction that changes files. */
import type { Context } from "../../registry/context.ts";
import { type Image, type Layer, makeImage } from "../../registry/image.ts";
import type { ContainerConfig, History, ImageConfig } from "../../registry/oci/config.ts";
import { ExitCode, failAs, LifecycleError } from "../error.ts";
import { applyToConfig, type DockerfileScope, type DockerfileState } from "../extend/config.ts";
import { openContext } from "../extend/copy.ts";
import { DEFAULT_CREATED, formatTime } from "./created.ts";
import { applyStep } from "./extend_step.ts";
import type { ExtendInput, ExtendResult, ExtensionDockerfile } from "./extend_types.ts";
import { ExtendWork } from "./extend_work.ts";

/** The label that says whether a new base may take the place of this one. */
const REBASABLE = "io.buildpacks.rebasable";

/** A layer above the base, and what its history says. */
interface Added {
  readonly layer: Layer;
  readonly createdBy: string;
}

/**
 * Extends an image.
 *
 * @throws {LifecycleError} 102 with the Dockerfile and the line of what cannot be done.
 * @see CNB image extension spec, "Phase: Extension"; XT-1 to XT-7
 */
export async function extend(input: ExtendInput, ctx: Context): Promise<ExtendResult> {
  return await failAs(ExitCode.extend, ctx.signal, async () => {
    const { base, kind } = input;
    const work = new ExtendWork(input, ctx);
    let { config } = base.config;
    let rebasable = true; // of the base itself it is not asked
    const added: Added[] = [];
    const first = userOf(config).user;
    for (const dockerfile of input.dockerfiles) {
      ctx.log.debug(`Applying Dockerfile at ${dockerfile.path} to '${base.raw.digest}'...`);
      const before = userOf(config).user;
      const done = await applyDockerfile(dockerfile, config, { input, ctx }, work);
      added.push(...done.added);
      rebasable &&= isRebasable(done.config);
      const Labels = { ...done.config.Labels, [REBASABLE]: `${rebasable}` };
      config = { ...done.config, Labels };
      const { user } = userOf(config);
      if (isRoot(user)) {
        ctx.log.warn(
          `Extension from ${dockerfile.path} changed the user ID from ${before} to ${user}; ` +
            "this must not be the final user ID (a following extension must reset the user).",
        );
      }
    }
    const { user } = userOf(config);
    // No user is root as well; Go lets that pass, and so it may where the base has none.
    if (kind === "run" && (isRoot(user) || (user === "" && first !== ""))) {
      throw new LifecycleError(
        ExitCode.extend,
        "the final user ID is 0 (root); please add another extension that resets the user to non-root",
      );
    }
    if (user !== first) {
      ctx.log.warn(
        `The original user ID was ${first} but the final extension left the user ID set to ${user}.`,
      );
    }
    if (input.applyAll) await work.settle();
    return { image: composeImage(base, config, added) };
  });
}

function composeImage(base: Image, config: ContainerConfig, added: readonly Added[]): Image {
  const created = formatTime(DEFAULT_CREATED);
  const whole: ImageConfig = {
    ...base.config,
    created,
    config,
    history: [
      ...historyOf(base),
      ...added.map(({ createdBy }) => ({ created, created_by: createdBy })),
    ],
  };
  return makeImage(whole, [...base.layers, ...added.map(({ layer }) => layer)], base);
}

/** One entry a layer; blank ones when they do not fit (CF-5). */
function historyOf({ config: { history = [] }, layers }: Image): readonly History[] {
  const entries = history.filter(({ empty_layer }) => empty_layer !== true);
  return entries.length === layers.length ? entries : layers.map(() => ({}));
}

function userOf({ User = "" }: ContainerConfig): { readonly user: string; readonly group: string } {
  const [user = "", group = ""] = User.split(":");
  return { user, group };
}

function isRoot(user: string): boolean {
  return user === "0" || user === "root";
}

/** As Go's ParseBool has it; without the label: no (XT-5). */
function isRebasable({ Labels }: ContainerConfig): boolean {
  return /^(1|t|T|TRUE|true|True)$/.test(Labels?.[REBASABLE] ?? "");
}

async function applyDockerfile(
  file: ExtensionDockerfile,
  config: ContainerConfig,
  { input, ctx }: { readonly input: ExtendInput; readonly ctx: Context },
  work: ExtendWork,
): Promise<{ readonly config: ContainerConfig; readonly added: readonly Added[] }> {
  const { user, group } = userOf(config);
  const scope: DockerfileScope = {
    given: new Map([
      ["build_id", input.buildId],
      ["user_id", user],
      ["group_id", group],
      ["base_image", `base@${input.base.raw.digest}`],
      ...file.args.map(({ name, value }) => [name, value] as const),
    ]),
    metaArgs: file.dockerfile.metaArgs,
    escape: file.dockerfile.escape,
  };
  const context = lazy(() => openContext(file.context));
  let state: DockerfileState = { config, args: new Map() };
  const added: Added[] = [];
  for (const step of file.dockerfile.stages[0]?.steps ?? []) {
    ctx.signal.throwIfAborted();
    try {
      const layer = await applyStep(
        step,
        state,
        scope,
        { context, ctx, output: input.output, passing: input.passing },
        work,
      );
      state = applyToConfig(step.act, state, scope);
      if (layer) {
        const createdBy = `Layer: '${step.text}', Created by extension: ${file.extension}`;
        added.push({ layer, createdBy });
      }
    } catch (cause) {
      ctx.signal.throwIfAborted();
      if (cause instanceof LifecycleError) throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new LifecycleError(
        ExitCode.extend,
        `Cannot extend the ${input.kind} image (${file.path}:${step.line}, ${step.act.name}): ${why}`,
        { cause, file: file.path },
      );
    }
  }
  return { config: state.config, added };
}

function lazy<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => made ??= make();
}
