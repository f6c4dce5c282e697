import { z } from "zod";
import { flag, name, parseDocument, table, text } from "./document.ts";
import { formatToml, type TomlTable } from "./toml.ts";

/** A dependency someone needs. */
export interface Require {
  /** Its name. */
  readonly name: string;
  /** Free-form, from the one who requires to the one who provides. */
  readonly metadata: TomlTable;
}

/** Who can provide a dependency. */
export interface Provider {
  /** Its id. */
  readonly id: string;
  /** Its version. */
  readonly version: string;
  /** It is an image extension (DT-23). */
  readonly extension: boolean;
}

/** One dependency: all who provide it and all who need it, in group order. */
export interface PlanEntry {
  /** In group order. */
  readonly providers: readonly Provider[];
  /** In group order; all of one name. */
  readonly requires: readonly Require[];
}

/** `plan.toml`: what the members of the group agreed upon. Entries are sorted by name (PLN-2). */
export interface Plan {
  /** One per name. */
  readonly entries: readonly PlanEntry[];
}

/** `[[...requires]]`. */
export const requires: z.ZodType<Require[]> = z.lazy(() =>
  z.array(
    z.object({ name, metadata: table.default(() => ({})) }),
  ).default([])
);

const schema: z.ZodType<Plan> = z.lazy(() =>
  z.object({
    entries: z.array(z.object({
      providers: z.array(z.object({ id: name, version: text, extension: flag })).default([]),
      requires,
    })).default([]),
  })
);

/**
 * Reads `plan.toml` (PLN-1).
 *
 * @throws {FileError} When it is malformed.
 */
export function parsePlanToml(source: string, file: string): Plan {
  return parseDocument(schema, source, file);
}

/** Writes `plan.toml`. */
export function formatPlanToml(plan: Plan): string {
  return formatToml({
    entries: plan.entries.length === 0 ? undefined : plan.entries.map((entry) => ({
      providers: entry.providers.map((one) => ({
        id: one.id,
        version: one.version || undefined,
        extension: one.extension || undefined,
      })),
      requires: requireTables(entry.requires),
    })),
  });
}

/** Requires as the tables of a TOML document; empty metadata is left out. */
export function requireTables(list: readonly Require[]): Record<string, unknown>[] {
  return list.map((one) => ({
    name: one.name,
    metadata: Object.keys(one.metadata).length > 0 ? one.metadata : undefined,
  }));
}
