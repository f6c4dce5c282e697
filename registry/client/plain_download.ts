/** Files of ordinary web servers: one GET, redirects followed by hand, no secrets sent to anybody. */
import { OciError } from "../oci/error.ts";
import type { CallOptions } from "../registry.ts";
import type { TransportResponse } from "./exchange.ts";
import { isRetryableStatus, ownPause, waitFor } from "./retry.ts";
import type { Transport } from "./transport.ts";
import { TransportError } from "./transport_error.ts";
import { parseTarget, redactUrl, resolveLocation, type Target } from "./url.ts";

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const MAX_HOPS = 10;
const TRIES = 3;

/** Options of {@linkcode download}. */
export interface DownloadOptions extends CallOptions {
  /** Of the file that is here already: the server need not send it again. */
  readonly etag?: string | undefined;
  /** Answers that are one too, besides 200: 304, which wants an `etag`, or 404. */
  readonly also?: readonly number[] | undefined;
  /** Judges each place before it is dialled; throws for one that must not be. */
  readonly check?: ((target: Target) => void) | undefined;
}

/**
 * Asks for `url`. The caller reads the body or cancels it; whether it is what was wanted only a digest can tell.
 *
 * @throws {OciError} `UNAVAILABLE` for any answer but 200, for too many redirects, and for one out of TLS.
 * @throws {TransportError} When no answer came, three times.
 */
export async function download(
  transport: Transport,
  url: string,
  { signal, etag, also = [], check }: DownloadOptions = {},
): Promise<TransportResponse> {
  const fail = (why: string) => new OciError("UNAVAILABLE", `Cannot get ${redactUrl(url)}: ${why}`);
  const headers: Record<string, string> = etag === undefined ? {} : { "if-none-match": etag };
  let target = parseTarget(url);
  for (let hop = 0; hop <= MAX_HOPS; hop++) {
    check?.(target);
    const answer = await patiently(transport, target, headers, signal);
    if (answer.status === 200 || also.includes(answer.status)) return answer;
    await answer.body.cancel();
    const location = answer.headers.get("location");
    if (!REDIRECTS.includes(answer.status) || location === null) {
      const asks = [401, 403].includes(answer.status);
      throw fail(
        `the server says ${answer.status}${asks ? ", and only registries are sent passwords" : ""}`,
      );
    }
    const next = resolveLocation(target, location);
    if (target.secure && !next.secure) throw fail("it redirects out of TLS");
    target = next;
  }
  throw fail(`it redirects more than ${MAX_HOPS} times`);
}

/** An answer that does not say "not now", if one of a few tries gets one. */
async function patiently(
  transport: Transport,
  target: Target,
  headers: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<TransportResponse> {
  for (let tried = 1;; tried++) {
    try {
      const answer = await transport.exchange({ method: "GET", target, headers, signal });
      if (tried === TRIES || !isRetryableStatus(answer.status)) return answer;
      await answer.body.cancel();
    } catch (error) {
      const again = error instanceof TransportError && error.retryable && tried < TRIES;
      if (!again) throw error;
    }
    await waitFor(ownPause(tried), signal);
  }
}
