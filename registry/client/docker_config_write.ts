/** Writes the files that {@linkcode credentialsFrom} reads: `login` and `logout` (C-CRED-07). */
import { basename, dirname } from "node:path";
import { HUB } from "../oci/reference.ts";
import { tellHelper } from "./credential_helper.ts";
import { base64 } from "./proxy.ts";

/** The world a login is kept in. */
export interface LoginWorld {
  /** The environment: `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`, `HOME`, and `PATH` for helpers. */
  readonly env: Readonly<Record<string, string>>;
  /** Who we are. */
  readonly uid: number;
  /** Lets a helper keep or forget a secret. Default: runs it. */
  readonly helper?: typeof tellHelper | undefined;
}

/** Where a login is kept. */
export interface Kept {
  /** The file. */
  readonly path: string;
  /** The helper that has the secret; the file has it when there is none. */
  readonly helper?: string | undefined;
}

const MAX_FILE = 1024 * 1024;
/** Where docker files Hub's secret; all tools find it there. */
const HUB_KEY = "https://index.docker.io/v1/";

/**
 * The file that `login` writes: `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json`, `~/.docker/config.json`.
 *
 * @throws {TypeError} When there is no home to have it in.
 */
export function loginFile(env: Readonly<Record<string, string>>): string {
  const named = env["REGISTRY_AUTH_FILE"];
  if (named) return named;
  const dir = env["DOCKER_CONFIG"] || (env["HOME"] && `${env["HOME"]}/.docker`);
  if (dir) return `${dir}/config.json`;
  throw new TypeError("Cannot keep a login: there is no HOME; want DOCKER_CONFIG");
}

/**
 * Keeps a password for `registry`, or for one namespace of it: with the helper the file names for it, in the file
 * otherwise. All else in the file stays as it is. The file is replaced whole and readable for its owner alone.
 *
 * @param key As a Reference spells the registry, with a namespace behind a slash or without.
 * @throws {Error} When the file cannot be used or is not safe to write to; it is unchanged then.
 */
export async function saveLogin(
  key: string,
  secret: { readonly username: string; readonly password: string },
  world: LoginWorld,
): Promise<Kept> {
  const path = loginFile(world.env);
  return await changeFile(path, world.uid, async (config) => {
    const helper = helperFor(config, key);
    const auths = withoutKey(tableOf(config, "auths", path), key);
    if (helper !== undefined) {
      await (world.helper ?? tellHelper)(helper, filedKey(key), secret, { env: world.env });
    }
    // Docker marks what a helper has with an empty entry.
    const entry = helper === undefined
      ? { auth: base64(`${secret.username}:${secret.password}`) }
      : {};
    return {
      config: { ...config, auths: { ...auths, [filedKey(key)]: entry } },
      result: { path, helper },
    };
  });
}

/**
 * Forgets the password for `key`, under all spellings of it.
 *
 * @returns `undefined` when there was none.
 * @throws {Error} As {@linkcode saveLogin}.
 */
export async function removeLogin(key: string, world: LoginWorld): Promise<Kept | undefined> {
  const path = loginFile(world.env);
  if (await Deno.stat(path).catch(() => undefined) === undefined) return undefined;
  return await changeFile<Kept | undefined>(path, world.uid, async (config) => {
    const before = tableOf(config, "auths", path);
    const auths = withoutKey(before, key);
    const helper = helperFor(config, key);
    const had = Object.keys(auths).length !== Object.keys(before).length;
    if (helper !== undefined) {
      await (world.helper ?? tellHelper)(helper, filedKey(key), undefined, { env: world.env });
    }
    if (!had) return { result: helper === undefined ? undefined : { path, helper } };
    return { config: { ...config, auths }, result: { path, helper } };
  });
}

type Json = Readonly<Record<string, unknown>>;

function filedKey(key: string): string {
  return key === HUB ? HUB_KEY : key;
}

/** Without those entries that mean `key`, however they are spelled. */
function withoutKey(auths: Json, key: string): Json {
  const plain = (text: string) => {
    const name = text.trim().replace(/^https?:\/\//i, "").replace(/\/+$/, "").replace(
      /\/v[12]$/,
      "",
    )
      .toLowerCase();
    return ["docker.io", "registry-1.docker.io"].includes(name) ? HUB : name;
  };
  return Object.fromEntries(Object.entries(auths).filter(([name]) => plain(name) !== key));
}

