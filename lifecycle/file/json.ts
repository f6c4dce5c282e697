/**
 * JSON as labels carry it: written as Go writes it, read without losing a digit.
 *
 * As in `toml.ts`, integers are `bigint` and floats are `number`; a float without a fraction is
 * written `1.0`, so that it comes back as one. Dates become strings, as in Go;
 * {@linkcode datePaths} tells which they were.
 */
import { isTooDeep } from "../../registry/oci/json.ts";
import { FileError } from "../error.ts";
import { compareBytes } from "../../registry/compare_bytes.ts";
import { isDate, isTable, type TomlTable, type TomlValue } from "./toml.ts";

/**
 * Writes `value` as Go's `encoding/json` would: no blanks; `<`, `>`, `&` and the two line separators
 * escaped; keys of a `Map` sorted by bytes, keys of an object in their own order (as Go's structs);
 * `undefined` properties left out (LB-2).
 *
 * @throws {RangeError} For `inf` and `nan`, which JSON has no form for.
 */
export function goJson(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "string") return quote(value);
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") return formatFloat(value);
  if (Array.isArray(value)) return `[${value.map(goJson).join(",")}]`;
  if (isDate(value)) return quote(formatDate(value));
  if (value instanceof Map) {
    const keys = [...value.keys()].map(String).sort(compareBytes);
    return `{${keys.map((key) => `${quote(key)}:${goJson(value.get(key))}`).join(",")}}`;
  }
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return `{${entries.map(([key, one]) => `${quote(key)}:${goJson(one)}`).join(",")}}`;
}

/** As {@linkcode goJson}, of a value of {@linkcode parseJson}: where no number is in it, in a fifth of the time. */
export function goJsonOfParsed(value: unknown): string {
  return hasNumber(value) ? goJson(value) : escaped(JSON.stringify(value));
}

/** A free-form value with every table as a `Map`, so that {@linkcode goJson} sorts its keys as Go does. */
export function goMap(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(goMap);
  if (value === null || typeof value !== "object" || isDate(value) || value instanceof Map) {
    return value;
  }
  return new Map(Object.entries(value).map(([key, one]) => [key, goMap(one)]));
}

/**
 * Reads JSON; integers become `bigint`, other numbers `number`.
 *
 * @param file What messages call it, e.g. the name of a label.
 * @throws {FileError} When it is not JSON.
 */
export function parseJson(source: string, file: string): unknown {
  try {
    // The reviver goes down the document by calls, and so does all that looks at it later.
    if (isTooDeep(source)) throw new SyntaxError("it is nested too deep");
    // A reviver is slow, and only numbers need it.
    const quick: unknown = JSON.parse(source);
    if (!hasNumber(quick)) return quick;
    return parseWithSource(source, (_key, value, context) => {
      if (typeof value !== "number") return value;
      const digits = context?.source ?? String(value);
      if (/^-?\d+$/.test(digits)) return BigInt(digits);
      if (Number.isFinite(value)) return value;
      throw new SyntaxError(`${digits.slice(0, 40)} is larger than any number`);
    });
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new FileError(file, `Cannot parse ${file}: ${cause.message}`, { cause });
  }
}

function hasNumber(value: unknown): boolean {
  if (typeof value === "number" || typeof value === "bigint") return true;
  if (typeof value !== "object" || value === null) return false;
  for (const one of Array.isArray(value) ? value : Object.values(value)) {
    if (hasNumber(one)) return true;
  }
  return false;
}

/** `JSON.parse` of ES2026, whose reviver sees the digits of a number. */
const parseWithSource = JSON.parse as (
  text: string,
  reviver: (key: string, value: unknown, context?: { readonly source?: string }) => unknown,
) => unknown;

/** Where in `value` dates are, as JSON pointers, sorted. */
export function datePaths(value: unknown): string[] {
  const found: string[] = [];
  const look = (one: unknown, path: string) => {
    if (isDate(one)) found.push(path);
    else if (Array.isArray(one)) one.forEach((item, at) => look(item, `${path}/${at}`));
    else if (isTable(one)) {
      for (const [key, item] of Object.entries(one)) {
        look(item, `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
      }
    }
  };
  look(value, "");
  return found.sort(compareBytes);
}

/**
 * Free-form JSON as TOML: `null`s, which TOML has no form for, are dropped; strings at `dates` become
 * dates again.
 *
 * @returns `undefined` when `value` is no object.
 */
export function toTable(value: unknown, dates: readonly string[] = []): TomlTable | undefined {
  const wanted = new Set(dates);
  const convert = (one: unknown, path: string): TomlValue | undefined => {
    if (one === null || one === undefined) return undefined;
    if (typeof one === "string") return wanted.has(path) ? parseDate(one) : one;
    if (Array.isArray(one)) {
      return one.map((item, at) => convert(item, `${path}/${at}`))
        .filter((item): item is TomlValue => item !== undefined);
    }
    if (typeof one === "object" && !isDate(one)) {
      const table: TomlTable = Object.create(null);
      for (const [key, item] of Object.entries(one)) {
        const step = key.replaceAll("~", "~0").replaceAll("/", "~1");
        const converted = convert(item, `${path}/${step}`);
        if (converted !== undefined) table[key] = converted;
      }
      return table;
    }
    return one as TomlValue;
  };
  const table = convert(value, "");
  return isTable(table) ? table : undefined;
}

/** The four kinds of dates of TOML, in the form TOML and Go write them. */
function formatDate(value: unknown): string {
  if (value instanceof Temporal.ZonedDateTime) {
    return value.toString({ timeZoneName: "never", calendarName: "never" })
      .replace(/\+00:00$/, "Z");
  }
  return String(value);
}

function parseDate(text: string): TomlValue {
  const match = /^(\d{4}-\d\d-\d\d)?[Tt ]?(\d\d:\d\d:\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?$/.exec(
    text,
  );
  try {
    if (match?.[1] && match[2] && match[3]) {
      const zone = match[3] === "Z" ? "+00:00" : match[3];
      return Temporal.ZonedDateTime.from(`${match[1]}T${match[2]}${zone}[${zone}]`);
    }
    if (match?.[1] && match[2]) return Temporal.PlainDateTime.from(`${match[1]}T${match[2]}`);
    if (match?.[1]) return Temporal.PlainDate.from(match[1]);
    if (match?.[2]) return Temporal.PlainTime.from(match[2]);
  } catch {
    // Someone else edited it: a string is what Go would have made of it.
  }
  return text;
}

function formatFloat(value: number): string {
  if (!Number.isFinite(value)) {
    throw new RangeError(`Cannot write ${value} as JSON: want a finite number`);
  }
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** What Go escapes and JavaScript does not. */
const SPECIAL = /[<>&\u2028\u2029]/;

function quote(text: string): string {
  return escaped(JSON.stringify(text));
}

/** JSON as Go writes it: what is special can only be within texts. */
function escaped(json: string): string {
  if (!SPECIAL.test(json)) return json;
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
