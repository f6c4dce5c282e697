/** Amazon's registries: ECR, private and public. */
import { z } from "zod";
import { findAwsKeys } from "./aws_keys.ts";
import { faultOf, KeychainError } from "./http.ts";
import { readJson } from "./json.ts";
import { signedHeaders } from "./sigv4.ts";
import type { Cloud, CloudSecret, Look } from "./world.ts";

const PRIVATE =
  /^\d{12}\.dkr[.-]ecr(-fips)?\.([a-z]{2,6}(?:-[a-z]+)+-\d{1,2})\.(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|on\.aws)$/;
const PUBLIC: readonly string[] = ["public.ecr.aws", "ecr-public.aws.com"];
/** The gallery has one home. */
const PUBLIC_REGION = "us-east-1";

const grant = z.object({ authorizationToken: z.string(), expiresAt: z.number().optional() });
const privateSchema = z.object({ authorizationData: z.array(grant).min(1) })
  .transform(({ authorizationData }) => authorizationData[0]!);
const publicSchema = z.object({ authorizationData: grant })
  .transform(({ authorizationData }) => authorizationData);

/** ECR gives a password for all registries of a region that the key's owner may enter. */
export const amazon: Cloud = {
  name: "Amazon",
  skip: "CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_AMAZON",
  ask(host) {
    if (PUBLIC.includes(host)) {
      return {
        key: "public",
        look: (look) =>
          getToken(look, {
            url: look.endpoints.ecrPublic,
            region: PUBLIC_REGION,
            service: "ecr-public",
            action: "SpencerFrontendService.GetAuthorizationToken",
            schema: publicSchema,
          }),
      };
    }
    const [, fips, region, domain] = PRIVATE.exec(host) ?? [];
    if (region === undefined || domain === undefined) return undefined;
    return {
      key: `${region} ${domain} ${fips ?? ""}`,
      look: (look) =>
        getToken(look, {
          url: look.endpoints.ecr(region, domain, fips !== undefined),
          region,
          service: "ecr",
          action: "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
          schema: privateSchema,
        }),
    };
  },
};

interface Api {
  readonly url: string;
  readonly region: string;
  readonly service: string;
  readonly action: string;
  readonly schema: z.ZodType<z.infer<typeof grant>>;
}

async function getToken(look: Look, api: Api): Promise<CloudSecret | undefined> {
  const keys = await findAwsKeys(look, api.region);
  if (keys === undefined) return undefined;
  const { url, region, service, action } = api;
  const request = {
    method: "POST",
    url: `${url}/`,
    headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": action },
    body: "{}",
  };
  const headers = signedHeaders(request, keys, { region, service, now: look.now() });
  const answer = await look.http.ask({ ...request, headers });
  if (answer.status !== 200) {
    throw new KeychainError(`ECR in ${region} refused a token (${faultOf(answer)})`);
  }
  const { authorizationToken, expiresAt } = readJson(answer.text, api.schema, "ECR's token");
  const [username, password] = splitToken(authorizationToken);
  return {
    credential: { kind: "basic", username, password },
    expiresAt: expiresAt === undefined ? look.now() + DAY_HALF_MS : expiresAt * 1000,
  };
}

const DAY_HALF_MS = 12 * 3_600_000;

function splitToken(token: string): readonly [string, string] {
  try {
    const text = new TextDecoder().decode(Uint8Array.fromBase64(token));
    const colon = text.indexOf(":");
    if (colon > 0) return [text.slice(0, colon), text.slice(colon + 1)];
  } catch {
    // Said below, without the text.
  }
  throw new KeychainError("ECR's token is not a user and a password");
}
