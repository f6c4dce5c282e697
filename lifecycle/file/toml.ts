/**
 * TOML as the lifecycle needs it: nothing that passes through is changed.
 *
 * Integers are `bigint`, floats are `number`, dates and times are `Temporal` values, so `1`, `1.0`,
 * 9007199254740993 and a date with nanoseconds all come out as they went in.
 */
import { parse, TomlError, type TomlTable, type TomlValue } from "smol-toml";
import { FileError } from "../error.ts";
import { writeToml } from "./toml_write.ts";

export type { TomlTable, TomlValue };

/**
 * Reads a TOML 1.0 document. A leading byte order mark is skipped.
 *
 * @param file What the message calls the document.
 * @throws {FileError} `Cannot parse <file>:<line>:<column>: ...` when it is not TOML.
 */
export function parseToml(text: string, file: string): TomlTable {
  const plain = text.startsWith("\uFEFF") ? text.slice(1) : text;
  try {
    return parse(plain, { integersAsBigInt: true, useLegacyDate: false });
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const why = cause.message.replace(/^Invalid TOML document: /, "").split("\n")[0] ?? "";
    const seen = (plain.split(/\r?\n/)[cause.line - 1] ?? "").trim();
    const shown = seen === "" ? "the end of the line" : JSON.stringify(seen.slice(0, 60));
    throw new FileError(
      file,
      `Cannot parse ${file}:${cause.line}:${cause.column}: ${why}, seen ${shown}`,
      { cause, line: cause.line },
    );
  }
}

/** Writes a TOML document; keys whose value is `undefined` are left out. Ends with a newline. */
export function formatToml(table: Readonly<Record<string, unknown>>): string {
  return writeToml(table);
}

/** Whether `value` is a table and not an array, a date or a plain value. */
export function isTable(value: unknown): value is TomlTable {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const shape = Object.getPrototypeOf(value);
  return shape === null || shape === Object.prototype;
}

/** Whether `value` is one of the dates and times of TOML. */
export function isDate(value: unknown): boolean {
  return value instanceof Temporal.ZonedDateTime || value instanceof Temporal.Instant ||
    value instanceof Temporal.PlainDateTime || value instanceof Temporal.PlainDate ||
    value instanceof Temporal.PlainTime;
}
