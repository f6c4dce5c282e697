/** The registry server: the distribution API over any place. */
import { Hono } from "hono";
import { isOciError, OciError } from "../oci/error.ts";
import type { Registry, ResumableUploads } from "../registry.ts";
import { HANDLERS } from "./handlers.ts";
import { type Answer, type Ask, dropBody } from "./http/message.ts";
import { answerOf, askOf, requestOf, responseOf } from "./http/web.ts";
import { type ApiRequest, parseRequest } from "./request.ts";
import type { Call, Said } from "./said.ts";
import { isFromPage } from "./auth/browser.ts";
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
  /** The address it came from; empty when that is not known. */
  readonly remote: string;
  /** Who asked, once it is proven. */
  readonly user: string | undefined;
  /** As sent. */
  readonly userAgent: string | undefined;
}

/** Where a request came from. */
export interface Peer {
  /** An address; empty for a socket file. */
  readonly remote: string;
  /** The name in the client's certificate, where one was asked for and verified. */
  readonly certificate?: string | undefined;
}

/** What a server's {@linkcode ServerOptions.authorize} says of a request. */
export type Judgement =
  | {
    /** The request may go on. */
    readonly kind: "allow";
    /** For the log. */
    readonly user: string | undefined;
    /** The place as this caller sees it. */
    readonly registry: Registry & ResumableUploads;
  }
  | {
    /** The request may not go on. */
    readonly kind: "refuse";
    /** For the log. */
    readonly user: string | undefined;
    /** What the caller is told. */
    readonly error: OciError;
    /** `www-authenticate`, `retry-after`. */
    readonly headers: Readonly<Record<string, string>>;
  };

/** An answer beside the API. */
export interface SiteAnswer {
  /** To send. */
  readonly response: Response;
  /** For the log. */
  readonly user: string | undefined;
}

