/** What handlers get and what they answer. */
import type { Digest } from "../oci/digest.ts";
import type { OciErrorCode } from "../oci/error.ts";
import type { Registry, ResumableUploads } from "../registry.ts";
import type { AnswerBody, BodyReader, HeaderView } from "./http/message.ts";
import type { ApiRequest } from "./request.ts";

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

/** A request of one kind. */
export type Of<K extends ApiRequest["kind"]> = ApiRequest & { readonly kind: K };

/** A document as an answer. */
export function json(value: unknown, headers: Record<string, string> = {}): Said {
  return {
    status: 200,
    headers: { "content-type": "application/json", ...headers },
    body: new TextEncoder().encode(JSON.stringify(value)),
  };
}

/** A refusal whose headers matter, which an error does not carry. */
export function fault(
  status: number,
  code: OciErrorCode,
  message: string,
  headers: Record<string, string>,
): Said {
  return { ...json({ errors: [{ code, message, detail: null }] }, headers), status };
}

/** The headers of content that has a digest; `immutable` when it was asked for by it. */
export function contentHeaders(digest: Digest, immutable: boolean): Record<string, string> {
  return {
    "docker-content-digest": digest,
    etag: `"${digest}"`,
    "cache-control": immutable ? "max-age=31536000, immutable" : "no-cache",
  };
}

/** Whether an `If-None-Match` or `If-Range` names the digest. */
export function matches(header: string | null, digest: Digest): boolean {
  return header !== null &&
    header.split(",").some((tag) => tag.trim().replace(/^W\//, "") === `"${digest}"`);
}
