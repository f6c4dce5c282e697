/** `wherry login` and `wherry logout`. */
import { checkLogin } from "../registry/client/check_login.ts";
import { credentialsFrom, keysFor, parseRegistryAuth } from "../registry/client/credentials.ts";
import { type Kept, removeLogin, saveLogin } from "../registry/client/docker_config_write.ts";
import { HUB, parseReference } from "../registry/oci/reference.ts";
import type { CommonFlags } from "./common.ts";
import { transportOptions } from "./connect.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import { Session } from "./session.ts";
import { askLine, type Keyboard, readPiped } from "./ui/prompt.ts";
import { VERSION } from "./version.ts";

/** Flags of `wherry login`. */
export interface LoginFlags extends CommonFlags {
  readonly username?: string;
  readonly passwordStdin?: boolean;
  /** What other tools take; {@linkcode login} says why not. */
  readonly password?: string | boolean;
}

/** A registry, or one namespace of it. */
interface Account {
  /** As a Reference spells the host. */
  readonly host: string;
  /** The host, with the namespace behind a slash if there is one. */
  readonly key: string;
  /** For people. */
  readonly name: string;
}

/**
 * Asks for a password, tries it at the registry and keeps it where docker, podman and wherry find it.
 *
 * @throws {UsageError} When a name or a password is missing.
 */
export async function login(
  io: Io,
  text: string,
  flags: LoginFlags,
  keyboard: Keyboard = Deno.stdin,
): Promise<void> {
  await using session = new Session(io, flags);
  const { log } = session;
  const account = accountOf(text, "log in to");
  const hidden = parseRegistryAuth(io.env["CNB_REGISTRY_AUTH"]).has(account.host);
  const secret = await askSecret(io, account, flags, keyboard);
  const { transport } = await transportOptions(io, flags, log, VERSION);
  const checked = await checkLogin(
    account.host,
    { kind: "basic", ...secret },
    { ...transport, log },
    io.signal,
  );
  if (!checked) {
    log.warn(`${account.name} lets everybody in: whether the password is right, it did not say`);
  }
  const kept = await saveLogin(account.key, secret, { env: io.env, uid: io.user.uid });
  log.info(`Logged in to ${account.name} as ${secret.username}; ${placeOf(kept)}`);
  if (hidden) {
    log.warn(`CNB_REGISTRY_AUTH names ${account.host} and is used before this login`);
  }
}

/** Forgets what {@linkcode login} kept. That there was nothing is said, and is no failure. */
export async function logout(io: Io, text: string, flags: CommonFlags): Promise<void> {
  await using session = new Session(io, flags);
  const { log } = session;
  const { key, host, name } = accountOf(text, "log out of");
  const kept = await removeLogin(key, { env: io.env, uid: io.user.uid });
  if (kept === undefined) log.info(`There was no login to ${name}`);
  else log.info(`Logged out of ${name}`);
  const namespace = key === host ? undefined : key.slice(host.length + 1);
  const places: string[] = [];
  const left = await credentialsFrom({
    env: io.env,
    uid: io.user.uid,
    log: { ...log, debug: (line) => void places.push(line) },
  })(host, namespace);
  if (left === undefined) return;
  const from = places.at(-1)?.replace(/^.* come from /, "");
  log.warn(`There are other credentials for ${name} in ${from ?? "CNB_REGISTRY_AUTH"}`);
}

function placeOf({ path, helper }: Kept): string {
  return helper === undefined
    ? `the password is in ${path}, readable for its owner alone and not encrypted`
    : `the password is kept by docker-credential-${helper}`;
}

function accountOf(text: string, act: string): Account {
  const plain = text.replace(/^https?:\/\//i, "").replace(/\/+$/, "").replace(/\/v[12]$/, "");
  const host = plain.split("/")[0]!;
  const fail = (cause?: unknown) =>
    new UsageError(
      `Cannot ${act} ${
        JSON.stringify(text)
      }: want a host such as registry.example or localhost:5000, or docker.io`,
      { cause },
    );
  // Without a dot or a port it would be read as a name on Docker Hub.
  if (!/[.:]/.test(host) && host.toLowerCase() !== "localhost") throw fail();
  try {
    const { registry, repository } = parseReference(`${plain}/x`);
    const path = repository.replace(/\/?x$/, "");
    const namespace = registry === HUB && !plain.includes("/") ? "" : path;
    return {
      host: registry,
      key: keysFor(registry, namespace === "" ? undefined : namespace)[0]!,
      name: (registry === HUB ? "docker.io" : registry) + (namespace && `/${namespace}`),
    };
  } catch (cause) {
    throw fail(cause);
  }
}

async function askSecret(
  io: Io,
  account: Account,
  flags: LoginFlags,
  keyboard: Keyboard,
): Promise<{ readonly username: string; readonly password: string }> {
  const act = `Cannot log in to ${account.name}`;
  if (flags.password !== undefined) {
    throw new UsageError(
      `${act}: everybody on this machine can read a password on a command line; want --password-stdin`,
    );
  }
  if (flags.passwordStdin && flags.username === undefined) {
    throw new UsageError(`${act}: --password-stdin wants --username`);
  }
  if (!flags.passwordStdin && !keyboard.isTerminal()) {
    throw new UsageError(
      `${act}: nobody is there to be asked for a password; want --username and --password-stdin`,
    );
  }
  const username = flags.username ?? await askLine(keyboard, io.stderr, "Username: ", false);
  if (!username) throw new UsageError(`${act}: want a user name`);
  if (/[:\p{Cc}]/u.test(username)) {
    throw new UsageError(`${act}: a user name has no colon and no control characters`);
  }
  const password = flags.passwordStdin
    ? await readPiped(keyboard)
    : await askLine(keyboard, io.stderr, `Password of ${username}: `, true);
  if (!password) throw new UsageError(`${act}: want a password`);
  if (/\0/.test(password)) throw new UsageError(`${act}: the password has a zero byte`);
  return { username, password };
}
