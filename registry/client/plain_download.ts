/** Files of ordinary web servers: one GET, redirects followed by hand, no secrets sent to anybody. */
import { OciError } from "../oci/error.ts";
import type { CallOptions } from "../registry.ts";
import type { TransportResponse } from "./exchange.ts";
import type { Transport } from "./transport.ts";
import { parseTarget, redactUrl, resolveLocation } from "./url.ts";

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const MAX_HOPS = 10;

/**
 * Asks for `url`. The caller reads the body or cancels it; whether it is what was wanted only a digest can tell.
 *
 * @throws {OciError} `UNAVAILABLE` for any answer but 200, for too many redirects, and for one out of TLS.
 * @throws {TransportError} When no answer came.
 */
export async function download(
  transport: Transport,
  url: string,
  { signal }: CallOptions = {},
): Promise<TransportResponse> {
  const fail = (why: string) => new OciError("UNAVAILABLE", `Cannot get ${redactUrl(url)}: ${why}`);
  let target = parseTarget(url);
  for (let hop = 0; hop <= MAX_HOPS; hop++) {
    const answer = await transport.exchange({ method: "GET", target, signal });
    if (answer.status === 200) return answer;
    await answer.body.cancel();
    const location = answer.headers.get("location");
    if (!REDIRECTS.includes(answer.status) || location === null) {
      throw fail(`the server says ${answer.status}`);
    }
    const next = resolveLocation(target, location);
    if (target.secure && !next.secure) throw fail("it redirects out of TLS");
    target = next;
  }
  throw fail(`it redirects more than ${MAX_HOPS} times`);
}
