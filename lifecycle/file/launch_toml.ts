import { z } from "zod";
import type { BuildpackCapabilities } from "../api.ts";
import { FileError } from "../error.ts";
import { flag, parseDocument, table, text, texts } from "./document.ts";
import { execEnv } from "./module.ts";
import { isTable, parseToml, type TomlTable } from "./toml.ts";
import { lineOf } from "../../registry/toml_line.ts";

/** A label of the app image. */
export interface Label {
  /** Its key. */
  readonly key: string;
  /** Its value. */
  readonly value: string;
}

/** Paths of the app that share a layer. */
export interface Slice {
  /** Globs, relative to the app directory. */
  readonly paths: readonly string[];
}

/** An entry of the deprecated bill of materials. */
export interface BomEntry {
  /** What it is. */
  readonly name: string;
  /** Free-form; `undefined` when the file has none. */
  readonly metadata: TomlTable | undefined;
}

/** A way to start the app. */
export interface Process {
  /** Its name, e.g. `web`. */
  readonly type: string;
  /** The command line; before B0.9 one entry. */
  readonly command: readonly string[];
  /** Arguments; `undefined` when the file does not say. */
  readonly args: readonly string[] | undefined;
  /** It is started without a shell. */
  readonly direct: boolean;
  /** It wants to be the default of the image. */
  readonly default: boolean;
  /** Where it starts; empty: the app directory. */
  readonly workingDir: string;
  /** Execution environments it is for; empty for all. */
  readonly execEnv: readonly string[];
  /** Who contributed it. */
  readonly buildpackId: string;
}

/** `launch.toml`: what a buildpack contributes to the app image beside layers. */
export interface Launch {
  /** Labels, in order. */
  readonly labels: readonly Label[];
  /** Processes, in order. */
  readonly processes: readonly Process[];
  /** Slices, in order. */
  readonly slices: readonly Slice[];
  /** Deprecated. */
  readonly bom: readonly BomEntry[];
  /** What the buildpack's author should hear. */
  readonly warnings: readonly string[];
}

/** `[[bom]]`; a `version` beside `name` is refused (LTM-6). */
export const bom: z.ZodType<BomEntry[]> = z.lazy(() =>
  z.array(
    z.object({
      name: text,
      version: z.custom<undefined>((seen) => seen === undefined, "it in metadata.version")
        .optional(),
      metadata: table.optional(),
    }).transform((one): BomEntry => ({ name: one.name, metadata: one.metadata })),
  ).default([])
);

/** `[[labels]]`. */
export const labels: z.ZodType<Label[]> = z.array(z.object({ key: text, value: text })).default([]);

/** `[[slices]]`. */
export const slices: z.ZodType<Slice[]> = z.array(z.object({ paths: texts })).default([]);

function schemaFor(command: z.ZodType<readonly string[]>) {
  return z.object({
    labels,
    slices,
    bom,
    processes: z.array(z.object({
      type: text,
      command,
      args: z.array(z.string()).optional(),
      direct: z.boolean().optional(),
      default: flag,
      "working-dir": text,
      "exec-env": execEnv,
    })).default([]),
  });
}

const oneString = schemaFor(z.string().transform((command) => [command]));
const stringArray = schemaFor(z.array(z.string()));

/**
 * Reads a buildpack's `launch.toml` (LTM-1 to LTM-4, LTM-6). Process types are not checked: that is
 * the exporter's ({@linkcode isProcessType}).
 *
 * @param buildpackId Who wrote it.
 * @param can What the buildpack's API turns on.
 * @throws {FileError} When it is malformed, has several defaults, or a `direct` where the API has none.
 */
export function parseLaunchToml(
  source: string,
  file: string,
  buildpackId: string,
  can: BuildpackCapabilities,
): Launch {
  if (can.commandArray) refuseDirect(source, file);
  const parsed = parseDocument(can.commandArray ? stringArray : oneString, source, file);
  if (parsed.processes.filter((one) => one.default).length > 1) {
    throw new FileError(
      file,
      `Cannot parse ${file}: multiple default process types aren't allowed`,
    );
  }
  const warnings: string[] = [];
  const processes = parsed.processes.map((one): Process => {
    const ignored = one["working-dir"] !== "" && !can.workingDir;
    if (ignored) {
      warnings.push(
        `process working directory isn't supported in this buildpack api version. ` +
          `Ignoring working directory for process '${one.type}'`,
      );
    }
    return {
      type: one.type,
      command: one.command,
      args: one.args,
      direct: can.commandArray || one.direct === true,
      default: one.default,
      workingDir: ignored ? "" : one["working-dir"],
      execEnv: one["exec-env"],
      buildpackId,
    };
  });
  const { labels, slices, bom } = parsed;
  return { labels, processes, slices, bom, warnings };
}

/** Whether `type` may name a process: it becomes a file name in the image (LTM-5). */
export function isProcessType(type: string): boolean {
  return type !== "" && type !== "." && type !== ".." && !/[/><:|&\\\0]/.test(type);
}

/** The key itself is refused, also `direct = false` (LTM-2). */
function refuseDirect(source: string, file: string): void {
  const { processes } = parseToml(source, file);
  if (!Array.isArray(processes)) return;
  processes.forEach((one, at) => {
    if (!isTable(one) || one.direct === undefined) return;
    const line = lineOf(source, ["processes", at, "direct"]);
    throw new FileError(
      file,
      `Cannot parse ${file}${line === undefined ? "" : `:${line}`}: ` +
        `process.direct is not supported on this buildpack version`,
      { line },
    );
  });
}
