/** Names of images in a bundle. */
import { HUB, type Reference } from "../../registry/oci/reference.ts";

/** The full name that stands in a bundle: host, path, and tag or digest. */
export function bundleName({ registry, repository, tag, digest }: Reference): string {
  const host = registry === HUB ? "docker.io" : registry;
  const suffix = digest === undefined ? `:${tag ?? "latest"}` : `@${digest}`;
  return `${host}/${repository}${suffix}`;
}

/** `name` with the longest of `rules` that it begins with exchanged; without one, below `prefix`. */
export function mapName(
  name: string,
  prefix: string,
  rules: readonly { readonly from: string; readonly to: string }[],
): string {
  const fitting = rules.filter(({ from }) =>
    name === from || (name.startsWith(from) && /[/:@]/.test(name[from.length]!))
  ).sort((a, b) => b.from.length - a.from.length);
  const [rule] = fitting;
  if (rule !== undefined) return rule.to + name.slice(rule.from.length);
  // A port cannot stand within a path.
  const slash = name.indexOf("/");
  return `${prefix}/${name.slice(0, slash).replace(":", "_")}${name.slice(slash)}`;
}
