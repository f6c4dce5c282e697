/** Uploads: begun, mounted, gone on with and ended. */
import type { Digest } from "../oci/digest.ts";
import { isOciError, OciError } from "../oci/error.ts";
import type { BlobUpload } from "../registry.ts";
import { parseContentRange, uploadRange } from "./range.ts";
import { formatPath } from "./request.ts";
import { type Call, fault, type Of, type Said } from "./said.ts";

/** Answers POST: an upload, a whole blob, or a mount. */
export async function startUpload(request: Of<"startUpload">, call: Call): Promise<Said> {
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

/** Answers PATCH: bytes that follow. */
export async function patchUpload(request: Of<"patchUpload">, call: Call): Promise<Said> {
  const upload = await find(request, call);
  const refused = inPlace(request.repository, upload, call);
  if (refused !== undefined) return refused;
  await receive(upload, call);
  return { status: 202, headers: uploadHeaders(request.repository, upload) };
}

/** Answers PUT: the last bytes, and what all of them are. */
export async function putUpload(request: Of<"putUpload">, call: Call): Promise<Said> {
  const upload = await find(request, call);
  const refused = inPlace(request.repository, upload, call);
  if (refused !== undefined) return refused;
  await receive(upload, call);
  await upload.commit(request.digest);
  return created(request.repository, request.digest);
}

/** Answers GET: how far it is. */
export async function uploadStatus(request: Of<"uploadStatus">, call: Call): Promise<Said> {
  const upload = await find(request, call);
  return { status: 204, headers: uploadHeaders(request.repository, upload) };
}

/** Answers DELETE. */
export async function cancelUpload(request: Of<"cancelUpload">, call: Call): Promise<Said> {
  await (await find(request, call)).abort();
  return { status: 204 };
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
