/**
 * Writes TOML in the layout of the Go lifecycle: the same document gives the same bytes, so a layer that holds one is
 * the same layer whoever made it. Plain values come before tables, tables below the first level are indented.
 */
import { stringify } from "smol-toml";

/** A value that is TOML already. */
export class RawToml {
  /** The text. */
  readonly text: string;

  /** Wraps `text`. */
  constructor(text: string) {
    this.text = text;
  }
}

type Table = Readonly<Record<string, unknown>>;

/**
 * Writes a document. Keys keep their order in objects of our own; in parsed tables, which have no prototype, they
 * are sorted, as Go sorts a map's. Keys whose value is `undefined` are left out.
 */
export function writeToml(table: Table): string {
  const lines: string[] = [];
  writeTable(table, [], lines);
  return lines.map((line) => line + "\n").join("");
}

function writeTable(table: Table, path: readonly string[], lines: string[]): void {
  const indent = "  ".repeat(path.length);
  const entries = entriesOf(table);
  for (const [key, value] of entries) {
    if (isTable(value) || isTableList(value)) continue;
    lines.push(`${indent}${quoteKey(key)} = ${inline(value)}`);
  }
  for (const [key, value] of entries) {
    const below = [...path, key];
    const name = below.map(quoteKey).join(".");
    if (isTable(value)) {
      if (path.length === 0 && lines.length > 0) lines.push("");
      lines.push(`${indent}[${name}]`);
      writeTable(value, below, lines);
    } else if (isTableList(value)) {
      for (const one of value) {
        if (lines.length > 0) lines.push("");
        lines.push(`${indent}[[${name}]]`);
        writeTable(one, below, lines);
      }
    }
  }
}

function entriesOf(table: Table): [string, unknown][] {
  const entries = Object.entries(table).filter(([, value]) => value !== undefined);
  if (Object.getPrototypeOf(table) !== null) return entries;
  return entries.sort(([a], [b]) => compareText(a, b));
}

/** By code points, which is by the bytes of UTF-8. */
function compareText(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const difference = left[at]!.codePointAt(0)! - right[at]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

function isTable(value: unknown): value is Table {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const shape = Object.getPrototypeOf(value);
  return shape === null || shape === Object.prototype;
}

function isTableList(value: unknown): value is readonly Table[] {
  return Array.isArray(value) && value.length > 0 && value.every(isTable);
}

function inline(value: unknown): string {
  if (value instanceof RawToml) return value.text;
  if (typeof value === "string") return quote(value);
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (typeof value === "number") return float(value);
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (isTable(value)) {
    const entries = entriesOf(value).map(([key, one]) => `${quoteKey(key)} = ${inline(one)}`);
    return `{${entries.join(", ")}}`;
  }
  // Dates and times; UTC as most people write it, and Go does.
  return stringify({ x: value }).trim().slice("x = ".length).replace(/\+00:00$/, "Z");
}

function quoteKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : quote(key);
}

const SHORT: Readonly<Record<string, string>> = {
  "\b": "\\b",
  "\f": "\\f",
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
  '"': '\\"',
  "\\": "\\\\",
};

// deno-lint-ignore no-control-regex -- exactly these are escaped
const ESCAPED = /[\x00-\x1f"\\\x7f]/g;

function quote(text: string): string {
  const escaped = text.replaceAll(
    ESCAPED,
    (one) => SHORT[one] ?? `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `"${escaped}"`;
}

/** The shortest digits that read back as `value`: Go's `%g`, with a point where there is no exponent. */
function float(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  if (Object.is(value, -0)) return "-0.0";
  const [digits = "0", power = "0"] = value.toExponential().split("e");
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 6)) {
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const plain = String(value); // no exponent in this range
  return plain.includes(".") ? plain : `${plain}.0`;
}
