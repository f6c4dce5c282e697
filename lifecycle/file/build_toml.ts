import { z } from "zod";
import { FileError } from "../error.ts";
import { parseDocument, text } from "./document.ts";
import { bom, type BomEntry } from "./launch_toml.ts";

/** `build.toml`: what a buildpack says of its build (BTM-1). */
export interface Build {
  /** Names of plan entries it did not meet; later buildpacks get them. */
  readonly unmet: readonly string[];
  /** Deprecated. */
  readonly bom: readonly BomEntry[];
}

const schema = z.lazy(() =>
  z.object({ unmet: z.array(z.object({ name: text })).default([]), bom })
);

/**
 * Reads `build.toml`.
 *
 * @param requested Names in the buildpack's plan.
 * @throws {FileError} When it is malformed, or names what was not requested.
 */
export function parseBuildToml(source: string, file: string, requested: readonly string[]): Build {
  const parsed = parseDocument(schema, source, file);
  const unmet = parsed.unmet.map(({ name }) => name);
  for (const name of unmet) {
    if (name === "") throw new FileError(file, `Cannot use ${file}: unmet.name is required`);
    if (!requested.includes(name)) {
      throw new FileError(
        file,
        `Cannot use ${file}: unmet.name '${name}' must match a requested dependency`,
      );
    }
  }
  return { unmet, bom: parsed.bom };
}

/**
 * The deprecated bill of materials of a `build.toml`, for reports before P0.9 (RPT-1).
 *
 * @throws {FileError} When it is malformed.
 */
export function parseBuildBom(source: string, file: string): readonly BomEntry[] {
  return parseDocument(z.object({ bom }), source, file).bom;
}
