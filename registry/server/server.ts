/** The registry server: the distribution API over any place. */
import { Hono } from "hono";
import { isOciError, OciError } from "../oci/error.ts";
import type { Registry, ResumableUploads } from "../registry.ts";
import { type Answer, type Call, HANDLERS } from "./handlers.ts";
import { type ApiRequest, parseRequest } from "./request.ts";
import type { Digest } from "../oci/digest.ts";

/** One answered request, for logs and for tests that count. */
export interface RequestEntry {
  /** As sent. */
  readonly method: string;
  /** Path and query as sent; query values are never secret in this API. */
  readonly path: string;
  /** What it was understood as. */
  readonly kind: ApiRequest["kind"] | "other";
  /** Of the repository, where one was named. */
  readonly repository: string | undefined;
  /** Of the answer. */
  readonly status: number;
  /** Bytes of the body that were read. */
  readonly bytesIn: number;
  /** Length of the answer's body; that many are sent unless the client goes away. */
  readonly bytesOut: number;
  /** From the request's head to the answer's head. */
  readonly durationMs: number;
}

/** Options of {@linkcode createServer}. */
export interface ServerOptions {
  /** Refuse every change with 405. */
  readonly readOnly?: boolean | undefined;
  /** Longest manifest taken. Default 4 MiB and a little, as the spec asks of registries. */
  readonly manifestLimit?: number | undefined;
  /** Finds a repository that holds a blob: allows mounts that name none. The store's `locate`. */
  readonly locate?: ((digest: Digest) => Promise<string | undefined>) | undefined;
  /** Called once for each request when its answer is ready. */
  readonly onRequest?: ((entry: RequestEntry) => void) | undefined;
  /** Called with what went wrong inside; clients are told only that something did. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** A registry server as a function: what {@linkcode serve} listens with, and tests call. */
export interface RegistryServer {
  /** Answers one request. Never rejects. */
  fetch(request: Request): Promise<Response>;
}

const MANIFEST_LIMIT = 4 * 1024 * 1024 + 64 * 1024;

/** Makes a server of the distribution API 1.1 over `registry`. */
export function createServer(
  registry: Registry & ResumableUploads,
  options: ServerOptions = {},
): RegistryServer {
  const app = new Hono();
  app.get("/healthz", () => Response.json({ status: "ok" }));
  app.all("*", (context) => answer(context.req.raw, registry, options));
  return { fetch: async (request) => await app.fetch(request) };
}

async function answer(
  request: Request,
  registry: Registry & ResumableUploads,
  options: ServerOptions,
): Promise<Response> {
  const started = performance.now();
  const url = new URL(request.url);
  let parsed: ApiRequest | undefined;
  let bytesIn = 0;
  let result: Answer;
  try {
    parsed = parseRequest(request.method, url.pathname, url.searchParams);
    if (options.readOnly && CHANGES.has(parsed.kind)) {
      throw new OciError("UNSUPPORTED", "Cannot change anything: this registry is read-only");
    }
    const call: Call = {
      registry,
      headers: request.headers,
      body: request.body,
      head: request.method === "HEAD",
      manifestLimit: options.manifestLimit ?? MANIFEST_LIMIT,
      locate: options.locate,
      received: (bytes) => bytesIn += bytes,
    };
    // The table pairs each kind with the handler of just that kind.
    const handler = HANDLERS[parsed.kind] as (request: ApiRequest, call: Call) => Promise<Answer>;
    result = await handler(parsed, call);
  } catch (error) {
    result = errorAnswer(error, options);
  }
  if (request.body !== null && !request.bodyUsed) await request.body.cancel().catch(() => {});
  const response = respond(result, request.method === "HEAD");
  options.onRequest?.({
    method: request.method,
    path: url.pathname + url.search,
    kind: parsed?.kind ?? "other",
    repository: parsed !== undefined && "repository" in parsed ? parsed.repository : undefined,
    status: response.status,
    bytesIn,
    bytesOut: request.method === "HEAD" ? 0 : Number(response.headers.get("content-length") ?? 0),
    durationMs: performance.now() - started,
  });
  return response;
}

/** The one place that knows which requests change something. */
const CHANGES: ReadonlySet<ApiRequest["kind"]> = new Set([
  "putManifest",
  "deleteManifest",
  "deleteBlob",
  "startUpload",
  "patchUpload",
  "putUpload",
  "cancelUpload",
]);

function respond({ status, headers = {}, body = null }: Answer, head: boolean): Response {
  const all = new Headers(headers);
  all.set("docker-distribution-api-version", "registry/2.0");
  all.set("x-content-type-options", "nosniff");
  if (body instanceof Uint8Array) all.set("content-length", String(body.byteLength));
  else if (body === null && status !== 204 && status !== 304 && !all.has("content-length")) {
    all.set("content-length", "0");
  }
  if (head && body instanceof ReadableStream) body.cancel().catch(() => {});
  return new Response(head ? null : body, { status, headers: all });
}

function errorAnswer(error: unknown, options: ServerOptions): Answer {
  const known = isOciError(error);
  if (!known || error.code === "UNAVAILABLE") options.onError?.(error);
  const said = known
    ? { code: error.code, message: error.message, detail: error.detail ?? null }
    : { code: "UNKNOWN", message: "Cannot answer: something went wrong inside", detail: null };
  const headers: Record<string, string> = { "content-type": "application/json" };
  const detail = known ? error.detail as { allow?: unknown } | undefined : undefined;
  if (Array.isArray(detail?.allow)) headers["allow"] = detail.allow.join(", ");
  return {
    status: known ? error.status : 500,
    headers,
    body: new TextEncoder().encode(JSON.stringify({ errors: [said] })),
  };
}
