import type { Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, type Digest, digestOf, isDigest } from "../oci/digest.ts";
import { isOciError, OciError } from "../oci/error.ts";
import { type Document, parseDocument } from "../oci/manifest.ts";
import { bareMediaType, isIndexType, isManifestType, MANIFEST_ACCEPT } from "../oci/media_type.ts";
import { CHECKED, holds, type TagExpectation, unmet, type UnmetDetail } from "../expectation.ts";
import type { CallOptions, RawManifest, RowOptions } from "../registry.ts";
import { bytesSource, joined } from "../source.ts";
import { CONFIG_BYTES, MAX_ALONG, WITH } from "../along.ts";
import { type Along, takenApart } from "./along.ts";
import { lengthOf } from "./download.ts";
import { type ManifestPlace, named } from "./place.ts";
import { repositoryScope } from "./scope.ts";
import { type Answer, type ApiRequest, discard } from "./api_request.ts";
import type { Session } from "./session.ts";
import { TransportError } from "./transport_error.ts";

/** Documents that will be parsed are not longer (C-GET-02). */
const MAX_MANIFEST_BYTES: number = 4 * 1024 * 1024;
/** Types that say nothing: static file servers send them. */
const GENERIC: readonly string[] = [
  "",
  "text/plain",
  "application/json",
  "application/octet-stream",
];

/** How a manifest is asked for. */
export interface GetOptions extends CallOptions {
  /** The request has left. */
  readonly onSent?: (() => void) | undefined;
  /** Takes the config, where the server sends it along. */
  readonly along?: Along | undefined;
}

/** Reads a manifest. By digest it is verified; by tag its digest is computed (C-GET-01). */
export async function getManifest(
  session: Session,
  place: ManifestPlace,
  { signal, onSent, along }: GetOptions = {},
): Promise<RawManifest | undefined> {
  const act = `read ${named(place)}`;
  const wants = along === undefined ? undefined : { [WITH]: "config" };
  const request = asking("GET", place, act, [200, 404], signal, onSent, wants);
  return await session.read(request, async (answer) => {
    if (answer.status === 404) {
      await discard(answer);
      return undefined;
    }
    if (answer.headers.has(CHECKED)) { // it is wherry
      session.learned.conditions ??= true;
      session.learned.refuses ??= true;
      session.learned.singlePost ??= true;
    }
    const { raw, config } = await readManifest(session, place, answer, act, along !== undefined);
    if (config !== undefined) {
      session.learned.along = true;
      along?.cameWith(place.repository, raw, config);
    }
    return raw;
  });
}

/**
 * What a HEAD says of a manifest. A registry that leaves out what is needed, or cannot do HEAD, is asked with
 * GET (C-GET-03).
 */
export async function statManifest(
  session: Session,
  place: ManifestPlace,
  options: CallOptions = {},
): Promise<Descriptor | undefined> {
  const expect = [200, 400, 403, 404, 405, 501];
  const act = `read ${named(place)}`;
  const answer = await session.send(asking("HEAD", place, act, expect, options.signal));
  await discard(answer);
  if (answer.status === 404) return undefined;
  const mediaType = bareMediaType(answer.headers.get("content-type") ?? "");
  const size = lengthOf(answer.headers);
  const digest = answer.headers.get("docker-content-digest") ??
    (isDigest(place.reference) ? place.reference : "");
  const told = answer.status === 200 && size !== undefined && !GENERIC.includes(mediaType);
  if (told && isDigest(digest) && (!isDigest(place.reference) || digest === place.reference)) {
    return { mediaType, digest, size };
  }
  const manifest = await getManifest(session, place, options);
  return manifest && {
    mediaType: manifest.mediaType,
    digest: manifest.digest,
    size: manifest.bytes.byteLength,
  };
}

/**
 * A tag that may not move is refused by each registry in its own way: ECR 400, Artifactory and Quay 403, others 409,
 * Harbor 412 (C-PUT-05).
 */
