/**
 * Bills of materials that buildpacks leave beside their layers: which they are, whether they may be
 * there, where they go.
 *
 * @see CNB buildpack spec, "Software-Bill-of-Materials"; SB-1 to SB-4
 */
import { FileError } from "./error.ts";
import { compareBytes } from "../registry/compare_bytes.ts";
import { findContained } from "./file/contained.ts";
import { goJson, goMap } from "./file/json.ts";
import type { OwnedBomEntry } from "./file/metadata_toml.ts";
import type { LayerTypes } from "./file/layer_toml.ts";
import type { Dir } from "./sandbox/executor.ts";

/** Media type of each extension (SB-2). */
const SBOM_MEDIA_TYPES: Readonly<Record<string, string>> = {
  "cdx.json": "application/vnd.cyclonedx+json",
  "spdx.json": "application/spdx+json",
  "syft.json": "application/vnd.syft+json",
};

/** Directories under `<layers>/sbom`. */
export type SbomPlace = "launch" | "build" | "cache";

/** One SBOM file a buildpack left. */
export interface SbomFile {
  /** Its path as buildpacks see it. */
  readonly path: string;
  /** Whose it is: a layer, or empty for the whole `launch` or `build`. */
  readonly layer: string;
  /** `cdx.json`, ... */
  readonly extension: string;
  /** Where it goes. */
  readonly places: readonly SbomPlace[];
}

/** A name of the form `<owner>.sbom.<extension>` (SB-1); the owner may hold dots (SB-3). */
export function parseSbomName(
  name: string,
): { readonly owner: string; readonly extension: string } | undefined {
  const match = /^(.+)\.sbom\.((?:cdx|spdx|syft)\.json)$/.exec(name) ??
    /^(.+?)\.sbom\.(.+\.json)$/.exec(name);
  return match ? { owner: match[1]!, extension: match[2]! } : undefined;
}

/**
 * The SBOM files among `names`, the files of a buildpack's layers directory.
 *
 * @param directory That directory, as buildpacks see it.
 * @param layers Layers that have a TOML file; files of others are left alone.
 * @param declared `sbom-formats` of the buildpack.
 * @throws {FileError} For an extension that is no SBOM format, or one that was not declared.
 */
export function collectSboms(
  directory: string,
  names: readonly string[],
  layers: ReadonlyMap<string, LayerTypes>,
  declared: readonly string[],
): readonly SbomFile[] {
  const allowed = declared.map((type) => (type.split(";")[0] ?? "").trim().toLowerCase());
  const files: SbomFile[] = [];
  for (const name of [...names].sort(compareBytes)) {
    const parsed = parseSbomName(name);
    if (parsed === undefined) continue;
    const { owner, extension } = parsed;
    const path = `${directory}/${name}`;
    const places = placesOf(owner, layers.get(owner));
    if (places === undefined) continue;
    const mediaType = SBOM_MEDIA_TYPES[extension];
    if (mediaType === undefined) {
      throw new FileError(path, `Cannot use ${path}: unsupported SBOM file format: '${extension}'`);
    }
    if (!allowed.includes(mediaType)) {
      throw new FileError(path, `Cannot use ${path}: undeclared SBOM media type: '${mediaType}'`);
    }
    const layer = owner === "launch" || owner === "build" ? "" : owner;
    files.push({ path, layer, extension, places });
  }
  return files;
}

/**
 * Copies SBOM files to `<layers>/sbom/<place>/<buildpack>/[<layer>/]sbom.<extension>` (SB-4).
 *
 * @param buildpack The escaped id of the buildpack.
 * @param roots Directories that a link may lead into.
 * @throws {FileError} When a file leads elsewhere or is no plain file.
 */
export async function copySboms(
  files: readonly SbomFile[],
  buildpack: string,
  layersDir: Dir,
  roots: readonly Dir[],
): Promise<void> {
  for (const { path, layer, extension, places } of files) {
    const found = findContained(path, roots);
    if (!found?.info.isFile) {
      throw new FileError(path, `Cannot copy ${path}: it is not a plain file`);
    }
    for (const place of places) {
      const to = [layersDir.outside, "sbom", place, buildpack, layer].filter((part) => part !== "")
        .join("/");
      await Deno.mkdir(to, { recursive: true });
      await Deno.copyFile(found.outside, `${to}/sbom.${extension}`);
    }
  }
}

export type { OwnedBomEntry } from "./file/metadata_toml.ts";

/** `sbom.legacy.json`, byte for byte as Go writes it: `null` when there is nothing (BU-9). */
export function formatLegacyBom(entries: readonly OwnedBomEntry[]): string {
  const list = entries.map(bomJson);
  return `${goJson(list.length > 0 ? list : null)}\n`;
}

/** One entry as Go's JSON has it. */
export function bomJson({ name, metadata, buildpack }: OwnedBomEntry): unknown {
  return {
    name,
    metadata: metadata === undefined ? null : goMap(metadata),
    buildpack: { id: buildpack.id, version: buildpack.version },
  };
}

/** Where files of `owner` go; `undefined` when it is no layer. */
function placesOf(owner: string, types: LayerTypes | undefined): readonly SbomPlace[] | undefined {
  if (owner === "launch" || owner === "build") return [owner];
  if (types === undefined) return undefined;
  return [types.launch ? "launch" : "build", ...(types.cache ? ["cache" as const] : [])];
}
