/** Sockets of Node's as wires, for what Deno's own connections cannot do. */
import type net from "node:net";
import type tls from "node:tls";
import { reasonOf } from "../abort.ts";
import type { Wire } from "./http1.ts";

/** `socket` when its handshake is done. */
export async function secured(socket: tls.TLSSocket, signal: AbortSignal): Promise<Wire> {
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
export class SocketWire implements Wire {
  readonly #socket: net.Socket;
  readonly #chunks: AsyncIterator<Uint8Array>;
  /** Of those who wait: a socket that is destroyed would let them wait for ever. */
  readonly #waiting = new Set<(error: Error) => void>();
  #fault: Error | undefined;
  #rest: Uint8Array = new Uint8Array();

  /** Owns `socket`. */
  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("error", (error) => this.#fail(error));
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  }

  /** Waits for bytes; `null` at the end. */
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

  /** Waits until `bytes` are out. */
  write(bytes: Uint8Array): Promise<number> {
    return this.#unlessGone((resolve, reject) => {
      // Called when the bytes are out, so they may be used again.
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.byteLength));
    });
  }

  /** Whoever waits fails. */
  close(): void {
    this.#fail(new Error("connection closed"));
    this.#socket.destroy();
  }

  /** The process waits for it. */
  ref(): void {
    this.#socket.ref();
  }

  /** The process does not. */
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
