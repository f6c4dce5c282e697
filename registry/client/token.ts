/** Trading a credential for a token, at the server a registry names (C-AUTH-02..05, 12, 13). */
import { z } from "zod";
import { collect } from "../source.ts";
import type { Nearness } from "./address.ts";
import { originOf } from "./credential_origin.ts";
import type { Credential, RetryOptions } from "./options.ts";
import { base64 } from "./proxy.ts";
import { harmless, readErrorWords, Refusal } from "./refusal.ts";
import { askedPause, isRetryableStatus, ownPause, waitFor } from "./retry.ts";
import type { RequestBody, TransportResponse } from "./exchange.ts";
import type { Transport } from "./transport.ts";
import { TransportError } from "./transport_error.ts";
import { parseTarget, resolveLocation, sameOrigin, type Target, withQuery } from "./url.ts";

/** What a token is wanted for. */
export interface TokenRequest {
  /** Address from the challenge. */
  readonly realm: string;
  /** From the challenge. */
  readonly service?: string | undefined;
  /** What it shall allow, the most important first. */
  readonly scopes: readonly string[];
  /** Whose it shall be; anonymous without. */
  readonly credential?: Credential | undefined;
  /** Ends the exchange. */
  readonly signal?: AbortSignal | undefined;
}

/** The world a token is fetched in. */
export interface TokenWorld {
  /** Connections. */
  readonly transport: Transport;
  /** The registry whose challenge it was. */
  readonly registry: Target;
  /** How near the registry is: its token server may not be nearer. */
  readonly nearness: Nearness;
  /** `registry` is itself a host we were only sent to: it is no nearer than any other. */
  readonly stranger?: boolean | undefined;
  /** The clock, in milliseconds. */
  readonly now: () => number;
  /** How to retry. */
  readonly retry?: RetryOptions | undefined;
}

/** A token and until when it is good. */
export interface Token {
  /** Goes behind `Bearer `. */
  readonly value: string;
  /** In milliseconds since 1970, a little before its real end. */
  readonly expiresAt: number;
  /** A better credential for the next time, if the server gave one. */
  readonly refreshToken?: string | undefined;
}

const MAX_TOKEN_BODY = 1024 * 1024;
const MAX_HOPS = 10;
/** Servers that say nothing, or too little, mean a minute (C-AUTH-04). */
const LEAST_SECONDS = 60;
const EARLY_MS = 5_000;
const CLIENT_ID = "wherry";

/**
 * Fetches a token.
 *
 * @throws {Refusal} `UNAUTHORIZED` when the server refuses the credential or its realm is not acceptable.
 */
export async function fetchToken(request: TokenRequest, world: TokenWorld): Promise<Token> {
  const realm = checkedRealm(request.realm, world.registry);
  if (request.credential?.kind === "identity") {
    const reply = await send(
      post(realm, request, {
        grant_type: "refresh_token",
        refresh_token: request.credential.token,
      }),
      request,
      world,
    );
    // Servers without the OAuth2 way say 404 or 405; some say 400 or 501 when they mean it.
    if (![404, 405].includes(reply.response.status)) return await readToken(reply, request, world);
    await reply.response.body.cancel();
  }
  const reply = await send(getExchange(realm, request), request, world);
  if (![404, 405].includes(reply.response.status) || request.credential?.kind !== "basic") {
    return await readToken(reply, request, world);
  }
  // Some know the OAuth2 way only (RG-3).
  await reply.response.body.cancel();
  const { username, password } = request.credential;
  const form = { grant_type: "password", username, password };
  return await readToken(await send(post(realm, request, form), request, world), request, world);
}

/**
 * The realm of an https registry is https itself; no realm has a user or another scheme in it (C-AUTH-12).
 *
 * @throws {Refusal} When it is not so.
 */
export function checkedRealm(realm: string, registry: Target): Target {
  let target: Target;
  try {
    target = parseTarget(realm.slice(0, MAX_REALM));
  } catch (cause) {
    throw new Refusal(
      "UNAUTHORIZED",
      "the registry names a token server whose address cannot be used",
      {
        cause,
      },
    );
  }
  if (registry.secure && !target.secure) {
    throw new Refusal(
      "UNAUTHORIZED",
      `the registry names a token server without TLS, ${target.host}`,
    );
  }
  return target;
}

const MAX_REALM = 8 * 1024;

interface Exchange {
  readonly method: string;
  readonly target: Target;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody | undefined;
}

function getExchange(realm: Target, { service, scopes, credential }: TokenRequest): Exchange {
  let target = realm;
  if (service !== undefined && service !== "") target = withQuery(target, "service", service);
  for (const scope of scopes) target = withQuery(target, "scope", scope);
  target = withQuery(target, "client_id", CLIENT_ID);
  if (credential?.kind === "basic") target = withQuery(target, "account", credential.username);
  const authorization = basicHeader(credential);
  return { method: "GET", target, headers: authorization === undefined ? {} : { authorization } };
}

function post(
  realm: Target,
  { service, scopes }: TokenRequest,
  grant: Readonly<Record<string, string>>,
): Exchange {
  const form = new URLSearchParams({
    ...grant,
    client_id: CLIENT_ID,
    ...(service ? { service } : {}),
    ...(scopes.length > 0 ? { scope: scopes.join(" ") } : {}),
  });
  const bytes = new TextEncoder().encode(form.toString());
  return {
    method: "POST",
    target: realm,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: { size: bytes.byteLength, open: () => Promise.resolve(new Blob([bytes]).stream()) },
  };
}

