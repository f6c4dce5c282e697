import type { HeaderView } from "../http/message.ts";

/**
 * Whether a page makes a browser send this. A browser adds the password it knows, and reaches servers that listen on
 * its own machine only; so a page could push and delete in its user's name. That a page says it is of this very
 * site proves nothing: its name may have been made to resolve to us. Our own pages change nothing and registry clients
 * send neither header, so nothing is lost.
 */
export function isFromPage(headers: HeaderView): boolean {
  const site = headers.get("sec-fetch-site");
  return (site !== null && site !== "none") || headers.has("origin");
}
