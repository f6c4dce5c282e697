import { z } from "zod";
import { flag, parseDocument, table, text } from "./document.ts";
import { type GroupMember, groupMember, memberTables } from "./group_toml.ts";
import {
  type BomEntry,
  type Label,
  labels,
  type Process,
  type Slice,
  slices,
} from "./launch_toml.ts";
import { execEnv } from "./module.ts";
import { goJson } from "./json.ts";
import { formatToml } from "./toml.ts";
import { RawToml } from "./toml_write.ts";

/** `<layers>/config/metadata.toml`: from the builder to the exporter and the launcher (MDT-1). */
export interface BuildMetadata {
  /** Process type the image starts by default; empty: none. */
  readonly defaultProcessType: string;
  /** Who took part. */
  readonly buildpacks: readonly GroupMember[];
  /** Image extensions that took part. */
  readonly extensions: readonly GroupMember[];
  /** In order; a later one with the same key wins. */
  readonly labels: readonly Label[];
  /** Sorted by type. */
  readonly processes: readonly Process[];
  /** In order. */
  readonly slices: readonly Slice[];
  /** The deprecated bill of materials, before P0.9 only. */
  readonly bom?: readonly OwnedBomEntry[] | undefined;
}

/** An entry of the deprecated bill of materials and who wrote it. */
export interface OwnedBomEntry extends BomEntry {
  /** Who. */
  readonly buildpack: { readonly id: string; readonly version: string };
}

const bom: z.ZodType<OwnedBomEntry[] | undefined> = z.lazy(() =>
  z.array(
    z.object({
      name: text,
      metadata: table.optional(),
      buildpack: z.object({ id: text, version: text }),
    }).transform((one): OwnedBomEntry => ({ ...one, metadata: one.metadata })),
  ).optional()
);

/** `command` is an array, or before P0.10 a string (MDT-2). */
const command: z.ZodType<readonly string[]> = z.lazy(() =>
  z.union([
    z.array(z.string()),
    z.string().transform((one) => [one]),
  ])
);

const schema: z.ZodType<BuildMetadata> = z.lazy(() =>
  z.object({
    "buildpack-default-process-type": text,
    buildpacks: z.array(groupMember).default([]),
    extensions: z.array(groupMember).default([]),
    labels,
    processes: z.array(
      z.object({
        type: text,
        command,
        args: z.array(z.string()).optional(),
        direct: flag,
        "buildpack-id": text,
        "working-dir": text,
        "exec-env": execEnv,
      }).transform((one): Process => ({
        type: one.type,
        command: one.command,
        args: one.args,
        direct: one.direct,
        default: false,
        workingDir: one["working-dir"],
        execEnv: one["exec-env"],
        buildpackId: one["buildpack-id"],
      })),
    ).default([]),
    slices,
    bom,
  }).transform((file): BuildMetadata => ({
    defaultProcessType: file["buildpack-default-process-type"],
    buildpacks: file.buildpacks,
    extensions: file.extensions,
    labels: file.labels,
    processes: file.processes,
    slices: file.slices,
    ...(file.bom ? { bom: file.bom } : {}),
  }))
);

/**
 * Reads `metadata.toml`.
 *
 * @throws {FileError} When it is malformed.
 */
export function parseMetadataToml(source: string, file: string): BuildMetadata {
  return parseDocument(schema, source, file);
}

/**
 * Writes `metadata.toml`. `default` of a process is never written (MDT-3).
 *
 * @param can `commandArray: false` writes commands as P<0.10 knows them, one string each (MDT-2).
 */
export function formatMetadataToml(
  metadata: BuildMetadata,
  can: { readonly commandArray: boolean } = { commandArray: true },
): string {
  const list = <T>(values: readonly T[]) => values.length > 0 ? values : undefined;
  return formatToml({
    bom: list(metadata.bom ?? []),
    buildpacks: list(memberTables(metadata.buildpacks)),
    extensions: list(memberTables(metadata.extensions)),
    labels: list(metadata.labels),
    // The one list that Go writes when it is empty, too.
    processes: metadata.processes.map((one) => ({
      type: one.type,
      command: commandOf(one, can),
      args: one.args,
      direct: one.direct,
      "buildpack-id": one.buildpackId,
      "working-dir": one.workingDir || undefined,
      "exec-env": list(one.execEnv),
    })),
    slices: list(metadata.slices),
    "buildpack-default-process-type": metadata.defaultProcessType || undefined,
  });
}

/** Go writes each word as JSON, which has escapes of its own. */
function commandOf({ command }: Process, can: { readonly commandArray: boolean }): RawToml {
  if (!can.commandArray) return new RawToml(goJson(command[0] ?? ""));
  return new RawToml(`[${command.map((word) => goJson(word)).join(", ")}]`);
}
