/** Where secrets come from, in the order of C-CRED, all of it handed in: the environment, files, helpers. */
import { z } from "zod";
import type { Log } from "../context.ts";
import { HUB } from "../oci/reference.ts";
import { askHelper } from "./credential_helper.ts";
import { from } from "./credential_origin.ts";
import type { Credential, CredentialSource } from "./options.ts";

/** The world credentials are looked for in. */
export interface CredentialWorld {
  /** The environment: `CNB_REGISTRY_AUTH`, `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`, `HOME`, `XDG_*`, `PATH`. */
  readonly env: Readonly<Record<string, string>>;
  /** The numeric user, for `/run/containers/<uid>/auth.json`. */
  readonly uid?: number | null | undefined;
  /** Reads a small text file; `undefined` when it is not there. Default: the file system, at most 1 MiB. */
  readonly readFile?: ((path: string) => Promise<string | undefined>) | undefined;
  /** Asks a credential helper. Default: runs it. */
  readonly helper?: typeof askHelper | undefined;
  /** Secrets given for this run, by registry host or `host/namespace`: they win over all else. */
  readonly given?: Readonly<Record<string, Credential>> | undefined;
  /** Directories of foreign code, in which no helper is looked for. */
  readonly untrusted?: readonly string[] | undefined;
  /** Says at debug level which place answered, and warns of files that cannot be read. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds. */
  readonly now?: (() => number) | undefined;
}

const MAX_FILE = 1024 * 1024;
/** A helper is asked again after an hour, or soon when it failed (C-CRED-05). */
const HELPER_MS = 3_600_000;
const HELPER_FAILED_MS = 5_000;

const entrySchema = z.lazy(() =>
  z.object({
    auth: z.string().optional(),
    username: z.string().optional(),
    password: z.string().optional(),
    identitytoken: z.string().optional(),
    registrytoken: z.string().optional(),
  })
);
const configSchema = z.lazy(() =>
  z.object({
    auths: z.record(z.string(), entrySchema.nullable()).nullish(),
    credHelpers: z.record(z.string(), z.string()).nullish(),
    credsStore: z.string().nullish(),
  })
);
type Entry = z.infer<typeof entrySchema>;
type Config = z.infer<typeof configSchema>;

interface ConfigFile {
  readonly path: string;
  readonly config: Config;
}

/**
 * Credentials as docker, podman and the CNB lifecycle keep them. Files are read once, when a registry first asks
 * for credentials; each helper is asked once an hour for each host.
 *
 * @see CNB platform spec, `CNB_REGISTRY_AUTH`; containers-auth.json(5)
 */
export function credentialsFrom(world: CredentialWorld): CredentialSource {
  let files: Promise<readonly ConfigFile[]> | undefined;
  const helpers = new HelperCache(world);
  const fromEnv = parseRegistryAuth(world.env["CNB_REGISTRY_AUTH"]);
  return async (registry, repository) => {
    const keys = keysFor(registry, repository);
    const given = pick(normalised(world.given ?? {}), keys) ??
      from(pick(fromEnv, [hostOf(registry)]), "CNB_REGISTRY_AUTH");
    if (given !== undefined) return given;
    files ??= readConfigs(world);
    for (const { path, config } of await files) {
      const found = await fromConfig(config, keys, helpers);
      if (found === undefined) continue;
      world.log?.debug(`Credentials for ${registry} come from ${path}`);
      return from(found, path);
    }
    return undefined;
  };
}

/**
 * Reads `CNB_REGISTRY_AUTH`: a JSON object from host to `Basic <base64>`, `Bearer <token>` or `X-Identity <token>`.
 *
 * @throws {TypeError} When it is something else; the message repeats none of it.
 */
