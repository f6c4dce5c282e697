/** Where a request came from when proxies stand in between (S-API 7). */
import { inRange } from "../../client/address.ts";

/**
 * The address that the nearest proxy nobody vouches for was asked from: `X-Forwarded-For` is read from its end, as long as
 * whoever wrote it is trusted. What stands before that anybody could have written.
 *
 * @param peer Who holds the connection; empty on a socket file.
 * @param header `X-Forwarded-For`; each proxy adds whom it was asked by.
 * @param trusted CIDR ranges, and `unix` for whoever reaches a socket file.
 */
export function remoteOf(
  peer: string,
  header: string | null,
  trusted: readonly string[],
): string {
  let remote = peer;
  if (header === null) return remote;
  for (const hop of header.split(",").reverse()) {
    if (!isTrusted(remote, trusted)) return remote;
    const address = hop.trim();
    if (!isAddress(address)) return remote;
    remote = address;
  }
  return remote;
}

/** Whether `text` is a range that can be trusted. */
export function isTrustable(text: string): boolean {
  return text === "unix" || (text.includes("/") && inRange(text.split("/")[0]!, text));
}

function isTrusted(address: string, trusted: readonly string[]): boolean {
  return trusted.some((range) => range === "unix" ? address === "" : inRange(address, range));
}

function isAddress(text: string): boolean {
  return inRange(text, "0.0.0.0/0") || inRange(text, "::/0");
}
