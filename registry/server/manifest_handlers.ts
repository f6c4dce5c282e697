/** Manifests and tags: read, put on conditions, deleted. */
import { CONFIG_BYTES, MANIFEST_BYTES, MAX_ALONG, WITH } from "../along.ts";
import { CHECKED, holds, type TagExpectation, unmet } from "../expectation.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, type Digest, digestOf, isDigest, rememberDigest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { type Document, parseDocument } from "../oci/manifest.ts";
import { isManifestType } from "../oci/media_type.ts";
import type { RawManifest } from "../registry.ts";
import { bytesSource, joined } from "../source.ts";
import type { HeaderView } from "./http/message.ts";
import { formatPath } from "./request.ts";
import { type Call, contentHeaders, matches, type Of, type Said } from "./said.ts";

/** Answers GET and HEAD. */
export async function getManifest(
  { repository, reference }: Of<"getManifest">,
  { registry, head, headers }: Call,
): Promise<Said> {
  const found: RawManifest | Descriptor | undefined = head
    ? await registry.stat(repository, reference)
    : await registry.manifest(repository, reference);
  if (found === undefined) throw manifestUnknown(repository, reference);
  const kept = contentHeaders(found.digest, isDigest(reference));
  if (matches(headers.get("if-none-match"), found.digest)) return { status: 304, headers: kept };
  const config = "bytes" in found && headers.get(WITH) === "config"
    ? await configOf(repository, found, registry)
    : undefined;
  if (config !== undefined && "bytes" in found) {
    const size = found.bytes.byteLength + config.byteLength;
    return {
      status: 200,
      headers: {
        ...kept,
        [CHECKED]: "1",
        [MANIFEST_BYTES]: String(found.bytes.byteLength),
        "cache-control": "no-store", // it is for who asked in this way alone
        "content-type": found.mediaType,
        "content-length": String(size),
      },
      body: joined([found.bytes, config], size),
    };
  }
  return {
    status: 200,
    headers: {
      ...kept,
      [CHECKED]: "1",
      "content-type": found.mediaType,
      "content-length": String("bytes" in found ? found.bytes.byteLength : found.size),
    },
    body: "bytes" in found ? found.bytes : null,
  };
}

/** Bytes of the config, if there is one and it is short. */
async function configOf(
  repository: string,
  { bytes, mediaType }: RawManifest,
  registry: Call["registry"],
): Promise<Uint8Array | undefined> {
  if (!isManifestType(mediaType)) return undefined;
  const document = parseDocument(bytes, mediaType);
  if (document.kind !== "manifest" || document.manifest.config.size > MAX_ALONG) return undefined;
  const source = await registry.blob(repository, document.manifest.config.digest, {
    verify: false, // the client does
  });
  return source?.bytes;
}

/** Takes a config that came along; what it is goes by what it hashes to, as with any blob. */
async function putConfig(
  repository: string,
  document: Document,
  bytes: Uint8Array<ArrayBuffer>,
  { registry }: Call,
): Promise<void> {
  if (document.kind !== "manifest") {
    throw new OciError("MANIFEST_INVALID", "Cannot take a config along with an index", {
      status: 400,
    });
  }
  const { digest, mediaType } = document.manifest.config;
  const is = digestOf(bytes, algorithmOf(digest));
  if (is !== digest) {
    throw new OciError("DIGEST_INVALID", `Cannot store config ${digest}: its bytes hash to ${is}`);
  }
  rememberDigest(bytes, digest); // so that it is hashed once
  const descriptor = { mediaType, digest, size: bytes.byteLength };
  await registry.pushBlob(repository, descriptor, bytesSource(bytes), {
    fresh: true,
    manifestFollows: true,
  });
}

/** How much of a put's body is a config. */
function configBytes(headers: HeaderView): number {
  const said = headers.get(CONFIG_BYTES);
  if (said === null) return 0;
  const size = /^[1-9]\d{0,5}$/.test(said) ? Number(said) : NaN;
  if (size <= MAX_ALONG) return size;
  throw new OciError(
    "SIZE_INVALID",
    `Cannot take a config of ${
      JSON.stringify(said.slice(0, 20))
    } bytes along: want 1 to ${MAX_ALONG}`,
    { status: 400 },
  );
}

