/** What all descriptors of buildpacks share: ids, targets, execution environments. */
import { z } from "zod";
import { name, text } from "./document.ts";

/** One line of an order: a buildpack that should take part. */
export interface GroupElement {
  /** Its id, e.g. `samples/go`. */
  readonly id: string;
  /** Its version; empty when the order leaves it open. */
  readonly version: string;
  /** The group can pass without it. */
  readonly optional: boolean;
  /** Execution environments it is for; empty for all. */
  readonly execEnv: readonly string[];
}

/** Alternatives, first one that passes; each a group of elements in order. */
export type GroupOrder = readonly { readonly group: readonly GroupElement[] }[];

/** What a buildpack runs on, or what a run image is. Empty says nothing. */
export interface Target {
  /** `linux`, ... */
  readonly os: string;
  /** `amd64`, ... */
  readonly arch: string;
  /** `v8`, ... */
  readonly variant: string;
  /** Distributions, any of which will do; none: any. */
  readonly distros: readonly Distro[];
}

/** A distribution; empty says nothing. */
export interface Distro {
  /** `ubuntu`, ... */
  readonly name: string;
  /** `24.04`, ... */
  readonly version: string;
}

/** Ids that would clash with directories under `<layers>` (BPT-2). */
const RESERVED_IDS: readonly string[] = ["config", "app", "generated", "sbom"];

/** Whether `id` may be the id of a buildpack or extension (BPT-2). */
export function isModuleId(id: string): boolean {
  return /^[A-Za-z0-9./-]+$/.test(id) && !RESERVED_IDS.includes(id) &&
    !id.split("/").some((part) => part === "" || part === "." || part === "..");
}

/** `id` as the name of a directory: every `/` is a `_`. */
export function escapeId(id: string): string {
  return id.replaceAll("/", "_");
}

/** `id@version`, as logs and messages name a buildpack; `id` alone when it has no version. */
export function moduleName(module: { readonly id: string; readonly version: string }): string {
  return module.version === "" ? module.id : `${module.id}@${module.version}`;
}

/** An id in a document. */
export const moduleId: z.ZodType<string> = name.refine(
  isModuleId,
  "letters, digits, '.', '/' and '-', and not config, app, generated or sbom",
);

/** A version that also names a directory. */
export const moduleVersion: z.ZodType<string> = text.refine(
  (version) => !/[/\0]/.test(version) && version !== "." && version !== "..",
  "a version without '/'",
);

/** `exec-env` in both spellings in use: strings, or tables with a `name` (BPT-6). */
export const execEnv: z.ZodType<string[]> = z.lazy(() =>
  z
    .array(z.union([z.string(), z.object({ name: z.string() }).transform((one) => one.name)]))
    .default([])
);

const targetFields = {
  os: text,
  arch: text,
  variant: text,
  "arch-variant": text,
  distros: z.array(z.object({ name: text, version: text })).default([]),
};

function targetOf(one: z.output<z.ZodObject<typeof targetFields>>): Target {
  const { os, arch, distros } = one;
  return { os, arch, variant: one.variant || one["arch-variant"], distros };
}

/** `[[...targets]]`; the variant has two spellings in use (BPT-4). */
export const targets: z.ZodType<Target[]> = z.lazy(() =>
  z.array(z.object(targetFields).transform(targetOf)).default([])
);

/** The same in a file that may have no other keys. */
export const strictTargets: z.ZodType<Target[]> = z.lazy(() =>
  z.array(z.strictObject(targetFields).transform(targetOf)).default([])
);

/** `[[...group]]`. */
export const groupElements: z.ZodType<GroupElement[]> = z.lazy(() =>
  z.array(
    z.object({
      id: moduleId,
      version: moduleVersion,
      optional: z.boolean().default(false),
      "exec-env": execEnv,
    }).transform((one): GroupElement => ({
      id: one.id,
      version: one.version,
      optional: one.optional,
      execEnv: one["exec-env"],
    })),
  ).default([])
);

/** `[[order]]` with its `[[order.group]]`. */
export const groupOrder: z.ZodType<{ group: GroupElement[] }[]> = z
  .array(z.object({ group: groupElements })).default([]);

/** An order as the tables of a TOML document. */
export function orderTables(order: GroupOrder): Record<string, unknown>[] {
  return order.map(({ group }) => ({ group: groupTables(group) }));
}

/** The elements of a group as the tables of a TOML document. */
export function groupTables(group: readonly GroupElement[]): Record<string, unknown>[] {
  return group.map((one) => ({
    id: one.id,
    version: one.version || undefined,
    optional: one.optional || undefined,
    "exec-env": one.execEnv.length > 0 ? one.execEnv : undefined,
  }));
}

/** Whether a module with `list` is for the execution environment `wanted` (BPT-6, DT-12). */
export function inExecEnv(list: readonly string[], wanted: string): boolean {
  return list.length === 0 || list.includes("*") || list.includes(wanted);
}
