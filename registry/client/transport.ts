/** The one file that opens sockets: one HTTP exchange at a time, nothing followed, nothing decoded. */
import { lookup as lookupName } from "node:dns";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { isLoopbackName, type Nearness, nearnessOf } from "./address.ts";
import { Counter } from "./counter.ts";
import type { HostStats, TransportOptions } from "./options.ts";
import { type Proxy, proxyFor } from "./proxy.ts";
import { connectionFault, TransportError } from "./transport_error.ts";
import { formatTarget, type Target } from "./url.ts";
import { Watch } from "./watch.ts";
import { OciError } from "../oci/error.ts";

/** A body whose length is known before it is read, and that can be read again. */
export interface RequestBody {
  /** Bytes. */
  readonly size: number;
  /** Opens it from the start; called once per exchange. */
  open(): Promise<ReadableStream<Uint8Array>>;
}

/** One request. */
export interface TransportRequest {
  /** `GET`, ... */
  readonly method: string;
  /** Where to. */
  readonly target: Target;
  /** By lower-case name. `host`, `content-length`, `user-agent` and `accept-encoding` are set here. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent with its length, never chunked. */
  readonly body?: RequestBody | undefined;
  /** Ends the exchange, its body included. */
  readonly signal?: AbortSignal | undefined;
  /** Refuse to connect to anything nearer than this. Absent: any address will do. */
  readonly guard?: Nearness | undefined;
  /** Called as bytes of the body leave. */
  readonly onSent?: ((bytes: number) => void) | undefined;
}

/** An answer whose body the caller reads to the end or cancels. */
export interface TransportResponse {
  /** The HTTP status. */
  readonly status: number;
  /** Repeated headers are joined with `, `. */
  readonly headers: Headers;
  /** What was asked. */
  readonly target: Target;
  /** The bytes as they came; errors when they end early. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
}

const CONNECT_MS = 30_000;
const ANSWER_MS = 300_000;
const IDLE_MS = 60_000;

/** Connections to all hosts of one process. Dispose it to close them. */
export class Transport implements AsyncDisposable {
  readonly #options: TransportOptions;
  readonly #agents = new Map<string, http.Agent>();
  readonly #busy = new Set<(error: Error) => void>();
  readonly #stats = new Map<string, Counter>();
  #closed = false;

  /** Opens nothing yet. */
  constructor(options: TransportOptions = {}) {
    this.#options = options;
  }

