/**
 * What a registry can be asked, as values: method and path to {@linkcode ApiRequest} and back. Names of
 * repositories have slashes, so paths are read from their end.
 *
 * @see OCI distribution spec 1.1, "Endpoints"
 */
import { type Algorithm, type Digest, isDigest, parseDigest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { isRepositoryName, isTag } from "../oci/reference.ts";

/** One page of a listing. */
export interface Page {
  /** At most so many names. */
  readonly n?: number | undefined;
  /** Names behind this one. */
  readonly last?: string | undefined;
}

/** One request of the distribution API. Names, digests and tags in it are valid. */
export type ApiRequest =
  | { readonly kind: "ping" }
  | { readonly kind: "catalog" } & Page
  | { readonly kind: "tags"; readonly repository: string } & Page
  | {
    readonly kind: "getManifest" | "deleteManifest";
    readonly repository: string;
    /** A tag or a digest. */
    readonly reference: string;
  }
  | {
    readonly kind: "putManifest";
    readonly repository: string;
    readonly reference: string;
    /** Further tags to set (`?tag=`). */
    readonly tags: readonly string[];
  }
  | {
    readonly kind: "getBlob" | "deleteBlob";
    readonly repository: string;
    readonly digest: Digest;
  }
  | {
    readonly kind: "startUpload";
    readonly repository: string;
    /** The body is the whole blob. */
    readonly digest?: Digest | undefined;
    /** Take the blob from another repository if it is there. */
    readonly mount?: Digest | undefined;
    /** That repository; any when absent. */
    readonly from?: string | undefined;
    /** What the digest will be made with. */
    readonly algorithm?: Algorithm | undefined;
  }
  | {
    readonly kind: "uploadStatus" | "patchUpload" | "cancelUpload";
    readonly repository: string;
    readonly id: string;
  }
  | {
    readonly kind: "putUpload";
    readonly repository: string;
    readonly id: string;
    readonly digest: Digest;
  }
  | {
    readonly kind: "referrers";
    readonly repository: string;
    readonly digest: Digest;
    readonly artifactType?: string | undefined;
  };

/** The kinds by resource and method; HEAD is GET without a body. */
const METHODS = {
  ping: { GET: "ping" },
  catalog: { GET: "catalog" },
  tags: { GET: "tags" },
  manifests: { GET: "getManifest", PUT: "putManifest", DELETE: "deleteManifest" },
  blobs: { GET: "getBlob", DELETE: "deleteBlob" },
  uploads: { POST: "startUpload" },
  upload: {
    GET: "uploadStatus",
    PATCH: "patchUpload",
    PUT: "putUpload",
    DELETE: "cancelUpload",
  },
  referrers: { GET: "referrers" },
} as const satisfies Record<string, Readonly<Record<string, ApiRequest["kind"]>>>;

type Resource = keyof typeof METHODS;

/**
 * Reads a request.
 *
 * @param path As it was sent, with escapes, without the query.
 * @throws {OciError} `NAME_INVALID`, `DIGEST_INVALID`, `MANIFEST_UNKNOWN` (a tag that cannot be), `UNSUPPORTED`
 * with `detail.allow` for a method the resource lacks, `NAME_UNKNOWN` for a path that is none of the API.
 */
export function parseRequest(method: string, path: string, query: URLSearchParams): ApiRequest {
  const { resource, repository, last } = split(path);
  const methods: Readonly<Record<string, ApiRequest["kind"]>> = METHODS[resource];
  const kind = methods[method === "HEAD" ? "GET" : method];
  if (kind === undefined) {
    const allow = Object.keys(methods).flatMap((name) => name === "GET" ? ["GET", "HEAD"] : [name]);
    throw new OciError(
      "UNSUPPORTED",
      `Cannot ${method.slice(0, 20)} this: want ${allow.join(", ")}`,
      {
        detail: { allow },
      },
    );
  }
  if (resource !== "ping" && resource !== "catalog" && !isRepositoryName(repository)) {
    throw new OciError(
      "NAME_INVALID",
      `Cannot read repository name ${
        JSON.stringify(repository.slice(0, 300))
      }: want lower-case letters and digits joined by ".", "_", "-" and "/"`,
    );
  }
  switch (kind) {
    case "ping":
      return { kind };
    case "catalog":
      return { kind, ...page(query) };
    case "tags":
      return { kind, repository, ...page(query) };
    case "getManifest":
    case "deleteManifest":
      return { kind, repository, reference: reference(last, "MANIFEST_UNKNOWN") };
    case "putManifest":
      return {
        kind,
        repository,
        reference: reference(last, "MANIFEST_INVALID"),
        tags: query.getAll("tag").map((tag) => tagOf(tag, "MANIFEST_INVALID")),
      };
    case "getBlob":
    case "deleteBlob":
      return { kind, repository, digest: parseDigest(last) };
    case "startUpload":
      return { kind, repository, ...start(query) };
    case "uploadStatus":
    case "patchUpload":
    case "cancelUpload":
      return { kind, repository, id: last };
    case "putUpload":
      return { kind, repository, id: last, digest: parseDigest(query.get("digest") ?? "") };
    case "referrers": {
      const artifactType = query.get("artifactType") ?? undefined;
      return { kind, repository, digest: parseDigest(last), artifactType };
    }
  }
}

/** The path, with its query, that {@linkcode parseRequest} reads back to the same value. */
export function formatPath(request: ApiRequest): string {
  const query = new URLSearchParams();
  const add = (name: string, value: string | number | undefined) => {
    if (value !== undefined) query.append(name, String(value));
  };
  let path: string;
  switch (request.kind) {
    case "ping":
      path = "/v2/";
      break;
    case "catalog":
    case "tags":
      path = request.kind === "catalog" ? "/v2/_catalog" : `/v2/${request.repository}/tags/list`;
      add("n", request.n);
      add("last", request.last);
      break;
    case "putManifest":
    case "getManifest":
    case "deleteManifest":
      if (request.kind === "putManifest") { for (const tag of request.tags) add("tag", tag); }
      path = `/v2/${request.repository}/manifests/${request.reference}`;
      break;
    case "getBlob":
    case "deleteBlob":
      path = `/v2/${request.repository}/blobs/${request.digest}`;
      break;
    case "startUpload":
      path = `/v2/${request.repository}/blobs/uploads/`;
      add("digest", request.digest);
      add("mount", request.mount);
      add("from", request.from);
      add("digest-algorithm", request.algorithm);
      break;
    case "putUpload":
    case "uploadStatus":
    case "patchUpload":
    case "cancelUpload":
      path = `/v2/${request.repository}/blobs/uploads/${request.id}`;
      if (request.kind === "putUpload") add("digest", request.digest);
      break;
    case "referrers":
      path = `/v2/${request.repository}/referrers/${request.digest}`;
      add("artifactType", request.artifactType);
      break;
  }
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

function split(
  path: string,
): { readonly resource: Resource; readonly repository: string; readonly last: string } {
  const parts = path.split("/").map(unescape);
  // Leading slash, then v2.
  if (parts[0] !== "" || parts[1] !== "v2") throw unknownPath(path);
  const rest = parts.slice(2);
  const at = (back: number) => rest[rest.length - back] ?? "";
  const name = (back: number) => rest.slice(0, Math.max(0, rest.length - back)).join("/");
  if (rest.length === 0 || (rest.length === 1 && at(1) === "")) {
    return { resource: "ping", repository: "", last: "" };
  }
  if (rest.length === 1 && at(1) === "_catalog") {
    return { resource: "catalog", repository: "", last: "" };
  }
  if (at(2) === "tags" && at(1) === "list") {
    return { resource: "tags", repository: name(2), last: "" };
  }
  if (at(3) === "blobs" && at(2) === "uploads") {
    return at(1) === ""
      ? { resource: "uploads", repository: name(3), last: "" }
      : { resource: "upload", repository: name(3), last: at(1) };
  }
  if (at(2) === "blobs" && at(1) === "uploads") {
    return { resource: "uploads", repository: name(2), last: "" };
  }
  for (const resource of ["manifests", "blobs", "referrers"] as const) {
    if (at(2) === resource) return { resource, repository: name(2), last: at(1) };
  }
  throw unknownPath(path);
}

/** An escaped slash would let two readers of one path disagree on its parts. */
function unescape(part: string): string {
  if (!part.includes("%")) return part;
  let text: string;
  try {
    text = decodeURIComponent(part);
  } catch {
    throw unknownPath(part);
  }
  if (/[/\\\0]/.test(text)) throw unknownPath(part);
  return text;
}

function unknownPath(path: string): OciError {
  return new OciError(
    "NAME_UNKNOWN",
    `Cannot find ${JSON.stringify(path.slice(0, 300))}: it is no path of the registry API`,
  );
}

function reference(text: string, code: "MANIFEST_UNKNOWN" | "MANIFEST_INVALID"): string {
  return text.includes(":") || isDigest(text) ? parseDigest(text) : tagOf(text, code);
}

function tagOf(text: string, code: "MANIFEST_UNKNOWN" | "MANIFEST_INVALID"): string {
  if (isTag(text)) return text;
  throw new OciError(
    code,
    `Cannot read tag ${
      JSON.stringify(text.slice(0, 140))
    }: want 1 to 128 letters, digits, "_", "." and "-"`,
  );
}

function page(query: URLSearchParams): Page {
  const n = query.get("n");
  const last = query.get("last");
  if (n !== null && !/^[0-9]{1,9}$/.test(n)) {
    throw new OciError(
      "UNSUPPORTED",
      `Cannot list ${JSON.stringify(n.slice(0, 20))} names: want a number`,
      {
        status: 400,
      },
    );
  }
  return {
    ...(n === null ? {} : { n: Number(n) }),
    ...(last === null || last === "" ? {} : { last }),
  };
}

function start(query: URLSearchParams): {
  digest?: Digest;
  mount?: Digest;
  from?: string;
  algorithm?: Algorithm;
} {
  const [digest, mount, from] = [query.get("digest"), query.get("mount"), query.get("from")];
  const algorithm = query.get("digest-algorithm");
  if (algorithm !== null && !["sha256", "sha384", "sha512"].includes(algorithm)) {
    throw new OciError(
      "DIGEST_INVALID",
      `Cannot hash with ${JSON.stringify(algorithm.slice(0, 20))}: want sha256, sha384 or sha512`,
    );
  }
  if (from !== null && !isRepositoryName(from)) {
    throw new OciError("NAME_INVALID", `Cannot mount from ${JSON.stringify(from.slice(0, 300))}`);
  }
  return {
    ...(digest === null ? {} : { digest: parseDigest(digest) }),
    ...(mount === null ? {} : { mount: parseDigest(mount) }),
    ...(from === null ? {} : { from }),
    ...(algorithm === null ? {} : { algorithm: algorithm as Algorithm }),
  };
}
