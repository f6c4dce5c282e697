/** One HTTP request and its answer, as values. */
import type { Row } from "../row.ts";
import type { Nearness } from "./address.ts";
import type { Target } from "./url.ts";

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
