/** Files that name mirrors, as rows of one table: our own `config.toml` and containers' `registries.conf`. */
import { parse } from "smol-toml";
import { z } from "zod";
import { formatPath, keysAt, tellUnknownKey } from "../unknown_key.ts";
import { checkedBundle, isBundleEndpoint } from "./bundle_endpoint.ts";
import {
  type MirrorRule,
  type MirrorTable,
  normalLocation,
  type PullMode,
} from "./mirror_table.ts";

/** What wherry's own file says about registries. */
export interface RegistrySettings {
  /** `[[mirror]]` and `[[registry]]`. */
  readonly mirrors: MirrorTable;
  /** `[offline] allow`: hosts that `--offline` leaves reachable. */
  readonly offlineAllow: readonly string[];
  /** `[block] hosts`: hosts that are never dialled, unless they are mirrors or allowed. */
  readonly blockedHosts: readonly string[];
}

const pullSchema = z.enum(["all", "digest-only", "tag-only"]);
const registrySchema = z.lazy(() =>
  z.object({
    prefix: z.string().optional(),
    location: z.string().optional(),
    insecure: z.boolean().default(false),
    blocked: z.boolean().default(false),
    "mirror-by-digest-only": z.boolean().default(false),
    mirror: z.array(z.object({
      location: z.string().min(1),
      insecure: z.boolean().default(false),
      "pull-from-mirror": pullSchema.optional(),
    })).default([]),
  })
);
const registriesSchema = z.object({ registry: z.array(registrySchema).default([]) });
const ownSchema = registriesSchema.extend({
  mirror: z.array(z.strictObject({
    prefix: z.string().min(1),
    endpoints: z.array(z.string().min(1)).min(1),
    insecure: z.boolean().default(false),
    fallback: z.boolean().default(true),
    pull: pullSchema.default("all"),
  })).default([]),
  offline: z.strictObject({ allow: z.array(z.string()).default([]) }).default({ allow: [] }),
  block: z.strictObject({ hosts: z.array(z.string()).default([]) }).default({ hosts: [] }),
});

/**
 * Reads containers' `registries.conf`, version 2. What does not concern mirrors is left alone; so is the older
 * version, which knew none.
 *
 * @param path For messages.
 * @throws {TypeError} Naming the file and the key.
 * @see containers-registries.conf(5)
 */
export function parseRegistriesConf(text: string, path: string): MirrorTable {
  const table = readToml(text, path);
  // Version 1 has tables called `registries`, and lists of hosts in them.
  if (!("registry" in table)) return [];
  return check(registriesSchema, table, path).registry.map((row, at) => ruleOf(row, at, path));
}

/**
 * Reads what `config.toml` says about registries; other tables are others' business.
 *
 * @param path For messages.
 * @throws {TypeError} Naming the file and the key.
 */
export function parseRegistrySettings(text: string, path: string): RegistrySettings {
  const table = readToml(text, path);
  if (Object.keys(table).length === 0) return { mirrors: [], offlineAllow: [], blockedHosts: [] };
  const { mirror, registry, offline, block } = check(ownSchema, table, path);
  const mirrors = mirror.map(({ prefix, endpoints, insecure, fallback, pull }, at): MirrorRule => ({
    prefix: checkedName(prefix, `${path}: mirror[${at}].prefix`, true),
    insecure: false,
    blocked: false,
    fallback,
    origin: path,
    mirrors: endpoints.map((endpoint) => ({
      location: checkedEndpoint(endpoint, `${path}: mirror[${at}].endpoints`),
      insecure,
      pull,
    })),
  }));
  return {
    mirrors: [...mirrors, ...registry.map((row, at) => ruleOf(row, at, path))],
    offlineAllow: offline.allow,
    blockedHosts: block.hosts,
  };
}

function ruleOf(row: z.infer<typeof registrySchema>, at: number, path: string): MirrorRule {
  const label = `${path}: registry[${at}]`;
  const prefix = row.prefix || row.location;
  if (!prefix) throw new TypeError(`Cannot read ${label}: want prefix or location`);
  return {
    prefix: checkedName(prefix, `${label}.prefix`, true),
    ...(row.location && row.location !== prefix
      ? { location: checkedName(row.location, `${label}.location`, false) }
      : {}),
    insecure: row.insecure,
    blocked: row.blocked,
    fallback: true,
    origin: path,
    mirrors: row.mirror.map(({ location, insecure, "pull-from-mirror": pull }) => ({
      location: checkedName(location, `${label}.mirror.location`, false),
      insecure,
      pull: pull ?? (row["mirror-by-digest-only"] ? "digest-only" : "all") satisfies PullMode,
    })),
  };
}

const HOST = /^(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/;
const PATH = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/;

/**
 * A host with an optional port and path; with `wild` also `*` and `*.domain`.
 *
 * @throws {TypeError} `Cannot read <label>: ...` for anything else.
 */
export function checkedName(text: string, label: string, wild: boolean): string {
  const name = normalLocation(text);
  const [host = "", ...path] = name.split("/");
  const plain = wild && host.startsWith("*.") ? host.slice(2) : host;
  const good = (wild && name === "*") ||
    (HOST.test(plain) && path.every((part) => PATH.test(part)));
  if (good && (plain === host || path.length === 0)) return name;
  throw new TypeError(
    `Cannot read ${label}: ${JSON.stringify(text)} is not a host with an optional port and path${
      wild ? ", *.domain or *" : ""
    }`,
  );
}

/**
 * What `endpoints` of wherry's own file take: a place as {@linkcode checkedName} has it, or `bundle:FILE`.
 *
 * @throws {TypeError} `Cannot read <label>: ...` for anything else.
 */
function checkedEndpoint(text: string, label: string): string {
  return isBundleEndpoint(text) ? checkedBundle(text, label) : checkedName(text, label, false);
}

function readToml(text: string, path: string): Record<string, unknown> {
  // Distributions ship a long one that says nothing.
  if (!/^[ \t]*[^#\s]/m.test(text)) return {};
  try {
    return parse(text);
  } catch (error) {
    // The library's message goes on with a picture of the text over several lines.
    const { line, message } = error as { readonly line?: number; readonly message: string };
    const why = message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
    throw new TypeError(`Cannot read ${path}: line ${line ?? "?"}: ${why}`);
  }
}

function check<T>(schema: z.ZodType<T>, table: unknown, path: string): T {
  const read = schema.safeParse(table);
  if (read.success) return read.data;
  const issue = read.error.issues[0]!;
  const at = issue.path.map((part) => typeof part === "number" ? part : String(part));
  const why = issue.code === "unrecognized_keys"
    ? tellUnknownKey([...at, issue.keys[0]!], keysAt(schema, at))
    : `${at.length > 0 ? `${formatPath(at)}: ` : ""}${issue.message}`;
  throw new TypeError(`Cannot read ${path}: ${why}`);
}
