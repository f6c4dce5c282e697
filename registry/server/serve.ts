/** Listening: the server on a port or a socket file, with a graceful end. */
import { OciError } from "../oci/error.ts";
import type { RegistryServer } from "./server.ts";

/** Where to listen. */
export type ListenAddress =
  | { readonly hostname: string; readonly port: number }
  | { readonly path: string };

/** Options of {@linkcode serve}. */
export interface ServeOptions {
  /** A host with a port (0: any free one), or the path of a socket file. */
  readonly listen: ListenAddress;
  /** When aborted, ends as {@linkcode Listening.shutdown} does. */
  readonly signal?: AbortSignal | undefined;
  /** How long requests under way may go on after the end was asked for. Default 10 s. */
  readonly drainMs?: number | undefined;
  /** PEM of certificate and key: speak HTTPS. With `clientCa` only to clients with a certificate of these authorities. */
  readonly tls?:
    | { readonly cert: string; readonly key: string; readonly clientCa?: string | undefined }
    | undefined;
}

/** A server that listens. */
export interface Listening extends AsyncDisposable {
  /** The real address: with the port that was chosen. */
  readonly address: ListenAddress;
  /** `http://host:port` or `unix:PATH`. */
  readonly url: string;
  /** Takes no more requests, lets those under way end, then closes. Idempotent. */
  shutdown(): Promise<void>;
  /** Settles when it has ended. */
  readonly finished: Promise<void>;
}

/**
 * Reads `host:port`, `:port`, `[v6]:port` or `unix:PATH`.
 *
 * @throws {TypeError} When it is none of these.
 */
export function parseListen(text: string): ListenAddress {
  if (text.startsWith("unix:") && text.length > 5) return { path: text.slice(5) };
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? NaN);
  if (match === null || port > 65535) {
    throw new TypeError(`Cannot listen on ${JSON.stringify(text)}: want HOST:PORT or unix:PATH`);
  }
  return { hostname: match[1] ?? (match[2] || "127.0.0.1"), port };
}

/**
 * Starts to listen; resolves when it does.
 *
 * @throws {OciError} `UNAVAILABLE` when the address cannot be had.
 */
export async function serve(server: RegistryServer, options: ServeOptions): Promise<Listening> {
  const { listen, signal, drainMs = DRAIN_MS, tls } = options;
  if (tls?.clientCa !== undefined) {
    if ("path" in listen) throw new TypeError("Cannot ask for certificates on a socket file");
    const { serveCertificates } = await import("./serve_certificates.ts");
    const { cert, key, clientCa } = tls;
    return await serveCertificates(server, {
      listen,
      signal,
      drainMs,
      tls: { cert, key, clientCa },
    });
  }
  const abort = new AbortController();
  const started = Promise.withResolvers<Deno.Addr>();
  const drain = new Drain();
  const handler = (request: Request, info: Deno.ServeHandlerInfo) =>
    drain.enter(info.completed) ? server.fetch(request, { remote: remoteOf(info) }) : closing();
  const common = { signal: abort.signal, onListen: started.resolve, onError: failed };
  let http: Deno.HttpServer;
  try {
    http = "path" in listen
      ? Deno.serve({ ...common, path: listen.path }, handler) as unknown as Deno.HttpServer
      : Deno.serve({ ...common, ...listen, ...(tls && { cert: tls.cert, key: tls.key }) }, handler);
  } catch (cause) {
    const where = "path" in listen ? `unix:${listen.path}` : `${listen.hostname}:${listen.port}`;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new OciError("UNAVAILABLE", `Cannot listen on ${where}: ${why}`, { cause });
  }
  const real = await started.promise;
  const address: ListenAddress = "path" in listen
    ? listen
    : { hostname: (real as Deno.NetAddr).hostname, port: (real as Deno.NetAddr).port };
  let ending: Promise<void> | undefined;
  const shutdown = () =>
    ending ??= (async () => {
      signal?.removeEventListener("abort", onAbort);
      // Whoever is still busy after that has had its time.
      const timer = setTimeout(() => abort.abort(), drainMs);
      try {
        await Promise.race([drain.empty(), http.finished]);
        await http.shutdown();
        await http.finished;
      } finally {
        clearTimeout(timer);
        if ("path" in listen) await Deno.remove(listen.path).catch(() => {});
      }
    })();
  const onAbort = () => void shutdown();
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  return {
    address,
    url: urlOf(address, tls !== undefined),
    shutdown,
    finished: http.finished.then(() => ending),
    [Symbol.asyncDispose]: shutdown,
  };
}

const DRAIN_MS = 10_000;

/**
 * Counts requests under way. `HttpServer.shutdown` waits for them too, but takes away the bodies they still
 * read ("underlying resource unavailable", Deno 2.9.6), so it may be called only when there are none.
 */
class Drain {
  #busy = 0;
  #ending: PromiseWithResolvers<void> | undefined;

  /** Counts one more, until `completed`; `false` when no more are taken. */
  enter(completed: Promise<void>): boolean {
    if (this.#ending !== undefined) return false;
    this.#busy++;
    const leave = () => {
      if (--this.#busy === 0) this.#ending?.resolve();
    };
    completed.then(leave, leave); // rejected when the client went away
    return true;
  }

  /** Takes no more; settles when none is left. */
  empty(): Promise<void> {
    this.#ending ??= Promise.withResolvers();
    if (this.#busy === 0) this.#ending.resolve();
    return this.#ending.promise;
  }
}

/** The address of a client; that of a socket file has none. */
function remoteOf({ remoteAddr }: Deno.ServeHandlerInfo): string {
  return remoteAddr.transport === "tcp" ? remoteAddr.hostname : "";
}

function closing(): Response {
  return new Response(null, {
    status: 503,
    headers: { "connection": "close", "retry-after": "1" },
  });
}

/** The server answers every fault itself; what gets here is a fault of the connection. */
function failed(): Response {
  return new Response(null, { status: 500 });
}

function urlOf(address: ListenAddress, tls: boolean): string {
  if ("path" in address) return `unix:${address.path}`;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${tls ? "https" : "http"}://${host}:${address.port}`;
}
