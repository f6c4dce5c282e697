/** Which hosts may be dialled at all (C-CONN-08). */
import { apiHost } from "../registry/oci/reference.ts";
import { TransportError } from "../registry/client/transport_error.ts";

/** What decides. */
export interface HostRules {
  /** `--offline` was given. */
  readonly offline: boolean;
  /** Hosts that stay reachable offline, and that no block concerns. */
  readonly allow: readonly string[];
  /** Hosts that are never dialled, unless they are mirrors. */
  readonly blocked: readonly string[];
  /** Hosts of mirrors. */
  readonly mirrors: readonly string[];
  /** The file `allow` and `blocked` are from, for messages. */
  readonly path: string | undefined;
}

/**
 * A check of each host before it is dialled: registries, their token servers and storage, mirrors, the clouds'
 * services. Patterns are `host`, `host:port`, `*.domain` and `*`.
 *
 * @returns `undefined` when all may be dialled. The check throws a TransportError that names the host.
 */
export function hostPolicy(rules: HostRules): ((host: string) => boolean) | undefined {
  const { offline, allow, blocked, mirrors, path } = rules;
  if (!offline && blocked.length === 0) return undefined;
  const file = path ?? "config.toml";
  return (host) => {
    if (matches(allow, host)) return true;
    if (offline) {
      throw new TransportError(
        "blocked",
        host,
        `--offline forbids to dial it ([offline] allow in ${file} can name it)`,
      );
    }
    if (!mirrors.includes(host) && matches(blocked, host)) {
      throw new TransportError("blocked", host, `[block] hosts in ${file} forbids to dial it`);
    }
    return true;
  };
}

function matches(patterns: readonly string[], host: string): boolean {
  const bare = host.replace(/:\d+$/, "");
  return patterns.some((written) => {
    const pattern = written.trim().toLowerCase();
    // Docker Hub is allowed and blocked under the name people know it by.
    if (["*", host, bare].includes(pattern) || apiHost(pattern) === bare) return true;
    return pattern.startsWith("*.") && bare.endsWith(pattern.slice(1));
  });
}
