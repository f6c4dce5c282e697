/** What a server has beside the API: tokens, metrics, pages. */
import { type Asked, type Authority, nameOf } from "./auth/authority.ts";
import type { Subject } from "./auth/access.ts";
import { answerToken, TOKEN_PATH } from "./auth/token_endpoint.ts";
import type { Tokens } from "./auth/token.ts";
import { type Metrics, METRICS_TYPE } from "./metrics.ts";
import type { Peer, SiteAnswer } from "./server.ts";

/** Shows pages to `subject`; `undefined`: there is no such page. */
export type Pages = (request: Request, subject: Subject) => Promise<Response | undefined>;

/** What there is; what is left out is not there. */
export interface SiteOptions {
  /** Who may look. */
  readonly authority: Authority;
  /** Gives out tokens at `/token`. */
  readonly tokens?: Tokens | undefined;
  /** At `/metrics`; where logging in is possible, for those who did. */
  readonly metrics?: Metrics | undefined;
  /** All other paths. */
  readonly pages?: Pages | undefined;
}

/** What to hand to a server as `site`. */
export function createSite(
  options: SiteOptions,
): (request: Request, peer: Peer) => Promise<SiteAnswer | undefined> {
  const { authority, tokens, metrics, pages } = options;
  return async (request, peer) => {
    const asked: Asked = { headers: request.headers, ...peer };
    const { pathname } = new URL(request.url);
    if (pathname === TOKEN_PATH && tokens !== undefined) {
      return await answerToken(request, asked, authority, tokens);
    }
    const isMetrics = pathname === "/metrics" && metrics !== undefined;
    if (!isMetrics && pages === undefined) return undefined;
    if (request.method !== "GET" && request.method !== "HEAD") {
      return isMetrics
        ? { user: undefined, response: plain(405, "Want GET", { allow: "GET" }) }
        : undefined;
    }
    const identity = await authority.identify(asked);
    if (identity.kind !== "known") {
      const { error, headers } = authority.refuse(identity, true);
      return { user: undefined, response: plain(error.status, error.message, headers) };
    }
    const { subject } = identity;
    const user = nameOf(subject);
    if (isMetrics) {
      if (user === undefined && authority.canLogIn) {
        const headers = { "www-authenticate": authority.basicChallenge };
        return { user, response: plain(401, "Cannot show metrics: want a login", headers) };
      }
      return { user, response: plain(200, metrics.format(), { "content-type": METRICS_TYPE }) };
    }
    const response = await pages?.(request, subject);
    return response && { user, response };
  };
}

function plain(status: number, text: string, headers: Readonly<Record<string, string>>): Response {
  const bytes = new TextEncoder().encode(text.endsWith("\n") ? text : text + "\n");
  return new Response(bytes, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "content-length": String(bytes.byteLength),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}
