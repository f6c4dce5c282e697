/** Credentials that a cloud gives to whoever runs in it, or holds a key to it, for that cloud's own registries. */
import { from } from "../credential_origin.ts";
import type { Credential, CredentialSource } from "../options.ts";
import { readSmallText } from "./file.ts";
import { CloudHttp, KeychainError } from "./http.ts";
import { amazon } from "./amazon.ts";
import { azure } from "./azure.ts";
import { google } from "./google.ts";
import { type Cloud, type CloudSecret, ENDPOINTS, type KeychainWorld } from "./world.ts";

const PROBE_MS = 800;
/** A secret is not used in its last minutes: a long upload begins with it. */
const EARLY_MS = 300_000;
/** What failed is not asked again by the next of 30,000 images. */
const FAILED_MS = 60_000;

/**
 * The keychains of Amazon (ECR), Google (GCR, Artifact Registry) and Microsoft (ACR). A keychain is asked only for
 * hosts of its own cloud; all hosts that one secret opens share it until it ends, and one look for it.
 *
 * One that is set up and fails is warned of, and access is anonymous then: the image may be public.
 *
 * @see `CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_AMAZON`, `_AZURE` and `_GOOGLE`, which turn them off with `true`
 */
export function cloudKeychains(world: KeychainWorld): CredentialSource {
  const clouds = [amazon, google, azure].filter(({ skip }) =>
    !/^(1|t|true)$/i.test(world.env[skip]?.trim() ?? "")
  );
  const held = new Map<string, Held>();
  const now = world.now ?? Date.now;
  return async (registry) => {
    const host = registry.toLowerCase().replace(/:443$/, "");
    for (const cloud of clouds) {
      const asked = cloud.ask(host);
      if (asked === undefined) continue;
      const key = JSON.stringify([cloud.name, asked.key]);
      const known = held.get(key);
      if (known !== undefined && known.until > now()) return await known.credential;
      const fresh: Held = {
        until: Number.POSITIVE_INFINITY,
        credential: lookFor(cloud, asked, world).then(({ credential, until }) => {
          fresh.until = until;
          return credential;
        }),
      };
      held.set(key, fresh);
      return await fresh.credential;
    }
    return undefined;
  };
}

/** Asks `sources` in order for what the one before does not have. */
export function firstCredential(...sources: readonly CredentialSource[]): CredentialSource {
  return async (registry, repository) => {
    for (const source of sources) {
      const found = await source(registry, repository);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

interface Held {
  until: number;
  readonly credential: Promise<Credential | undefined>;
}

async function lookFor(
  cloud: Cloud,
  { look }: NonNullable<ReturnType<Cloud["ask"]>>,
  world: KeychainWorld,
): Promise<{ readonly credential: Credential | undefined; readonly until: number }> {
  const { env, log, now = Date.now, readFile = readSmallText } = world;
  let found: CloudSecret | undefined;
  try {
    await using http = new CloudHttp(world.transport ?? {}, world.probeMs ?? PROBE_MS);
    const endpoints = { ...ENDPOINTS, ...world.endpoints };
    const debug = (line: string) => log?.debug(`${cloud.name}'s keychain: ${line}`);
    found = await look({ env, readFile, http, endpoints, debug, now });
  } catch (error) {
    // Only our own words are repeated: others may quote what they could not read.
    const ours = error instanceof KeychainError ||
      (error instanceof Error && error.name === "TransportError");
    const why = ours ? (error as Error).message : "it failed";
    log?.warn(`${cloud.name}'s keychain gives no credentials: ${why}`);
    return { credential: undefined, until: now() + FAILED_MS };
  }
  if (found === undefined) {
    log?.debug(`${cloud.name}'s keychain: nothing is set up`);
    return { credential: undefined, until: Number.POSITIVE_INFINITY };
  }
  const left = found.expiresAt - now();
  return {
    credential: from(found.credential, `${cloud.name}'s keychain`),
    until: now() + Math.max(left - EARLY_MS, left / 2),
  };
}
