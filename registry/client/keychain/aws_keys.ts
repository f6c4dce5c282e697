/** Where Amazon's access keys come from, in the order of its own software kits. */
import { z } from "zod";
import { readProfileFile, type Section } from "./aws_profile.ts";
import { profileKeys } from "./aws_profile_keys.ts";
import { assumeWithToken } from "./aws_sts.ts";
import { faultOf, KeychainError } from "./http.ts";
import { readJson } from "./json.ts";
import type { AwsKeys } from "./sigv4.ts";
import type { Look } from "./world.ts";

const lentSchema = z.object({
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  Token: z.string().optional(),
});

/**
 * Finds keys: in the environment, through a web identity (IRSA), in the profile files, from the container's
 * endpoint (ECS, EKS pod identity), from EC2's metadata service.
 *
 * @param region Where to ask the token service when the environment names no region.
 * @returns `undefined` when nothing is set up.
 * @throws {KeychainError} When something is set up and does not work.
 */
export async function findAwsKeys(look: Look, region: string): Promise<AwsKeys | undefined> {
  const { env } = look;
  const id = env["AWS_ACCESS_KEY_ID"] || env["AWS_ACCESS_KEY"];
  const secret = env["AWS_SECRET_ACCESS_KEY"] || env["AWS_SECRET_KEY"];
  if (id && secret) {
    look.debug("keys come from the environment");
    return {
      accessKeyId: id,
      secretAccessKey: secret,
      sessionToken: env["AWS_SESSION_TOKEN"] || undefined,
    };
  }
  const at = env["AWS_REGION"] || env["AWS_DEFAULT_REGION"] || region;
  const role = env["AWS_ROLE_ARN"];
  const tokenFile = env["AWS_WEB_IDENTITY_TOKEN_FILE"];
  if (role && tokenFile) {
    look.debug("keys come from a web identity");
    return await assumeWithToken(look, {
      region: at,
      role,
      tokenFile,
      session: env["AWS_ROLE_SESSION_NAME"],
    });
  }
  const profiles = await readProfiles(look);
  const name = env["AWS_PROFILE"] || env["AWS_DEFAULT_PROFILE"] || "default";
  const machine = () => machineKeys(look);
  if (profiles.has(name)) {
    const keys = await profileKeys(look, { profiles, name, region: at, machine });
    if (keys !== undefined) {
      look.debug(`keys come from profile ${JSON.stringify(name)}`);
      return keys;
    }
  } else if (name !== "default") {
    throw new KeychainError(`there is no profile ${JSON.stringify(name)}`);
  }
  return await machine();
}

/** Both files as one: keys of `credentials` win over those of `config`. */
async function readProfiles(look: Look): Promise<ReadonlyMap<string, Section>> {
  const { env } = look;
  const home = env["HOME"];
  const read = async (path: string | undefined) => path ? await look.readFile(path) ?? "" : "";
  const config = readProfileFile(
    await read(env["AWS_CONFIG_FILE"] || (home && `${home}/.aws/config`)),
    "config",
  );
  const credentials = readProfileFile(
    await read(env["AWS_SHARED_CREDENTIALS_FILE"] || (home && `${home}/.aws/credentials`)),
    "credentials",
  );
  const all = new Map(config);
  for (const [name, section] of credentials) {
    all.set(name, new Map([...all.get(name) ?? [], ...section]));
  }
  return all;
}

async function machineKeys(look: Look): Promise<AwsKeys | undefined> {
  return await containerKeys(look) ?? await metadataKeys(look);
}

/** Hosts that may be told a container's token over plain http: this machine and those of ECS and EKS. */
const CONTAINER_HOSTS: readonly string[] = [
  "localhost",
  "127.0.0.1",
  "[::1]",
  "169.254.170.2",
  "169.254.170.23",
  "[fd00:ec2::23]",
];

async function containerKeys(look: Look): Promise<AwsKeys | undefined> {
  const { env } = look;
  const relative = env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
  const full = env["AWS_CONTAINER_CREDENTIALS_FULL_URI"];
  if (!relative && !full) return undefined;
  let url: string;
  if (relative) {
    url = look.endpoints.awsContainer + (relative.startsWith("/") ? relative : `/${relative}`);
  } else {
    const parsed = URL.canParse(full!) ? new URL(full!) : undefined;
    const good = parsed?.protocol === "https:" ||
      (parsed?.protocol === "http:" && CONTAINER_HOSTS.includes(parsed.hostname));
    if (!good) {
      throw new KeychainError(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI wants https, or a host of this machine",
      );
    }
    url = full!;
  }
  const file = env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
  const token = file ? await look.readFile(file) : env["AWS_CONTAINER_AUTHORIZATION_TOKEN"];
  if (file && token === undefined) throw new KeychainError(`cannot read ${file}`);
  look.debug("keys come from the container's endpoint");
  const answer = await look.http.askNear({
    method: "GET",
    url,
    headers: token ? { authorization: token.trim() } : {},
  });
  if (answer.status !== 200) {
    throw new KeychainError(`the container's endpoint gave no keys (${faultOf(answer)})`);
  }
  return lent(answer.text);
}

/** EC2's metadata service, second version only: the first one answers to forged requests. */
async function metadataKeys(look: Look): Promise<AwsKeys | undefined> {
  const { env } = look;
  if (/^true$/i.test(env["AWS_EC2_METADATA_DISABLED"] ?? "")) return undefined;
  const base = (env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] || look.endpoints.awsMetadata)
    .replace(/\/+$/, "");
  const session = await look.http.probe({
    method: "PUT",
    url: `${base}/latest/api/token`,
    headers: { "x-aws-ec2-metadata-token-ttl-seconds": "300" },
  });
  if (session?.status !== 200) return undefined;
  const headers = { "x-aws-ec2-metadata-token": session.text.trim() };
  const roles = `${base}/latest/meta-data/iam/security-credentials/`;
  const list = await look.http.askNear({ method: "GET", url: roles, headers });
  const role = list.text.split("\n")[0]?.trim() ?? "";
  if (list.status !== 200 || !/^[\w+=,.@-]{1,128}$/.test(role)) return undefined;
  look.debug("keys come from the metadata service");
  const answer = await look.http.askNear({ method: "GET", url: roles + role, headers });
  if (answer.status !== 200) {
    throw new KeychainError(`the metadata service gave no keys (${faultOf(answer)})`);
  }
  return lent(answer.text);
}

function lent(text: string): AwsKeys {
  const read = readJson(text, lentSchema, "the document with the keys");
  return {
    accessKeyId: read.AccessKeyId,
    secretAccessKey: read.SecretAccessKey,
    sessionToken: read.Token || undefined,
  };
}
