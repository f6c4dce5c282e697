/** Image extensions in a build of ours: what they make of the run image, between detection and the buildpacks. */
import type { Context } from "../../registry/context.ts";
import { platformCapabilities } from "../api.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import { openLayerCache, pruneLayerCache } from "../extend/layer_cache.ts";
import { openUnpackedRoot } from "../extend/unpacked_root.ts";
import type { RunImageNames } from "../file/lifecycle_metadata.ts";
import type { Plan } from "../file/plan_toml.ts";
import { runTarget } from "../phase/analyze.ts";
import type { RunImage } from "../phase/analyze_types.ts";
import type { BuildpackInput, DetectResult } from "../phase/detect_types.ts";
import { extend } from "../phase/extend.ts";
import { readDockerfiles } from "../phase/extend_read.ts";
import { extendedFrom, type ExtendedImage } from "../phase/extended_image.ts";
import { generate } from "../phase/generate.ts";
import type { Dir } from "../sandbox/executor.ts";

/** What a build that may have extensions is given besides. */
export interface ExtendRequest {
  /** Opens the run image that an extension names. */
  readonly openRun: (name: string) => Promise<{
    readonly run: RunImage;
    readonly runNames?: RunImageNames | undefined;
  }>;
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
  /** For buildpacks: they see the run image as it is now. */
  readonly input: BuildpackInput;
}

/**
 * Runs the extensions that take part and carries out what they wrote.
 *
 * @param site.scratch An existing private directory.
 * @throws {LifecycleError} 91 or 92 when generating fails, 102 when a Dockerfile cannot be carried out here.
 */
export async function extendBuild(
  request: ExtendRequest & {
    readonly run: RunImage;
    readonly runNames?: RunImageNames | undefined;
    readonly helper: string;
    readonly network?: "host" | "none" | undefined;
  },
  site: { readonly layers: Dir; readonly app: Dir; readonly scratch: string },
  detected: DetectResult,
  input: BuildpackInput,
  ctx: Context,
  output: (bytes: Uint8Array) => void,
): Promise<ExtendedBuild> {
  const { extensions } = detected.group;
  const { helper, network } = request;
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
  if (made.extend.build) {
    throw new LifecycleError(
      ExitCode.extend,
      "Cannot extend the build image: an extension wrote a build.Dockerfile, and a build image is " +
        "extended only in a container of its own (wherry lifecycle extend -kind build)",
    );
  }
  let extended: ExtendedImage | undefined;
  if (toExtend) {
    ctx.log.info("===> EXTENDING (RUN)");
    const capabilities = platformCapabilities(input.platformApi);
    const dockerfiles = await readDockerfiles(
      extensions,
      "run",
      generated,
      site.app.outside,
      capabilities,
    );
    await pruneLayerCache(request.extendCache.dir, TTL_MS, ctx.now);
    await using stack = new AsyncDisposableStack();
    const { layers } = run.image;
    const { signal } = ctx;
    const { image } = await extend({
      kind: "run",
      base: run.image,
      dockerfiles,
      openRoot: async () =>
        stack.use(
          await openUnpackedRoot({ helper, layers, scratchDir: site.scratch, network, signal }),
        ),
      cache: openLayerCache(
        request.extendCache.dir,
        request.extendCache.ttlMs ?? TTL_MS,
        ctx.now,
      ),
      applyAll: false,
      buildId: crypto.randomUUID(),
      output,
    }, ctx);
    extended = extendedFrom(image, layers.length);
  }
  return { run, runNames, extended, plan: made.plan, input: { ...input, target } };
}
