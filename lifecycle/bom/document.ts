/** The bills of materials inside an image: one layer, read alone (SB-7). */
import type { Image, Layer } from "../../registry/image.ts";
import { readTar } from "../../registry/layer/tar_reader.ts";
import type { LifecycleMetadata } from "../file/lifecycle_metadata.ts";
import { SBOM_LIMITS } from "../phase/restore_sbom.ts";

/** A format of bills of materials. */
export type BomFormat = "cyclonedx" | "spdx" | "syft";

/** One document of a buildpack. */
export interface BomDocument {
  /** As in the layer: `layers/sbom/launch/<buildpack>/<layer>/sbom.cdx.json`. */
  readonly path: string;
  /** The buildpack's id; the escaped one of the path where the image says no other. */
  readonly buildpack: string;
  /** Its layer; empty for what the buildpack says of its whole work. */
  readonly layer: string;
  /** By the end of its name. */
  readonly format: BomFormat;
  /** The JSON, as the buildpack wrote it. */
  readonly bytes: Uint8Array;
}

/** Ends of names (SB-2). */
export const BOM_FORMATS: Readonly<Record<BomFormat, { extension: string; mediaType: string }>> = {
  cyclonedx: { extension: "cdx.json", mediaType: "application/vnd.cyclonedx+json" },
  spdx: { extension: "spdx.json", mediaType: "application/spdx+json" },
  syft: { extension: "syft.json", mediaType: "application/vnd.syft+json" },
};

/**
 * The layer with the bills of materials; `undefined` when the label names none.
 *
 * @throws {Error} When the label names a layer that is not in the image.
 */
export function bomLayer(
  image: Image,
  metadata: LifecycleMetadata | undefined,
): Layer | undefined {
  const sha = metadata?.sbom?.sha;
  if (!sha) return undefined;
  const layer = image.layers.findLast(({ diffId }) => diffId === sha);
  if (layer !== undefined) return layer;
  throw new Error(
    `Cannot read the bills of materials of ${image.raw.digest}: its label names layer ${sha}, which is not in it`,
  );
}

/** Reads all documents of the layer, in byte order of their paths. */
export async function readBomLayer(
  layer: Layer,
  metadata: LifecycleMetadata | undefined,
  signal?: AbortSignal,
): Promise<readonly BomDocument[]> {
  const ids = new Map(
    (metadata?.buildpacks ?? []).map(({ key }) => [key.replaceAll("/", "_"), key]),
  );
  const blob = await layer.blob();
  const stream = await blob.open({ signal });
  const found: BomDocument[] = [];
  const wanted = (name: string) => placeOf(name) !== undefined;
  const items = readTar(stream, {
    limits: SBOM_LIMITS,
    signal,
    keep: ({ name }) => wanted(name),
  });
  for await (const { header, body } of items) {
    const place = placeOf(header.name);
    if (place === undefined || body === undefined) continue;
    const { buildpack, ...rest } = place;
    found.push({ ...rest, buildpack: ids.get(buildpack) ?? buildpack, bytes: body });
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function placeOf(name: string): Omit<BomDocument, "bytes"> | undefined {
  const steps = name.split("/").filter((step) => step !== "" && step !== ".");
  if (steps.includes("..")) return undefined;
  const at = steps.findIndex((step, at) => step === "sbom" && steps[at + 1] === "launch");
  const rest = at < 0 ? [] : steps.slice(at + 2);
  const file = rest.pop() ?? "";
  const format = formatOfFile(file);
  const [buildpack, layer = ""] = rest;
  if (format === undefined || buildpack === undefined) return undefined;
  return { path: steps.join("/"), buildpack, layer, format };
}

/** The format a file's name promises. */
export function formatOfFile(name: string): BomFormat | undefined {
  for (const [format, { extension }] of Object.entries(BOM_FORMATS)) {
    if (name === `sbom.${extension}` || name.endsWith(`.${extension}`)) return format as BomFormat;
  }
  return undefined;
}
