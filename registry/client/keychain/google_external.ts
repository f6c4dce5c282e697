/** Identities from elsewhere (GitHub, GitLab, Kubernetes, Azure) that Google takes: workload identity federation. */
import { z } from "zod";
import { faultOf, FORM, formBody, KeychainError } from "./http.ts";
import { readJson } from "./json.ts";
import type { Look } from "./world.ts";

const formatSchema = z.object({
  type: z.enum(["text", "json"]).default("text"),
  subject_token_field_name: z.string().optional(),
}).default({ type: "text" });
const fileSchema = z.object({
  audience: z.string(),
  subject_token_type: z.string(),
  token_url: z.string(),
  service_account_impersonation_url: z.string().optional(),
  credential_source: z.object({
    file: z.string().optional(),
    url: z.string().optional(),
    headers: z.record(z.string(), z.string()).default({}),
    format: formatSchema,
  }),
});
const stsSchema = z.object({ access_token: z.string().min(1), expires_in: z.number().optional() });
const lentSchema = z.object({ accessToken: z.string().min(1), expireTime: z.string() });

/** A token of Google and until when it is good. */
export interface GoogleToken {
  /** The token. */
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/**
 * Trades the identity a credential file points to for a token of Google, and that for one of a service account if
 * the file names one.
 *
 * @param path The file, for messages; `text` is what it holds.
 * @throws {KeychainError} When a step is refused, or the file wants what wherry does not do.
 * @see RFC 8693; Google's "Workload identity federation", credential configuration
 */
export async function externalToken(
  look: Look,
  path: string,
  text: string,
  scope: string,
): Promise<GoogleToken> {
  const file = readJson(text, fileSchema, path);
  const url = googleAddress(look.endpoints.googleToken, file.token_url, /^sts\./, path);
  const answer = await look.http.ask({
    method: "POST",
    url,
    headers: FORM,
    body: formBody({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      audience: file.audience,
      scope,
      requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
      subject_token: await subjectToken(look, file.credential_source, path),
      subject_token_type: file.subject_token_type,
    }),
  });
  if (answer.status !== 200) {
    throw new KeychainError(`Google refused the identity of ${path} (${faultOf(answer)})`);
  }
  const sts = readJson(answer.text, stsSchema, "the token of Google's token service");
  const impersonate = file.service_account_impersonation_url;
  if (impersonate === undefined) {
    const expiresAt = look.now() + (sts.expires_in ?? 60) * 1000;
    return { token: sts.access_token, expiresAt };
  }
  return await lend(look, impersonate, sts.access_token, scope, path);
}

async function lend(
  look: Look,
  written: string,
  token: string,
  scope: string,
  path: string,
): Promise<GoogleToken> {
  const answer = await look.http.ask({
    method: "POST",
    url: googleAddress(look.endpoints.googleIam, written, /^iamcredentials\./, path),
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ scope: [scope] }),
  });
  if (answer.status !== 200) {
    throw new KeychainError(
      `Google does not lend the service account of ${path} (${faultOf(answer)})`,
    );
  }
  const lent = readJson(answer.text, lentSchema, "the token of the service account");
  const expiresAt = Date.parse(lent.expireTime);
  return {
    token: lent.accessToken,
    expiresAt: Number.isNaN(expiresAt) ? look.now() + 60_000 : expiresAt,
  };
}

/** A file from elsewhere may not send our identity elsewhere: Google warns of such files. */
function googleAddress(
  instead: string | undefined,
  written: string,
  service: RegExp,
  path: string,
): string {
  if (instead !== undefined) return instead;
  const url = URL.canParse(written) ? new URL(written) : undefined;
  const good = url?.protocol === "https:" && url.username === "" && url.port === "" &&
    service.test(url.hostname) && url.hostname.endsWith(".googleapis.com");
  if (!good) {
    throw new KeychainError(`${path} names a token service that is not Google's`);
  }
  return written;
}

async function subjectToken(
  look: Look,
  source: z.infer<typeof fileSchema>["credential_source"],
  path: string,
): Promise<string> {
  const { file, url, headers, format } = source;
  let text: string | undefined;
  if (file !== undefined) {
    text = await look.readFile(file);
    if (text === undefined) throw new KeychainError(`cannot read ${file}, which ${path} names`);
  } else if (url !== undefined) {
    const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
    const answer = await look.http.ask({
      method: "GET",
      url: checkedSource(url, path),
      headers: Object.fromEntries(lower),
    });
    if (answer.status !== 200) {
      throw new KeychainError(`the identity that ${path} names is not given (${faultOf(answer)})`);
    }
    text = answer.text;
  } else {
    throw new KeychainError(
      `${path} takes its identity from a program or from Amazon, which wherry does not; want a file or an address`,
    );
  }
  const field = format.subject_token_field_name;
  const token = format.type === "json"
    ? readJson(text, z.object({ [field ?? ""]: z.string() }), "the identity")[field ?? ""]
    : text;
  if (!token?.trim()) throw new KeychainError(`the identity that ${path} names is empty`);
  return token.trim();
}

/** Where an identity comes from is secret enough to want TLS; this machine may do without. */
function checkedSource(written: string, path: string): string {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  const local = ["localhost", "127.0.0.1", "[::1]", "169.254.169.254"];
  if (
    url?.protocol === "https:" || (url?.protocol === "http:" && local.includes(url.hostname))
  ) return written;
  throw new KeychainError(`${path} takes its identity from an address without TLS`);
}
