/** A request to a registry's API, and what becomes of its answer. */
import type { Row } from "../row.ts";
import type { Wish } from "./auth.ts";
import type { RequestBody, TransportResponse } from "./exchange.ts";
import type { Target } from "./url.ts";

/** One request to the registry's API, or to where it sent us. */
export interface ApiRequest extends Wish {
  /** For messages: goes behind "Cannot ". */
  readonly act: string;
  /** `GET`, ... */
  readonly method: string;
  /** Path and query below the host, or a place a `Location` named. */
  readonly to: string | Target;
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent with its length. */
  readonly body?: RequestBody | undefined;
  /** Statuses the caller deals with; all others are thrown. */
  readonly expect: readonly number[];
  /** A long body, either way: counted apart from small requests. The caller holds the place. */
  readonly bulk?: boolean | undefined;
  /** Whether the same request may be sent again. Default: yes. */
  readonly retry?: boolean | undefined;
  /**
   * Called before it is sent once more, and when it waited for long until it could be sent: for what was true when it was asked
   * for. What it throws ends it.
   */
  readonly again?: (() => Promise<void>) | undefined;
  /** Called as bytes of the body leave. */
  readonly onSent?: ((bytes: number) => void) | undefined;
  /** It may leave behind the others of this row; sent again, it goes alone. */
  readonly row?: Row | undefined;
}

/** An answer with a status the caller expects. Its body is read, cancelled, or given to {@linkcode discard}. */
export type Answer = TransportResponse;

/** An answer's body is not wanted: reads it away when it is short, so that the connection can be used again. */
export async function discard(answer: Answer): Promise<void> {
  const length = Number(answer.headers.get("content-length") ?? Number.NaN);
  if (!(length <= 64 * 1024)) return await answer.body.cancel();
  try {
    await answer.bytes(64 * 1024);
  } catch {
    // It was not wanted anyway.
  }
}
