/** Mirrors that are set up for other engines: containerd's `hosts.toml` and Docker's `daemon.json`. */
import { parse } from "smol-toml";
import { z } from "zod";
import {
  type MirrorEndpoint,
  type MirrorRule,
  type MirrorTable,
  normalLocation,
} from "./mirror_table.ts";

const hostsSchema = z.lazy(() =>
  z.object({
    server: z.string().optional(),
    host: z.record(
      z.string(),
      z.object({
        capabilities: z.array(z.string()).default(["pull", "resolve", "push"]),
        skip_verify: z.boolean().default(false),
        override_path: z.boolean().default(false),
      }),
    ).default({}),
  })
);
const daemonSchema = z.lazy(() =>
  z.object({ "registry-mirrors": z.array(z.string()).default([]) })
);

/**
 * Reads containerd's `certs.d/HOST/hosts.toml`: hosts that may pull, in order; those that may not resolve serve
 * digests only. A mirror whose API lies under another path is passed over: names cannot say that.
 *
 * @param directory The directory's name; `_default` is for all hosts.
 * @param path For messages.
 * @throws {TypeError} Naming the file.
 * @see containerd, docs/hosts.md
 */
export function parseHostsToml(text: string, directory: string, path: string): MirrorTable {
  const file = read(() => hostsSchema.parse(parse(text)), path, "what containerd keeps there");
  const prefix = directory === "_default"
    ? "*"
    : normalLocation(directory.replace(/_(\d+)_$/, ":$1"));
  const mirrors = Object.entries(file.host).flatMap(([url, host]): readonly MirrorEndpoint[] => {
    if (!host.capabilities.includes("pull")) return [];
    const location = apiLocation(url, host.override_path);
    if (location === undefined || location === prefix) return [];
    return [{
      location,
      insecure: host.skip_verify || url.startsWith("http://"),
      pull: host.capabilities.includes("resolve") ? "all" : "digest-only",
    }];
  });
  const server = file.server === undefined ? undefined : apiLocation(file.server, false);
  if (mirrors.length === 0) return [];
  return [{
    ...ruleFor(prefix, mirrors, path),
    ...(server === undefined || server === prefix ? {} : { location: server }),
  }];
}

/**
 * Reads Docker's `daemon.json`: its mirrors are for Docker Hub only.
 *
 * @param path For messages.
 * @throws {TypeError} Naming the file.
 */
export function parseDaemonJson(text: string, path: string): MirrorTable {
  const file = read(() => daemonSchema.parse(JSON.parse(text)), path, "what Docker keeps there");
  const mirrors = file["registry-mirrors"].flatMap((url): readonly MirrorEndpoint[] => {
    const location = apiLocation(url, false);
    if (location === undefined) return [];
    return [{ location, insecure: url.startsWith("http://"), pull: "all" }];
  });
  return mirrors.length === 0 ? [] : [ruleFor("docker.io", mirrors, path)];
}

function ruleFor(prefix: string, mirrors: readonly MirrorEndpoint[], origin: string): MirrorRule {
  return { prefix, mirrors, origin, insecure: false, blocked: false, fallback: true };
}

/** Host and path of a mirror as they go into names; `undefined` when the API is not at `/v2/`. */
function apiLocation(url: string, overridden: boolean): string | undefined {
  const full = /^https?:\/\//i.test(url) ? url : `https://${url}`;
  const parsed = URL.canParse(full) ? new URL(full) : undefined;
  if (parsed === undefined || parsed.username !== "" || parsed.search !== "") return undefined;
  const path = parsed.pathname.replace(/\/+$/, "");
  const inside = overridden ? /^\/v2(\/.+)?$/.exec(path)?.[1] ?? "" : "";
  if (overridden ? !/^\/v2(\/|$)/.test(path) : !/^(\/v2)?$/.test(path)) return undefined;
  return normalLocation(parsed.host + inside);
}

function read<T>(act: () => T, path: string, what: string): T {
  try {
    return act();
  } catch {
    throw new TypeError(`Cannot read ${path}: it is not ${what}`);
  }
}