  /**
   * Sends a request and waits for the head of its answer.
   *
   * An answer that comes before the body has left (a 401, say) ends the body. The body's stream is closed or
   * cancelled when this returns or throws.
   *
   * @throws {TransportError} When no answer came. What the body itself throws is thrown as it is, and so is
   * the signal's reason.
   */
  async exchange(request: TransportRequest): Promise<TransportResponse> {
    const { target, method, signal, body, guard } = request;
    signal?.throwIfAborted();
    this.#check(target, guard);
    const proxy = proxyFor(target, this.#options.proxy);
    const counter = this.#counter(target.host);
    counter.count(method);
    const overProxy = proxy !== undefined && !target.secure;
    const outgoing = (target.secure || (overProxy && proxy.secure) ? https : http).request({
      agent: this.#agent(target, proxy, guard),
      method,
      host: overProxy ? proxy.hostname : target.hostname,
      port: overProxy ? proxy.port : target.port,
      path: overProxy ? formatTarget(target) : target.path,
      headers: this.#headers(request, overProxy ? proxy : undefined),
    });
    let message: http.IncomingMessage | undefined;
    // Destroying the request alone would leave a reader of the answer waiting for ever (Deno 2.9.6).
    const cut = (error: Error) => {
      message?.destroy(error);
      outgoing.destroy(error);
    };
    const watch = new Watch((what) =>
      cut(new TransportError("timeout", target.host, `no ${what} in time`))
    );
    const abort = () => cut(reasonOf(signal));
    signal?.addEventListener("abort", abort, { once: true });
    outgoing.once("close", () => {
      watch.stop();
      signal?.removeEventListener("abort", abort);
      this.#busy.delete(cut);
    });
    this.#busy.add(cut);
    const answer = Promise.withResolvers<http.IncomingMessage>();
    outgoing.once("response", (incoming: http.IncomingMessage) => {
      incoming.on("error", () => {}); // its reader hears of it
      answer.resolve(incoming);
    });
    outgoing.on("error", answer.reject);
    outgoing.once("close", () => answer.reject(new Error("connection closed")));
    watch.start(this.#options.connectTimeoutMs ?? CONNECT_MS, "connection");
    onceConnected(outgoing, target.secure, () => watch.start(this.#answerMs, "answer"));
    const sent = body === undefined
      ? void outgoing.end()
      : this.#send(outgoing, request, body, counter, watch);
    let bodyFault: { readonly error: unknown } | undefined;
    try {
      [message] = await Promise.all([
        answer.promise,
        sent?.catch((error) => {
          bodyFault = { error };
          outgoing.destroy();
          throw error;
        }),
      ]);
      watch.stop();
      return {
        status: message.statusCode ?? 0,
        headers: headersOf(message),
        target,
        body: this.#receive(message, outgoing, request, counter, watch),
      };
    } catch (error) {
      outgoing.destroy();
      await sent?.catch(() => {});
      watch.stop();
      signal?.throwIfAborted();
      // A file that is gone has a code too, and is no fault of the connection.
      if (bodyFault?.error === error && error !== undefined) throw error;
      throw connectionFault(error, target.host, outgoing.reusedSocket);
    }
  }

  /**
   * Whether the host answers a TLS handshake. Its certificate does not matter here: no byte of ours is sent.
   *
   * @throws {TransportError} When nothing listens there.
   */
  async speaksTls(target: Target, signal?: AbortSignal): Promise<boolean> {
    this.#check(target, undefined);
    const proxy = proxyFor(target, this.#options.proxy);
    const socket = proxy === undefined
      ? net.connect({ host: target.hostname, port: target.port })
      : await this.#tunnel(proxy, target);
    const secured = Promise.withResolvers<boolean>();
    const watch = new Watch(() => secured.resolve(false));
    const abort = () => secured.reject(reasonOf(signal));
    signal?.addEventListener("abort", abort, { once: true });
    let tunnel: tls.TLSSocket | undefined;
    try {
      await connected(
        socket,
        proxy !== undefined,
        watch,
        this.#options.connectTimeoutMs ?? CONNECT_MS,
      );
      tunnel = tls.connect({ socket, rejectUnauthorized: false, ...servername(target) });
      tunnel.once("secureConnect", () => secured.resolve(true));
      tunnel.on("error", () => secured.resolve(false));
      tunnel.once("close", () => secured.resolve(false));
      watch.start(TLS_PROBE_MS, "handshake");
      return await secured.promise;
    } catch (error) {
      signal?.throwIfAborted();
      throw connectionFault(error, target.host, false);
    } finally {
      watch.stop();
      signal?.removeEventListener("abort", abort);
      const closed = Promise.withResolvers<void>();
      if (socket.destroyed) closed.resolve();
      socket.once("close", () => closed.resolve());
      tunnel?.destroy();
      socket.destroy();
      await closed.promise;
    }
  }

  /** How near a host is by name service: the nearest of its addresses. Behind a proxy a name is far. */
  async nearness(target: Target): Promise<Nearness> {
    const literal = nearnessOf(target.hostname);
    if (literal !== undefined) return literal;
    if (isLoopbackName(target.hostname)) return 2;
    if (proxyFor(target, this.#options.proxy) !== undefined) return 0;
    const addresses = await new Promise<readonly { address: string }[]>((resolve) =>
      lookupName(target.hostname, { all: true }, (error, found) => resolve(error ? [] : found))
    );
    return addresses.reduce<Nearness>((most, { address }) => {
      const near = nearnessOf(address) ?? 0;
      return near > most ? near : most;
    }, 0);
  }

  /** What went over the wire, by host as it stands in addresses. */
  stats(): Readonly<Record<string, HostStats>> {
    return Object.fromEntries([...this.#stats].map(([host, counter]) => [host, counter.read()]));
  }

  /** Closes all connections; exchanges under way fail. Idempotent. */
  close(): Promise<void> {
    this.#closed = true;
    for (const cut of this.#busy) cut(new Error("the client was closed"));
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
    return Promise.resolve();
  }

  /** As {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #answerMs(): number {
    return this.#options.answerTimeoutMs ?? ANSWER_MS;
  }

  get #idleMs(): number {
    return this.#options.idleTimeoutMs ?? IDLE_MS;
  }

  #counter(host: string): Counter {
    const known = this.#stats.get(host) ?? new Counter();
    this.#stats.set(host, known);
    return known;
  }

  #check(target: Target, guard: Nearness | undefined): void {
    if (this.#closed) throw new TransportError("blocked", target.host, "the client was closed");
    const { allowHost, trustedHosts } = this.#options;
    if (allowHost !== undefined && !allowHost(target.host)) {
      throw new TransportError("blocked", target.host, "this host is not allowed here");
    }
    if (guard === undefined || listed(trustedHosts, target)) return;
    const near = nearnessOf(target.hostname) ?? (isLoopbackName(target.hostname) ? 2 : 0);
    if (near > guard) throw tooNear(target.host, target.hostname);
  }

  #headers(request: TransportRequest, proxy: Proxy | undefined): Record<string, string> {
    const { body, method, target } = request;
    const bodyless = body === undefined && !["POST", "PUT", "PATCH"].includes(method);
    return {
      ...request.headers,
      host: target.host,
      "user-agent": this.#options.userAgent ?? "wherry",
      "accept-encoding": "identity",
      ...(bodyless ? {} : { "content-length": String(body?.size ?? 0) }),
      ...(proxy?.authorization === undefined ? {} : { "proxy-authorization": proxy.authorization }),
    };
  }

  /** Connections are shared only by requests that would open the same one. */
  #agent(target: Target, proxy: Proxy | undefined, guard: Nearness | undefined): http.Agent {
    const guarded = guard !== undefined && !listed(this.#options.trustedHosts, target)
      ? guard
      : undefined;
    const key = JSON.stringify([target.secure, target.host, proxy, guarded]);
    const known = this.#agents.get(key);
    if (known !== undefined) return known;
    const common: http.AgentOptions = {
      keepAlive: true,
      maxFreeSockets: 64,
      ...(guarded === undefined || proxy !== undefined ? {} : { lookup: guardedLookup(guarded) }),
    };
    const secure = { ...common, ...this.#tls(target) };
    const agent = proxy === undefined
      ? (target.secure ? new https.Agent(secure) : new http.Agent(common))
      : target.secure
      ? new TunnelAgent(secure, () => this.#tunnel(proxy, target))
      : (proxy.secure ? new https.Agent(common) : new http.Agent(common));
    this.#agents.set(key, agent);
    return agent;
  }

  /** Trust for one host: a private authority or key counts for the host it was given for only (N-06). */
  #tls(target: Target): https.AgentOptions {
    const { caCerts = [], hosts = {}, insecureHosts } = this.#options;
    const own = hosts[`${target.hostname}:${target.port}`] ?? hosts[target.host] ??
      hosts[target.hostname];
    const extra = [...caCerts, ...(own?.caCerts ?? [])];
    return {
      ...servername(target),
      ...(extra.length === 0 ? {} : { ca: [...tls.rootCertificates, ...extra] }),
      ...(own?.cert === undefined || own.key === undefined ? {} : { cert: own.cert, key: own.key }),
      ...(listed(insecureHosts, target) ? { rejectUnauthorized: false } : {}),
    };
  }

  /** Asks a proxy for a connection to `target`. */
  #tunnel(proxy: Proxy, target: Target): Promise<net.Socket> {
    const authority = `${
      target.hostname.includes(":") ? `[${target.hostname}]` : target.hostname
    }:${target.port}`;
    return new Promise((resolve, reject) => {
      const asking = (proxy.secure ? https : http).request({
        method: "CONNECT",
        host: proxy.hostname,
        port: proxy.port,
        path: authority,
        agent: false,
        headers: {
          host: authority,
          ...(proxy.authorization === undefined
            ? {}
            : { "proxy-authorization": proxy.authorization }),
        },
      });
      const refuse = (why: string) => {
        asking.destroy();
        reject(
          new TransportError(
            "connect",
            target.host,
            `the proxy ${proxy.hostname}:${proxy.port} ${why}`,
          ),
        );
      };
      asking.once("connect", (answer, socket) => {
        if (answer.statusCode === 200) return resolve(socket as net.Socket);
        socket.destroy();
        refuse(`answered ${answer.statusCode}`);
      });
      asking.once("response", (answer) => refuse(`answered ${answer.statusCode}`));
      asking.once("error", (cause) => refuse(`cannot be reached: ${cause.message}`));
      asking.end();
    });
  }

  async #send(
    outgoing: http.ClientRequest,
    request: TransportRequest,
    body: RequestBody,
    counter: Counter,
    watch: Watch,
  ): Promise<void> {
    let stopped = false;
    const stream = await body.open();
    const reader = stream.getReader();
    const stop = () => {
      stopped = true;
      reader.cancel().catch(() => {});
    };
    outgoing.once("response", stop);
    outgoing.once("close", stop);
    if (outgoing.destroyed) stop();
    let size = 0;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        // Events of the connection come late while we keep the loop busy.
        if (done || stopped || outgoing.destroyed) break;
        size += value.byteLength;
        if (size > body.size) throw lengthFault(body.size, `at least ${size}`);
        watch.start(this.#idleMs, "progress");
        if (!outgoing.write(value)) await drained(outgoing);
        watch.stop();
        counter.sent += value.byteLength;
        request.onSent?.(value.byteLength);
      }
      if (stopped || outgoing.destroyed) return;
      if (size < body.size) throw lengthFault(body.size, String(size));
      watch.start(this.#answerMs, "answer");
      outgoing.end();
    } finally {
      outgoing.off("response", stop);
      outgoing.off("close", stop);
      await reader.cancel().catch(() => {});
    }
  }

  #receive(
    message: http.IncomingMessage,
    outgoing: http.ClientRequest,
    request: TransportRequest,
    counter: Counter,
    watch: Watch,
  ): ReadableStream<Uint8Array<ArrayBuffer>> {
    const { signal, target } = request;
    const finish = () => {
      watch.stop();
      // The rest of an unsent body would be read as the next request: such a connection is of no more use.
      if (!outgoing.writableEnded) outgoing.destroy();
    };
    if (request.method === "HEAD" || message.statusCode === 204 || message.statusCode === 304) {
      message.resume();
      finish();
      return new ReadableStream({ start: (controller) => controller.close() });
    }
    const chunks = message[Symbol.asyncIterator]() as AsyncIterator<Uint8Array<ArrayBuffer>>;
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        watch.start(this.#idleMs, "progress");
        try {
          const { done, value } = await chunks.next();
          if (done) {
            finish();
            controller.close();
          } else {
            watch.stop();
            counter.received += value.byteLength;
            controller.enqueue(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
          }
        } catch (error) {
          finish();
          outgoing.destroy();
          signal?.throwIfAborted();
          throw connectionFault(error, target.host, false);
        }
      },
      cancel: () => {
        finish();
        outgoing.destroy();
        message.destroy();
      },
    }, { highWaterMark: 0 });
  }
}

/** A server that reads a handshake as a request and waits for more must not hold us long. */
const TLS_PROBE_MS = 3_000;

/** Connects through a proxy; Node's own agent knows direct connections only. */
class TunnelAgent extends https.Agent {
  readonly #options: https.AgentOptions;
  readonly #tunnel: () => Promise<net.Socket>;

  constructor(options: https.AgentOptions, tunnel: () => Promise<net.Socket>) {
    super(options);
    this.#options = options;
    this.#tunnel = tunnel;
  }

  /** Called by the agent; the answer comes through `callback`. */
  createConnection(
    _options: unknown,
    callback: (error: Error | null, socket?: net.Socket) => void,
  ): undefined {
    this.#tunnel().then(
      (socket) =>
        callback(null, tls.connect({ ...(this.#options as tls.ConnectionOptions), socket })),
      (error) => callback(error),
    );
  }
}

/** Whether `entries` (`host` or `host:port`) name the host of `target`. */
export function listed(entries: readonly string[] | undefined, target: Target): boolean {
  return entries?.some((entry) => {
    const name = entry.toLowerCase();
    return name === target.host || name === target.hostname ||
      name === `[${target.hostname}]` || name === `${target.hostname}:${target.port}`;
  }) ?? false;
}

/** Looks a name up and refuses it when any of its addresses is too near, at the moment of connecting. */
function guardedLookup(guard: Nearness): net.LookupFunction {
  return (hostname, options, callback) =>
    lookupName(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, "", 4);
      const near = found.find(({ address }) => (nearnessOf(address) ?? 3) > guard);
      if (near !== undefined) return callback(tooNear(hostname, near.address), "", 4);
      if (options.all) return callback(null, found);
      callback(null, found[0]?.address ?? "", found[0]?.family ?? 4);
    });
}

function tooNear(host: string, address: string): TransportError {
  return new TransportError(
    "blocked",
    host,
    `a registry pointed there, and ${address} is nearer to this machine than the registry is; name the host as trusted if that is meant`,
  );
}

function servername(target: Target): { servername?: string } {
  return nearnessOf(target.hostname) === undefined ? { servername: target.hostname } : {};
}

function headersOf(message: http.IncomingMessage): Headers {
  const headers = new Headers();
  for (let at = 0; at + 1 < message.rawHeaders.length; at += 2) {
    try {
      headers.append(message.rawHeaders[at]!, message.rawHeaders[at + 1]!);
    } catch {
      // A header that is none is as good as absent.
    }
  }
  return headers;
}

function onceConnected(outgoing: http.ClientRequest, secure: boolean, then: () => void): void {
  outgoing.once("socket", (socket) => {
    if (outgoing.reusedSocket) return then();
    socket.once(secure ? "secureConnect" : "connect", then);
  });
}

function connected(
  socket: net.Socket,
  already: boolean,
  watch: Watch,
  ms: number,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on("error", reject);
  socket.once("connect", () => resolve());
  if (already) resolve();
  else watch.start(ms, "connection");
  return promise;
}

/** Until more may be written, or nobody wants more. */
function drained(outgoing: http.ClientRequest): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const events = ["drain", "close", "error", "response"] as const;
  const done = () => {
    for (const event of events) outgoing.off(event, done);
    resolve();
  };
  for (const event of events) outgoing.on(event, done);
  if (outgoing.destroyed) done();
  return promise;
}

function reasonOf(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new DOMException("The act was aborted", "AbortError");
}

function lengthFault(wanted: number, seen: string): OciError {
  return new OciError(
    "SIZE_INVALID",
    `Cannot send body: it was to have ${wanted} bytes and has ${seen}`,
  );
}

/**
 * Authorities the operating system trusts and Deno does not bring along: for `caCerts`. Empty where there is no such
 * store. `SSL_CERT_FILE` and `SSL_CERT_DIR` are looked at by the store itself.
 */
export function systemCertificates(): readonly string[] {
  const { getCACertificates } = tls as {
    readonly getCACertificates?: (kind: "system") => readonly string[];
  };
  const known = new Set(tls.rootCertificates.map(bare));
  try {
    return (getCACertificates?.("system") ?? []).filter((pem) => !known.has(bare(pem)));
  } catch {
    return []; // An empty root file system has none.
  }
}

/** A certificate without its line ends, so that equal ones are equal texts. */
function bare(pem: string): string {
  return pem.replace(/\s+/g, "");
}
