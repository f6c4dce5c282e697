/**
 * `extender`: carries out the Dockerfiles of image extensions in the container it stands in, which is one of the image
 * that is extended (9). Of a build image the builder follows in the same process; a run image is left for the exporter.
 */
import { ExitCode } from "../../lifecycle/error.ts";
import { openLayerCache, pruneLayerCache } from "../../lifecycle/extend/layer_cache.ts";
import { openMachineRoot } from "../../lifecycle/extend/machine_root.ts";
import type { Group } from "../../lifecycle/file/group_toml.ts";
import { extend } from "../../lifecycle/phase/extend.ts";
import { readDockerfiles } from "../../lifecycle/phase/extend_read.ts";
import { saveExtendedImage } from "../../lifecycle/phase/extended_image.ts";
import type { ExtendKind } from "../../lifecycle/phase/generate_types.ts";
import { type Image, readImage } from "../../registry/image.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../../registry/store/layout.ts";
import { machinePlatform } from "../platform.ts";
import { run as runBuilder } from "./builder.ts";
import { failing, PhaseFailure } from "./fail.ts";
import {
  dropPrivileges,
  idsOf,
  noWords,
  type PhaseRun,
  readAnalyzed,
  readGroup,
  userEnv,
} from "./phase_run.ts";
import { KANIKO } from "./sparse_layout.ts";

/** Runs the phase. */
export async function run(phase: PhaseRun): Promise<void> {
  const { inputs, can, ctx } = phase;
  noWords(phase);
  const kind = can.runImageExtension ? inputs.extendKind : "build";
  if (kind !== "build" && kind !== "run") {
    throw new PhaseFailure(
      ExitCode.arguments,
      "parse arguments",
      `-kind is ${JSON.stringify(kind)}, want build or run`,
    );
  }
  const analyzed = await failing(
    "initialize extender",
    ExitCode.failure,
    ctx.signal,
    () => readAnalyzed(phase),
  );
  const group = await readGroup(phase, ExitCode.failure);
  const reference = kind === "build" ? analyzed?.buildReference : analyzed?.runImage?.reference;
  const image = await failing(`extend ${kind} image`, ExitCode.extend, ctx.signal, async () => {
    const base = await readBase(kind, reference ?? "");
    const extended = await carryOut(phase, kind, base, group);
    if (kind === "run") {
      await saveExtendedImage(inputs.extendedDir, extended, base.layers.length);
    }
    return extended;
  });
  if (kind === "build") await build(phase, image);
}

/** The image, as the restorer noted it: documents without layers, which are this container's files. */
async function readBase(kind: ExtendKind, reference: string): Promise<Image> {
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(reference)?.[1];
  if (digest === undefined) {
    throw new Error(
      `getting ${kind} image to extend: ${
        JSON.stringify(reference)
      } of analyzed.toml has no digest`,
    );
  }
  const place = `${KANIKO}/cache/base/${digest}`;
  const layout = await openLayout(place);
  const image = await readImage(layout, LAYOUT_REPOSITORY, digest, machinePlatform());
  if (image === undefined) {
    throw new Error(`getting ${kind} image to extend: ${place} has no ${digest}`);
  }
  return image;
}

async function carryOut(
  phase: PhaseRun,
  kind: ExtendKind,
  base: Image,
  group: Group,
): Promise<Image> {
  const { inputs, can, ctx, log, io } = phase;
  const generated = { inside: inputs.generatedDir, outside: inputs.generatedDir };
  const { extensions } = group;
  const dockerfiles = await readDockerfiles(extensions, kind, generated, inputs.appDir, can);
  for (const { extension } of dockerfiles) {
    log.debug(`Found ${kind} Dockerfile for extension '${extension}'`);
  }
  const { appDir, layersDir, platformDir } = inputs;
  const cache = `${KANIKO}/cache/layers/wherry`;
  await pruneLayerCache(cache, inputs.kanikoCacheTtl, ctx.now);
  const { image } = await log.timed("Extender", () =>
    extend({
      kind,
      base,
      dockerfiles,
      openRoot: () => openMachineRoot([appDir, layersDir, platformDir, KANIKO], io.env),
      cache: openLayerCache(cache, inputs.kanikoCacheTtl, ctx.now),
      applyAll: kind === "build",
      buildId: crypto.randomUUID(),
      output: (chunk) => log.output(chunk),
    }, ctx));
  return image;
}

/** The builder, as the user of the inputs and with the environment that the image has now (XT-8). */
async function build(phase: PhaseRun, { config }: Image): Promise<void> {
  const env: Record<string, string> = { ...phase.io.env };
  for (const line of config.config.Env ?? []) {
    // At the first =: a value may hold more, on which Go fails.
    const at = line.indexOf("=");
    if (at > 0) env[line.slice(0, at)] = line.slice(at + 1);
  }
  await dropPrivileges(phase, [phase.inputs.layersDir]);
  const user = idsOf(phase);
  const io = { ...phase.io, user, env: { ...env, ...await userEnv(phase) } };
  await runBuilder({ ...phase, io });
}
