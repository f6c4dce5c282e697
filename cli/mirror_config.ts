/** `[[mirror]]` tables in the text of `config.toml`: everything else in the file stays as a person wrote it. */
import { parse, stringify } from "smol-toml";
import { normalLocation, type PullMode } from "../registry/client/mirror_table.ts";
import { isDeepStrictEqual } from "node:util";

/** One table as it is written. */
export interface MirrorEntry {
  /** What the mirrors stand in for. */
  readonly prefix: string;
  /** In the order they are tried. */
  readonly endpoints: readonly string[];
  /** The place itself may be asked for what no mirror has. */
  readonly fallback: boolean;
  /** What is read from them. */
  readonly pull: PullMode;
  /** Plain http or unverified TLS will do. */
  readonly insecure: boolean;
}

/**
 * `text` with `entry` in place of the table with its prefix, or at the end.
 *
 * @throws {TypeError} When the table cannot be told from the rest; the file is to be changed by hand then.
 */
export function withMirror(text: string, entry: MirrorEntry): string {
  const rest = withoutMirror(text, entry.prefix) ?? text;
  const { prefix, endpoints, fallback, pull, insecure } = entry;
  const table = stringify({
    mirror: [{
      prefix,
      endpoints: [...endpoints],
      ...(fallback ? {} : { fallback }),
      ...(pull === "all" ? {} : { pull }),
      ...(insecure ? { insecure } : {}),
    }],
  }).trim();
  const before = rest.trimEnd();
  return `${before === "" ? "" : `${before}\n\n`}${table}\n`;
}

/**
 * `text` without the table of `prefix`.
 *
 * @returns `undefined` when there is none.
 * @throws {TypeError} As {@linkcode withMirror}.
 */
export function withoutMirror(text: string, prefix: string): string | undefined {
  const before = parse(text);
  const tables = before["mirror"];
  if (!Array.isArray(tables)) return undefined;
  const rest = tables.filter((table) => !isFor(table, prefix));
  if (rest.length === tables.length) return undefined;
  const lines = text.split("\n");
  const kept: string[] = [];
  for (let at = 0; at < lines.length;) {
    if (!/^\s*\[\[\s*mirror\s*\]\]/.test(lines[at]!)) {
      kept.push(lines[at++]!);
      continue;
    }
    let end = at + 1;
    while (end < lines.length && !/^\s*\[/.test(lines[end]!)) end++;
    // What stands right above the next header belongs to that.
    while (end > at + 1 && /^\s*(#.*)?$/.test(lines[end - 1]!)) end--;
    const block = lines.slice(at, end);
    if (!isFor(firstOf(block.join("\n")), prefix)) kept.push(...block);
    at = end;
  }
  const after = kept.join("\n").replace(/\n{3,}/g, "\n\n").replace(/^\n+/, "");
  const { mirror: _, ...others } = before;
  const wanted = rest.length === 0 ? others : { ...others, mirror: rest };
  if (!isDeepStrictEqual(plain(tryParse(after)), plain(wanted))) {
    throw new TypeError(
      `the table of ${JSON.stringify(prefix)} is written in a way that is not changed here`,
    );
  }
  return after;
}

function isFor(table: unknown, prefix: string): boolean {
  const written = (table as { prefix?: unknown } | undefined)?.prefix;
  return typeof written === "string" && normalLocation(written) === prefix;
}

function firstOf(block: string): unknown {
  const tables = (tryParse(block) as { mirror?: unknown } | undefined)?.mirror;
  return Array.isArray(tables) ? tables[0] : undefined;
}

function tryParse(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

/** Without prototypes and classes, for comparing. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null));
}
