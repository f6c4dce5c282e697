import { inRange, isLoopbackName } from "./address.ts";
import type { ProxySettings } from "./options.ts";
import type { Target } from "./url.ts";

/** A proxy as an address and what it wants to hear first. */
export interface Proxy {
  /** https to the proxy itself. */
  readonly secure: boolean;
  /** Host of the proxy, IPv6 without brackets. */
  readonly hostname: string;
  /** Its port. */
  readonly port: number;
  /** `Proxy-Authorization`, from the user in its address. */
  readonly authorization?: string | undefined;
}

/** The proxy for `target`, if one is set and `no` does not name the host. This machine is never proxied. */
export function proxyFor(target: Target, settings: ProxySettings | undefined): Proxy | undefined {
  const text = target.secure ? settings?.https : settings?.http;
  if (!text || isLoopbackName(target.hostname) || exempt(target, settings?.no ?? "")) {
    return undefined;
  }
  return parseProxy(text);
}

/**
 * Reads `http://user:secret@host:port` or `host:port`.
 *
 * @throws {TypeError} When it is not one; the text is not repeated, as it may hold a secret.
 */
export function parseProxy(text: string): Proxy {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hostname === "") {
    throw new TypeError("Cannot use the proxy setting: want http://host:port or https://host:port");
  }
  const secure = url.protocol === "https:";
  const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return {
    secure,
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    ...(url.username === "" ? {} : { authorization: `Basic ${base64(user)}` }),
  };
}

/** Base64 of the text's UTF-8 bytes. */
export function base64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

/** `NO_PROXY` as curl and Go read it: `*`, hosts with all below them, `.suffix`, addresses, CIDR, with a port. */
function exempt(target: Target, list: string): boolean {
  return list.split(/[\s,]+/).filter((entry) => entry !== "").some((entry) => {
    if (entry === "*") return true;
    if (entry.includes("/")) return inRange(target.hostname, entry);
    const match = /^(\[[^\]]+\]|[^:]+|[^:]*(?::[^:]*){2,})(?::(\d+))?$/.exec(entry.toLowerCase());
    if (match === null) return false;
    if (match[2] !== undefined && Number(match[2]) !== target.port) return false;
    const name = match[1]!.replace(/^\[(.*)\]$/, "$1").replace(/^\*?\./, ".");
    if (name.startsWith(".")) return target.hostname.endsWith(name);
    return target.hostname === name || target.hostname.endsWith(`.${name}`);
  });
}
