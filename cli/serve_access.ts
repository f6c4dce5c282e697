/** Flags of `serve` to who may do what. */
import type { JWK } from "jose";
import { dirname, join } from "node:path";
import { Authority } from "../registry/server/auth/authority.ts";
import { parseHtpasswd } from "../registry/server/auth/htpasswd.ts";
import { Logins } from "../registry/server/auth/login.ts";
import { parsePolicy } from "../registry/server/auth/policy.ts";
import { Tokens } from "../registry/server/auth/token.ts";
import { TOKEN_PATH } from "../registry/server/auth/token_endpoint.ts";
import {
  newTokenKey,
  openTokenKey,
  parsePublicKeys,
  type TokenKey,
} from "../registry/server/auth/token_key.ts";
import { watchFile } from "../registry/server/auth/watched_file.ts";
import type { Metrics } from "../registry/server/metrics.ts";
import type { ListenAddress } from "../registry/server/serve.ts";
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import type { Session } from "./session.ts";

/** Flags of `wherry serve`. */
export interface ServeFlags extends CommonFlags {
  readonly listen: string;
  readonly url?: string;
  readonly readOnly?: boolean;
  readonly ephemeral?: boolean;
  /** `--no-explorer` makes it false. */
  readonly explorer: boolean;
  readonly insecureNoAuth?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly htpasswd?: string;
  readonly policy?: string;
  readonly token?: boolean;
  readonly tokenKey?: readonly string[];
  readonly tokenIssuer?: string;
  readonly tokenRealm?: string;
  readonly tokenService: string;
  readonly accessLog?: string;
  readonly trustedProxy?: readonly string[];
}

/** Who may do what on the server that is about to start. */
export interface Access {
  /** Judges requests. */
  readonly authority: Authority;
  /** Gives out tokens, if it shall. */
  readonly issuing: Tokens | undefined;
  /** Secret bytes of this server. */
  readonly key: Uint8Array;
  /** Tells where the server listens, which challenges have to name. */
  listensAt(url: string): void;
  /** `host:port` as clients use it, where that is known. */
  host(): string | undefined;
}

/** Whether anybody is kept out at all. */
export function isGuarded({ htpasswd, policy, tokenKey, tlsClientCa }: ServeFlags): boolean {
  return htpasswd !== undefined || policy !== undefined || tlsClientCa !== undefined ||
    (tokenKey ?? []).length > 0;
}

/**
 * Reads the files that the flags name.
 *
 * @param storeDir Where the server's own key is kept; without one (nothing to write to) it ends with the process.
 * @throws {UsageError} When flags contradict each other or a file cannot be used.
 */
export async function openAccess(
  session: Session,
  flags: ServeFlags,
  listen: ListenAddress,
  storeDir: string | undefined,
  metrics: Metrics,
): Promise<Access> {
  checkFlags(flags, listen);
  const onError = (error: Error) =>
    session.log.warn(`${error.message}; what was read before holds`);
  const watched = async <T>(file: string, parse: (text: string, file: string) => T) => {
    try {
      return await watchFile(session.path(file), (text) => parse(text, file), { onError });
    } catch (cause) {
      throw unreadable(file, cause);
    }
  };
  const htpasswd = flags.htpasswd === undefined
    ? undefined
    : await watched(flags.htpasswd, parseHtpasswd);
  const policy = flags.policy === undefined ? undefined : await watched(flags.policy, parsePolicy);
  const key = storeDir === undefined ? newTokenKey() : await serverKey(session, storeDir);
  const keys: JWK[] = [];
  for (const file of flags.tokenKey ?? []) {
    try {
      keys.push(...parsePublicKeys(await Deno.readTextFile(session.path(file)), file));
    } catch (cause) {
      throw unreadable(file, cause);
    }
  }
  const tokens = flags.token || keys.length > 0
    ? new Tokens({
      service: flags.tokenService,
      key: flags.token ? key : undefined,
      trusted: keys.length > 0 ? { issuer: flags.tokenIssuer!, keys } : undefined,
    })
    : undefined;
  let url = flags.url?.replace(/\/+$/, "");
  const authority = new Authority({
    logins: htpasswd && new Logins(htpasswd),
    tokens,
    get realm() {
      return flags.tokenRealm ?? (flags.token && url ? url + TOKEN_PATH : undefined);
    },
    policy: policy && (() => policy.current()),
    onRefused: (why) => metrics.refused(why),
  });
  return {
    authority,
    issuing: flags.token ? tokens : undefined,
    key: key.secret,
    listensAt: (address) => void (url ??= address),
    host: () => url && !/^unix:|\/(0\.0\.0\.0|\[::\]):/.test(url) ? new URL(url).host : undefined,
  };
}

function checkFlags(flags: ServeFlags, listen: ListenAddress): void {
  const { tokenKey = [] } = flags;
  if (flags.token && flags.htpasswd === undefined) {
    throw new UsageError("Cannot give out tokens: want --htpasswd FILE beside --token");
  }
  if (tokenKey.length > 0 && flags.tokenIssuer === undefined) {
    throw new UsageError("Cannot take tokens: want --token-issuer NAME beside --token-key");
  }
  if (tokenKey.length > 0 && flags.tokenRealm === undefined && !flags.token) {
    throw new UsageError(
      "Cannot send clients for a token: want --token-realm URL beside --token-key",
    );
  }
  if (
    tokenKey.length === 0 && (flags.tokenIssuer !== undefined || flags.tokenRealm !== undefined)
  ) {
    throw new UsageError("Cannot take tokens: want --token-key FILE");
  }
  for (
    const [name, value] of [["--url", flags.url], ["--token-realm", flags.tokenRealm]] as const
  ) {
    if (value !== undefined && !isHttpUrl(value)) {
      throw new UsageError(`Cannot use ${name} ${JSON.stringify(value)}: want http:// or https://`);
    }
  }
  const named = "path" in listen || /^(0\.0\.0\.0|::|\[::\])$/.test(listen.hostname);
  if (flags.token && named && flags.url === undefined && flags.tokenRealm === undefined) {
    throw new UsageError(
      `Cannot tell clients where tokens are: ${flags.listen} is no address they could use, want --url URL`,
    );
  }
}

function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text) || /["\\\s]/.test(text)) return false;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && username === "" && password === "";
}

/** In a folder of its own: the store's other folders are the store's. */
async function serverKey(session: Session, storeDir: string): Promise<TokenKey> {
  const path = join(storeDir, "server", "key.json");
  try {
    return await openTokenKey(path);
  } catch (cause) {
    const readOnly = cause instanceof Error && /os error 30/.test(cause.message);
    if (!readOnly) throw cause;
    session.log.debug(`${dirname(path)} cannot be written: tokens end with this process`);
    return newTokenKey();
  }
}

function unreadable(file: string, cause: unknown): UsageError {
  if (cause instanceof SyntaxError) return new UsageError(cause.message, { cause });
  const why = cause instanceof Deno.errors.NotFound ? "it is not there" : (cause as Error).message;
  return new UsageError(`Cannot read ${file}: ${why}`, { cause });
}
