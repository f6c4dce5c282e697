/** Google's registries: GCR and Artifact Registry. */
import { createSign } from "node:crypto";
import { z } from "zod";
import { externalToken } from "./google_external.ts";
import { type CloudAnswer, faultOf, FORM, formBody, KeychainError } from "./http.ts";
import { readJson } from "./json.ts";
import type { Cloud, CloudSecret, Look } from "./world.ts";

const HOST = /^(?:(?:[a-z0-9-]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev)$/;
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_SERVER = "https://oauth2.googleapis.com/token";
const JWT_SECONDS = 3600;

const serviceSchema = z.object({
  type: z.literal("service_account"),
  client_email: z.string(),
  private_key: z.string(),
  private_key_id: z.string().optional(),
  token_uri: z.string().optional(),
});
const userSchema = z.object({
  type: z.literal("authorized_user"),
  client_id: z.string(),
  client_secret: z.string(),
  refresh_token: z.string(),
  token_uri: z.string().optional(),
});
const tokenSchema = z.object({
  access_token: z.string().min(1),
  expires_in: z.number().optional(),
});

/** Access tokens of the application's default credentials; one is good for all of Google's registries. */
export const google: Cloud = {
  name: "Google",
  skip: "CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_GOOGLE",
  ask: (host) => HOST.test(host) ? { key: "", look: findToken } : undefined,
};

async function findToken(look: Look): Promise<CloudSecret | undefined> {
  const { env } = look;
  const named = env["GOOGLE_APPLICATION_CREDENTIALS"];
  const home = env["HOME"];
  const folder = env["CLOUDSDK_CONFIG"] || (home && `${home}/.config/gcloud`);
  const path = named || (folder && `${folder}/application_default_credentials.json`);
  const text = path ? await look.readFile(path) : undefined;
  if (named && text === undefined) throw new KeychainError(`cannot read ${named}`);
  if (path && text !== undefined) {
    look.debug(`the token comes from ${path}`);
    return await fileToken(look, path, text);
  }
  return await metadataToken(look);
}

async function fileToken(look: Look, path: string, text: string): Promise<CloudSecret> {
  const { type } = readJson(text, z.object({ type: z.string() }), path);
  switch (type) {
    case "service_account": {
      const file = readJson(text, serviceSchema, path);
      const url = tokenServer(look, file.token_uri, path);
      // The audience is the server's own name, wherever it is reached.
      const audience = file.token_uri ?? TOKEN_SERVER;
      return await trade(look, url, {
        grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion: signedJwt(file, audience, look.now(), path),
      });
    }
    case "authorized_user": {
      const file = readJson(text, userSchema, path);
      return await trade(look, tokenServer(look, file.token_uri, path), {
        grant_type: "refresh_token",
        client_id: file.client_id,
        client_secret: file.client_secret,
        refresh_token: file.refresh_token,
      });
    }
    case "external_account": {
      const { token, expiresAt } = await externalToken(look, path, text, SCOPE);
      return secretOf(token, expiresAt);
    }
    default:
      throw new KeychainError(
        `${path} has credentials of type ${
          JSON.stringify(type.slice(0, 40))
        }, which wherry does not use; want service_account, authorized_user or external_account`,
      );
  }
}

function tokenServer(look: Look, written: string | undefined, path: string): string {
  const url = look.endpoints.googleToken ?? written ?? TOKEN_SERVER;
  if (look.endpoints.googleToken === undefined && !url.startsWith("https://")) {
    throw new KeychainError(`${path} names a token server without TLS`);
  }
  return url;
}

/** A promise of the key's owner, signed: RFC 7523. */
function signedJwt(
  file: z.infer<typeof serviceSchema>,
  audience: string,
  now: number,
  path: string,
): string {
  const part = (value: unknown) =>
    new TextEncoder().encode(JSON.stringify(value)).toBase64({
      alphabet: "base64url",
      omitPadding: true,
    });
  const issued = Math.floor(now / 1000);
  const text = [
    part({
      alg: "RS256",
      typ: "JWT",
      ...(file.private_key_id === undefined ? {} : { kid: file.private_key_id }),
    }),
    part({
      iss: file.client_email,
      scope: SCOPE,
      aud: audience,
      iat: issued,
      exp: issued + JWT_SECONDS,
    }),
  ].join(".");
  try {
    return `${text}.${createSign("RSA-SHA256").update(text).sign(file.private_key, "base64url")}`;
  } catch {
    throw new KeychainError(`${path} has a private key that cannot be used`);
  }
}

async function trade(
  look: Look,
  url: string,
  fields: Readonly<Record<string, string>>,
): Promise<CloudSecret> {
  const answer = await look.http.ask({
    method: "POST",
    url,
    headers: FORM,
    body: formBody(fields),
  });
  return read(look, answer, "Google's token server");
}

async function metadataToken(look: Look): Promise<CloudSecret | undefined> {
  const host = look.env["GCE_METADATA_HOST"];
  if (host && !/^[\w.-]+(:\d+)?$/.test(host)) {
    throw new KeychainError("GCE_METADATA_HOST wants a host, with a port or without");
  }
  const base = host ? `http://${host}` : look.endpoints.googleMetadata;
  const headers = { "metadata-flavor": "Google" };
  const there = await look.http.probe({ method: "GET", url: `${base}/`, headers });
  // At this address other clouds answer too.
  if (there?.headers.get("metadata-flavor") !== "Google") return undefined;
  look.debug("the token comes from the metadata service");
  const answer = await look.http.askNear({
    method: "GET",
    url: `${base}/computeMetadata/v1/instance/service-accounts/default/token`,
    headers,
  });
  if (answer.status === 404) return undefined; // a machine without a service account
  return read(look, answer, "the metadata service");
}

function read(look: Look, answer: CloudAnswer, who: string): CloudSecret {
  if (answer.status !== 200) throw new KeychainError(`${who} gave no token (${faultOf(answer)})`);
  const token = readJson(answer.text, tokenSchema, `the token of ${who}`);
  return secretOf(token.access_token, look.now() + (token.expires_in ?? 60) * 1000);
}

function secretOf(password: string, expiresAt: number): CloudSecret {
  return { credential: { kind: "basic", username: "oauth2accesstoken", password }, expiresAt };
}