function unlessImmutable(error: unknown, act: string): unknown {
  if (!(error instanceof OciError) || ![400, 403, 405, 409, 412].includes(error.status)) {
    return error;
  }
  if (!/immutab|already exists|overwrit|cannot be (?:re)?written/i.test(error.message)) {
    return error;
  }
  return new OciError(
    "DENIED",
    `Cannot ${act}: the registry does not let this tag change (${
      error.message.replace(/^Cannot .*?: /, "")
    }); want another tag`,
    { status: error.status, cause: error },
  );
}

/** How a manifest is put. */
export interface PutOptions extends CallOptions, RowOptions {
  /** Further tags; only for a put by digest, where the registry knows how. */
  readonly tags?: readonly string[] | undefined;
  /** One try will do. */
  readonly once?: boolean | undefined;
  /** What the tag has to be now. */
  readonly is?: TagExpectation["is"] | undefined;
  /** As in {@linkcode ApiRequest}. */
  readonly again?: ApiRequest["again"];
}

/** What is put. */
export interface PutDocument {
  /** Of the manifest. */
  readonly mediaType: string;
  /** The manifest. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Goes along, to a server that takes both. */
  readonly config?: Uint8Array<ArrayBuffer> | undefined;
}

/** Stores a manifest under a tag or its digest. */
export async function putManifest(
  session: Session,
  place: ManifestPlace,
  manifest: PutDocument,
  digest: Digest,
  { signal, tags = [], is, again, row, once = false }: PutOptions = {},
): Promise<Headers> {
  const { config } = manifest;
  const bytes = config === undefined ? manifest.bytes : joined(
    [manifest.bytes, config],
    manifest.bytes.byteLength + config.byteLength,
  );
  const act = `push ${named(place)}`;
  const query = tags.map((tag, at) => `${at === 0 ? "?" : "&"}tag=${encodeURIComponent(tag)}`);
  const answer = await session.send({
    act,
    method: "PUT",
    to: pathOf(place) + query.join(""),
    repository: place.repository,
    scopes: [repositoryScope(place.repository, "pull", "push")],
    headers: {
      "content-type": manifest.mediaType,
      ...conditions(is),
      ...(config === undefined ? {} : { [CONFIG_BYTES]: String(config.byteLength) }),
    },
    body: { size: bytes.byteLength, bytes, open: () => bytesSource(bytes).open() },
    expect: [200, 201, 202],
    row,
    retry: !once,
    again,
    signal,
  }).catch((error) => {
    if (is !== undefined && isOciError(error, "PRECONDITION_FAILED")) {
      throw unmetOf(error, place, is) ?? error;
    }
    throw isDigest(place.reference) ? error : unlessImmutable(error, act);
  });
  await discard(answer);
  const stored = answer.headers.get("docker-content-digest");
  if (
    stored !== null && isDigest(stored) && algorithmOf(stored) === algorithmOf(digest) &&
    stored !== digest
  ) {
    throw new OciError(
      "DIGEST_INVALID",
      `Cannot ${act}: the registry stored ${stored} instead of ${digest}`,
    );
  }
  return answer.headers;
}

/** `If-Match`, `If-None-Match`; nobody knows a tag by an empty list. */
function conditions(is: TagExpectation["is"] | undefined): Record<string, string> {
  if (is === undefined) return {};
  if (is === "absent") return { "if-none-match": "*" };
  return {
    "if-match": is === "present" ? "*" : is.map((digest) => `"${digest}"`).join(", ") || '""',
  };
}

/** The same error as a place on this machine throws, if the registry says what the tag is. */
function unmetOf(
  { detail, cause }: OciError,
  place: ManifestPlace,
  is: TagExpectation["is"],
): OciError | undefined {
  const [said] = Array.isArray(detail) ? detail : [];
  const now = (said as Partial<UnmetDetail> | undefined)?.digest;
  if (now !== null && !(typeof now === "string" && isDigest(now))) return undefined;
  return unmet(place.name, { tag: place.reference, is }, now ?? undefined, cause);
}

