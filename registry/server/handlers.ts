/** One function for each kind of request, in one table. */
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import { isOciError, OciError, type OciErrorCode } from "../oci/error.ts";
import { parseDocument } from "../oci/manifest.ts";
import { CHECKED, holds, type TagExpectation, unmet } from "../expectation.ts";
import { MediaType } from "../oci/media_type.ts";
import type { AnswerBody, BodyReader, HeaderView } from "./http/message.ts";
import type { BlobUpload, RawManifest, Registry, ResumableUploads } from "../registry.ts";
import { joined, type Source } from "../source.ts";
import { takeBytes } from "../store/part.ts";
import { parseContentRange, parseRange, uploadRange } from "./range.ts";
import { type ApiRequest, formatPath, type Page } from "./request.ts";

/** What a handler gets besides its request. */
export interface Call {
  readonly registry: Registry & ResumableUploads;
  readonly headers: HeaderView;
  readonly body: BodyReader | null;
  /** Only the head of the answer is wanted. */
  readonly head: boolean;
  readonly manifestLimit: number;
  readonly locate: ((digest: Digest) => Promise<string | undefined>) | undefined;
  /** Counts bytes of the body as they are read. */
  readonly received: (bytes: number) => void;
}

/** What a handler answers; what is left out is empty. */
export interface Said {
  readonly status: number;
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
  readonly body?: AnswerBody | null | undefined;
}

type Of<K extends ApiRequest["kind"]> = ApiRequest & { readonly kind: K };

/** The handler of each kind. */
export const HANDLERS: {
  readonly [K in ApiRequest["kind"]]: (request: Of<K>, call: Call) => Promise<Said>;
} = {
  ping: () => Promise.resolve(json({})),
  catalog: (request, { registry }) =>
    list(request, registry.repositories({ after: request.last }), (names) => ({
      repositories: names,
    })),
  tags: (request, { registry }) =>
    list(request, registry.tags(request.repository, { after: request.last }), (names) => ({
      name: request.repository,
      tags: names,
    })),
  getManifest,
  putManifest,
  deleteManifest: async ({ repository, reference }, { registry }) => {
    if (await registry.deleteManifest(repository, reference)) return { status: 202 };
    throw manifestUnknown(repository, reference);
  },
  getBlob,
  deleteBlob: async ({ repository, digest }, { registry }) => {
    if (await registry.deleteBlob(repository, digest)) return { status: 202 };
    throw blobUnknown(repository, digest);
  },
  startUpload,
  uploadStatus: async (request, call) => {
    const upload = await find(request, call);
    return { status: 204, headers: uploadHeaders(request.repository, upload) };
  },
  patchUpload,
  putUpload,
  cancelUpload: async (request, call) => {
    await (await find(request, call)).abort();
    return { status: 204 };
  },
  referrers: async ({ repository, digest, artifactType }, { registry }) => {
    const manifests = await registry.referrers(repository, digest, { artifactType });
    const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests };
    return json(index, {
      "content-type": MediaType.ociIndex,
      ...(artifactType === undefined ? {} : { "oci-filters-applied": "artifactType" }),
    });
  },
};

/** Names in one answer at most; more are behind its Link. */
const MAX_PAGE = 10_000;

async function list(
  request: Of<"catalog"> | Of<"tags">,
  names: AsyncIterable<string>,
  body: (names: readonly string[]) => unknown,
): Promise<Said> {
  const wanted = Math.min(request.n ?? MAX_PAGE, MAX_PAGE);
  const found: string[] = [];
  let more = false;
  for await (const name of names) {
    if (found.length === wanted) {
      more = wanted > 0; // n=0 asks only whether the list is there (S-API 3)
      break;
    }
    found.push(name);
  }
  const next: Page = { n: wanted, last: found.at(-1) };
  return json(
    body(found),
    more ? { link: `<${formatPath({ ...request, ...next })}>; rel="next"` } : {},
  );
}