/** The `Authorization` value of a credential that can be sent to a server directly. */
export function basicHeader(credential: Credential | undefined): string | undefined {
  switch (credential?.kind) {
    case "basic":
      return `Basic ${base64(`${credential.username}:${credential.password}`)}`;
    case "header":
      return credential.value;
    case "identity":
      return `Basic ${base64(`<token>:${credential.token}`)}`;
    default:
      return undefined;
  }
}

/** An answer, and the body of a good one. */
interface Reply {
  readonly response: TransportResponse;
  /** Empty when it was too long. */
  readonly bytes: Uint8Array;
}

/** Sends with retries, until a good answer has come as a whole; follows redirects under the same policy as the realm, without secrets for other hosts. */
async function send(
  exchange: Exchange,
  { signal }: TokenRequest,
  world: TokenWorld,
): Promise<Reply> {
  const { retry = {} } = world;
  const wait = retry.wait ?? waitFor;
  for (let attempt = 1;; attempt++) {
    const last = attempt >= (retry.tries ?? 5);
    try {
      const response = await follow(exchange, signal, world);
      if (response.status === 200) return { response, bytes: await bodyOf(response) };
      if (last || !isRetryableStatus(response.status)) return { response, bytes: NOTHING };
      await response.body.cancel();
      const asked = askedPause(response.headers, world.now()) ?? 0;
      await wait(
        Math.max(Math.min(asked, retry.maxAskedMs ?? 300_000), ownPause(attempt, retry)),
        signal,
      );
    } catch (error) {
      if (last || !(error instanceof TransportError) || !error.retryable) throw error;
      await wait(error.stale ? 0 : ownPause(attempt, retry), signal);
    }
  }
}

const NOTHING = new Uint8Array();

async function bodyOf({ body }: TransportResponse): Promise<Uint8Array> {
  try {
    return await collect(body, MAX_TOKEN_BODY);
  } catch (error) {
    if (error instanceof RangeError) return NOTHING;
    throw error;
  }
}

async function follow(
  exchange: Exchange,
  signal: AbortSignal | undefined,
  world: TokenWorld,
): Promise<TransportResponse> {
  let { target, headers } = exchange;
  for (let hop = 0; hop <= MAX_HOPS; hop++) {
    const response = await world.transport.exchange({
      ...exchange,
      target,
      headers,
      signal,
      ...(sameOrigin(target, world.registry) && !world.stranger ? {} : { guard: world.nearness }),
    });
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    await response.body.cancel();
    const next = resolveLocation(target, location);
    if (target.secure && !next.secure) break;
    const same = sameOrigin(target, next);
    if (exchange.method !== "GET" && !same) break;
    if (!same) headers = {};
    target = next;
  }
  throw new Refusal(
    "UNAUTHORIZED",
    `the token server ${exchange.target.host} redirects in a way that is not followed`,
  );
}

const tokenSchema = z.lazy(() =>
  z.object({
    token: z.string().nullish(),
    access_token: z.string().nullish(),
    refresh_token: z.string().nullish(),
    expires_in: z.number().optional().catch(undefined),
    issued_at: z.string().optional().catch(undefined),
  })
);

async function readToken(
  { response, bytes }: Reply,
  request: TokenRequest,
  world: TokenWorld,
): Promise<Token> {
  const server = `the token server ${response.target.host}`;
  if (response.status !== 200) throw await refused(server, response, request);
  let fields: z.infer<typeof tokenSchema>;
  try {
    fields = tokenSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    // No cause: the text may hold a token.
    throw new Refusal("UNAUTHORIZED", `${server} gave an answer that is no token`);
  }
  const value = fields.token || fields.access_token;
  if (!value || !/^[!-~]+$/.test(value)) {
    throw new Refusal("UNAUTHORIZED", `${server} gave an answer without a usable token`);
  }
  return {
    value,
    expiresAt: expiry(fields.expires_in, fields.issued_at, world.now()) - EARLY_MS,
    ...(fields.refresh_token ? { refreshToken: fields.refresh_token } : {}),
  };
}

/** The clocks of token servers are not ours: a start in the future, or an end in the past, is not believed. */
function expiry(expiresIn: number | undefined, issuedAt: string | undefined, now: number): number {
  const life = Math.max(expiresIn ?? LEAST_SECONDS, LEAST_SECONDS) * 1000;
  const issued = issuedAt === undefined ? Number.NaN : Date.parse(issuedAt);
  const believable = issued <= now && issued + life > now;
  return (believable ? issued : now) + life;
}

async function refused(
  server: string,
  response: TransportResponse,
  { credential }: TokenRequest,
): Promise<Refusal> {
  const { status } = response;
  const { text } = await readErrorWords(response);
  const seen = text === "" ? `${status}` : `${status}: ${text}`;
  if (status >= 500 || status === 429) {
    return new Refusal("UNAVAILABLE", `${server} answered ${seen}`, { status });
  }
  const who = credential === undefined
    ? "to let an unknown user in"
    : `the credentials of ${nameOf(credential)}`;
  const hint = credential === undefined ? "" : "; a public image can be read without logging in";
  return new Refusal("UNAUTHORIZED", `${server} refused ${who} (${seen})${hint}`, { status: 401 });
}

/** A credential in words, and where it was found, without its secret. */
export function nameOf(credential: Credential): string {
  const who = credential.kind === "basic"
    ? `user ${JSON.stringify(harmless(credential.username))}`
    : "a stored token";
  const origin = originOf(credential);
  return origin === undefined ? who : `${who} from ${harmless(origin)}`;
}
