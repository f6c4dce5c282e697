/** Carries out the Dockerfiles of image extensions, one layer for each instruction that changes files. */
import type { Context } from "../../registry/context.ts";
import { type Image, type Layer, makeImage } from "../../registry/image.ts";
import type { Owner } from "../../registry/layer/entry.ts";
import { openFileCapabilities } from "../../registry/layer/libc.ts";
import type { ContainerConfig, History, ImageConfig } from "../../registry/oci/config.ts";
import type { CommandLine, Step } from "../dockerfile/parse.ts";
import { expandWord } from "../dockerfile/words.ts";
import { ExitCode, failAs, LifecycleError } from "../error.ts";
import { applyLayer, canApply } from "../extend/apply_layer.ts";
import {
  absolutePath,
  applyToConfig,
  type DockerfileScope,
  type DockerfileState,
  environmentOf,
  lookupIn,
  shellOf,
  workDirOf,
} from "../extend/config.ts";
import {
  type BuildContext,
  copyInto,
  type CopySource,
  digestSources,
  openContext,
} from "../extend/copy.ts";
import { cacheKey, type StepLayer } from "../extend/layer_cache.ts";
import { type ExtendRoot, findProgram, makeDirectoryIn } from "../extend/root.ts";
import { differenceEntries } from "../extend/snapshot.ts";
import { findUser, type ImageUser } from "../extend/users.ts";
import { StartError } from "../sandbox/executor.ts";
import type { ExtendInput, ExtendResult, ExtensionDockerfile } from "./extend_types.ts";
import { DEFAULT_CREATED, formatTime } from "./created.ts";

/** The label that says whether a new base may take the place of this one. */
const REBASABLE = "io.buildpacks.rebasable";

/** Changes when the same instruction would make something else than before. */
const CACHE_VERSION = 3;

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A layer above the base, and what its history says. */
interface Added {
  readonly layer: Layer;
  readonly createdBy: string;
}

/** Everything that goes on between the first instruction and the last. */
interface Work {
  readonly input: ExtendInput;
  readonly ctx: Context;
  /** Of all that was done so far. */
  key: string;
  /** Came from the cache and is not yet in the root. */
  pending: Layer[];
  root: ExtendRoot | undefined;
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
    const work: Work = {
      input,
      ctx,
      key: cacheKey([CACHE_VERSION, base.raw.digest]),
      pending: [],
      root: undefined,
    };
    let { config } = base.config;
    let rebasable = true; // of the base itself it is not asked
    const added: Added[] = [];
    const first = userOf(config).user;
    for (const dockerfile of input.dockerfiles) {
      ctx.log.debug(`Applying Dockerfile at ${dockerfile.path} to '${base.raw.digest}'...`);
      const before = userOf(config).user;
      const done = await applyDockerfile(dockerfile, config, work);
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
    if (input.applyAll && work.pending.length > 0) await openRoot(work);
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
  work: Work,
): Promise<{ readonly config: ContainerConfig; readonly added: readonly Added[] }> {
  const { input } = work;
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
    work.ctx.signal.throwIfAborted();
    try {
      const layer = await applyStep(step, state, scope, context, work);
      state = applyToConfig(step.act, state, scope);
      if (layer) {
        const createdBy = `Layer: '${step.text}', Created by extension: ${file.extension}`;
        added.push({ layer, createdBy });
      }
    } catch (cause) {
      work.ctx.signal.throwIfAborted();
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

/** What an instruction makes of the files: a layer, or nothing. */
async function applyStep(
  step: Step,
  state: DockerfileState,
  scope: DockerfileScope,
  context: () => Promise<BuildContext>,
  work: Work,
): Promise<StepLayer> {
  const { act } = step;
  const { config } = state;
  const expand = (text: string) => expandWord(text, lookupIn(state), scope.escape);
  switch (act.name) {
    case "RUN":
      return await cached(
        work,
        ["RUN", act.command, environmentOf(state), shellOf(config), config.User, workDirOf(config)],
        step,
        (root) => runCommand(act.command, state, root, work),
      );
    case "WORKDIR": {
      const target = absolutePath(config, expand(act.value));
      return await cached(work, ["WORKDIR", target, config.User], step, async (root) => {
        const user = await findUser(root.root, config.User ?? "");
        await makeDirectoryIn(root, target, user);
        return user;
      });
    }
    case "COPY":
    case "ADD": {
      const sources: CopySource[] = [];
      for (const word of act.sources.map(expand)) {
        if (/^(https?|git|ssh):\/\/|^git@/.test(word)) {
          throw new TypeError(
            `${word} is not fetched: want bin/generate to put it into the context`,
          );
        }
        sources.push(...await (await context()).find(word));
      }
      for (const { name, content, expand: isOpen } of act.heredocs) {
        const text = isOpen
          ? expandWord(content, lookupIn(state), scope.escape, { keepQuotes: true })
          : content;
        sources.push({ name, entries: [], text });
      }
      const written = expand(act.target);
      const target = absolutePath(config, written);
      const chown = expand(act.chown ?? "");
      const mode = modeOf(act.chmod && expand(act.chmod));
      const isDirectory = /(^|\/)\.?\.?$/.test(written);
      const parts = [
        act.name,
        await digestSources(sources),
        target,
        isDirectory,
        chown,
        mode ?? null,
      ];
      return await cached(work, parts, step, async (root) => {
        const owner = await findUser(root.root, chown);
        await copyInto(root, sources, {
          target,
          isDirectory,
          owner,
          mode,
          unpack: act.name === "ADD",
        });
        return owner;
      });
    }
    case "HEALTHCHECK":
    case "MAINTAINER":
    case "ONBUILD":
      work.ctx.log.warn(`${step.text} is left out: it means nothing in an extension`);
      return null;
    default:
      return null;
  }
}

function modeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-7]{3,4}$/.test(text)) {
    throw new TypeError(`--chmod=${text} is no mode, want three or four octal digits`);
  }
  return Number.parseInt(text, 8);
}

