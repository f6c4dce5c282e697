/** Which places may stand in for a repository when it is read: one table, whatever file its rows come from. */
import { HUB } from "../oci/reference.ts";
import { isBundleEndpoint } from "./bundle_endpoint.ts";

/** Which reads a mirror serves: tags may be stale or forged there, digests cannot be. */
export type PullMode = "all" | "digest-only" | "tag-only";

/** A place that stands in for another. */
export interface MirrorEndpoint {
  /** `host[:port][/path]`: takes the place of the rule's prefix. Or `bundle:FILE`, which has images by their own names. */
  readonly location: string;
  /** Plain http or unverified TLS will do. */
  readonly insecure: boolean;
  /** What may be read there. */
  readonly pull: PullMode;
}

/** One row. */
export interface MirrorRule {
  /** `host[:port][/path]`, `*.domain`, or `*` for everything. */
  readonly prefix: string;
  /** Where the place itself is; the prefix when absent. */
  readonly location?: string | undefined;
  /** Plain http or unverified TLS will do for the place itself. */
  readonly insecure: boolean;
  /** Nothing under the prefix may be read at all. */
  readonly blocked: boolean;
  /** The place itself may be asked for what no mirror has. */
  readonly fallback: boolean;
  /** In the order they are tried. */
  readonly mirrors: readonly MirrorEndpoint[];
  /** The file, for messages. */
  readonly origin: string;
}

/** The rows, most important file first. Of two with one prefix the first counts. */
export type MirrorTable = readonly MirrorRule[];

/** One place to try. */
export interface Try {
  /** Host with port; or `bundle:FILE`. */
  readonly host: string;
  /** The repository there. */
  readonly repository: string;
  /** What may be read there. */
  readonly pull: PullMode;
  /** Not a mirror, but the place that was named. */
  readonly primary: boolean;
}

/** How a repository is read. */
export interface Route {
  /** In order; the place itself last, if it may be asked. */
  readonly tries: readonly Try[];
  /** The row that decided; absent when none matches. */
  readonly rule?: MirrorRule | undefined;
}

/**
 * Finds the row with the longest prefix of `registry/repository` and what to try for it.
 *
 * @param registry As a Reference spells it.
 * @see containers-registries.conf(5), "Remapping and mirroring registries"
 */
export function routeOf(table: MirrorTable, registry: string, repository: string): Route {
  const own: Try = { host: registry, repository, pull: "all", primary: true };
  const name = `${registry === HUB ? HUB_FILED : registry}/${repository}`;
  let rule: MirrorRule | undefined;
  let matched = 0;
  let specific = -1;
  for (const row of table) {
    const length = matchedLength(name, row.prefix);
    // `*.example` and `*` match a whole host, but say less of it than its name does.
    const weight = row.prefix.startsWith("*") ? row.prefix.length - 1 : length ?? 0;
    if (length === undefined || weight <= specific) continue;
    [rule, matched, specific] = [row, length, weight];
  }
  if (rule === undefined) return { tries: [own] };
  if (rule.blocked) return { tries: [], rule };
  const rest = name.slice(matched);
  const placed = (location: string, pull: PullMode, primary: boolean): Try => {
    const full = location + rest;
    const slash = full.indexOf("/");
    const host = full.slice(0, slash);
    return {
      host: host === HUB_FILED ? HUB : host,
      repository: full.slice(slash + 1),
      pull,
      primary,
    };
  };
  const tries = rule.mirrors.map(({ location, pull }) =>
    isBundleEndpoint(location)
      ? { host: location, repository, pull, primary: false }
      : placed(location, pull, false)
  );
  if (rule.fallback) {
    tries.push(rule.location === undefined ? own : placed(rule.location, "all", true));
  }
  return { tries, rule };
}

/** Whether any row may concern `registry`. */
export function concerns(table: MirrorTable, registry: string): boolean {
  const host = registry === HUB ? HUB_FILED : registry;
  return table.some(({ prefix }) =>
    prefix === "*" || prefix.split("/")[0] === host ||
    (prefix.startsWith("*.") && host.endsWith(prefix.slice(1)))
  );
}

/** A location or prefix without scheme and trailing slashes, Docker Hub under its usual name. */
export function normalLocation(text: string): string {
  const plain = text.trim().replace(/^https?:\/\//i, "").replace(/\/+$/, "");
  const [host = "", ...path] = plain.split("/");
  const name = host.toLowerCase();
  const known = [HUB, "registry-1.docker.io"].includes(name) ? HUB_FILED : name;
  return [known, ...path].join("/");
}

/** Hub's name in every such file. */
const HUB_FILED = "docker.io";

/** How much of `name` the prefix covers, in whole components; `undefined` when it is another's. */
function matchedLength(name: string, prefix: string): number | undefined {
  const host = name.slice(0, name.indexOf("/"));
  if (prefix === "*") return host.length;
  if (prefix.startsWith("*.")) {
    return host.replace(/:\d+$/, "").endsWith(prefix.slice(1)) || host.endsWith(prefix.slice(1))
      ? host.length
      : undefined;
  }
  return name === prefix || name.startsWith(`${prefix}/`) ? prefix.length : undefined;
}
