import { z } from "zod";
import { parseDocument, table, text } from "./document.ts";
import { goJson, goMap } from "./json.ts";
import type { TomlTable } from "./toml.ts";

/** Where the source of an image came from. */
export interface ProjectSource {
  /** `git`, ... */
  readonly type: string;
  /** Free-form. */
  readonly version?: TomlTable | undefined;
  /** Free-form. */
  readonly metadata?: TomlTable | undefined;
}

/** `project-metadata.toml` (PMD-1). */
export interface ProjectMetadata {
  /** Absent when unknown. */
  readonly source?: ProjectSource | undefined;
}

const schema: z.ZodType<ProjectMetadata> = z.object({
  source: z.object({ type: text, version: table.optional(), metadata: table.optional() })
    .optional(),
});

/**
 * Reads `project-metadata.toml`.
 *
 * @throws {FileError} When it is malformed.
 */
export function parseProjectMetadataToml(source: string, file: string): ProjectMetadata {
  return parseDocument(schema, source, file);
}

/** Writes the label `io.buildpacks.project.metadata` (LB-4). Tables that are empty are left out. */
export function formatProjectLabel({ source }: ProjectMetadata): string {
  const some = (table: TomlTable | undefined) =>
    table && Object.keys(table).length > 0 ? goMap(table) : undefined;
  return goJson({
    source: source && {
      type: source.type || undefined,
      version: some(source.version),
      metadata: some(source.metadata),
    },
  });
}
