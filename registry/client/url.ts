/** Addresses of requests, kept byte for byte: upload locations carry state that must not be rewritten (C-UP-03). */

/** Where one request goes. */
export interface Target {
  /** https, not http. */
  readonly secure: boolean;
  /** Host with its port if one was written, in lower case: what `host` says. */
  readonly host: string;
  /** The host alone, IPv6 without brackets: what is looked up. */
  readonly hostname: string;
  /** The port, written or implied. */
  readonly port: number;
  /** Path and query, exactly as written. */
  readonly path: string;
}

const ABSOLUTE = /^(https?):\/\/([^/?#\\]*)([^#]*)/i;
const AUTHORITY = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?$/;

/**
 * Reads an absolute http or https address.
 *
 * @throws {TypeError} For any other text, and for one with a user in it.
 */
export function parseTarget(url: string): Target {
  const match = ABSOLUTE.exec(url);
  const authority = AUTHORITY.exec(match?.[2] ?? "");
  if (match === null || authority === null) {
    throw new TypeError(
      `Cannot use address ${
        JSON.stringify(redactUrl(url).slice(0, 200))
      }: want http(s)://host/path`,
    );
  }
  const secure = match[1]!.toLowerCase() === "https";
  const name = authority[1]!.toLowerCase();
  const port = authority[2] === undefined ? (secure ? 443 : 80) : Number(authority[2]);
  if (port > 65535) {
    throw new TypeError(`Cannot use address of ${JSON.stringify(name)}: port ${port}`);
  }
  const rest = match[3] ?? "";
  return {
    secure,
    host: authority[2] === undefined ? name : `${name}:${port}`,
    hostname: name.startsWith("[") ? name.slice(1, -1) : name,
    port,
    path: sendable(rest.startsWith("/") ? rest : `/${rest}`),
  };
}

/**
 * Follows a `Location` or `Link` from `base`; what it says is kept byte for byte.
 *
 * @throws {TypeError} When it leads out of http and https.
 */
export function resolveLocation(base: Target, location: string): Target {
  const text = location.trim();
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return parseTarget(text);
  const scheme = base.secure ? "https:" : "http:";
  if (text.startsWith("//")) return parseTarget(scheme + text);
  if (text.startsWith("/")) return { ...base, path: sendable(text.replace(/#.*$/s, "")) };
  if (text.startsWith("?")) {
    return { ...base, path: base.path.replace(/\?.*$/s, "") + sendable(text.replace(/#.*$/s, "")) };
  }
  return parseTarget(new URL(text, formatTarget(base)).href);
}

/** The text {@linkcode parseTarget} reads. */
export function formatTarget(target: Target): string {
  return `${target.secure ? "https" : "http"}://${target.host}${target.path}`;
}

/** Whether a secret for one may be sent to the other: same scheme, host and port. */
export function sameOrigin(a: Target, b: Target): boolean {
  return a.secure === b.secure && a.hostname === b.hostname && a.port === b.port;
}

/** `target` with `name=value` behind its query. The value is escaped, the rest untouched. */
export function withQuery(target: Target, name: string, value: string): Target {
  const sign = target.path.includes("?") ? (/[?&]$/.test(target.path) ? "" : "&") : "?";
  return { ...target, path: `${target.path}${sign}${name}=${encodeURIComponent(value)}` };
}

/** Query keys that hold no secret (C-MISC-02). */
const SAFE_KEYS: readonly string[] = [
  "scope",
  "service",
  "mount",
  "from",
  "digest",
  "n",
  "last",
  "artifactType",
  "ns",
];

/** `url` for people: without a user and without the values of its query, save those known to be harmless. */
export function redactUrl(url: string): string {
  const plain = url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, "$1***@");
  const at = plain.indexOf("?");
  if (at < 0) return plain;
  const pairs = plain.slice(at + 1).split("&").map((pair) => {
    const key = pair.split("=")[0] ?? "";
    return SAFE_KEYS.includes(key) || !pair.includes("=") ? pair : `${key}=***`;
  });
  return `${plain.slice(0, at)}?${pairs.join("&")}`;
}

/** Escapes only what cannot stand in a request line at all. */
function sendable(path: string): string {
  return path.toWellFormed().replace(/[^!-\u00ff]|\u007f/gu, (char) => encodeURIComponent(char));
}