/** Answers PUT. */
export async function putManifest(
  { repository, reference, tags }: Of<"putManifest">,
  call: Call,
): Promise<Said> {
  const along = configBytes(call.headers);
  const body = await readDocument(call, along);
  const bytes = along === 0 ? body : body.slice(0, -along);
  const mediaType = call.headers.get("content-type") ?? "";
  const document = parseDocument(bytes, mediaType);
  const is = conditionOf(call.headers);
  if (along > 0) await putConfig(repository, document, body.slice(-along), call);
  if (isDigest(reference) && is !== undefined) await demandStored(repository, reference, is, call);
  const stored = await call.registry.pushManifest(
    repository,
    { mediaType: document.mediaType, bytes },
    isDigest(reference)
      ? { digest: reference, tags }
      : { tags: [reference, ...tags], expect: is === undefined ? [] : [{ tag: reference, is }] },
  );
  const { subject } = document.kind === "index" ? document.index : document.manifest;
  return {
    status: 201,
    headers: {
      ...contentHeaders(stored.digest, false),
      location: formatPath({ kind: "getManifest", repository, reference: stored.digest }),
      ...(is === undefined ? {} : { [CHECKED]: "1" }),
      ...(subject === undefined ? {} : { "oci-subject": subject.digest }),
      ...(tags.length === 0 ? {} : { "oci-tag": tags }),
    },
  };
}

/** What a put wants of what it replaces, by `If-Match` or `If-None-Match` (S-API 5). */
function conditionOf(headers: HeaderView): TagExpectation["is"] | undefined {
  const none = headers.get("if-none-match")?.trim();
  if (none !== undefined && none !== "*") {
    throw new OciError("UNSUPPORTED", "Cannot put on this If-None-Match: want *", { status: 400 });
  }
  const match = headers.get("if-match")?.trim();
  if (match === undefined) return none === undefined ? undefined : "absent";
  if (none !== undefined) {
    throw new OciError("UNSUPPORTED", "Cannot put on both If-Match and If-None-Match", {
      status: 400,
    });
  }
  if (match === "*") return "present";
  // Weak validators never match here (RFC 9110, 13.1.1), and what is no digest is no tag of ours.
  return match.split(",").map((tag) => /^\s*"(.*)"\s*$/.exec(tag)?.[1] ?? "").filter(isDigest);
}

/** By digest there is nothing to move, and so nothing that could come between. */
async function demandStored(
  repository: string,
  digest: Digest,
  is: TagExpectation["is"],
  { registry }: Call,
): Promise<void> {
  const now = (await registry.stat(repository, digest))?.digest;
  if (!holds(is, now)) throw unmet(repository, { tag: digest, is }, now);
}

async function readDocument(
  { body, headers, manifestLimit, received }: Call,
  along: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const limit = manifestLimit + along;
  const tooLong = () =>
    new OciError(
      "SIZE_INVALID",
      `Cannot store manifest: it is longer than ${manifestLimit} bytes`,
      {
        status: 413,
      },
    );
  const said = headers.get("content-length");
  if (said !== null && Number(said) > limit) throw tooLong();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for (let chunk = await body?.next(); chunk !== undefined; chunk = await body?.next()) {
    received(chunk.byteLength);
    size += chunk.byteLength;
    if (size > limit) throw tooLong();
    chunks.push(chunk.slice());
  }
  return joined(chunks, size);
}

/** Answers DELETE. */
export async function deleteManifest(
  { repository, reference }: Of<"deleteManifest">,
  { registry }: Call,
): Promise<Said> {
  if (await registry.deleteManifest(repository, reference)) return { status: 202 };
  throw manifestUnknown(repository, reference);
}

function manifestUnknown(repository: string, reference: string): OciError {
  const sign = isDigest(reference) ? "@" : ":";
  return new OciError("MANIFEST_UNKNOWN", `Cannot find ${repository}${sign}${reference}`);
}