/** The helper of the host, or of all hosts. A namespace is nothing that helpers know. */
function helperFor(config: Json, key: string): string | undefined {
  if (key.includes("/")) return undefined;
  const helpers = config["credHelpers"];
  const names = key === HUB ? [HUB, HUB_KEY, "docker.io"] : [key];
  if (typeof helpers === "object" && helpers !== null) {
    for (const name of names) {
      const helper = (helpers as Json)[name];
      if (typeof helper === "string" && helper !== "") return helper;
    }
  }
  const store = config["credsStore"];
  return typeof store === "string" && store !== "" ? store : undefined;
}

function tableOf(config: Json, name: string, path: string): Json {
  const table = config[name] ?? {};
  if (typeof table === "object" && !Array.isArray(table)) return table as Json;
  throw new TypeError(`Cannot change ${path}: ${name} is not what docker keeps there`);
}

/** Reads, changes and replaces the file, one process at a time. Without a new `config` nothing is written. */
async function changeFile<T>(
  path: string,
  uid: number,
  change: (config: Json) => Promise<{ readonly config?: Json; readonly result: T }>,
): Promise<T> {
  const target = await safeTarget(path, uid);
  const dir = dirname(target);
  await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
  using lock = await Deno.open(dir);
  // Some network file systems have no locks; then the last of two logins at once wins.
  await lock.lock(true).catch(() => {});
  const before = await Deno.stat(target).catch(absent);
  const { config, result } = await change(
    before === undefined ? {} : await readJson(target, before),
  );
  if (config === undefined) return result;
  const temporary = `${dir}/.${basename(target)}.${crypto.randomUUID()}`;
  try {
    {
      using file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
      let rest = new TextEncoder().encode(`${JSON.stringify(config, null, "\t")}\n`);
      while (rest.byteLength > 0) rest = rest.subarray(await file.write(rest));
      // The administrator may log in for another: the file stays that one's.
      if (before?.uid != null && before.uid !== uid) {
        await Deno.chown(temporary, before.uid, before.gid);
      }
      await file.sync();
    }
    await Deno.rename(temporary, target);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw new Error(`Cannot write ${target}: ${(error as Error).message}`, { cause: error });
  }
  return result;
}

/**
 * Follows links of our own only: whoever owns another one chooses what we overwrite.
 *
 * @throws {Error} When the file, or the directory it lies in, is a link of another user, or no file at all.
 */
async function safeTarget(path: string, uid: number): Promise<string> {
  for (const one of [dirname(path), path]) {
    const info = await Deno.lstat(one).catch(absent);
    if (info?.isSymlink && info.uid !== uid) {
      throw new Error(`Cannot write ${path}: ${one} is a link that belongs to user ${info.uid}`);
    }
  }
  const info = await Deno.lstat(path).catch(absent);
  if (info === undefined) return path;
  const target = info.isSymlink ? await realPath(path) : path;
  const there = await Deno.stat(target).catch(absent);
  if (there !== undefined && !there.isFile) throw new Error(`Cannot write ${path}: it is no file`);
  if (there?.uid == null || there.uid === uid) return target;
  // The administrator may log in for another, in that one's own directory: elsewhere the file is a trap.
  const around = await Deno.stat(dirname(target));
  if (uid !== 0 || around.uid !== there.uid) {
    throw new Error(`Cannot write ${path}: it belongs to user ${there.uid}`);
  }
  return target;
}

async function realPath(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (cause) {
    throw new Error(`Cannot write ${path}: the link leads nowhere`, { cause });
  }
}

async function readJson(path: string, { size }: Deno.FileInfo): Promise<Json> {
  if (size > MAX_FILE) throw new Error(`Cannot read ${path}: it is larger than ${MAX_FILE} bytes`);
  const text = await Deno.readTextFile(path);
  if (text.trim() === "") return {};
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new TypeError(`Cannot change ${path}: it is not JSON`);
  }
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Json;
  throw new TypeError(`Cannot change ${path}: it is not what docker keeps there`);
}

function absent(error: unknown): undefined {
  if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return;
  throw error;
}
