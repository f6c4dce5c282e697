/**
 * Whether a page of another site makes a browser send this. A browser adds the password it knows, and reaches
 * servers that listen on its own machine only; so a page could push and delete in its user's name. Registry
 * clients send neither header.
 */
export function isCrossSite(headers: Headers): boolean {
  const site = headers.get("sec-fetch-site");
  if (site !== null) return site !== "same-origin" && site !== "none";
  const origin = headers.get("origin");
  const host = headers.get("host");
  if (origin === null) return false;
  return host === null || origin.replace(/^https?:\/\//, "") !== host;
}