/**
 * Takes the layer of an instruction from the cache, or carries the instruction out and keeps what changed.
 *
 * @param act Changes the root; the owner it gives back is that of what it made, where the disk does not tell.
 */
async function cached(
  work: Work,
  parts: readonly unknown[],
  step: Step,
  act: (root: ExtendRoot) => Promise<Owner>,
): Promise<StepLayer> {
  const { input: { cache }, ctx } = work;
  work.key = cacheKey([work.key, ...parts]);
  const known = await cache.get(work.key);
  if (known !== undefined) {
    ctx.log.info(`Using cached layer of ${step.text.split("\n")[0]}`);
    if (known !== null) work.pending.push(known);
    return known;
  }
  ctx.log.info(step.text.split("\n")[0]!);
  const root = await openRoot(work);
  const owner = await act(root);
  const changes = await root.changes(ctx.signal);
  // What was there before is as it was in the image; only whose it was nobody here knows.
  const ownerOf = root.realOwners
    ? undefined
    : (path: string) =>
      changes.isOld(path) ? { uid: 0, gid: 0 } : { uid: owner.uid, gid: owner.gid };
  // In a user namespace of one id they mean something else, and layers of users would differ from those of root.
  using capabilities = root.realOwners ? openFileCapabilities() : undefined;
  const notes = { owner: ownerOf, capability: capabilities?.get };
  const entries = [...differenceEntries(changes, notes)];
  // What cannot be made again has to be made anew each time.
  const key = entries.every(({ type }) => canApply(type)) ? work.key : crypto.randomUUID();
  return await cache.put(key, entries, ctx.signal);
}

/** Opens the root at the first change, and brings it to where the cache has brought us. */
async function openRoot(work: Work): Promise<ExtendRoot> {
  const { signal } = work.ctx;
  const { pending } = work;
  if (work.root === undefined) {
    work.root = await work.input.openRoot();
    await work.root.changes(signal); // as the image has it
  }
  if (pending.length > 0) {
    for (const layer of pending) await applyLayer(work.root, layer, signal);
    work.pending = [];
    await work.root.changes(signal);
  }
  return work.root;
}

/** Carries out a RUN; whoever it ran as owns what it made. */
async function runCommand(
  command: CommandLine,
  state: DockerfileState,
  root: ExtendRoot,
  work: Work,
): Promise<ImageUser> {
  const { input, ctx } = work;
  const { config } = state;
  const user = await findUser(root.root, config.User ?? "");
  const given = environmentOf(state);
  const path = given["PATH"] ?? DEFAULT_PATH;
  const env = { PATH: path, HOME: user.home, ...given };
  const cwd = workDirOf(config);
  const words = command.form === "exec" ? command.words : [...shellOf(config), command.script];
  const [word = "", ...args] = words;
  // One that is named and was never made.
  await makeDirectoryIn(root, cwd, user);
  try {
    const outcome = await root.run({
      program: await findProgram(root, word, path, cwd),
      args,
      cwd,
      env,
      user,
      signal: ctx.signal,
      onOutput: input.output,
    });
    if (outcome.code === 0 && outcome.signal === undefined) return user;
    const how = outcome.signal === undefined
      ? `the command exited with status ${outcome.code}`
      : `the command was killed by ${outcome.signal}`;
    // What apt-get and useradd say then names neither cause nor cure.
    const hint = root.realOwners
      ? ""
      : "; only one user can be had here, so what changes users or owners fails (not with --sub-ids, or when root builds)";
    throw new Error(`${how}${hint}`);
  } catch (cause) {
    if (cause instanceof StartError && cause.code === 125) {
      throw new Error(`commands cannot be run here: ${cause.message}`, { cause });
    }
    throw cause;
  }
}
