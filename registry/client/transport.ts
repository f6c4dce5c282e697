/** The one file that opens sockets: one HTTP exchange at a time, nothing followed, nothing decoded. */
import { lookup as lookupName } from "node:dns";
import http from "node:http";
import https from "node:https";
import type net from "node:net";
import tls from "node:tls";
import { isLoopbackName, type Nearness, nearnessOf } from "./address.ts";
import { countedBy, Counter, type Tally } from "./counter.ts";
import { type AnswerHead, type Body, Connection, requestHead, type Wire } from "./http1.ts";
import type { HostStats, HostTls, TransportOptions } from "./options.ts";
import { type Proxy, proxyFor } from "./proxy.ts";
import { connectionFault, TransportError } from "./transport_error.ts";
import { formatTarget, type Target } from "./url.ts";
import { joined as joinedAll } from "../source.ts";
import { Watch } from "./watch.ts";
import { OciError } from "../oci/error.ts";

/** A body whose length is known before it is read, and that can be read again. */
export interface RequestBody {
  /** Bytes. */
  readonly size: number;
  /** The bytes themselves, when they are in memory anyway: then nothing is opened. */
  readonly bytes?: Uint8Array<ArrayBuffer> | undefined;
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
  /** Called as bytes of the body leave; without a body once, with 0, when the request has left. */
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
  /**
   * Reads all of it, instead of {@linkcode body}: without a stream in between, which costs more than a small body.
   *
   * @throws {RangeError} When it is longer than `limit` bytes; it is given up then.
   */
  readonly bytes: (limit: number) => Promise<Uint8Array<ArrayBuffer>>;
  /** From now on a chunk of the body is good only until the next is asked for: one buffer serves for all. */
  readonly reuse: () => void;
}

/** Not to be tried again. */
function closed(host: string): TransportError {
  return new TransportError("blocked", host, "the client was closed");
}

const CONNECT_MS = 30_000;
const ANSWER_MS = 300_000;
const IDLE_MS = 60_000;

