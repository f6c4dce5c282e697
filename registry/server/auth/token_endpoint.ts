/** The token server in the same process: password in, short-lived token out. */
import type { OciError } from "../../oci/error.ts";
import { parseScope, type ScopedAccess, type Subject } from "./access.ts";
import { type Asked, type Authority, grant, type Identity, nameOf } from "./authority.ts";
import type { Tokens } from "./token.ts";

/** Where it answers. */
export const TOKEN_PATH = "/token";

const MAX_FORM = 64 * 1024;
/** A client that copies an image asks for a few. */
const MAX_SCOPES = 100;

/** What the token server answers. */
export interface TokenAnswer {
  /** To send. */
  readonly response: Response;
  /** For the log. */
  readonly user: string | undefined;
}

/**
 * Answers `GET /token?service=&scope=` with Basic authentication or none, and `POST /token` with a form
 * (`grant_type=password`). Somebody unknown gets a token with what the policy allows to everybody, so that public
 * images can be pulled.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export async function answerToken(
  request: Request,
  asked: Asked,
  authority: Authority,
  tokens: Tokens,
): Promise<TokenAnswer> {
  const query = new URL(request.url).searchParams;
  let identity: Identity;
  let fields = query;
  if (request.method === "GET") identity = await authority.identify(asked);
  else if (request.method === "POST") {
    const form = await readForm(request);
    if (form === undefined) return fail(400, "invalid_request", "want a form of at most 64 KiB");
    fields = form;
    if (form.get("grant_type") !== "password") {
      return fail(400, "unsupported_grant_type", "want grant_type password");
    }
    identity = await authority.logIn(
      form.get("username") ?? "",
      form.get("password") ?? "",
      asked.remote,
    );
  } else {
    return fail(405, "invalid_request", "want GET or POST", { allow: "GET, POST" });
  }
  if (identity.kind !== "known") {
    const { error, headers } = authority.refuse(identity, true);
    return { response: refusal(error, headers), user: undefined };
  }
  const { subject } = identity;
  const user = nameOf(subject);
  if (subject.kind !== "user" && subject.kind !== "anonymous") {
    // A token may not be turned into one that lives longer or allows more.
    const { error, headers } = authority.refuse({ kind: "wrong" }, true);
    return { response: refusal(error, headers), user };
  }
  const granted = grant(user, wantedOf(fields), await authority.policy());
  const { token, expiresIn, issuedAt } = await tokens.issue(nameOfKnown(subject), granted);
  return {
    user,
    response: json(200, {
      token,
      access_token: token,
      expires_in: expiresIn,
      issued_at: issuedAt,
    }),
  };
}

function nameOfKnown(subject: Subject): string | undefined {
  return subject.kind === "user" ? subject.name : undefined;
}

/** `scope` may be given several times, and hold several with blanks between. */
function wantedOf(fields: URLSearchParams): readonly ScopedAccess[] {
  return fields.getAll("scope").flatMap((text) => text.slice(0, MAX_FORM).split(" "))
    .slice(0, MAX_SCOPES)
    .flatMap((text) => parseScope(text) ?? []);
}

async function readForm(request: Request): Promise<URLSearchParams | undefined> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/x-www-form-urlencoded *(;|$)/i.test(type)) return undefined;
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of request.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_FORM) return undefined;
  }
  return new URLSearchParams(text);
}

function fail(
  status: number,
  error: string,
  why: string,
  headers: Record<string, string> = {},
): TokenAnswer {
  return {
    response: json(
      status,
      { error, error_description: `Cannot give out a token: ${why}` },
      headers,
    ),
    user: undefined,
  };
}

function refusal(error: OciError, headers: Readonly<Record<string, string>>): Response {
  const { code, message, status } = error;
  return json(status, { errors: [{ code, message, detail: null }] }, headers);
}

function json(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  return new Response(bytes, {
    status,
    headers: {
      "content-type": "application/json",
      "content-length": String(bytes.byteLength),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}