/** Options of {@linkcode createServer}. */
export interface ServerOptions {
  /** Refuse every change with 405. */
  readonly readOnly?: boolean | undefined;
  /** Longest manifest taken. Default 4 MiB and a little, as the spec asks of registries. */
  readonly manifestLimit?: number | undefined;
  /** Finds a repository that holds a blob: allows mounts that name none. The store's `locate`. */
  readonly locate?: ((digest: Digest) => Promise<string | undefined>) | undefined;
  /** Asked once for each request of the API before any handler sees it. Without it everybody may do all. */
  readonly authorize?:
    | ((ask: Ask, parsed: ApiRequest, peer: Peer) => Promise<Judgement>)
    | undefined;
  /** Answers what lies beside the API: pages, tokens, metrics. `undefined`: there is no such thing. */
  readonly site?:
    | ((request: Request, peer: Peer) => Promise<SiteAnswer | undefined>)
    | undefined;
  /** Called when a request comes in. */
  readonly onBegin?: (() => void) | undefined;
  /** Called once for each request when its answer is ready. */
  readonly onRequest?: ((entry: RequestEntry) => void) | undefined;
  /** Called with what went wrong inside; clients are told only that something did. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** A registry server as functions: what {@linkcode serve} listens with, and tests call. */
export interface RegistryServer {
  /** Answers one request, which came from `peer`. Never rejects. Where it is missing, `fetch` is asked. */
  answer?(ask: Ask, peer: Peer): Promise<Answer>;
  /** The same for whoever listens by other means. Slow clients are theirs to deal with. */
  fetch(request: Request, peer?: Peer): Promise<Response>;
}

const MANIFEST_LIMIT = 4 * 1024 * 1024 + 64 * 1024;

/** Makes a server of the distribution API 1.1 over `registry`. */
export function createServer(
  registry: Registry & ResumableUploads,
  options: ServerOptions = {},
): RegistryServer {
  const app = new Hono<{ Bindings: { peer: Peer } }>();
  app.get("/healthz", () => Response.json({ status: "ok" }));
  app.all("*", async (context) => {
    const request = context.req.raw;
    return responseOf(await answer(askOf(request), context.env.peer, registry, options, request));
  });
  return {
    fetch: async (request, peer = NOWHERE) => await app.fetch(request, { peer }),
    // The API has its own table of routes, and needs no objects made for it that it then takes apart.
    answer: async (ask, peer) =>
      isApi(pathOf(ask))
        ? await answer(ask, peer, registry, options)
        : answerOf(await app.fetch(requestOf(ask), { peer })),
  };
}

const NOWHERE: Peer = { remote: "" };

/** Registries make addresses of names, tags and digests; none of them comes near this. */
const MAX_URL = 16 * 1024;

const NO_QUERY: URLSearchParams = new URLSearchParams();

function isApi(path: string): boolean {
  return path === "/v2" || path.startsWith("/v2/");
}

function pathOf({ target }: Ask): string {
  const at = target.indexOf("?");
  return at < 0 ? target : target.slice(0, at);
}

async function answer(
  ask: Ask,
  peer: Peer,
  registry: Registry & ResumableUploads,
  options: ServerOptions,
  request?: Request,
): Promise<Answer> {
  const started = performance.now();
  const { method, target, headers } = ask;
  const path = pathOf(ask);
  let parsed: ApiRequest | undefined;
  let bytesIn = 0;
  let user: string | undefined;
  let result: Answer | undefined;
  options.onBegin?.();
  try {
    if (target.length > MAX_URL) {
      throw new OciError("UNSUPPORTED", `Cannot read an address longer than ${MAX_URL} bytes`, {
        status: 414,
      });
    }
    if (request !== undefined && options.site !== undefined && !isApi(path)) {
      const page = await options.site(request, peer);
      if (page !== undefined) [result, user] = [answerOf(page.response), page.user];
    }
    if (result === undefined) {
      // Before anything is understood: what is not understood cannot slip past.
      if (options.readOnly && method !== "GET" && method !== "HEAD") {
        throw new OciError("UNSUPPORTED", "Cannot change anything: this registry is read-only", {
          detail: { allow: ["GET", "HEAD"] },
        });
      }
      const query = path.length === target.length
        ? NO_QUERY
        : new URLSearchParams(target.slice(path.length + 1));
      parsed = parseRequest(method, path, query);
      result = finished(await handle(parsed), method === "HEAD");
    }
  } catch (error) {
    result = finished(errorAnswer(error, options), method === "HEAD");
  }
  options.onRequest?.({
    method,
    path: target,
    kind: parsed?.kind ?? "other",
    repository: parsed !== undefined && "repository" in parsed ? parsed.repository : undefined,
    status: result.status,
    bytesIn,
    bytesOut: method === "HEAD" ? 0 : Number(result.headers["content-length"] ?? 0),
    durationMs: performance.now() - started,
    remote: peer.remote,
    user,
    userAgent: headers.get("user-agent") ?? undefined,
  });
  return result;

  async function handle(parsed: ApiRequest): Promise<Said> {
    if (CHANGES.has(parsed.kind) && isFromPage(headers)) {
      throw new OciError("DENIED", "Cannot change anything for a web page");
    }
    const judgement = await options.authorize?.(ask, parsed, peer);
    user = judgement?.user;
    if (judgement?.kind === "refuse") {
      const refusal = errorAnswer(judgement.error, options);
      return { ...refusal, headers: { ...refusal.headers, ...judgement.headers } };
    }
    const call: Call = {
      registry: judgement?.registry ?? registry,
      headers,
      body: ask.body,
      head: method === "HEAD",
      manifestLimit: options.manifestLimit ?? MANIFEST_LIMIT,
      locate: options.locate,
      received: (bytes) => bytesIn += bytes,
    };
    // The table pairs each kind with the handler of just that kind.
    const handler = HANDLERS[parsed.kind] as (request: ApiRequest, call: Call) => Promise<Said>;
    return await handler(parsed, call);
  }
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

function finished({ status, headers = {}, body = null }: Said, head: boolean): Answer {
  const all: Record<string, string | readonly string[]> = {
    ...headers,
    "docker-distribution-api-version": "registry/2.0",
    "x-content-type-options": "nosniff",
  };
  if (body instanceof Uint8Array) all["content-length"] = String(body.byteLength);
  else if (body === null && status !== 204 && status !== 304) all["content-length"] ??= "0";
  if (!head) return { status, headers: all, body };
  dropBody(body);
  return { status, headers: all, body: null };
}

function errorAnswer(
  error: unknown,
  options: ServerOptions,
): Said & { headers: Record<string, string> } {
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
