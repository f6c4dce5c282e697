/** Amazon's token service: keys of a role for an identity or for other keys. */
import { faultOf, FORM, formBody, KeychainError } from "./http.ts";
import { type AwsKeys, signedHeaders } from "./sigv4.ts";
import type { Look } from "./world.ts";

/** Who wants to be what. */
export interface RoleWish {
  /** Where to ask. */
  readonly region: string;
  /** ARN of the role. */
  readonly role: string;
  /** How the session is called in logs over there. */
  readonly session?: string | undefined;
}

/**
 * Keys of a role for the token a cluster wrote into a file (IRSA, GitHub's and GitLab's identities).
 *
 * @throws {KeychainError} When the file or the role cannot be had.
 */
export async function assumeWithToken(
  look: Look,
  wish: RoleWish & { readonly tokenFile: string },
): Promise<AwsKeys> {
  const token = await look.readFile(wish.tokenFile);
  if (token === undefined) throw new KeychainError(`cannot read ${wish.tokenFile}`);
  const answer = await look.http.ask({
    method: "POST",
    url: `${endpoint(look, wish)}/`,
    headers: FORM,
    body: formBody({
      ...fields(wish, "AssumeRoleWithWebIdentity"),
      WebIdentityToken: token.trim(),
    }),
  });
  return readKeys(answer, wish);
}

/**
 * Keys of a role for other keys.
 *
 * @throws {KeychainError} When the role cannot be had.
 */
export async function assumeRole(
  look: Look,
  wish: RoleWish & { readonly keys: AwsKeys; readonly externalId?: string | undefined },
): Promise<AwsKeys> {
  const request = {
    method: "POST",
    url: `${endpoint(look, wish)}/`,
    headers: FORM,
    body: formBody({
      ...fields(wish, "AssumeRole"),
      ...(wish.externalId === undefined ? {} : { ExternalId: wish.externalId }),
    }),
  };
  const scope = { region: wish.region, service: "sts", now: look.now() };
  const answer = await look.http.ask({
    ...request,
    headers: signedHeaders(request, wish.keys, scope),
  });
  return readKeys(answer, wish);
}

function endpoint(look: Look, { region }: RoleWish): string {
  if (!/^[a-z0-9-]{1,40}$/.test(region)) {
    throw new KeychainError(`${JSON.stringify(region.slice(0, 60))} is no region`);
  }
  return look.endpoints.sts(region);
}

function fields(wish: RoleWish, action: string): Readonly<Record<string, string>> {
  return {
    Action: action,
    Version: "2011-06-15",
    RoleArn: wish.role,
    RoleSessionName: wish.session || "wherry",
  };
}

/** The service answers in XML; its values are plain words of base64. */
function readKeys(
  answer: { readonly status: number; readonly text: string; readonly headers: Headers },
  { role }: RoleWish,
): AwsKeys {
  if (answer.status !== 200) {
    throw new KeychainError(
      `the token service refused role ${JSON.stringify(role)} (${faultOf(answer)})`,
    );
  }
  const value = (name: string) =>
    new RegExp(`<${name}>\\s*([\\w+/=-]+)\\s*</${name}>`).exec(answer.text)?.[1];
  const accessKeyId = value("AccessKeyId");
  const secretAccessKey = value("SecretAccessKey");
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new KeychainError(`the token service gave role ${JSON.stringify(role)} no keys`);
  }
  return { accessKeyId, secretAccessKey, sessionToken: value("SessionToken") };
}
