/** Where two outcomes differ, and which of that is meant. */
import { parse } from "smol-toml";
import { ALLOWED } from "./allowed.ts";
import type { Outcome } from "./run_case.ts";

/** One difference. */
export interface Difference {
  /** Where: `exporter.code`, `image.config.config.Env`, ... */
  readonly at: string;
  /** What the Go lifecycle has. */
  readonly go: unknown;
  /** What wherry has. */
  readonly wherry: unknown;
}

/** What is compared, with names of registry and namespace taken out. */
export function normalize(outcome: Outcome, host: string, namespace: string): unknown {
  const plain = (text: string) =>
    text.replaceAll(`${host}/${namespace}/`, "OWN/").replaceAll(host, "HOST")
      // Blobs are compressed by other code, and types are of one family (TA-10, CF-6).
      .replaceAll(/OWN\/app(\/latest)?@sha256:[0-9a-f]{64}/g, "OWN/app@DIGEST");
  const tree = (files: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      Object.entries(files).map(([path, text]) => [path, readFile(path, plain(text))]),
    );
  const { image, cache, report } = outcome;
  return {
    codes: outcome.codes,
    trees: Object.fromEntries(
      Object.entries(outcome.trees).map(([phase, files]) => [phase, tree(files)]),
    ),
    report: report && readReport(plain(report)),
    [outcome.codes["rebaser"] === undefined ? "image" : "rebased"]: image && {
      layers: image.manifest.layers.length,
      config: readJson(plain(JSON.stringify(image.config))),
    },
    cache: cache && { metadata: readJson(cache.metadata), layers: cache.layers },
  };
}

/** Blobs are compressed by other code, so digest and size of a manifest are compared by their kind. */
function readReport(text: string): unknown {
  const { image, ...rest } = parse(text) as { image?: Record<string, unknown> };
  const kinds = Object.entries(image ?? {}).map(([key, value]) =>
    ["digest", "manifest-size"].includes(key) ? [key, typeof value] : [key, value]
  );
  return { image: Object.fromEntries(kinds), ...rest };
}

/** TOML as a value, whatever the order of its keys; modes and all else as text. */
function readFile(path: string, text: string): unknown {
  if (!path.endsWith(".toml")) return text;
  const at = text.indexOf(" ");
  try {
    const value: unknown = parse(text.slice(at + 1), { integersAsBigInt: "asNeeded" });
    return { mode: text.slice(0, at), value: path === "/plan.toml" ? sortPlan(value) : value };
  } catch {
    return text;
  }
}

/** The Go lifecycle writes entries in random order (PLN-2). */
function sortPlan(plan: unknown): unknown {
  const { entries = [] } = plan as { entries?: { requires?: { name: string }[] }[] };
  const name = (entry: (typeof entries)[number]) => entry.requires?.[0]?.name ?? "";
  return { entries: entries.toSorted((a, b) => name(a) < name(b) ? -1 : 1) };
}

/** JSON as a value; text within that is JSON too. */
function readJson(text: string): unknown {
  return JSON.parse(text, (_key, value) => {
    if (typeof value !== "string" || !/^[[{]/.test(value)) return value;
    try {
      return JSON.parse(value);
    } catch {
      return value;
    }
  });
}

/** All differences but the allowed ones; `used` collects the names of those that were met. */
export function compare(go: unknown, wherry: unknown, used: Set<string>): readonly Difference[] {
  const found: Difference[] = [];
  walk("", go, wherry, (difference) => {
    const allowed = ALLOWED.find(({ matches }) => matches(difference));
    if (allowed) used.add(allowed.name);
    else found.push(difference);
  });
  return found;
}

function walk(at: string, a: unknown, b: unknown, tell: (one: Difference) => void): void {
  if (a === b) return;
  const bothTables = isTable(a) && isTable(b) && Array.isArray(a) === Array.isArray(b);
  if (!bothTables) {
    if (textOf(a) !== textOf(b)) tell({ at, go: a, wherry: b });
    return;
  }
  if (Array.isArray(a) && Array.isArray(b) && a.length !== b.length) {
    tell({ at, go: a, wherry: b });
    return;
  }
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    walk(at === "" ? key : `${at}.${key}`, a[key], b[key], tell);
  }
}

/** Any value, whole numbers of TOML and floats of the same value alike (LAY-2b). */
export function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, one) => typeof one === "bigint" ? `${one}n` : one) ??
    "nothing";
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
