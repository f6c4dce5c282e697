/** Image extensions in a build of ours: what they make of both images, between detection and the buildpacks. */
import type { Context } from "../../registry/context.ts";
import { platformCapabilities } from "../api.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import { openLayerCache, pruneLayerCache } from "../extend/layer_cache.ts";
import { openUnpackedRoot } from "../extend/unpacked_root.ts";
import type { RunImageNames } from "../file/lifecycle_metadata.ts";
import type { Plan } from "../file/plan_toml.ts";
import type { RunImage } from "../phase/analyze_types.ts";
import type { BuildpackInput, DetectResult, RunTarget } from "../phase/detect_types.ts";
import { extend } from "../phase/extend.ts";
import { readDockerfiles } from "../phase/extend_read.ts";
import { extendedFrom, type ExtendedImage } from "../phase/extended_image.ts";
import { generate } from "../phase/generate.ts";
import type { ExtendKind } from "../phase/generate_types.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { Machine } from "./build_site_types.ts";
import type { BuilderRoot } from "./builder_root.ts";
import { proxiesOf } from "./proxies.ts";
import { openTree } from "./trees.ts";
import { extendBuilder } from "./extend_builder.ts";
import { runTarget } from "../phase/run_target.ts";

/** What a build that may have extensions is given besides. */
export interface ExtendRequest {
  /** Opens the run image that an extension names. */
  readonly openRun: (name: string) => Promise<{
    readonly run: RunImage;
    readonly runNames?: RunImageNames | undefined;
  }>;
  /** The folder of unpacked images: `unpacked` of the store. */
  readonly trees: string;
  /** Where layers of instructions are kept for the next build, and how long they are used. Default two weeks. */
  readonly extendCache: { readonly dir: string; readonly ttlMs?: number };
}

/** How long layers of instructions are used again: two weeks, as the lifecycle has it. */
const TTL_MS = 14 * 24 * 3_600_000;

/** What extensions made of a build. */
export interface ExtendedBuild {
  /** The base, perhaps another. */
  readonly run: RunImage;
  /** Its names for the label. */
  readonly runNames: RunImageNames | undefined;
  /** What was added to it. */
  readonly extended: ExtendedImage | undefined;
  /** What is left for buildpacks. */
  readonly plan: Plan;
  /** For buildpacks: the run image as it is now. */
  readonly target: RunTarget;
  /** The builder as it is now, where that is another root or another environment than before. */
  readonly builder?: BuilderRoot | undefined;
}

/**
 * Runs the extensions that take part and carries out what they wrote.
 *
 * @param site.scratch An existing private directory.
 * @param stack Keeps what the build needs to its end: the copy of the builder.
 * @throws {LifecycleError} 91 or 92 when generating fails, 102 when a Dockerfile cannot be carried out here.
 */
export async function extendBuild(
  request: ExtendRequest & {
    readonly run: RunImage;
    readonly runNames?: RunImageNames | undefined;
    readonly builder?: BuilderRoot | undefined;
    readonly machine: Pick<Machine, "helper" | "network" | "env">;
  },
  site: { readonly layers: Dir; readonly app: Dir; readonly scratch: string },
  detected: DetectResult,
  input: BuildpackInput,
  stack: AsyncDisposableStack,
  ctx: Context,
  output: (bytes: Uint8Array) => void,
): Promise<ExtendedBuild> {
  const { extensions } = detected.group;
  const { builder, machine } = request;
  const { helper, network } = machine;
  const passing = proxiesOf(machine.env);
  let { run, runNames } = request;
  // As the sandbox calls it: without namespaces that is where it lies.
  const generated = {
    inside: `${input.layersDir.inside}/generated`,
    outside: `${input.layersDir.outside}/generated`,
  };
  const made = await generate({
    ...input,
    extensions,
    plan: detected.plan,
    generatedDir: generated,
    runImage: { reference: run.reference, image: run.name, extend: false },
    runNames: runNames === undefined ? [] : [runNames],
    output,
  }, ctx);
  const { image: name = "", extend: toExtend = false } = made.runImage ?? {};
  let target = input.target;
  if (name !== "" && name !== run.name) {
    ({ run, runNames } = await request.openRun(name));
    const { id, os, arch, variant, distro } = runTarget(run.image.config, name);
    target = { id, os, arch, variant, ...(distro ? { distro } : {}) };
    ctx.log.info(`An extension switched the run image to ${name}`);
  }
  if (made.extend.build) refuseSharedRoot(builder);
  const dockerfilesOf = async (kind: ExtendKind) => {
    const can = platformCapabilities(input.platformApi);
    return await readDockerfiles(extensions, kind, generated, site.app.outside, can);
  };
  const { dir, ttlMs = TTL_MS } = request.extendCache;
  const cache = openLayerCache(dir, ttlMs, ctx.now);
  if (toExtend || made.extend.build) await pruneLayerCache(dir, TTL_MS, ctx.now);
  let extended: ExtendedImage | undefined;
  if (toExtend) {
    ctx.log.info("===> EXTENDING (RUN)");
    await using roots = new AsyncDisposableStack();
    const { layers } = run.image;
    const { signal } = ctx;
    const { image } = await extend({
      kind: "run",
      base: run.image,
      dockerfiles: await dockerfilesOf("run"),
      openRoot: async () =>
        roots.use(
          await openUnpackedRoot({
            ...{ helper, layers, scratchDir: site.scratch, network, signal },
            openTree: async (owner) =>
              roots.use(await openTree(run.image, { helper, owner, dir: request.trees }, ctx)).path,
            // Nothing is laid over this container twice.
            entry: builder?.entry.mode === "takeover" ? undefined : builder?.entry,
          }),
        ),
      cache,
      applyAll: false,
      buildId: crypto.randomUUID(),
      passing,
      output,
    }, ctx);
    extended = extendedFrom(image, layers.length, true);
  }
  if (!made.extend.build || builder === undefined) {
    return { run, runNames, extended, plan: made.plan, target };
  }
  ctx.log.info("===> EXTENDING (BUILD)");
  const changed = await extendBuilder(
    {
      ...{ builder, cache, helper, network, passing, output },
      scratch: site.scratch,
      dockerfiles: await dockerfilesOf("build"),
    },
    stack,
    ctx,
  );
  return { run, runNames, extended, plan: made.plan, target, builder: changed };
}

/** What is changed for one build must be nobody else's. */
function refuseSharedRoot(builder: BuilderRoot | undefined): void {
  const why = builder === undefined
    ? "this machine is the build image, and is not changed; want --builder NAME, whose root is copied"
    : builder.entry.mode === "takeover"
    ? "the builder lies over this container, which would stay changed; want --isolation namespaces or chroot"
    : undefined;
  if (why === undefined) return;
  throw new LifecycleError(
    ExitCode.extend,
    `Cannot extend the build image: an extension wrote a build.Dockerfile, and ${why}`,
  );
}
