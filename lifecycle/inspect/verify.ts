/** An image against itself and against what the CNB specs say of one. */
import { createHash } from "node:crypto";
import type { Image, Layer } from "../../registry/image.ts";
import { decompress } from "../../registry/layer/decompress.ts";
import { TarParser } from "../../registry/layer/tar_reader.ts";
import { envOf, labelOf } from "../../registry/oci/config.ts";
import { isForeignLayerType } from "../../registry/oci/media_type.ts";
import { FileError } from "../error.ts";
import { parseBuildLabel } from "../file/build_metadata_label.ts";
import { type LifecycleMetadata, parseLifecycleLabel } from "../file/lifecycle_metadata.ts";
import { contradictions } from "../phase/export_check.ts";
import { Label } from "../phase/export_labels.ts";
import { FILE_LIMITS } from "./layer_files.ts";

/** One thing that was checked. */
export interface Check {
  /** What was checked, in a few words. */
  readonly what: string;
  /** What is wrong, each in one line; empty when all is well. */
  readonly faults: readonly string[];
}

/** Checks the documents of an image; reads no layer. */
export function verifyDocuments(image: Image): readonly Check[] {
  const label = labelOf(image.config, Label.lifecycle);
  const metadata = label === undefined ? undefined : read(() => parseLifecycleLabel(label));
  const top = metadata?.value?.runImage.topLayer;
  const below = image.layers.findIndex(({ diffId }) => diffId === top) + 1;
  const checks: Check[] = [
    {
      what: "manifest, config, layers and history agree",
      faults: [...contradictions(image, undefined, below)],
    },
    { what: "the config says what it is for", faults: platformFaults(image) },
  ];
  if (metadata === undefined) {
    return [...checks, {
      what: `label ${Label.lifecycle}`,
      faults: ["there is none: the image was not made by buildpacks"],
    }];
  }
  checks.push({ what: `label ${Label.lifecycle} (LB-1)`, faults: metadata.faults });
  if (metadata.value !== undefined) {
    checks.push({
      what: "every layer that the label names is in the image (LB-1)",
      faults: namedLayerFaults(image, metadata.value),
    });
    checks.push({
      what: "the base's last layer is in it, below all others (RB-7)",
      faults: baseFaults(image, metadata.value),
    });
  }
  const build = labelOf(image.config, Label.build);
  const built = build === undefined ? undefined : read(() => parseBuildLabel(build));
  checks.push({
    what: `label ${Label.build} (LB-3)`,
    faults: built?.faults ?? ["there is none"],
  });
  const types = built?.value?.processes.map(({ type }) => type) ?? [];
  checks.push({ what: "it starts by the launcher (CF-1)", faults: startFaults(image, types) });
  return checks;
}

function read<T>(act: () => T): { readonly value?: T; readonly faults: readonly string[] } {
  try {
    return { value: act(), faults: [] };
  } catch (error) {
    if (error instanceof FileError) return { faults: [error.message] };
    throw error;
  }
}

function platformFaults({ config }: Image): readonly string[] {
  return [
    ...(config.os === "" ? ["it names no os"] : []),
    ...(config.architecture === "" ? ["it names no architecture"] : []),
  ];
}

function namedLayerFaults(image: Image, metadata: LifecycleMetadata): readonly string[] {
  const there = new Set(image.layers.map(({ diffId }) => String(diffId)));
  const named: (readonly [string, string])[] = [
    ...metadata.buildpacks.flatMap(({ key, layers }) =>
      Object.entries(layers).map(([name, { sha }]) => [`${key}:${name}`, sha] as const)
    ),
    ["sbom", metadata.sbom?.sha ?? ""],
    ...metadata.app.map(({ sha }, at) => [`app ${at + 1}`, sha] as const),
    ["launcher", metadata.launcher.sha],
    ["config", metadata.config.sha],
    ["process-types", metadata.processTypes.sha],
  ];
  const faults = named.filter(([, sha]) => sha !== "" && !there.has(sha))
    .map(([name, sha]) => `${name} is ${sha}, which is not in it`);
  for (const name of ["launcher", "config"] as const) {
    if (metadata[name].sha === "") faults.push(`it names no layer for ${name}`);
  }
  return faults;
}

function baseFaults(image: Image, { runImage, app }: LifecycleMetadata): readonly string[] {
  const ids = image.layers.map(({ diffId }) => String(diffId));
  if (runImage.topLayer === "") return []; // on scratch
  const at = ids.indexOf(runImage.topLayer);
  if (at < 0) return [`${runImage.topLayer} is not in it`];
  const faults: string[] = [];
  if (ids.lastIndexOf(runImage.topLayer) !== at) {
    faults.push(`${runImage.topLayer} is in it twice: a rebase has to read the old base`);
  }
  const under = app.filter(({ sha }) => ids.indexOf(sha) >= 0 && ids.indexOf(sha) < at);
  if (under.length > 0) faults.push(`app layer ${under[0]!.sha} lies below it`);
  return faults;
}

function startFaults({ config }: Image, types: readonly string[]): readonly string[] {
  const faults: string[] = [];
  const entry = config.config.Entrypoint?.[0] ?? "";
  const type = /^\/cnb\/process\/(.+)$/.exec(entry)?.[1];
  if (type === undefined && entry !== "/cnb/lifecycle/launcher") {
    faults.push(`its entrypoint is ${JSON.stringify(entry)}, want the launcher or a process`);
  }
  if (type !== undefined && !types.includes(type)) {
    faults.push(`its entrypoint is process ${JSON.stringify(type)}, which it does not have`);
  }
  for (const name of ["CNB_LAYERS_DIR", "CNB_APP_DIR"]) {
    if (!(envOf(config, name) ?? "").startsWith("/")) {
      faults.push(`it sets no ${name}, or no absolute one`);
    }
  }
  return faults;
}

/**
 * Reads a layer to its end: whether the blob is there and is what its digest says, and whether the tar in it has the diffID
 * that the config says and can be read.
 */
export async function verifyLayer(
  layer: Layer,
  onProgress: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  if (isForeignLayerType(layer.descriptor.mediaType)) return [];
  const faults: string[] = [];
  try {
    const blob = await layer.blob();
    // Verified while it is read: size and digest of the blob.
    const stream = await blob.open({ signal });
    const counted = stream.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          onProgress(chunk.byteLength);
          controller.enqueue(chunk);
        },
      }),
    );
    const hash = createHash("sha256");
    const parser = new TarParser({ header: () => {} }, FILE_LIMITS);
    let broken: string | undefined;
    for await (const chunk of decompress(counted, { limits: FILE_LIMITS, signal })) {
      hash.update(chunk);
      if (broken === undefined) broken = faultOf(() => parser.push(chunk));
    }
    broken ??= faultOf(() => parser.finish());
    const diffId = `sha256:${hash.digest("hex")}`;
    if (diffId !== layer.diffId) {
      faults.push(`its tar is ${diffId}, the config says ${layer.diffId}`);
    }
    if (broken !== undefined) faults.push(broken);
  } catch (error) {
    signal?.throwIfAborted();
    faults.push(error instanceof Error ? error.message : String(error));
  }
  return faults;
}

function faultOf(act: () => void): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return error.message;
    throw error;
  }
}
