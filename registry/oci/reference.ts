/** Names of images as people write them, parsed once, at the edge. */
import { type Digest, isDigest, parseDigest } from "./digest.ts";
import { OciError } from "./error.ts";

/** What an image name says. Without a digest there is always a tag; with one, the tag is for display only. */
export interface Reference {
  /** Host in lower case, with its port if one was written; Docker Hub is always `index.docker.io`. */
  readonly registry: string;
  /** Path below the host; `library/` is already there for Docker Hub's own images. */
  readonly repository: string;
  /** `latest` when neither tag nor digest was written. */
  readonly tag?: string | undefined;
  /** Decides what is fetched when there is one (C-REF-04). */
  readonly digest?: Digest | undefined;
}

/** Where an image lies or shall lie: a registry, or a place a prefix names (C-REF-09). */
export type Place =
  | { readonly kind: "registry"; readonly reference: Reference }
  | { readonly kind: "store"; readonly reference: Reference }
  | { readonly kind: "oci"; readonly path: string; readonly tag?: string | undefined }
  | { readonly kind: "oci-archive"; readonly path: string; readonly tag?: string | undefined }
  | {
    readonly kind: "docker-archive";
    readonly path: string;
    readonly reference?: Reference | undefined;
  };

/** Docker Hub as a {@linkcode Reference} spells it. */
export const HUB = "index.docker.io";
const HUB_NAMES: readonly string[] = ["docker.io", HUB, "registry-1.docker.io"];
const HUB_API = "registry-1.docker.io";

/** Many clients refuse longer names, host and slash included (C-REF-06). */
const MAX_NAME = 255;
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const HOST_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
const HOST = new RegExp(
  `^(?:${HOST_LABEL}(?:\\.${HOST_LABEL})*|\\[[0-9a-f:.]{2,45}\\])(?::([1-9][0-9]{0,4}))?$`,
);
/** Transports of skopeo and podman that lead nowhere here. */
const FOREIGN = /^(docker-daemon|containers-storage|dir|ostree|sif|tarball|atomic):/;

const PREFIX = /^(oci|oci-archive|docker-archive|store):/;
/** What `org.opencontainers.image.ref.name` may hold, a little wider than a tag. */
const REF_NAME = /^[A-Za-z0-9_][A-Za-z0-9._:@/+-]{0,254}$/;

/** Whether `text` is a repository name of the distribution spec. */
export function isRepositoryName(text: string): boolean {
  return text.length <= MAX_NAME && REPOSITORY.test(text);
}

/** Whether `text` is a tag of the distribution spec. */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

/**
 * Reads an image name: `[host[:port]/]path[:tag][@digest]`.
 *
 * The part before the first slash is a host only with a `.` or `:` in it, or as `localhost`; everything else
 * lies on Docker Hub, so `localhost:5000` is Hub's `library/localhost`, tag `5000` (C-REF-01).
 *
 * @throws {OciError} `NAME_INVALID` or `DIGEST_INVALID`, saying what is wrong with which part.
 */
export function parseReference(text: string): Reference {
  if (text.length > MAX_NAME + 1 + 128 + 1 + 136) throw invalid(text, "it is too long");
  if (text === "") throw invalid(text, "want a name");
  if (/^\.{0,2}\//.test(text)) {
    throw invalid(text, "it is a path; want oci:DIR, oci-archive:FILE or docker-archive:FILE");
  }
  if (text.includes("://")) throw invalid(text, "want it without the scheme");
  const [name, digestText, ...more] = text.split("@");
  if (name === undefined || more.length > 0) throw invalid(text, "it has more than one @");
  const colon = name.indexOf(":", name.lastIndexOf("/") + 1);
  const tag = colon < 0 ? undefined : name.slice(colon + 1);
  const path = colon < 0 ? name : name.slice(0, colon);
  if (tag !== undefined && !isTag(tag)) {
    throw invalid(text, `tag ${quote(tag)} is not 1 to 128 letters, digits, "_", "." and "-"`);
  }
  const digest = digestText === undefined ? undefined : parseDigest(digestText);
  const { registry, repository } = splitName(path, text);
  return {
    registry,
    repository,
    ...(tag !== undefined ? { tag } : digest === undefined ? { tag: "latest" } : {}),
    ...(digest !== undefined ? { digest } : {}),
  };
}

/** The full form, the same for all spellings of one name: `index.docker.io/library/x:tag@sha256:...`. */
export function formatReference(reference: Reference): string {
  return `${reference.registry}/${reference.repository}${suffix(reference)}`;
}

/** The short form a person would type; {@linkcode parseReference} reads it back to the same value. */
export function familiarName(reference: Reference): string {
  return familiarRepository(reference) + suffix(reference);
}

/** {@linkcode familiarName} without tag and digest: `x`, `registry.example/app`. */
export function familiarRepository(reference: Reference): string {
  const { registry, repository } = reference;
  if (registry !== HUB) return `${registry}/${repository}`;
  const own = /^library\/([^/]+)$/.exec(repository)?.[1];
  if (own !== undefined) return own;
  const first = repository.slice(0, repository.indexOf("/"));
  return looksLikeHost(first) ? `docker.io/${repository}` : repository;
}

