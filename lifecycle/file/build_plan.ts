/** The two plans a buildpack sees: what `bin/detect` writes, and what `bin/build` reads. */
import { z } from "zod";
import { FileError } from "../error.ts";
import { name, parseDocument } from "./document.ts";
import { type Require, requires, requireTables } from "./plan_toml.ts";
import { formatToml, isTable, parseToml, type TomlTable } from "./toml.ts";
import { lineOf, type Path } from "../../registry/toml_line.ts";

/** One way a buildpack could take part. */
export interface BuildPlanOption {
  /** Names it can provide. */
  readonly provides: readonly string[];
  /** What it needs. */
  readonly requires: readonly Require[];
}

/** What `bin/detect` wrote: the first choice and its alternatives. */
export interface BuildPlan extends BuildPlanOption {
  /** Alternatives, best first. */
  readonly or: readonly BuildPlanOption[];
}

/** A buildpack that neither provides nor requires anything (BPL-4). */
export const EMPTY_BUILD_PLAN: BuildPlan = { provides: [], requires: [], or: [] };

const provides = z.lazy(() =>
  z.array(z.object({ name })).default([]).transform((all) => all.map((one) => one.name))
);

const schema: z.ZodType<BuildPlan> = z.lazy(() =>
  z.object({
    provides,
    requires,
    or: z.array(z.object({ provides, requires })).default([]),
  })
);

/**
 * Reads what `bin/detect` wrote (BPL-1). Empty text is a plan of nothing (BPL-4).
 *
 * @throws {FileError} When it is malformed, or has a top-level `version` (BPL-2).
 */
export function parseBuildPlan(source: string, file: string): BuildPlan {
  const plan = parseDocument(schema, source, file);
  refuseVersions(source, file);
  return plan;
}

/** Writes what `bin/build` is given. */
export function formatBuildpackPlan(entries: readonly Require[]): string {
  return formatToml({ entries: entries.length > 0 ? requireTables(entries) : undefined });
}

/** A `version` beside `name` is from a very old API; Go refuses it, so nothing can rely on it. */
function refuseVersions(source: string, file: string): void {
  const root = parseToml(source, file);
  const look = (table: TomlTable, path: Path) => {
    if (!Array.isArray(table.requires)) return;
    table.requires.forEach((one, at) => {
      if (!isTable(one) || one.version === undefined || one.version === "") return;
      const key = [...path, "requires", at, "version"];
      const line = lineOf(source, key);
      throw new FileError(
        file,
        `Cannot parse ${file}${line === undefined ? "" : `:${line}`}: the require "${one.name}" ` +
          `has a top-level version, want it in metadata.version`,
        { line },
      );
    });
  };
  look(root, []);
  if (Array.isArray(root.or)) {
    root.or.forEach((one, at) => isTable(one) && look(one, ["or", at]));
  }
}