export function parseRegistryAuth(text: string | undefined): ReadonlyMap<string, Credential> {
  if (text === undefined || text.trim() === "") return new Map();
  const fail = (why: string) => new TypeError(`Cannot read CNB_REGISTRY_AUTH: ${why}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw fail("it is not JSON");
  }
  const entries = z.record(z.string(), z.string()).safeParse(json);
  if (!entries.success) throw fail("want an object from registry host to text");
  return new Map(
    Object.entries(entries.data).map(([key, value]) => {
      const host = hostOf(key);
      const match = /^\s*(basic|bearer|x-identity)\s+(\S+)\s*$/i.exec(value);
      if (match === null) {
        throw fail(
          `the value for ${
            JSON.stringify(host)
          } wants "Basic ", "Bearer " or "X-Identity " and a secret`,
        );
      }
      const secret = match[2]!;
      switch (match[1]!.toLowerCase()) {
        case "basic":
          return [host, basicFrom(secret)];
        case "bearer":
          return [host, { kind: "bearer", token: secret }];
        default:
          return [host, { kind: "identity", token: secret }];
      }
    }),
  );
}

/**
 * The keys under which a repository's credential may be filed, most exact first: `h/a/b`, `h/a`, `h`. Components
 * are compared whole, so `h/foo` says nothing of `h/foobar` (C-CRED-02, N-09).
 */
export function keysFor(registry: string, repository: string | undefined): readonly string[] {
  const host = hostOf(registry);
  const parts = repository === undefined ? [] : repository.split("/");
  return parts.map((_, at) => [host, ...parts.slice(0, parts.length - at)].join("/")).concat(host);
}

/** `https://index.docker.io/v1/`, `docker.io`, `Host:5000/v2/` as the host wherry calls them by. */
function hostOf(key: string): string {
  return normalKey(key).split("/")[0] ?? "";
}

/** A key of a config file as a host, or as a host and a namespace. */
function normalKey(key: string): string {
  const plain = key.trim().replace(/^https?:\/\//i, "").replace(/\/+$/, "").replace(/\/v[12]$/, "");
  const [host = "", ...path] = plain.split("/");
  const name = host.toLowerCase();
  const known = ["docker.io", "registry-1.docker.io"].includes(name) ? HUB : name;
  return [known, ...path].join("/");
}

/** Hub's password is filed under its first version's address; others win when both are there. */
function normalised<T>(entries: Readonly<Record<string, T>>): ReadonlyMap<string, T> {
  const found = new Map<string, T>();
  for (const [key, value] of Object.entries(entries)) {
    const name = normalKey(key);
    if (!found.has(name) || key === name) found.set(name, value);
  }
  return found;
}

function pick<T>(entries: ReadonlyMap<string, T>, keys: readonly string[]): T | undefined {
  const key = keys.find((key) => entries.has(key));
  return key === undefined ? undefined : entries.get(key);
}

/** The helper of a host beats what is written down, which beats the store of all unless it is empty (C-CRED-03). */
async function fromConfig(
  config: Config,
  keys: readonly string[],
  helpers: HelperCache,
): Promise<Credential | undefined> {
  const host = keys.at(-1)!;
  const helper = pick(normalised(config.credHelpers ?? {}), keys);
  if (helper) return await helpers.ask(helper, host);
  const entry = pick(normalised(config.auths ?? {}), keys);
  const written = entry ? credentialOf(entry) : undefined;
  return written ?? (config.credsStore ? await helpers.ask(config.credsStore, host) : undefined);
}

function credentialOf(entry: Entry): Credential | undefined {
  if (entry.identitytoken) return { kind: "identity", token: entry.identitytoken };
  if (entry.registrytoken) return { kind: "bearer", token: entry.registrytoken };
  if (entry.auth) return basicFrom(entry.auth);
  if (entry.username !== undefined && entry.password !== undefined) {
    return { kind: "basic", username: entry.username, password: entry.password };
  }
  return undefined;
}

/** Splits at the first colon: passwords may have some (C-AUTH-15). What is no user and password goes as it is. */
function basicFrom(encoded: string): Credential {
  try {
    const bytes = Uint8Array.fromBase64(encoded);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\0+$/, "");
    const colon = text.indexOf(":");
    if (colon > 0) {
      const [username, password] = [text.slice(0, colon), text.slice(colon + 1)];
      if (username === "<token>") return { kind: "identity", token: password };
      return { kind: "basic", username, password };
    }
  } catch {
    // Not base64 of text: passed on as it is.
  }
  return { kind: "header", value: `Basic ${encoded}` };
}

/** Config files in order; one that an environment variable names replaces the default of its kind (C-CRED-01). */
async function readConfigs(world: CredentialWorld): Promise<readonly ConfigFile[]> {
  const { env, uid } = world;
  const home = env["HOME"];
  const run = env["XDG_RUNTIME_DIR"] ??
    (typeof uid === "number" ? `/run/containers/${uid}` : undefined);
  const settings = env["XDG_CONFIG_HOME"] ?? (home && `${home}/.config`);
  const inRun = env["XDG_RUNTIME_DIR"] ? `${run}/containers/auth.json` : run && `${run}/auth.json`;
  const paths = [
    env["REGISTRY_AUTH_FILE"],
    env["DOCKER_CONFIG"]
      ? `${env["DOCKER_CONFIG"]}/config.json`
      : home && `${home}/.docker/config.json`,
    inRun,
    settings && `${settings}/containers/auth.json`,
    home && `${home}/.dockercfg`,
  ];
  const found: ConfigFile[] = [];
  for (const path of paths) {
    if (!path) continue;
    const config = await readConfig(path, world).catch((error) => {
      // Who names a file means it. The others may hold nothing for this registry, and the image may be public: as docker has it.
      if (path === env["REGISTRY_AUTH_FILE"] || !(error instanceof TypeError)) throw error;
      world.log?.warn(`${error.message}; going on without its credentials`);
      return undefined;
    });
    if (config !== undefined) found.push({ path, config });
  }
  return found;
}

/**
 * Reads one file.
 *
 * @throws {TypeError} Naming the file, and nothing from it.
 */
async function readConfig(path: string, world: CredentialWorld): Promise<Config | undefined> {
  const text = await (world.readFile ?? readSmallFile)(path);
  if (text === undefined || text.trim() === "") return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new TypeError(`Cannot read ${path}: it is not JSON`);
  }
  // The oldest form is the `auths` object alone.
  const legacy = path.endsWith("/.dockercfg");
  const config = configSchema.safeParse(legacy ? { auths: json } : json);
  if (config.success) return config.data;
  const at = config.error.issues[0]?.path.join(".") ?? "";
  throw new TypeError(`Cannot read ${path}: ${at || "it"} is not what docker keeps there`);
}

async function readSmallFile(path: string): Promise<string | undefined> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    const absent = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory ||
      error instanceof Deno.errors.PermissionDenied;
    if (absent) return undefined;
    throw error;
  }
  if (!info.isFile) return undefined;
  if (info.size > MAX_FILE) {
    throw new TypeError(`Cannot read ${path}: it is larger than ${MAX_FILE} bytes`);
  }
  return await Deno.readTextFile(path);
}

