/** Where two images' documents differ: fields of manifest and config, labels down to the key. Pure. */
import type { Image } from "../../registry/image.ts";

/** One field that differs; `undefined`: it is not there. */
export interface FieldDiff {
  /** `config.Env.PATH`, `label io.buildpacks.lifecycle.metadata: app[0].sha`. */
  readonly field: string;
  /** In the first image. */
  readonly a: string | undefined;
  /** In the second. */
  readonly b: string | undefined;
}

/** Fields of manifest and config that differ. Layers and history are compared elsewhere, by content. */
export function diffDocuments(a: Image, b: Image): readonly FieldDiff[] {
  const found: FieldDiff[] = [];
  const add = (field: string, one: unknown, other: unknown) =>
    found.push(...diffValues(field, one, other));
  add("manifest.mediaType", a.raw.mediaType, b.raw.mediaType);
  add("manifest.annotations", a.manifest.annotations, b.manifest.annotations);
  const rest = ({ config }: Image) => {
    const { config: run, rootfs: _rootfs, history: _history, ...rest } = config;
    const { Env, Labels, ...other } = run as Record<string, unknown>;
    return { rest, other, env: envOf(Env), labels: Labels as Record<string, string> | undefined };
  };
  const [x, y] = [rest(a), rest(b)];
  add("", x.rest, y.rest);
  add("config", x.other, y.other);
  add("config.Env", x.env, y.env);
  if (found.length === 0 && JSON.stringify(x.env) !== JSON.stringify(y.env)) {
    add("config.Env order", Object.keys(x.env).join(" "), Object.keys(y.env).join(" "));
  }
  for (const key of new Set([...Object.keys(x.labels ?? {}), ...Object.keys(y.labels ?? {})])) {
    const [one, other] = [x.labels?.[key], y.labels?.[key]];
    if (one === other) continue;
    const [p, q] = [asJson(one), asJson(other)];
    const inside = p === undefined || q === undefined ? [] : diffValues("", p, q);
    if (inside.length === 0) found.push({ field: `label ${key}`, a: shown(one), b: shown(other) });
    else found.push(...inside.map((one) => ({ ...one, field: `label ${key}: ${one.field}` })));
  }
  return found;
}

/** By name; an entry without `=` is its own name. */
function envOf(env: unknown): Record<string, string> {
  const values: Record<string, string> = Object.create(null);
  for (const entry of Array.isArray(env) ? env.map(String) : []) {
    const at = entry.indexOf("=");
    values[at < 0 ? entry : entry.slice(0, at)] = at < 0 ? "" : entry.slice(at + 1);
  }
  return values;
}

/** An object or a list in a label; other texts are compared as texts. */
function asJson(text: string | undefined): unknown {
  if (text === undefined || !/^\s*[{[]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function diffValues(path: string, a: unknown, b: unknown): readonly FieldDiff[] {
  if (isSame(a, b)) return [];
  const [x, y] = [partsOf(a), partsOf(b)];
  if (x === undefined || y === undefined || path.length > MAX_PATH) {
    return [{ field: path, a: shown(a), b: shown(b) }];
  }
  const list = Array.isArray(a) || Array.isArray(b);
  return [...new Set([...x.keys(), ...y.keys()])].flatMap((key) => {
    const below = list ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`;
    return diffValues(below, x.get(key), y.get(key));
  });
}

/** Deeper than this a label is compared as a whole. */
const MAX_PATH = 500;

function isSame(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Of an object or list; nothing at all is an empty one, so that what the other has is told part by part. */
function partsOf(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (value === undefined || value === null) return new Map();
  if (typeof value !== "object") return undefined;
  return new Map(Object.entries(value));
}

function shown(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  return typeof value === "string" ? value : JSON.stringify(value);
}
