/** One HTTP exchange at a time over connections that are kept: nothing followed, nothing decoded. */
import { orAborted, reasonOf } from "../abort.ts";
import type { Row } from "../row.ts";
import { isLoopbackName, type Nearness, nearnessOf } from "./address.ts";
import { countedBy, Counter } from "./counter.ts";
import { Dialer, listed, nearnessByName, tooNear, type Way } from "./dial.ts";
import type { TransportRequest, TransportResponse } from "./exchange.ts";
import type { Connection, Wire } from "./http1.ts";
import { Idle } from "./idle.ts";
import type { HostStats, TransportOptions } from "./options.ts";
import { type Proxy, proxyFor } from "./proxy.ts";
import { receive } from "./receive.ts";
import { BodyFault, isShort, ride, type Sending, talk } from "./send.ts";
import { answersHello } from "./tls_probe.ts";
import { connectionFault, TransportError } from "./transport_error.ts";
import type { Target } from "./url.ts";
import { Watch } from "./watch.ts";

/** Not to be tried again. */
function closed(host: string): TransportError {
  return new TransportError("blocked", host, "the client was closed");
}

const CONNECT_MS = 30_000;
const ANSWER_MS = 300_000;
const IDLE_MS = 60_000;
/** A server that reads a handshake as a request and waits for more must not hold us long. */
const TLS_PROBE_MS = 3_000;

/** Connections to all hosts of one process. Dispose it to close them. */
export class Transport implements AsyncDisposable {
  readonly #options: TransportOptions;
  readonly #dialer: Dialer;
  /** By {@linkcode Way.key}. */
  readonly #idle = new Idle();
  readonly #busy = new Set<(error?: Error) => void>();
  readonly #stats = new Map<string, Counter>();
  #closed = false;

  /** Opens nothing yet. */
  constructor(options: TransportOptions = {}) {
    this.#options = options;
    this.#dialer = new Dialer(options);
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
    const place = way.proxy === undefined && isShort(request.body)
      ? (request.row as Row<Connection> | undefined)?.join(way.key)
      : undefined;
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
      const on = again && !this.#closed;
      if (place?.end(on, connection !== undefined)) return; // the next of the row reads on
      if (on) this.#idle.keep(way.key, connection!);
      else connection?.close();
    };
    try {
      watch.start(this.#options.connectTimeoutMs ?? CONNECT_MS, "connection");
      const ahead = place?.before && await orAborted(place.before.left, opening.signal);
      const rides = ahead?.closed === false;
      if (rides && why === undefined) connection = ahead;
      connection ??= this.#idle.take(way.key) ?? await this.#dialer.open(way, opening.signal);
      if (why !== undefined) throw why;
      watch.start(this.#answerMs, "answer");
      const line = connection;
      const sending = {
        request,
        ...this.#headers(request, way.proxy),
        watch,
        idleMs: this.#idleMs,
        answerMs: this.#answerMs,
        onSent: (bytes: number) => {
          counter.send(bytes, tally);
          place?.leave(line);
          request.onSent?.(bytes);
        },
      };
      const { head, whole } = rides
        ? await ride(line, place!.before!, sending, opening.signal)
        : await talk(line, sending);
      const body = connection.body(head, method);
      // What is left of an unsent body would be read as the next request.
      const again = whole && !head.last && body.delimited;
      const received = receive(body, {
        watch,
        idleMs: this.#idleMs,
        onReceived: (bytes) => counter.receive(bytes, tally),
        end: (error) => {
          end(error === undefined && again);
          if (error === undefined) return;
          signal?.throwIfAborted();
          throw connectionFault(why ?? error, target.host, false);
        },
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
      if (error instanceof BodyFault) throw error.cause;
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
      wire = await this.#dialer.reach(target, proxy, opening.signal);
      opening.signal.throwIfAborted();
      watch.start(TLS_PROBE_MS, "handshake");
      try {
        return await answersHello(wire, target.host);
      } catch (error) {
        // Who speaks no TLS may close, or wait for more; that it does not want us any more is an answer too.
        signal?.throwIfAborted();
        if (!late) opening.signal.throwIfAborted();
        const fault = connectionFault(error, target.host, false);
        if (!late && !(fault instanceof TransportError)) throw error;
        return false;
      }
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
    return await nearnessByName(target.hostname);
  }

  /** What went over the wire, by host as it stands in addresses. */
  stats(): Readonly<Record<string, HostStats>> {
    return Object.fromEntries([...this.#stats].map(([host, counter]) => [host, counter.read()]));
  }

  /** Closes all connections; exchanges under way fail. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const cut of this.#busy) cut();
    await this.#idle.close();
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

  #headers(
    { body, method, target, headers }: TransportRequest,
    proxy: Proxy | undefined,
  ): Pick<Sending, "headers" | "overProxy"> {
    const overProxy = proxy !== undefined && !target.secure;
    const bodyless = body === undefined && !["POST", "PUT", "PATCH"].includes(method);
    return {
      overProxy,
      headers: {
        host: target.host,
        ...headers,
        "user-agent": this.#options.userAgent ?? "wherry",
        "accept-encoding": "identity",
        ...(bodyless ? {} : { "content-length": String(body?.size ?? 0) }),
        ...(overProxy && proxy.authorization !== undefined
          ? { "proxy-authorization": proxy.authorization }
          : {}),
      },
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
}
