/** How image names become repositories of a store, and back. */
import { familiarRepository, HUB, isRepositoryName, type Reference } from "../oci/reference.ts";
import { OciError } from "../oci/error.ts";

/** `host_5000`: a port; no host name and no Docker Hub account has an underscore. */
const PORT = /^([a-z0-9.-]+)_([1-9][0-9]{0,4})$/;
const ADDRESS = "ip6-";

/**
 * The repository of a store, in the grammar of the distribution spec, for an image name: Docker Hub's as
 * people type them (`app`, `user/app`), others with their host first and `_` before a port
 * (`localhost_5000/app`). Two names share a repository only when they name the same one.
 *
 * @throws {OciError} `NAME_INVALID` when the name has no such form.
 */
export function storeRepository(reference: Reference): string {
  const { registry, repository } = reference;
  let name: string;
  if (registry === HUB) {
    name = familiarRepository(reference);
    const first = name.split("/")[0]!;
    // A Hub path that would read back as a host keeps Hub's own host in front.
    if (name.includes("/") && (PORT.test(first) || first.startsWith(ADDRESS))) {
      name = `docker.io/${repository}`;
    }
  } else name = `${hostComponent(registry)}/${repository}`;
  if (!isRepositoryName(name)) {
    throw new OciError(
      "NAME_INVALID",
      `Cannot keep ${JSON.stringify(`${registry}/${repository}`)} in a store: ${
        JSON.stringify(name)
      } is not a repository name`,
    );
  }
  return name;
}

/** The image name, without a tag, that {@linkcode storeRepository} made `repository` of. */
export function displayName(repository: string): string {
  const slash = repository.indexOf("/");
  if (slash < 0) return repository;
  const first = repository.slice(0, slash);
  const path = repository.slice(slash);
  const port = PORT.exec(first);
  const host = port?.[1] ?? first;
  const suffix = port === null ? "" : `:${port[2]}`;
  if (host.startsWith(ADDRESS)) {
    const address = host.slice(ADDRESS.length).replaceAll("-", ":").replace(/^0::/, "::")
      .replace(/::0$/, "::");
    return `[${address}]${suffix}${path}`;
  }
  return `${host}${suffix}${path}`;
}

/** `[fe80::1]:5000` is `ip6-fe80--1_5000`: a component may hold neither brackets nor colons. */
function hostComponent(registry: string): string {
  const address = /^\[([0-9a-f:]+)\](?::([0-9]+))?$/.exec(registry);
  if (address === null) return registry.replace(/:([0-9]+)$/, "_$1");
  const [, text = "", port] = address;
  const full = text.replace(/^::/, "0::").replace(/::$/, "::0");
  return `${ADDRESS}${full.replaceAll(":", "-")}${port === undefined ? "" : `_${port}`}`;
}
