import { z } from "zod";
import { FileError } from "../error.ts";
import { flag, parseDocument, table } from "./document.ts";
import { formatToml, parseToml, type TomlTable } from "./toml.ts";
import { lineOf } from "../../registry/toml_line.ts";

/** What a layer is for. All off: the layer is dropped. */
export interface LayerTypes {
  /** It goes into the app image. */
  readonly launch: boolean;
  /** Later buildpacks see it. */
  readonly build: boolean;
  /** It goes into the cache. */
  readonly cache: boolean;
}

/** `<layer>.toml`. */
export interface LayerFile {
  /** What it is for; all off when the file does not say. */
  readonly types: LayerTypes;
  /** Free-form; `undefined` when the file has none. */
  readonly metadata: TomlTable | undefined;
}

const schema: z.ZodType<LayerFile> = z.lazy(() =>
  z.object({
    types: z.object({ launch: flag, build: flag, cache: flag })
      .default({ launch: false, build: false, cache: false }),
    metadata: table.optional(),
  }).transform((file): LayerFile => ({ types: file.types, metadata: file.metadata }))
);

/** Files of a buildpack's layers directory that are not layers (LAY-5). */
const RESERVED: readonly string[] = ["launch", "build", "store"];

/**
 * Reads `<layer>.toml` (LAY-1).
 *
 * @throws {FileError} When it is malformed, or has the flags of an old API at its top (LAY-2).
 */
export function parseLayerToml(source: string, file: string): LayerFile {
  const root = parseToml(source, file);
  for (const key of ["launch", "cache", "build"]) {
    if (root[key] === undefined) continue;
    throw new FileError(
      file,
      `Cannot parse ${file}:${lineOf(source, [key]) ?? 1}: ` +
        `the launch, cache and build flags should be in the types table of ${file}`,
      { key },
    );
  }
  return parseDocument(schema, source, file);
}

/** Writes `<layer>.toml`. Without types nothing is said of them, as in a restored file (LAY-3). */
export function formatLayerToml(
  layer: { readonly types?: LayerTypes | undefined; readonly metadata: TomlTable | undefined },
): string {
  return formatToml({ types: layer.types, metadata: layer.metadata });
}

/** Whether `name` may name a layer: it is a file name, and none of the buildpack's own files. */
export function isLayerName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name) &&
    !RESERVED.includes(name);
}
