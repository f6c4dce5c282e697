import { z } from "zod";
import { parseDocument, table } from "./document.ts";
import { formatToml, type TomlTable } from "./toml.ts";

/** `store.toml`: what a buildpack wants to find again at the next build (STO-1). */
export interface StoreFile {
  /** Free-form. */
  readonly metadata: TomlTable;
}

const schema: z.ZodType<StoreFile> = z.object({ metadata: table.default(() => ({})) });

/**
 * Reads `store.toml`.
 *
 * @throws {FileError} When it is malformed.
 */
export function parseStoreToml(source: string, file: string): StoreFile {
  return parseDocument(schema, source, file);
}

/** Writes `store.toml`. */
export function formatStoreToml(store: StoreFile): string {
  return formatToml({ metadata: store.metadata });
}
