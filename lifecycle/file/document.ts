/**
 * The edge where the bytes of a spec document become values: one-line errors that name file, line
 * and key; writes that are whole or not there.
 */
import { z } from "zod";
import { FileError } from "../error.ts";
import { nearestWord } from "../../registry/nearest_word.ts";
import { formatPath, keysAt, tellUnknownKey } from "../../registry/unknown_key.ts";
import { lineOf, type Path } from "../../registry/toml_line.ts";
import { isTable, parseToml, type TomlTable } from "./toml.ts";

/** A string that may be left out; left out and empty are the same to the spec. */
export const text: z.ZodDefault<z.ZodString> = z.string().default("");

/** A list of strings that may be left out. */
export const texts: z.ZodDefault<z.ZodArray<z.ZodString>> = z.array(z.string()).default([]);

/** A switch that is off when left out. */
export const flag: z.ZodDefault<z.ZodBoolean> = z.boolean().default(false);

/** A string that must be there and hold something. */
export const name: z.ZodString = z.string().min(1);

/** A free-form table, kept exactly as it was parsed. */
export const table: z.ZodCustom<TomlTable, TomlTable> = z.custom<TomlTable>(isTable, "a table");

/**
 * Reads a TOML document of the spec. Unknown keys are dropped by `schema`.
 *
 * @param file What messages call it.
 * @throws {FileError} `Cannot parse <file>:<line>: <key> ...`: the first thing that is wrong.
 */
export function parseDocument<T>(schema: z.ZodType<T>, source: string, file: string): T {
  const parsed = parseToml(source, file);
  return check(schema, parsed, file, (path) => lineOf(source, path));
}

/**
 * Checks a parsed document against `schema`.
 *
 * @throws {FileError} With the first thing that is wrong.
 */
export function check<T>(
  schema: z.ZodType<T>,
  parsed: unknown,
  file: string,
  line: (path: Path) => number | undefined = () => undefined,
): T {
  const result = schema.safeParse(parsed);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues);
  const unknown = issue.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
  const path = [...issue.path, ...unknown].map((step) =>
    typeof step === "number" ? step : String(step)
  );
  // The first of an array of tables has the line; the array itself has none.
  const at = line([...path, 0]);
  const key = formatPath(path);
  const where = at === undefined ? file : `${file}:${at}`;
  const said = unknown.length > 0
    ? tellUnknownKey(path, keysAt(schema, path.slice(0, -1)))
    : say(issue, key, valueAt(parsed, path));
  throw new FileError(file, `Cannot parse ${where}: ${said}`, { line: at, key });
}

/**
 * The keys a document may have: tables of tables, and `true` for what is read or kept as it is. With {@linkcode OTHERS}
 * any other key may be there, too, unless it is nearly one of these.
 */
export interface KnownKeys {
  readonly [key: string]: true | KnownKeys;
}

/** A key of {@linkcode KnownKeys}: the table is open to keys of others. */
export const OTHERS = "*";

/**
 * A line for each key that means nothing, most likely a slip of the pen: `<file>:<line>: unknown key <path>, want` what
 * comes near it, else all that may be there. A key below one is not told again.
 *
 * @throws {FileError} When `source` is not TOML.
 */
export function unknownKeys(known: KnownKeys, source: string, file: string): string[] {
  const found: string[] = [];
  const look = (value: unknown, keys: KnownKeys, path: Path) => {
    if (Array.isArray(value)) value.forEach((one, at) => look(one, keys, [...path, at]));
    if (!isTable(value)) return;
    for (const [key, inner] of Object.entries(value)) {
      const here = [...path, key];
      const below = Object.hasOwn(keys, key) ? keys[key] : undefined;
      const near = below === undefined ? nearestWord(key, Object.keys(keys)) : undefined;
      if (below === undefined && near === undefined && keys[OTHERS]) continue;
      if (below === undefined) {
        const line = lineOf(source, [...here, 0]);
        const where = line === undefined ? file : `${file}:${line}`;
        found.push(`${where}: ${tellUnknownKey(here, Object.keys(keys))}`);
      } else if (below !== true) look(inner, below, here);
    }
  };
  look(parseToml(source, file), known, []);
  return found;
}

