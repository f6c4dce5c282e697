/** Microsoft's registries: ACR. */
import { z } from "zod";
import { type CloudAnswer, faultOf, FORM, formBody, KeychainError } from "./http.ts";
import { readJson } from "./json.ts";
import type { Cloud, CloudSecret, Look } from "./world.ts";

/** A registry name has no dots, but those with a data endpoint of their own may have a dash. */
const HOST = /^[a-z0-9-]+\.azurecr\.(io|cn|us)$/;
/** What stands for the user when a refresh token is the password. */
const NOBODY = "00000000-0000-0000-0000-000000000000";
/** For whom tokens are made, by cloud. */
const AUDIENCE: Readonly<Record<string, string>> = {
  io: "https://containerregistry.azure.net",
  cn: "https://management.chinacloudapi.cn",
  us: "https://management.usgovcloudapi.net",
};
/** ACR's refresh tokens live for three hours. */
const REFRESH_MS = 3 * 3_600_000;

const entraSchema = z.object({ access_token: z.string().min(1) });
const exchangeSchema = z.object({ refresh_token: z.string().min(1) });

/** A token of the directory is traded at each registry for one of its own. */
export const azure: Cloud = {
  name: "Azure",
  skip: "CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_AZURE",
  ask(host) {
    const cloud = HOST.exec(host)?.[1];
    if (cloud === undefined) return undefined;
    return {
      key: host,
      look: async (look) => {
        const token = await directoryToken(look, cloud);
        return token === undefined ? undefined : await trade(look, host, token);
      },
    };
  },
};

async function trade(look: Look, host: string, token: string): Promise<CloudSecret> {
  const tenant = look.env["AZURE_TENANT_ID"];
  const answer = await look.http.ask({
    method: "POST",
    url: `${look.endpoints.acr(host)}/oauth2/exchange`,
    headers: FORM,
    body: formBody({
      grant_type: "access_token",
      service: host,
      ...(tenant ? { tenant } : {}),
      access_token: token,
    }),
  });
  if (answer.status !== 200) {
    throw new KeychainError(`${host} refused the directory's token (${faultOf(answer)})`);
  }
  const { refresh_token: password } = readJson(answer.text, exchangeSchema, `the token of ${host}`);
  return {
    credential: { kind: "basic", username: NOBODY, password },
    expiresAt: look.now() + REFRESH_MS,
  };
}

/** A service principal's secret, a workload's identity, an app's identity, the machine's identity. */
async function directoryToken(look: Look, cloud: string): Promise<string | undefined> {
  const { env } = look;
  const audience = AUDIENCE[cloud]!;
  const tenant = env["AZURE_TENANT_ID"];
  const client = env["AZURE_CLIENT_ID"];
  const secret = env["AZURE_CLIENT_SECRET"];
  const file = env["AZURE_FEDERATED_TOKEN_FILE"];
  if (tenant && client && secret) {
    look.debug("the token comes from a client secret");
    return await askDirectory(look, cloud, tenant, {
      grant_type: "client_credentials",
      client_id: client,
      client_secret: secret,
      scope: `${audience}/.default`,
    });
  }
  if (tenant && client && file) {
    look.debug("the token comes from a workload identity");
    const assertion = await look.readFile(file);
    if (assertion === undefined) throw new KeychainError(`cannot read ${file}`);
    return await askDirectory(look, cloud, tenant, {
      grant_type: "client_credentials",
      client_id: client,
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: assertion.trim(),
      scope: `${audience}/.default`,
    });
  }
  return await machineToken(look, audience, client);
}

async function askDirectory(
  look: Look,
  cloud: string,
  tenant: string,
  fields: Readonly<Record<string, string>>,
): Promise<string> {
  if (!/^[\w.-]{1,100}$/.test(tenant)) {
    throw new KeychainError("AZURE_TENANT_ID wants an id or a domain");
  }
  const named = look.env["AZURE_AUTHORITY_HOST"]?.replace(/\/+$/, "");
  if (named && !named.startsWith("https://")) {
    throw new KeychainError("AZURE_AUTHORITY_HOST wants an https address");
  }
  const answer = await look.http.ask({
    method: "POST",
    url: `${named || look.endpoints.azureAuthority(cloud)}/${tenant}/oauth2/v2.0/token`,
    headers: FORM,
    body: formBody(fields),
  });
  return read(answer, "Azure's directory");
}

async function machineToken(
  look: Look,
  audience: string,
  client: string | undefined,
): Promise<string | undefined> {
  const { env } = look;
  const query = { resource: audience, ...(client ? { client_id: client } : {}) };
  const endpoint = env["IDENTITY_ENDPOINT"];
  const header = env["IDENTITY_HEADER"];
  if (endpoint && header) {
    look.debug("the token comes from the app's identity");
    const params = new URLSearchParams({ "api-version": "2019-08-01", ...query });
    const answer = await look.http.askNear({
      method: "GET",
      url: `${endpoint}?${params}`,
      headers: { "x-identity-header": header },
    });
    return read(answer, "the app's identity endpoint");
  }
  const url = `${look.endpoints.azureMetadata}/metadata/identity/oauth2/token`;
  const params = new URLSearchParams({ "api-version": "2018-02-01", ...query });
  // Without its header the service refuses at once, and nothing else answers so.
  const there = await look.http.probe({ method: "GET", url: `${url}?${params}` });
  if (there?.status !== 400) return undefined;
  look.debug("the token comes from the metadata service");
  const answer = await look.http.askNear({
    method: "GET",
    url: `${url}?${params}`,
    headers: { metadata: "true" },
  });
  // A machine to which no identity is assigned says so with this status.
  if (answer.status === 400 && /"invalid_request"/.test(answer.text)) return undefined;
  return read(answer, "the metadata service");
}

function read(answer: CloudAnswer, who: string): string {
  if (answer.status !== 200) throw new KeychainError(`${who} gave no token (${faultOf(answer)})`);
  return readJson(answer.text, entraSchema, `the token of ${who}`).access_token;
}