/**
 * Refuses a tag that is not as expected, for a registry that is not known to look itself.
 *
 * @param seen What it names now.
 * @throws {OciError} `PRECONDITION_FAILED`
 */
export function demandTag(
  place: ManifestPlace,
  is: TagExpectation["is"],
  seen: Descriptor | undefined,
  next: Digest,
): void {
  const now = seen?.digest;
  if (!holds(is, now, next)) throw unmet(place.name, { tag: place.reference, is }, now);
}

/** Deletes a manifest, or only a tag; `false` when there was none. */
export async function deleteManifest(
  session: Session,
  place: ManifestPlace,
  { signal }: CallOptions = {},
): Promise<boolean> {
  const answer = await session.send({
    act: `delete ${named(place)}`,
    method: "DELETE",
    to: pathOf(place),
    repository: place.repository,
    scopes: [repositoryScope(place.repository, "pull", "push", "delete")],
    expect: [200, 202, 204, 404],
    signal,
  });
  await discard(answer);
  return answer.status !== 404;
}

function pathOf({ repository, reference }: ManifestPlace): string {
  return `/v2/${repository}/manifests/${reference}`;
}

function asking(
  method: string,
  place: ManifestPlace,
  act: string,
  expect: readonly number[],
  signal: AbortSignal | undefined,
  onSent?: () => void,
  wants?: Readonly<Record<string, string>>,
): ApiRequest {
  return {
    act,
    method,
    to: pathOf(place),
    repository: place.repository,
    scopes: [repositoryScope(place.repository, "pull")],
    headers: { accept: MANIFEST_ACCEPT, ...wants },
    expect,
    onSent,
    signal,
  };
}

async function readManifest(
  session: Session,
  place: ManifestPlace,
  answer: Answer,
  act: string,
  along: boolean,
): Promise<{ readonly raw: RawManifest; readonly config?: Uint8Array<ArrayBuffer> }> {
  const body = await answer.bytes(MAX_MANIFEST_BYTES + (along ? MAX_ALONG : 0)).catch((cause) => {
    if (cause instanceof RangeError) {
      const why = `it is longer than ${MAX_MANIFEST_BYTES} bytes`;
      throw new OciError("SIZE_INVALID", `Cannot ${act}: ${why}`, { cause });
    }
    if (!(cause instanceof TransportError)) throw cause;
    throw new OciError("UNAVAILABLE", `Cannot ${act}: ${cause.host}: ${cause.why}`, { cause });
  });
  const apart = along ? takenApart(answer.headers, body) : { manifest: body };
  const bytes = apart.manifest;
  const wanted = isDigest(place.reference) ? place.reference : undefined;
  const digest = digestOf(bytes, wanted && algorithmOf(wanted));
  if (wanted !== undefined && digest !== wanted) {
    throw new OciError("DIGEST_INVALID", `Cannot ${act}: its bytes hash to ${digest}`);
  }
  const claimed = answer.headers.get("docker-content-digest");
  if (
    wanted === undefined && claimed !== null && claimed !== digest && claimed.startsWith("sha256:")
  ) {
    session.warnOnce(`${named(place)} is ${digest}, though the registry says otherwise`);
  }
  const raw = { mediaType: typeOf(answer, bytes, act), digest, bytes };
  return "config" in apart ? { raw, config: apart.config } : { raw };
}

/** The header's type if it means something, else the body's; what contradicts itself is refused (C-MT-02). */
function typeOf(answer: Answer, bytes: Uint8Array, act: string): string {
  const said = bareMediaType(answer.headers.get("content-type") ?? "");
  const known = isIndexType(said) || isManifestType(said);
  // Schema 1 and types to come can be copied as they are.
  if (!known && !GENERIC.includes(said)) return said;
  try {
    const document: Document = parseDocument(bytes, known ? said : undefined);
    return document.mediaType;
  } catch (cause) {
    if (!(cause instanceof OciError)) throw cause;
    throw new OciError(cause.code, `Cannot ${act}: ${cause.message}`, { cause });
  }
}