async function getManifest(
  { repository, reference }: Of<"getManifest">,
  { registry, head, headers }: Call,
): Promise<Said> {
  const found: RawManifest | Descriptor | undefined = head
    ? await registry.stat(repository, reference)
    : await registry.manifest(repository, reference);
  if (found === undefined) throw manifestUnknown(repository, reference);
  const kept = contentHeaders(found.digest, isDigest(reference));
  if (matches(headers.get("if-none-match"), found.digest)) return { status: 304, headers: kept };
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

async function putManifest(
  { repository, reference, tags }: Of<"putManifest">,
  call: Call,
): Promise<Said> {
  const bytes = await readDocument(call);
  const mediaType = call.headers.get("content-type") ?? "";
  const document = parseDocument(bytes, mediaType);
  const is = conditionOf(call.headers);
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
): Promise<Uint8Array<ArrayBuffer>> {
  const tooLong = () =>
    new OciError(
      "SIZE_INVALID",
      `Cannot store manifest: it is longer than ${manifestLimit} bytes`,
      {
        status: 413,
      },
    );
  const said = headers.get("content-length");
  if (said !== null && Number(said) > manifestLimit) throw tooLong();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for (let chunk = await body?.next(); chunk !== undefined; chunk = await body?.next()) {
    received(chunk.byteLength);
    size += chunk.byteLength;
    if (size > manifestLimit) throw tooLong();
    chunks.push(chunk.slice());
  }
  return joined(chunks, size);
}

async function getBlob(
  { repository, digest }: Of<"getBlob">,
  { registry, headers, head }: Call,
): Promise<Said> {
  const source = await registry.blob(repository, digest, { verify: false });
  if (source === undefined) throw blobUnknown(repository, digest);
  const kept = { ...contentHeaders(digest, true), "accept-ranges": "bytes" };
  if (matches(headers.get("if-none-match"), digest)) return { status: 304, headers: kept };
  const condition = headers.get("if-range");
  const whole = condition !== null && !matches(condition, digest);
  const range = whole ? undefined : parseRange(headers.get("range"), source.size);
  if (range === "unsatisfiable") {
    return fault(416, "RANGE_INVALID", `Cannot read that part of ${digest}`, {
      "content-range": `bytes */${source.size}`,
    });
  }
  const length = range === undefined ? source.size : range.last - range.first + 1;
  return {
    status: range === undefined ? 200 : 206,
    headers: {
      ...kept,
      "content-type": "application/octet-stream",
      "content-length": String(length),
      ...(range === undefined
        ? {}
        : { "content-range": `bytes ${range.first}-${range.last}/${source.size}` }),
    },
    body: head ? null : await open(source, range?.first ?? 0, length),
  };
}

/** A file is handed on as it is: the connection reads it quicker than any stream. */
async function open(source: Source, offset: number, length: number): Promise<AnswerBody> {
  if (length === 0) return new Uint8Array();
  if (source.file !== undefined) return { file: await Deno.open(source.file), offset, length };
  if (source.bytes !== undefined) return source.bytes.subarray(offset, offset + length);
  const stream = await source.open({ offset });
  return offset + length === source.size ? stream : takeBytes(stream, length);
}

async function startUpload(request: Of<"startUpload">, call: Call): Promise<Said> {
  const { repository, digest, mount, from, algorithm } = request;
  const { registry } = call;
  if (mount !== undefined && await mounted(repository, mount, from, call)) {
    return created(repository, mount);
  }
  const upload = await registry.upload(repository, { algorithm });
  if (digest === undefined) {
    return { status: 202, headers: uploadHeaders(repository, upload) };
  }
  try {
    await receive(upload, call);
    await upload.commit(digest);
  } finally {
    await upload.abort();
  }
  return created(repository, digest);
}

/** Takes the blob from another repository, if it is there: asked of that repository, not of the bytes (S-API 8). */
async function mounted(
  repository: string,
  digest: Digest,
  from: string | undefined,
  { registry, locate }: Call,
): Promise<boolean> {
  const holder = from ?? await locate?.(digest);
  const source = holder === undefined ? undefined : await registry.blob(holder, digest);
  if (holder === undefined || source === undefined) return false;
  const descriptor = { mediaType: "application/octet-stream", digest, size: source.size };
  await registry.pushBlob(repository, descriptor, source, { mountFrom: holder });
  return true;
}

async function patchUpload(request: Of<"patchUpload">, call: Call): Promise<Said> {
  const upload = await find(request, call);
  const refused = inPlace(request.repository, upload, call);
  if (refused !== undefined) return refused;
  await receive(upload, call);
  return { status: 202, headers: uploadHeaders(request.repository, upload) };
}

async function putUpload(request: Of<"putUpload">, call: Call): Promise<Said> {
  const upload = await find(request, call);
  const refused = inPlace(request.repository, upload, call);
  if (refused !== undefined) return refused;
  await receive(upload, call);
  await upload.commit(request.digest);
  return created(request.repository, request.digest);
}

/** 416 when a chunk does not follow what is there; the client asks where to go on (C-UP-06). */
function inPlace(repository: string, upload: BlobUpload, { headers }: Call): Said | undefined {
  const header = headers.get("content-range");
  if (header === null) return undefined;
  const range = parseContentRange(header);
  const length = headers.get("content-length");
  if (range === undefined) {
    throw new OciError(
      "BLOB_UPLOAD_INVALID",
      `Cannot read Content-Range ${JSON.stringify(header.slice(0, 100))}: want first-last`,
    );
  }
  if (range.first !== upload.size) {
    return fault(
      416,
      "RANGE_INVALID",
      `Cannot take bytes from ${range.first}: the upload has ${upload.size}`,
      uploadHeaders(repository, upload),
    );
  }
  if (length !== null && Number(length) !== range.last - range.first + 1) {
    throw new OciError(
      "SIZE_INVALID",
      `Cannot take ${length} bytes: Content-Range says ${range.last - range.first + 1}`,
    );
  }
  return undefined;
}

/**
 * Writes at the pace of the store: the next chunk is read while this one is hashed and written.
 *
 * @throws {OciError} `BLOB_UPLOAD_INVALID` when the client went away; what it had sent stays in the upload.
 */
async function receive(upload: BlobUpload, { body, received }: Call): Promise<void> {
  if (body === null) return;
  let writing: Promise<void> = Promise.resolve();
  for (;;) {
    const [read, written] = await Promise.allSettled([body.next(), writing]);
    if (written.status === "rejected") throw written.reason;
    if (read.status === "rejected") {
      if (isOciError(read.reason)) throw read.reason;
      throw new OciError(
        "BLOB_UPLOAD_INVALID",
        `Cannot read on: the body ended early, the upload has ${upload.size} bytes`,
        { cause: read.reason },
      );
    }
    const chunk = read.value;
    if (chunk === undefined) return;
    received(chunk.byteLength);
    writing = upload.write(chunk);
    writing.catch(() => {}); // looked at in the next round
  }
}

async function find(
  { repository, id }: { readonly repository: string; readonly id: string },
  { registry }: Call,
): Promise<BlobUpload> {
  const upload = await registry.resumeUpload(repository, id);
  if (upload !== undefined) return upload;
  throw new OciError(
    "BLOB_UPLOAD_UNKNOWN",
    `Cannot find upload ${JSON.stringify(id.slice(0, 80))} of ${repository}`,
  );
}

function uploadHeaders(repository: string, upload: BlobUpload): Record<string, string> {
  return {
    location: formatPath({ kind: "uploadStatus", repository, id: upload.id }),
    range: uploadRange(upload.size),
    "docker-upload-uuid": upload.id,
  };
}

function created(repository: string, digest: Digest): Said {
  return {
    status: 201,
    headers: {
      location: formatPath({ kind: "getBlob", repository, digest }),
      "docker-content-digest": digest,
    },
  };
}

function contentHeaders(digest: Digest, immutable: boolean): Record<string, string> {
  return {
    "docker-content-digest": digest,
    etag: `"${digest}"`,
    "cache-control": immutable ? "max-age=31536000, immutable" : "no-cache",
  };
}

function matches(header: string | null, digest: Digest): boolean {
  return header !== null &&
    header.split(",").some((tag) => tag.trim().replace(/^W\//, "") === `"${digest}"`);
}

function json(value: unknown, headers: Record<string, string> = {}): Said {
  return {
    status: 200,
    headers: { "content-type": "application/json", ...headers },
    body: new TextEncoder().encode(JSON.stringify(value)),
  };
}

/** A refusal whose headers matter, which an error does not carry. */
function fault(
  status: number,
  code: OciErrorCode,
  message: string,
  headers: Record<string, string>,
): Said {
  return { ...json({ errors: [{ code, message, detail: null }] }, headers), status };
}

function manifestUnknown(repository: string, reference: string): OciError {
  const sign = isDigest(reference) ? "@" : ":";
  return new OciError("MANIFEST_UNKNOWN", `Cannot find ${repository}${sign}${reference}`);
}

function blobUnknown(repository: string, digest: Digest): OciError {
  return new OciError("BLOB_UNKNOWN", `Cannot find blob ${digest} of ${repository}`);
}
