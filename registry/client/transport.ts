/** One HTTP exchange at a time over connections that are kept: nothing followed, nothing decoded. */
import { lookup as lookupName } from "node:dns";
import { reasonOf } from "../abort.ts";
import { isLoopbackName, type Nearness, nearnessOf } from "./address.ts";
import { countedBy, Counter, type Tally } from "./counter.ts";
import { type AnswerHead, type Body, Connection, requestHead, type Wire } from "./http1.ts";
import { Dialer, listed, tooNear, type Way } from "./dial.ts";
import type { HostStats, TransportOptions } from "./options.ts";
import { type Proxy, proxyFor } from "./proxy.ts";
import { connectionFault, TransportError } from "./transport_error.ts";
import { formatTarget, type Target } from "./url.ts";
import { joined as joinedAll } from "../source.ts";
import { Watch } from "./watch.ts";
import { OciError } from "../oci/error.ts";
import type { Row, RowPlace } from "../row.ts";

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
  /** It may leave behind others of this row, before they are answered; only what is short does. */
  readonly row?: Row | undefined;
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
  readonly #dialer: Dialer;
  /** Connections that wait for work, by {@linkcode Way.key}; the one used last is at the end. */
  readonly #idle = new Map<string, Connection[]>();
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
      if (on) this.#keep(way, connection!);
      else connection?.close();
    };
    const bodyFault: { error?: unknown } = {};
    try {
      watch.start(this.#options.connectTimeoutMs ?? CONNECT_MS, "connection");
      const ahead = await place?.before?.left;
      const rides = ahead?.closed === false;
      if (rides && why === undefined) connection = ahead;
      connection ??= this.#kept(way) ?? await this.#dialer.open(way, opening.signal);
      if (why !== undefined) throw why;
      watch.start(this.#answerMs, "answer");
      const line = connection;
      const sending = place === undefined ? request : {
        ...request,
        onSent: (bytes: number) => {
          place.leave(line);
          request.onSent?.(bytes);
        },
      };
      const { head, whole } = rides
        ? await this.#ride(line, place!, sending, counter)
        : await this.#talk(
          line,
          way,
          sending,
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
      wire = await this.#dialer.reach(target, proxy, opening.signal);
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

  /** Sends the request behind another, and reads the head of its answer behind the other's. */
  async #ride(
    connection: Connection,
    place: RowPlace<Connection>,
    request: TransportRequest,
    counter: Counter,
  ): Promise<{ readonly head: AnswerHead; readonly whole: boolean }> {
    const { method, target, body, onSent } = request;
    const first = requestHead(method, target.path, this.#headers(request, undefined));
    const bytes = body?.bytes ?? new Uint8Array();
    try {
      await connection.write(joined(first, bytes));
      counter.send(bytes.byteLength, countedBy(request.signal));
      onSent?.(bytes.byteLength);
      if (!await place.before!.answered) throw new Error("connection closed");
      return { head: await connection.head(), whole: true };
    } catch (cause) {
      // Whatever it was, alone it may go well.
      throw new TransportError("reset", target.host, "the connection was cut", {
        cause,
        stale: true,
      });
    }
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

const MAX_IDLE = 64;
/** Up to here a copy costs less than a second packet. */
const SMALL_WRITE = 16 * 1024;

/** It is written at once, and the server need not answer before it has read all. */
function isShort(body: RequestBody | undefined): boolean {
  return body === undefined || body.bytes !== undefined && body.size <= MAX_ROW;
}

/** What a row's request carries at most. */
const MAX_ROW = 256 * 1024;

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.byteLength + b.byteLength);
  all.set(a);
  all.set(b, a.byteLength);
  return all;
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

function lengthFault(wanted: number, seen: string): OciError {
  return new OciError(
    "SIZE_INVALID",
    `Cannot send body: it was to have ${wanted} bytes and has ${seen}`,
  );
}
