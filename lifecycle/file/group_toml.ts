import { z } from "zod";
import { parseDocument, text } from "./document.ts";
import { moduleId, moduleVersion } from "./module.ts";
import { formatToml } from "./toml.ts";

/** A buildpack or extension that takes part in a build. */
export interface GroupMember {
  /** Its id. */
  readonly id: string;
  /** Its version. */
  readonly version: string;
  /** Its API version. */
  readonly api: string;
  /** Where to read about it; empty when unknown. */
  readonly homepage: string;
}

/** `group.toml`: who takes part, in the order they run (GRP-1). */
export interface Group {
  /** Buildpacks. */
  readonly group: readonly GroupMember[];
  /** Image extensions. */
  readonly extensions: readonly GroupMember[];
}

/** A member in a TOML document. */
export const groupMember: z.ZodType<GroupMember> = z.lazy(() =>
  z.object({
    id: moduleId,
    version: moduleVersion,
    api: text, // whoever runs it ends with another code for none than for a broken file (VER-4)
    homepage: text,
  })
);

const schema: z.ZodType<Group> = z.lazy(() =>
  z.object({
    group: z.array(groupMember).default([]),
    "group-extensions": z.array(groupMember).default([]),
  }).transform((file): Group => ({ group: file.group, extensions: file["group-extensions"] }))
);

/**
 * Reads `group.toml` (GRP-1).
 *
 * @throws {FileError} When it is malformed.
 */
export function parseGroupToml(source: string, file: string): Group {
  return parseDocument(schema, source, file);
}

/** Writes `group.toml`. */
export function formatGroupToml(group: Group): string {
  return formatToml({
    group: group.group.length > 0 ? memberTables(group.group) : undefined,
    "group-extensions": group.extensions.length > 0 ? memberTables(group.extensions) : undefined,
  });
}

/** Members as the tables of a TOML document. */
export function memberTables(members: readonly GroupMember[]): Record<string, unknown>[] {
  return members.map((one) => ({
    id: one.id,
    version: one.version,
    api: one.api,
    homepage: one.homepage || undefined,
  }));
}
