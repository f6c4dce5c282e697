/** The first phase: what is there already, and on what the new image will stand. */
import type { Context } from "../../registry/context.ts";
import { type Image, readImage } from "../../registry/image.ts";
import { extractLayer } from "../../registry/layer/extract.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { isOciError } from "../../registry/oci/error.ts";
import { ExitCode, failAs, LifecycleError } from "../error.ts";
import {
  type LifecycleMetadata,
  METADATA_LABEL,
  parseLifecycleLabel,
} from "../file/lifecycle_metadata.ts";
import { SBOM_LIMITS } from "./restore_sbom.ts";
import { scratchImage } from "./analyze_scratch.ts";
import {
  type AnalyzeInput,
  type AnalyzeResult,
  EMPTY_METADATA,
  type ImagePlace,
  type RunImage,
} from "./analyze_types.ts";
import { runTarget } from "./run_target.ts";

/**
 * Looks at the previous image and the run image. Two small documents of each are read; a layer only to
 * restore SBOMs.
 *
 * @throws {LifecycleError} 32 when access is refused (AN-3), the run image says no operating system (AN-6), or
 * the previous image's SBOMs cannot be restored (AN-5).
 */
export async function analyze(input: AnalyzeInput, ctx: Context): Promise<AnalyzeResult> {
  return await failAs(ExitCode.analyze, ctx.signal, async () => {
    await checkAccess(input, ctx);
    const found = await readPrevious(input, ctx);
    const run: RunImage = input.run === "scratch"
      ? { image: scratchImage(input.platform, input.owner), name: "", reference: "" }
      : typeof input.run === "function"
      ? await input.run()
      : input.run;
    const target = runTarget(run.image.config, run.name);
    const previous = found && isFor(target, found, ctx) ? found : undefined;
    if (previous && !input.skipLayers) await restoreSbom(previous, input, ctx);
    return {
      analyzed: {
        previousReference: previous?.reference ?? "",
        buildReference: "",
        runImage: { reference: run.reference, image: run.name, extend: false, target },
        metadata: previous?.metadata ?? EMPTY_METADATA,
      },
      ...(previous ? { previous: previous.image } : {}),
      run,
    };
  });
}

/** Asks for all rights at once; the first refusal in the order of the input is the one told. */
async function checkAccess(input: AnalyzeInput, ctx: Context): Promise<void> {
  const checks = input.access ?? [];
  const answers = await Promise.allSettled(checks.map(({ check }) => check(ctx.signal)));
  answers.forEach((answer, at) => {
    if (answer.status === "fulfilled") return;
    ctx.signal.throwIfAborted();
    const { name, mode } = checks[at]!;
    const cause = answer.reason;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LifecycleError(
      ExitCode.analyze,
      `validating registry ${
        mode === "read" ? "read" : "write"
      } access: failed to ensure registry ${mode} access to ${name}: ${why}`,
      { cause },
    );
  });
}

/** Programs of another processor are nothing to reuse, though a buildpack would find its layer unchanged. */
function isFor(
  { os, arch }: ReturnType<typeof runTarget>,
  { image, place }: Previous,
  { log }: Context,
): boolean {
  const { config } = image;
  if (config.os === os && config.architecture === arch) return true;
  const has = `${config.os}/${config.architecture}`;
  log.info(`Ignoring image "${place.name}": it is for ${has}, not ${os}/${arch}`);
  return false;
}

interface Previous {
  readonly image: Image;
  readonly reference: string;
  readonly metadata: LifecycleMetadata;
  readonly place: ImagePlace;
}

/** The previous image, or `undefined` when there is none that can be used (AN-4). */
async function readPrevious(input: AnalyzeInput, ctx: Context): Promise<Previous | undefined> {
  const place = input.previous;
  if (place === undefined) return undefined;
  const { registry, repository, name } = place;
  let image: Image | undefined;
  try {
    image = await readImage(registry, repository, place.reference, input.platform, {
      signal: ctx.signal,
    });
  } catch (error) {
    // A document that contradicts itself, a config that is gone, an index without our platform: there is
    // nothing to reuse. A refused or failing registry is another matter and stops the build.
    if (
      !isOciError(error, "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "DIGEST_INVALID")
    ) {
      throw error;
    }
    ctx.log.info(`Ignoring image "${name}" because it was corrupt`);
    ctx.log.debug(error.message);
    return undefined;
  }
  if (image === undefined) {
    ctx.log.info(`Image with name "${name}" not found`);
    return undefined;
  }
  const metadata = metadataOf(image, name, ctx);
  if (metadata === undefined) return undefined;
  const reference = `${place.repositoryName}@${image.raw.digest}`;
  return { image, reference, metadata, place };
}

/** What the label says; empty without one, `undefined` when it cannot be read (AN-4). */
function metadataOf(image: Image, name: string, ctx: Context): LifecycleMetadata | undefined {
  const label = labelOf(image.config, METADATA_LABEL);
  if (label === undefined || label === "") return EMPTY_METADATA;
  try {
    return parseLifecycleLabel(label);
  } catch (error) {
    ctx.log.warn(
      `Ignoring image "${name}": its label ${METADATA_LABEL} cannot be read: ${
        error instanceof Error ? error.message : String(error)
      }`,
    );
    return undefined;
  }
}

/** Puts the previous image's launch SBOMs where restore looks for them (AN-5). */
async function restoreSbom(previous: Previous, input: AnalyzeInput, ctx: Context): Promise<void> {
  const sha = previous.metadata.sbom?.sha;
  if (!sha) return;
  const layer = previous.image.layers.findLast(({ diffId }) => diffId === sha);
  if (layer === undefined) {
    throw new LifecycleError(
      ExitCode.analyze,
      `Cannot restore SBOM of "${previous.place.name}": it has no layer ${sha}`,
    );
  }
  ctx.log.info("Restoring data for SBOM from previous image");
  const blob = await layer.blob();
  const stream = await blob.open({ signal: ctx.signal });
  const { inside, outside } = input.layers;
  // No more than the SBOMs: a foreign image may not bring layers in this way.
  await Deno.mkdir(`${outside}/sbom`, { recursive: true });
  await extractLayer(stream, {
    directories: { [`${inside}/sbom`]: `${outside}/sbom` },
    limits: SBOM_LIMITS,
    signal: ctx.signal,
  });
}
