/** Blobs: read, whole or in part, and deleted. */
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import type { Source } from "../source.ts";
import { takeBytes } from "../store/part.ts";
import type { AnswerBody } from "./http/message.ts";
import { parseRange } from "./range.ts";
import { type Call, contentHeaders, fault, matches, type Of, type Said } from "./said.ts";

/** Answers GET and HEAD. */
export async function getBlob(
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

/** Answers DELETE. */
export async function deleteBlob(
  { repository, digest }: Of<"deleteBlob">,
  { registry }: Call,
): Promise<Said> {
  if (await registry.deleteBlob(repository, digest)) return { status: 202 };
  throw blobUnknown(repository, digest);
}

function blobUnknown(repository: string, digest: Digest): OciError {
  return new OciError("BLOB_UNKNOWN", `Cannot find blob ${digest} of ${repository}`);
}
