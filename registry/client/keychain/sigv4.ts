/** Signatures of Amazon's APIs, version 4: the one thing their software kit would have been needed for. */
import { createHash, createHmac } from "node:crypto";

/** An access key of Amazon, long-lived or borrowed. */
export interface AwsKeys {
  /** Names the key; no secret. */
  readonly accessKeyId: string;
  /** The secret. */
  readonly secretAccessKey: string;
  /** Goes with borrowed keys; a secret too. */
  readonly sessionToken?: string | undefined;
}

/** What is signed. */
export interface SignableRequest {
  /** `GET`, ... */
  readonly method: string;
  /** Absolute, its path without escapes and dots, its query escaped. */
  readonly url: string;
  /** By lower-case name; all of them are signed. `host` and `x-amz-date` are added. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body; empty when there is none. */
  readonly body: string;
}

/** Where and when a signature counts. */
export interface SigningScope {
  /** `eu-central-1`. */
  readonly region: string;
  /** `ecr`, `sts`. */
  readonly service: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * The headers of `request` with its signature.
 *
 * @see AWS Signature Version 4 for API requests, "Create a signed request"
 */
export function signedHeaders(
  request: SignableRequest,
  keys: AwsKeys,
  scope: SigningScope,
): Readonly<Record<string, string>> {
  const url = new URL(request.url);
  const time = new Date(scope.now).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  const headers: Record<string, string> = {
    ...request.headers,
    host: url.host,
    "x-amz-date": time,
    ...(keys.sessionToken === undefined ? {} : { "x-amz-security-token": keys.sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    request.method,
    url.pathname,
    canonicalQuery(url.searchParams),
    ...names.map((name) => `${name}:${headers[name]!.trim().replaceAll(/ +/g, " ")}`),
    "",
    names.join(";"),
    sha256(request.body),
  ].join("\n");
  const date = time.slice(0, 8);
  const range = `${date}/${scope.region}/${scope.service}/aws4_request`;
  const key = [date, scope.region, scope.service, "aws4_request"].reduce<Uint8Array>(
    (secret, part) => hmac(secret, part),
    new TextEncoder().encode(`AWS4${keys.secretAccessKey}`),
  );
  const signature = hmac(key, ["AWS4-HMAC-SHA256", time, range, sha256(canonical)].join("\n"));
  const { host: _, ...sent } = headers;
  return {
    ...sent,
    authorization: `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${range}, SignedHeaders=${
      names.join(";")
    }, Signature=${signature.toHex()}`,
  };
}

/** Sorted by the escaped name, then the escaped value, in order of bytes. */
function canonicalQuery(params: URLSearchParams): string {
  const escape = (text: string) =>
    encodeURIComponent(text).replaceAll(
      /[!'()*]/g,
      (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
    );
  return [...params].map(([name, value]) => `${escape(name)}=${escape(value)}`).sort().join("&");
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: Uint8Array, text: string): Uint8Array {
  return new Uint8Array(createHmac("sha256", key).update(text).digest());
}