/** One run of a helper per host, whoever asks; what it said is kept for a while. */
class HelperCache {
  readonly #world: CredentialWorld;
  readonly #answers = new Map<string, {
    readonly answer: Promise<Credential | undefined>;
    readonly until: () => number;
  }>();

  constructor(world: CredentialWorld) {
    this.#world = world;
  }

  ask(helper: string, host: string): Promise<Credential | undefined> {
    const now = this.#world.now ?? Date.now;
    const key = JSON.stringify([helper, host]);
    const known = this.#answers.get(key);
    if (known !== undefined && known.until() > now()) return known.answer;
    let until = Number.POSITIVE_INFINITY;
    const answer = this.#ask(helper, host).then((credential) => {
      until = now() + HELPER_MS;
      return credential;
    }, (error) => {
      until = now() + HELPER_FAILED_MS;
      throw error;
    });
    this.#answers.set(key, { answer, until: () => until });
    return answer;
  }

  async #ask(helper: string, host: string): Promise<Credential | undefined> {
    const { env, untrusted } = this.#world;
    const ask = this.#world.helper ?? askHelper;
    // Hub's secret lies under the address of its first version, in every helper.
    const server = host === HUB ? "https://index.docker.io/v1/" : host;
    return from(await ask(helper, server, { env, untrusted }), `docker-credential-${helper}`);
  }
}
