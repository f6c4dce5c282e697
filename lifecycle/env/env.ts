/**
 * The rules by which files become environment variables: pure values, no disk.
 *
 * @see CNB buildpack spec, "Environment"; ENV-1 to ENV-4, ENV-8 to ENV-13
 */
import { compareBytes } from "../../registry/compare_bytes.ts";

/** Variables by name. */
export type Env = ReadonlyMap<string, string>;

/** One file of an `env` directory. */
export interface EnvFile {
  /** Its file name, e.g. `PATH.prepend`. */
  readonly name: string;
  /** Its content, byte for byte. */
  readonly value: string;
}

/** What a file without a suffix does: `override` in layers, `default` in `<build-config>` (ENV-8). */
export type DefaultAction = "override" | "default";

/** Directories of a layer and the variables they are put in front of for the build (ENV-13). */
export const BUILD_ROOTS: Readonly<Record<string, readonly string[]>> = {
  bin: ["PATH"],
  lib: ["LD_LIBRARY_PATH", "LIBRARY_PATH"],
  include: ["CPATH"],
  pkgconfig: ["PKG_CONFIG_PATH"],
};

/** Variables that hold a list of paths: user values go in front of them (ENV-3). */
const PATH_VARIABLES: readonly string[] = Object.values(BUILD_ROOTS).flat();

/** What a buildpack's executable inherits (ENV-1). */
const INHERITED: readonly string[] = [
  "CNB_STACK_ID",
  "HOSTNAME",
  "HOME",
  "HTTP_PROXY",
  "http_proxy",
  "HTTPS_PROXY",
  "https_proxy",
  "NO_PROXY",
  "no_proxy",
  ...PATH_VARIABLES,
];

/** What a buildpack's executable starts from (ENV-1). */
export function buildEnv(inherited: Readonly<Record<string, string>>): Env {
  const env = new Map<string, string>();
  for (const name of INHERITED) {
    const value = inherited[name];
    if (value !== undefined) env.set(name, value);
  }
  return env;
}

/**
 * Applies the files of one `env` directory, in byte order of their names, each at once (ENV-11).
 *
 * The part of a name before its first dot is the variable, the rest the action; a file with an
 * unknown action does nothing (ENV-8).
 */
export function modifyEnv(
  env: Env,
  files: readonly EnvFile[],
  defaultAction: DefaultAction,
): Env {
  const out = new Map(env);
  const delimiters = new Map(files.map((file) => [file.name, file.value]));
  for (const file of [...files].sort((a, b) => compareBytes(a.name, b.name))) {
    const dot = file.name.indexOf(".");
    const name = dot < 0 ? file.name : file.name.slice(0, dot);
    if (!isVariable(name)) continue;
    const action = dot < 0 ? defaultAction : file.name.slice(dot + 1);
    const delimiter = delimiters.get(`${name}.delim`) ?? "";
    const value = apply(action, out.get(name) ?? "", file.value, delimiter);
    if (value !== undefined) out.set(name, value);
  }
  return out;
}

/** Applies user-provided variables: names as they are, paths in front, all else replaced (ENV-3). */
export function withUserVariables(env: Env, files: readonly EnvFile[]): Env {
  const out = new Map(env);
  for (const { name, value } of files) {
    if (!isVariable(name)) continue;
    const old = out.get(name) ?? "";
    out.set(name, PATH_VARIABLES.includes(name) ? prepend(value, ":", old) : value);
  }
  return out;
}

/**
 * Puts the directories of a layer in front of the variables they belong to (ENV-13).
 *
 * @param layerDir The layer as executables see it.
 * @param present Which names of {@linkcode BUILD_ROOTS} the layer has.
 */
export function withRoots(
  env: Env,
  layerDir: string,
  present: readonly string[],
): Env {
  const out = new Map(env);
  for (const [directory, names] of Object.entries(BUILD_ROOTS)) {
    if (!present.includes(directory)) continue;
    for (const name of names) {
      out.set(name, prepend(`${layerDir}/${directory}`, ":", out.get(name) ?? ""));
    }
  }
  return out;
}

/** `env` as an object without a prototype. */
export function toRecord(env: Env): Record<string, string> {
  const out: Record<string, string> = Object.create(null);
  for (const [name, value] of env) out[name] = value;
  return out;
}

/** The new value; `undefined` when nothing changes. No delimiter beside an empty old value (ENV-9). */
function apply(action: string, old: string, value: string, delimiter: string): string | undefined {
  switch (action) {
    case "append":
      return old === "" ? value : old + delimiter + value;
    case "prepend":
      return prepend(value, delimiter, old);
    case "override":
      return value;
    case "default":
      return old === "" ? value : undefined;
    case "":
      // `NAME.`: Go's unwritten action for lists of paths.
      return prepend(value, ":", old);
    default:
      return undefined;
  }
}

function prepend(value: string, delimiter: string, old: string): string {
  return old === "" ? value : value + delimiter + old;
}

/** A name the operating system can carry. */
function isVariable(name: string): boolean {
  return name !== "" && !/[=\0]/.test(name);
}