/**
 * The text of `path`, or `undefined` when there is no such file.
 *
 * @throws {FileError} When it is not UTF-8 or cannot be read.
 */
export async function readText(path: string): Promise<string | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    const why = cause instanceof Deno.errors.IsADirectory
      ? "it is a directory"
      : cause instanceof Deno.errors.PermissionDenied
      ? "permission denied"
      : cause instanceof Error
      ? cause.message
      : String(cause);
    throw new FileError(path, `Cannot read ${path}: ${why}`, { cause });
  }
  return decode(bytes, path);
}

/**
 * Bytes as text.
 *
 * @throws {FileError} When they are not UTF-8.
 */
export function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FileError(file, `Cannot read ${file}: it is not UTF-8`, { cause });
  }
}

/**
 * Reads the document at `path` with `parse`.
 *
 * @returns `undefined` when there is no such file.
 * @throws {FileError} When it cannot be read or parsed.
 */
export async function readDocument<T>(
  path: string,
  parse: (source: string, file: string) => T,
): Promise<T | undefined> {
  const source = await readText(path);
  return source === undefined ? undefined : parse(source, path);
}

/**
 * Writes `content` to `path`, whole or not at all: a temporary file beside it, renamed. A file that
 * was there keeps its old content until then. Missing parent directories are made. A device is written to.
 *
 * @throws {FileError} When it cannot be written.
 */
export async function writeText(path: string, content: string): Promise<void> {
  const directory = path.slice(0, path.lastIndexOf("/")) || "/";
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await Deno.mkdir(directory, { recursive: true });
    if (await isStream(path)) return await Deno.writeTextFile(path, content, { create: false });
    try {
      await Deno.writeTextFile(temporary, content, { createNew: true });
      await Deno.rename(temporary, path);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {});
      throw error;
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FileError(path, `Cannot write ${path}: ${why}`, { cause });
  }
}

/**
 * A device, or what stands for an open file: a file put in its place would be the end of /dev/null for all. A link to one
 * is none: a buildpack may have made it.
 */
async function isStream(path: string): Promise<boolean> {
  if (/^\/(dev\/(?!shm\/)|proc\/)/.test(path)) return true;
  return (await Deno.lstat(path).catch(() => undefined))?.isCharDevice === true;
}

/** The first issue; of a union, the one of the alternative that came furthest. */
function deepest(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  const issue = issues[0]!;
  if (issue.code !== "invalid_union") return issue;
  let best: z.core.$ZodIssue | undefined;
  for (const alternative of issue.errors) {
    const inner = alternative[0];
    if (inner && (best === undefined || inner.path.length > best.path.length)) best = inner;
  }
  if (best === undefined || best.path.length === 0) return issue;
  return { ...best, path: [...issue.path, ...best.path] };
}

function say(issue: z.core.$ZodIssue, key: string, seen: unknown): string {
  if (issue.code === "custom") {
    return seen === undefined
      ? `${key} is missing`
      : isTable(seen)
      ? `${key} should have ${issue.message}`
      : `${key} is ${show(seen)}, want ${issue.message}`;
  }
  const name = key === "" ? "the document" : key;
  if (seen === undefined) return `${name} is missing`;
  if (issue.code === "too_small") return `${name} is empty`;
  if (issue.code === "invalid_type") {
    return `${name} is ${show(seen)}, want ${kind(issue.expected)}`;
  }
  return `${name} is ${show(seen)}: ${issue.message}`;
}

const KINDS: Readonly<Record<string, string>> = {
  string: "a string",
  array: "an array",
  object: "a table",
  boolean: "true or false",
  bigint: "an integer",
};

function kind(expected: string): string {
  return KINDS[expected] ?? expected;
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 60));
  if (Array.isArray(value)) return "an array";
  if (isTable(value)) return "a table";
  return String(value);
}

function valueAt(root: unknown, path: Path): unknown {
  let here = root;
  for (const step of path) {
    if (typeof here !== "object" || here === null) return undefined;
    here = (here as Record<string | number, unknown>)[step];
  }
  return here;
}