/** Connections to all hosts of one process. Dispose it to close them. */
export class Transport implements AsyncDisposable {
  readonly #options: TransportOptions;
  /** Connections that wait for work, by {@linkcode Way.key}; the one used last is at the end. */
  readonly #idle = new Map<string, Connection[]>();
  readonly #busy = new Set<(error?: Error) => void>();
  readonly #stats = new Map<string, Counter>();
  #closed = false;
  #systemCerts: Promise<readonly string[]> | undefined;

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
    const { target, method, signal, guard } = request;
    signal?.throwIfAborted();
    this.#check(target, guard);
    const counter = this.#counter(target.host);
    const tally = countedBy(signal);
    counter.count(method, tally);
    const way = this.#way(target, guard);
    const opening = new AbortController();
    let connection: Connection | undefined;
    let why: Error | undefined;
    const cut = (error: Error = closed(target.host)) => {
      why ??= error;
      watch.stop();
      opening.abort(error);
      connection?.close();
    };
    const watch = new Watch((what) =>
      cut(new TransportError("timeout", target.host, `no ${what} in time`))
    );
    const abort = () => cut(reasonOf(signal));
    signal?.addEventListener("abort", abort, { once: true });
    this.#busy.add(cut);
    const end = (again: boolean) => {
      watch.stop();
      signal?.removeEventListener("abort", abort);
      if (!this.#busy.delete(cut)) return;
      if (again && !this.#closed) this.#keep(way, connection!);
      else connection?.close();
    };
    const bodyFault: { error?: unknown } = {};
    try {
      watch.start(this.#options.connectTimeoutMs ?? CONNECT_MS, "connection");
      connection = this.#kept(way) ?? await this.#open(way, opening.signal);
      if (why !== undefined) throw why;
      watch.start(this.#answerMs, "answer");
      const { head, whole } = await this.#talk(
        connection,
        way,
        request,
        counter,
        watch,
        (error) => bodyFault.error = error,
      );
      const body = connection.body(head, method);
      // What is left of an unsent body would be read as the next request.
      const again = whole && !head.last && body.delimited;
      const received = this.#receive(body, counter, tally, watch, (error) => {
        end(error === undefined && again);
        if (error === undefined) return;
        signal?.throwIfAborted();
        throw connectionFault(why ?? error, target.host, false);
      });
      return {
        status: head.status,
        headers: head.headers,
        target,
        reuse: () => body.reuse = true,
        get body() {
          return received.body;
        },
        bytes: received.bytes,
      };
    } catch (error) {
      const { reused = false } = connection ?? {};
      end(false);
      signal?.throwIfAborted();
      // A file that is gone has a code too, and is no fault of the connection.
      if (error !== undefined && bodyFault.error === error) throw error;
      throw connectionFault(why ?? error, target.host, reused);
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
    const opening = new AbortController();
    let wire: Wire | undefined;
    let late = false;
    const cut = (error: Error = closed(target.host)) => {
      opening.abort(error);
      wire?.close();
    };
    const abort = () => cut(reasonOf(signal));
    const watch = new Watch((what) => {
      late = what === "handshake";
      cut(new TransportError("timeout", target.host, `no ${what} in time`));
    });
    signal?.addEventListener("abort", abort, { once: true });
    this.#busy.add(cut);
    try {
      signal?.throwIfAborted();
      watch.start(this.#options.connectTimeoutMs ?? CONNECT_MS, "connection");
      wire = proxy === undefined
        ? await dial(target.hostname, target.port, undefined, opening.signal)
        : new SocketWire(await this.#tunnel(proxy, target));
      opening.signal.throwIfAborted();
      watch.start(TLS_PROBE_MS, "handshake");
      const first = new Uint8Array(1);
      try {
        await new Connection(wire, target.host).write(CLIENT_HELLO);
        await wire.read(first);
      } catch (error) {
        // Who speaks no TLS may close, or wait for more; that it does not want us any more is an answer too.
        signal?.throwIfAborted();
        if (!late) opening.signal.throwIfAborted();
        if (
          !late && connectionFault(error, target.host, false) instanceof TransportError === false
        ) {
          throw error;
        }
      }
      return first[0] === TLS_HANDSHAKE || first[0] === TLS_ALERT;
    } catch (error) {
      signal?.throwIfAborted();
      throw connectionFault(
        opening.signal.aborted ? opening.signal.reason : error,
        target.host,
        false,
      );
    } finally {
      watch.stop();
      this.#busy.delete(cut);
      signal?.removeEventListener("abort", abort);
      if (!opening.signal.aborted) wire?.close();
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
  async close(): Promise<void> {
    this.#closed = true;
    for (const cut of this.#busy) cut();
    const idle = [...this.#idle.values()].flat();
    this.#idle.clear();
    for (const connection of idle) connection.close();
    await Promise.all(idle.map((connection) => connection.settled()));
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
    if (this.#closed) throw closed(target.host);
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
      host: target.host,
      ...request.headers,
      "user-agent": this.#options.userAgent ?? "wherry",
      "accept-encoding": "identity",
      ...(bodyless ? {} : { "content-length": String(body?.size ?? 0) }),
      ...(proxy?.authorization === undefined ? {} : { "proxy-authorization": proxy.authorization }),
    };
  }

  /** Connections are shared only by requests that would open the same one. */
  #way(target: Target, guard: Nearness | undefined): Way {
    const proxy = proxyFor(target, this.#options.proxy);
    const guarded = guard !== undefined && !listed(this.#options.trustedHosts, target)
      ? guard
      : undefined;
    return {
      key: JSON.stringify([target.secure, target.host, proxy, guarded]),
      target,
      proxy,
      guard: proxy === undefined ? guarded : undefined,
    };
  }

  #kept({ key }: Way): Connection | undefined {
    const idle = this.#idle.get(key);
    for (let connection = idle?.pop(); connection !== undefined; connection = idle?.pop()) {
      if (connection.closed) continue;
      connection.take();
      return connection;
    }
    return undefined;
  }

  #keep({ key }: Way, connection: Connection): void {
    if (connection.closed) return;
    const idle = (this.#idle.get(key) ?? []).filter((other) => !other.closed);
    if (idle.length >= MAX_IDLE) return connection.close();
    connection.idle();
    this.#idle.set(key, [...idle, connection]);
  }

  /** Opens a connection along `way`: to the host, through a tunnel, or to a proxy that passes requests on. */
  async #open(way: Way, signal: AbortSignal): Promise<Connection> {
    const { target, proxy, guard } = way;
    if (proxy !== undefined && target.secure) {
      const socket = await this.#tunnel(proxy, target);
      const options = { ...await this.#tls(target), socket } as tls.ConnectionOptions;
      return new Connection(await secured(tls.connect(options), signal), target.host);
    }
    if (proxy !== undefined) {
      const { hostname, port } = proxy;
      const wire = proxy.secure
        ? await secured(tls.connect({ host: hostname, port, ...servernameOf(hostname) }), signal)
        : await Deno.connect({ hostname, port, signal });
      return new Connection(wire, target.host);
    }
    const { hostname, port } = target;
    const options = target.secure ? await this.#tls(target) : {};
    if (target.secure && Object.keys(options).some((name) => name !== "servername")) {
      // Deno's own TLS has no key of ours, no host that goes unchecked, and is slow with authorities of ours (44 ms
      // for each connection).
      const lookup = guard === undefined ? {} : { lookup: guardedLookup(guard) };
      const socket = tls.connect(
        { ...options, ...lookup, host: hostname, port } as tls.ConnectionOptions,
      );
      return new Connection(await secured(socket, signal), target.host);
    }
    const plain = await dial(hostname, port, guard, signal);
    plain.setNoDelay(true);
    if (!target.secure) return new Connection(plain, target.host);
    const wire = await Deno.startTls(plain, {
      hostname,
      alpnProtocols: ["http/1.1"],
    });
    const stop = () => wire.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      await wire.handshake();
      return new Connection(wire, target.host);
    } catch (error) {
      if (!signal.aborted) wire.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #authorities(target: Target): Promise<readonly string[]> {
    const { caCerts = [], systemCerts } = this.#options;
    this.#systemCerts ??= systemCerts?.() ?? Promise.resolve([]);
    return [...caCerts, ...await this.#systemCerts, ...this.#own(target)?.caCerts ?? []];
  }

  #own(target: Target): HostTls | undefined {
    const { hosts = {} } = this.#options;
    return hosts[`${target.hostname}:${target.port}`] ?? hosts[target.host] ??
      hosts[target.hostname];
  }

  /** Trust for one host: a private authority or key counts for the host it was given for only (N-06). */
  async #tls(
    target: Target,
  ): Promise<tls.SecureContextOptions & { rejectUnauthorized?: boolean }> {
    const own = this.#own(target);
    const extra = await this.#authorities(target);
    return {
      ...servernameOf(target.hostname),
      ...(extra.length === 0 ? {} : { ca: [...tls.rootCertificates, ...extra] }),
      ...(own?.cert === undefined || own.key === undefined ? {} : { cert: own.cert, key: own.key }),
      ...(listed(this.#options.insecureHosts, target) ||
          listed(this.#options.unverifiedHosts, target)
        ? { rejectUnauthorized: false }
        : {}),
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

  /** Sends the request and reads the head of its answer, at the same time: a 401 may come early. */
  async #talk(
    connection: Connection,
    { proxy, target }: Way,
    request: TransportRequest,
    counter: Counter,
    watch: Watch,
    onBodyFault: (error: unknown) => void,
  ): Promise<{ readonly head: AnswerHead; readonly whole: boolean }> {
    const overProxy = proxy !== undefined && !target.secure;
    const first = requestHead(
      request.method,
      overProxy ? formatTarget(target) : target.path,
      this.#headers(request, overProxy ? proxy : undefined),
    );
    let answered = false;
    const answer = connection.head().finally(() => answered = true);
    answer.catch(() => {});
    if (request.body === undefined) {
      await connection.write(first);
      request.onSent?.(0);
      return { head: await answer, whole: true };
    }
    const { body, onSent } = request;
    if (body.bytes !== undefined) {
      const { bytes } = body;
      watch.start(this.#idleMs, "progress");
      try {
        if (bytes.byteLength <= SMALL_WRITE) await connection.write(joined(first, bytes));
        else {
          await connection.write(first);
          await connection.write(bytes);
        }
      } catch (error) {
        await answer; // a server may say no, and close, before it has read all
        if (!answered) throw error;
      }
      counter.send(bytes.byteLength, countedBy(request.signal));
      onSent?.(bytes.byteLength);
      watch.start(this.#answerMs, "answer");
      return { head: await answer, whole: true };
    }
    const stream = await body.open().catch((error) => {
      onBodyFault(error);
      throw error;
    });
    const reader = stream.getReader();
    // Ends a read that waits for a slow source. (A race of the two would keep every chunk until the answer comes.)
    const over = () => void reader.cancel().catch(() => {});
    answer.then(over, over);
    let size = 0;
    let held: Uint8Array<ArrayBuffer> | undefined = first;
    const write = async (bytes: Uint8Array) => {
      watch.start(this.#idleMs, "progress");
      try {
        await connection.write(bytes);
      } catch (error) {
        await answer; // a server may say no, and close, before it has read all
        if (!answered) throw error;
      }
      watch.pause();
    };
    try {
      while (!answered) {
        const part = await reader.read().catch((error) => {
          onBodyFault(error);
          throw error;
        });
        if (part.done || answered) break;
        size += part.value.byteLength;
        if (size > body.size) {
          const fault = lengthFault(body.size, `at least ${size}`);
          onBodyFault(fault);
          throw fault;
        }
        // Head and body leave together where that is one small write.
        if (held !== undefined && part.value.byteLength <= SMALL_WRITE) {
          await write(joined(held, part.value));
        } else {
          if (held !== undefined) await write(held);
          await write(part.value);
        }
        held = undefined;
        counter.send(part.value.byteLength, countedBy(request.signal));
        onSent?.(part.value.byteLength);
      }
      if (!answered && size < body.size) {
        const fault = lengthFault(body.size, String(size));
        onBodyFault(fault);
        throw fault;
      }
      if (!answered && held !== undefined) await write(held);
      watch.start(this.#answerMs, "answer");
      return { head: await answer, whole: size === body.size };
    } finally {
      await reader.cancel().catch(() => {});
    }
  }

  /** `end` is called once, when nothing more will be read; with an error it throws what the reader is to see. */
  #receive(
    body: Body,
    counter: Counter,
    tally: Tally | undefined,
    watch: Watch,
    end: (error?: unknown) => void,
  ): Pick<TransportResponse, "body" | "bytes"> {
    watch.pause();
    const next = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => {
      let part: Uint8Array<ArrayBuffer> | undefined;
      try {
        part = await body.next();
        if (part !== undefined) counter.receive(part.byteLength, tally);
      } catch (error) {
        end(error);
        throw error;
      }
      if (body.done) end();
      else watch.pause();
      return part;
    };
    const giveUp = () => {
      try {
        end(new Error("cancelled"));
      } catch {
        // It is the reader who wants no more.
      }
    };
    // All of it came with the head: the connection is free for the next request.
    let early: Promise<Uint8Array<ArrayBuffer> | undefined> | undefined;
    if (body.done) {
      end();
      early = Promise.resolve(undefined);
    } else if (body.here) early = next();
    early?.catch(() => {});
    let stream: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
    const open = () => {
      if (early !== undefined) {
        return new ReadableStream<Uint8Array<ArrayBuffer>>({
          async pull(controller) {
            const part = await early;
            if (part !== undefined) controller.enqueue(part);
            controller.close();
          },
        }, { highWaterMark: 0 });
      }
      return new ReadableStream<Uint8Array<ArrayBuffer>>({
        pull: async (controller) => {
          watch.start(this.#idleMs, "progress");
          const part = await next();
          if (part !== undefined) controller.enqueue(part);
          if (body.done) controller.close();
        },
        cancel: giveUp,
      }, { highWaterMark: 0 });
    };
    const bytes = async (limit: number) => {
      const parts: Uint8Array<ArrayBuffer>[] = [];
      let size = 0;
      const add = (part: Uint8Array<ArrayBuffer> | undefined) => {
        if (part === undefined) return;
        size += part.byteLength;
        parts.push(part);
      };
      if (early !== undefined) add(await early);
      while (!body.done && size <= limit) {
        watch.start(this.#idleMs, "progress");
        add(await next());
      }
      if (size <= limit) return parts.length === 1 ? parts[0]! : joinedAll(parts, size);
      if (!body.done) giveUp();
      throw new RangeError(`Cannot read document: longer than ${limit} bytes`);
    };
    return {
      get body() {
        return stream ??= open();
      },
      bytes,
    };
  }
}

/** How a request gets to its host. */
interface Way {
  /** Equal for requests that may share a connection. */
  readonly key: string;
  readonly target: Target;
  readonly proxy: Proxy | undefined;
  /** Addresses nearer than this are refused when they are known. */
  readonly guard: Nearness | undefined;
}

const MAX_IDLE = 64;
/** Up to here a copy costs less than a second packet. */
const SMALL_WRITE = 16 * 1024;

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.byteLength + b.byteLength);
  all.set(a);
  all.set(b, a.byteLength);
  return all;
}

/** A connection to a name or address; with `guard` to none that is nearer, looked at when it is known. */
async function dial(
  hostname: string,
  port: number,
  guard: Nearness | undefined,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  if (guard === undefined || nearnessOf(hostname) !== undefined) {
    return await Deno.connect({ hostname, port, signal });
  }
  const addresses = await new Promise<readonly { readonly address: string }[]>(
    (resolve, reject) =>
      guardedLookup(guard)(
        hostname,
        { all: true },
        (error, found) =>
          error ? reject(error) : resolve(found as readonly { readonly address: string }[]),
      ),
  );
  for (const [at, { address }] of addresses.entries()) {
    try {
      return await Deno.connect({ hostname: address, port, signal });
    } catch (error) {
      if (signal.aborted || at === addresses.length - 1) throw error;
    }
  }
  throw new TransportError("connect", hostname, "no such host", { retryable: false });
}

/** `socket` when its handshake is done. */
async function secured(socket: tls.TLSSocket, signal: AbortSignal): Promise<Wire> {
  const wire = new SocketWire(socket);
  const done = Promise.withResolvers<void>();
  const abort = () => socket.destroy(reasonOf(signal));
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  socket.once("secureConnect", done.resolve);
  socket.once("error", done.reject);
  socket.once("close", () => done.reject(new Error("connection closed")));
  try {
    await done.promise;
    return wire;
  } catch (error) {
    wire.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** A socket of Node's as a wire, for what Deno's own connections cannot do. */
class SocketWire implements Wire {
  readonly #socket: net.Socket;
  readonly #chunks: AsyncIterator<Uint8Array>;
  /** Of those who wait: a socket that is destroyed would let them wait for ever. */
  readonly #waiting = new Set<(error: Error) => void>();
  #fault: Error | undefined;
  #rest: Uint8Array = new Uint8Array();

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("error", (error) => this.#fail(error));
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#rest.byteLength === 0) {
      const { done, value } = await this.#unlessGone<IteratorResult<Uint8Array>>(
        (resolve, reject) => void this.#chunks.next().then(resolve, reject),
      );
      if (done) return null;
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, into.byteLength);
    into.set(part);
    this.#rest = this.#rest.subarray(part.byteLength);
    return part.byteLength;
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#unlessGone((resolve, reject) => {
      // Called when the bytes are out, so they may be used again.
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.byteLength));
    });
  }

  close(): void {
    this.#fail(new Error("connection closed"));
    this.#socket.destroy();
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  #fail(error: Error): void {
    this.#fault ??= error;
    for (const reject of this.#waiting) reject(error);
    this.#waiting.clear();
  }

  /** No `Promise.race` with one promise that lives long: it would keep every chunk. */
  #unlessGone<T>(
    act: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
  ): Promise<T> {
    if (this.#fault !== undefined) return Promise.reject(this.#fault);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.add(reject);
    const leave = () => this.#waiting.delete(reject);
    act((value) => {
      leave();
      resolve(value);
    }, (error) => {
      leave();
      reject(error);
    });
    return promise;
  }
}

/** A server that reads a handshake as a request and waits for more must not hold us long. */
const TLS_PROBE_MS = 3_000;
const TLS_HANDSHAKE = 0x16;
const TLS_ALERT = 0x15;
/**
 * The shortest hello of TLS 1.2 (RFC 5246, 7.4.1.2): whoever speaks TLS answers it, be it with an alert. A real handshake
 * tells no more and costs 45 ms of processor time, most of it for authorities nobody asks.
 */
const CLIENT_HELLO = new Uint8Array([
  ...[0x16, 3, 1, 0, 47], // record: handshake, version, length
  ...[1, 0, 0, 43], // client hello, length
  ...[3, 3], // TLS 1.2
  ...new Uint8Array(32).map((_, at) => at % 2 === 0 ? 13 : 10), // random: line ends, so that HTTP sees a whole request
  ...[0], // session
  ...[0, 4, 0xc0, 0x2f, 0xc0, 0x2b], // cipher suites: ECDHE with AES-128-GCM
  ...[1, 0], // compression: none
]);

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

function servernameOf(hostname: string): { servername?: string } {
  return nearnessOf(hostname) === undefined ? { servername: hostname } : {};
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
