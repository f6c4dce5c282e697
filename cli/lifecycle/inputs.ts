/** The inputs of one phase as values: flag, then variable, then default (CLI-5). */
import { resolve } from "node:path";
import { parseApiVersion } from "../../lifecycle/api.ts";
import {
  type GoFlag,
  type GoFlagKind,
  type GoFlagValue,
  parseGoBool,
  parseGoDuration,
  parseGoFlags,
} from "./go_flags.ts";
import {
  type InputName,
  type InputRow,
  INPUTS,
  type PhaseName,
  takesFlag,
} from "./inputs_table.ts";

type Held<Kind extends GoFlagKind> = Kind extends "bool" ? boolean
  : Kind extends "int" ? number | undefined
  : Kind extends "duration" ? number
  : Kind extends "list" ? readonly string[]
  : string;

/**
 * One value for each row of the table: text is empty and a list has no entries where nothing was given; `uid` and
 * `gid` are `undefined`. Directories are absolute.
 */
export type Inputs = { readonly [Name in InputName]: Held<(typeof INPUTS)[Name]["kind"]> };

/** What a command line and an environment say. */
export interface ReadInputs {
  /** The values. */
  readonly inputs: Inputs;
  /** Words behind the flags. */
  readonly rest: readonly string[];
  /** `-version` was given. */
  readonly wantsVersion: boolean;
}

/** The flags of `phase` at `platformApi`, `-version` included. */
export function flagsOf(phase: PhaseName, platformApi: string): readonly GoFlag[] {
  const minor = parseApiVersion(platformApi)?.[1] ?? 0;
  const flags: GoFlag[] = [{ name: "version", kind: "bool", usage: "show version" }];
  for (const row of Object.values<InputRow>(INPUTS)) {
    if (!takesFlag(row, phase, minor)) continue;
    flags.push({ name: row.flag!, kind: row.kind, usage: row.usage });
  }
  return flags;
}

/**
 * Reads the inputs of a phase.
 *
 * @param exists Whether there is a file: the order's default depends on it.
 * @throws {GoFlagError} As {@linkcode parseGoFlags}.
 */
export function readInputs(
  phase: PhaseName,
  platformApi: string,
  words: readonly string[],
  world: {
    readonly env: Readonly<Record<string, string>>;
    readonly cwd: string;
    readonly exists: (path: string) => boolean;
  },
): ReadInputs {
  const { values, rest } = parseGoFlags(flagsOf(phase, platformApi), words);
  const found: Record<string, GoFlagValue | undefined> = {};
  for (const [name, row] of Object.entries<InputRow>(INPUTS)) {
    const given = row.flag === undefined ? undefined : values.get(row.flag);
    const variable = row.env === undefined ? undefined : world.env[row.env] || undefined;
    found[name] = given === undefined
      ? fromText(row.kind, variable, row.fallback)
      : row.kind === "list" && row.env !== undefined
      // As Go's: what flags say is added to what the variable says.
      ? [...fromText("list", variable, undefined) as readonly string[], ...given as string[]]
      : given;
  }
  const layers = String(found["layersDir"]) || world.cwd;
  for (const [name, row] of Object.entries<InputRow>(INPUTS)) {
    const value = found[name];
    if (typeof value !== "string") continue;
    // As Go's: an empty directory is this one, where there is always one.
    if (value === "" && row.directory && row.fallback !== undefined) found[name] = world.cwd;
    if (value === "") continue;
    const isDefaultOrder = name === "orderPath" && value === INPUTS.orderPath.fallback;
    let path = value.replace("<layers>", layers);
    if (isDefaultOrder && !world.exists(resolve(world.cwd, path))) path = "/cnb/order.toml";
    found[name] = row.directory ? resolve(world.cwd, path) : path;
  }
  // One variable skips in both: the creator's flag and the others' mean the same (8.2).
  if (found["skipRestore"] && phase !== "create") found["skipLayers"] = true;
  if (found["skipLayers"] && phase === "create") found["skipRestore"] = true;
  return {
    inputs: found as unknown as Inputs,
    rest,
    wantsVersion: values.get("version") === true,
  };
}

/** IN-0: a switch that cannot be read is off, a number that cannot be read is not there. */
function fromText(
  kind: GoFlagKind,
  text: string | undefined,
  fallback: string | undefined,
): GoFlagValue | undefined {
  switch (kind) {
    case "string":
      return text ?? fallback ?? "";
    case "bool":
      return parseGoBool(text ?? fallback ?? "") ?? false;
    case "int":
      return text !== undefined && /^[+-]?\d{1,15}$/.test(text) ? Number(text) : undefined;
    case "duration":
      return parseGoDuration(text ?? "") ?? parseGoDuration(fallback ?? "") ?? 0;
    case "list":
      return text === undefined ? [] : text.split(",");
  }
}