/** Where the API of a registry is: Docker Hub's is not at its name (C-REF-02). */
export function apiHost(registry: string): string {
  return HUB_NAMES.includes(registry) ? HUB_API : registry;
}

/** What a registry is asked for: the digest where there is one, the tag otherwise. */
export function wantedOf(reference: Reference): string {
  return reference.digest ?? reference.tag ?? "latest";
}

/** Whether both name the same repository of the same registry. */
export function sameRepository(a: Reference, b: Reference): boolean {
  return a.registry === b.registry && a.repository === b.repository;
}

/**
 * Reads where an image lies. Only a written prefix leaves the world of registries; the file system is never
 * asked (C-REF-09). The path ends at the first colon, as it does for other tools with these prefixes.
 *
 * @throws {OciError} As {@linkcode parseReference}, and when a path is missing.
 */
export function parsePlace(text: string): Place {
  const match = PREFIX.exec(text);
  if (match === null) return { kind: "registry", reference: parseRegistryPlace(text) };
  const kind = match[1] as "oci" | "oci-archive" | "docker-archive" | "store";
  const rest = text.slice(match[0].length);
  if (kind === "store") return { kind, reference: parseReference(rest) };
  const colon = rest.indexOf(":");
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const name = colon < 0 ? undefined : rest.slice(colon + 1);
  if (path === "" || path.includes("\0")) throw invalid(text, `want a path after "${kind}:"`);
  if (kind === "docker-archive") {
    return name === undefined ? { kind, path } : { kind, path, reference: parseReference(name) };
  }
  if (name === undefined) return { kind, path };
  if (!REF_NAME.test(name)) throw invalid(text, `${quote(name)} cannot name an image in a layout`);
  return { kind, path, tag: name };
}

/** A name, also in skopeo's spelling; its other transports are told from names that are merely wrong. */
function parseRegistryPlace(text: string): Reference {
  if (text.startsWith("docker://")) return parseReference(text.slice("docker://".length));
  try {
    return parseReference(text);
  } catch (error) {
    const foreign = FOREIGN.exec(text)?.[1];
    throw foreign === undefined ? error : invalid(
      text,
      `wherry has no ${foreign}: want NAME, store:NAME, oci:DIR, oci-archive:FILE or docker-archive:FILE`,
    );
  }
}

/** The text {@linkcode parsePlace} reads back to the same value. */
export function formatPlace(place: Place): string {
  switch (place.kind) {
    case "registry": {
      // Hub has images called `store` and `oci` too.
      const name = familiarName(place.reference);
      return PREFIX.test(name) ? formatReference(place.reference) : name;
    }
    case "store":
      return `store:${familiarName(place.reference)}`;
    case "docker-archive":
      return `${place.kind}:${place.path}` +
        (place.reference === undefined ? "" : `:${familiarName(place.reference)}`);
    default:
      return `${place.kind}:${place.path}${place.tag === undefined ? "" : `:${place.tag}`}`;
  }
}

function splitName(path: string, text: string): { registry: string; repository: string } {
  const slash = path.indexOf("/");
  const first = slash < 0 ? "" : path.slice(0, slash);
  const hosted = looksLikeHost(first);
  const registry = hosted ? parseHost(first, text) : HUB;
  let repository = hosted ? path.slice(slash + 1) : path;
  if (registry === HUB && !repository.includes("/")) repository = `library/${repository}`;
  if (!REPOSITORY.test(repository)) throw invalid(text, faultOf(repository));
  if (registry.length + 1 + repository.length > MAX_NAME) {
    throw invalid(text, `host and path have more than ${MAX_NAME} characters`);
  }
  return { registry, repository };
}

function looksLikeHost(first: string): boolean {
  return first.includes(".") || first.includes(":") || first === "localhost";
}

/** Lower case, because host names have no case; a trailing dot or a zone would be a second spelling. */
function parseHost(written: string, text: string): string {
  const host = written.toLowerCase();
  const match = HOST.exec(host);
  const port = match?.[1];
  const bad = match === null || (port !== undefined && Number(port) > 65535) ||
    (host.startsWith("[") && !URL.canParse(`http://${host}/`));
  if (bad) throw invalid(text, `${quote(written)} is not a host with an optional port`);
  return HUB_NAMES.includes(host) ? HUB : host;
}

function faultOf(repository: string): string {
  const lower = repository.toLowerCase();
  if (REPOSITORY.test(lower)) {
    return `repository names are lower case, such as ${quote(lower.replace(/^library\//, ""))}`;
  }
  const part = repository.split("/").find((part) => !REPOSITORY.test(part)) ?? repository;
  return `path component ${
    quote(part)
  } is not lower-case letters and digits joined by ".", "_" or "-"`;
}

function suffix({ tag, digest }: Reference): string {
  return (tag === undefined ? "" : `:${tag}`) + (digest === undefined ? "" : `@${digest}`);
}

/** Outside text for a message: bounded, and harmless to a terminal. */
function quote(text: string): string {
  return JSON.stringify(text.length > 140 ? text.slice(0, 140) + "..." : text);
}

function invalid(text: string, why: string): OciError {
  return new OciError("NAME_INVALID", `Cannot read image name ${quote(text)}: ${why}`);
}

/** Whether `text` is something a registry can be asked for: a tag or a digest. */
export function isTagOrDigest(text: string): boolean {
  return isTag(text) || isDigest(text);
}
