/** What a profile says about keys: the keys, a role, single sign-on. */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Section } from "./aws_profile.ts";
import { assumeRole, assumeWithToken } from "./aws_sts.ts";
import { faultOf, KeychainError } from "./http.ts";
import { readJson } from "./json.ts";
import type { AwsKeys } from "./sigv4.ts";
import type { Look } from "./world.ts";

/** A profile among its neighbours. */
export interface ProfileWish {
  /** All profiles and sessions. */
  readonly profiles: ReadonlyMap<string, Section>;
  /** The wanted one. */
  readonly name: string;
  /** Used where the profile names no region. */
  readonly region: string;
  /** Keys of the container or the machine, for `credential_source`. */
  readonly machine: () => Promise<AwsKeys | undefined>;
}

/** A role of a role of a role: longer chains are circles. */
const MAX_DEPTH = 5;

const ssoTokenSchema = z.object({ accessToken: z.string(), expiresAt: z.string() });
const ssoKeysSchema = z.object({
  roleCredentials: z.object({
    accessKeyId: z.string(),
    secretAccessKey: z.string(),
    sessionToken: z.string().optional(),
  }),
});

/**
 * The keys of a profile.
 *
 * @returns `undefined` when it says nothing of keys.
 * @throws {KeychainError} When it says something that does not work, or that wherry does not do.
 */
export async function profileKeys(
  look: Look,
  wish: ProfileWish,
  depth = 0,
): Promise<AwsKeys | undefined> {
  const { profiles, name } = wish;
  const profile = profiles.get(name);
  const label = `profile ${JSON.stringify(name)}`;
  if (profile === undefined) throw new KeychainError(`there is no ${label}`);
  if (depth >= MAX_DEPTH) throw new KeychainError(`${label} leads to itself`);
  const region = profile.get("region") ?? wish.region;
  const role = profile.get("role_arn");
  const session = profile.get("role_session_name");
  if (role !== undefined) {
    const tokenFile = profile.get("web_identity_token_file");
    if (tokenFile) return await assumeWithToken(look, { region, role, tokenFile, session });
    const source = profile.get("source_profile");
    // A profile may name itself: its own keys are meant.
    const base = source === undefined
      ? await sourceKeys(look, profile, wish, label)
      : source === name
      ? writtenKeys(profile)
      : await profileKeys(look, { ...wish, name: source }, depth + 1);
    if (base === undefined) throw new KeychainError(`${label} has a role but no keys to take it`);
    const externalId = profile.get("external_id");
    return await assumeRole(look, { region, role, session, externalId, keys: base });
  }
  const written = writtenKeys(profile);
  if (written !== undefined) return written;
  if (profile.has("sso_account_id")) return await signOnKeys(look, profile, wish, label);
  if (profile.has("credential_process")) {
    throw new KeychainError(
      `${label} runs a program for its keys, which wherry does not; hand them over in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
    );
  }
  return undefined;
}

function writtenKeys(profile: Section): AwsKeys | undefined {
  const id = profile.get("aws_access_key_id");
  const secret = profile.get("aws_secret_access_key");
  if (!id || !secret) return undefined;
  return {
    accessKeyId: id,
    secretAccessKey: secret,
    sessionToken: profile.get("aws_session_token") || undefined,
  };
}

async function sourceKeys(
  look: Look,
  profile: Section,
  wish: ProfileWish,
  label: string,
): Promise<AwsKeys | undefined> {
  switch (profile.get("credential_source")) {
    case "Environment": {
      // With both keys there nobody would have come here.
      throw new KeychainError(`${label} wants keys of the environment, where there are none`);
    }
    case "EcsContainer":
    case "Ec2InstanceMetadata":
      return await wish.machine();
    default:
      look.debug(`${label} names no source that is known`);
      return undefined;
  }
}

/** `aws sso login` leaves a token in a file that is named by a hash of the session. */
async function signOnKeys(
  look: Look,
  profile: Section,
  { profiles }: ProfileWish,
  label: string,
): Promise<AwsKeys> {
  const name = profile.get("sso_session");
  const session = name === undefined ? profile : profiles.get(`sso-session ${name}`);
  const region = session?.get("sso_region");
  const start = session?.get("sso_start_url");
  const role = profile.get("sso_role_name");
  const account = profile.get("sso_account_id");
  if (!region || !/^[a-z0-9-]+$/.test(region) || !start || !role || !account) {
    throw new KeychainError(
      `${label} wants sso_region, sso_start_url, sso_role_name and sso_account_id`,
    );
  }
  const file = createHash("sha1").update(name ?? start).digest("hex");
  const text = await look.readFile(`${look.env["HOME"] ?? ""}/.aws/sso/cache/${file}.json`);
  const hint = "sign in again with: aws sso login";
  if (text === undefined) throw new KeychainError(`${label} is not signed in; ${hint}`);
  const token = readJson(text, ssoTokenSchema, "the token of single sign-on");
  if (!(Date.parse(token.expiresAt) > look.now())) {
    throw new KeychainError(`the sign-on of ${label} has ended; ${hint}`);
  }
  const query = new URLSearchParams({ role_name: role, account_id: account });
  const answer = await look.http.ask({
    method: "GET",
    url: `${look.endpoints.sso(region)}/federation/credentials?${query}`,
    headers: { "x-amz-sso_bearer_token": token.accessToken },
  });
  if (answer.status !== 200) {
    throw new KeychainError(`single sign-on gave ${label} no keys (${faultOf(answer)}); ${hint}`);
  }
  const { roleCredentials } = readJson(answer.text, ssoKeysSchema, "the answer of single sign-on");
  return roleCredentials;
}
