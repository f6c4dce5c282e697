import type { Nearness } from "./address.ts";
import { type Challenge, chooseChallenge, parseChallenges } from "./challenge.ts";
import type {
  Credential,
  CredentialSource,
  KnownRealm,
  RealmMemory,
  RetryOptions,
} from "./options.ts";
import { Refusal } from "./refusal.ts";
import { orAborted } from "../abort.ts";
import { coversScopes, mergeScopes, parseScopes, resourceOf } from "./scope.ts";
import { basicHeader, fetchToken, nameOf, type Token } from "./token.ts";
import type { Transport } from "./transport.ts";
import { parseTarget, sameOrigin, type Target } from "./url.ts";

/** What lets one request in. */
export interface Grant {
  /** The `Authorization` value. */
  readonly value: string;
  /** What its token was asked for; empty when it is no token. */
  readonly scopes: readonly string[];
  /** Made for this very request: when it is refused, another one will be too. */
  readonly fresh: boolean;
  /** The token server was not named by this registry now, but to an earlier command. */
  readonly remembered?: KnownRealm | undefined;
}

/** What a request wants to do. */
export interface Wish {
  /** Scopes, the most important first; none for requests that concern no repository. */
  readonly scopes: readonly string[];
  /** Chooses the credential. */
  readonly repository?: string | undefined;
  /** Of the request. */
  readonly method?: string | undefined;
  /** Ends the wait for a token. */
  readonly signal?: AbortSignal | undefined;
}

/** The world of an {@linkcode Authorizer}. */
export interface AuthWorld {
  /** The registry as people name it: the key of its credentials. */
  readonly host: string;
  /** Connections. */
  readonly transport: Transport;
  /** Finds secrets. */
  readonly credentials?: CredentialSource | undefined;
  /** What earlier commands heard. */
  readonly realms?: RealmMemory | undefined;
  /** Whether anybody may answer in its place in spite of TLS. Default: nobody. */
  readonly unverified?: ((base: Target) => boolean) | undefined;
  /** Where the registry's API is, once that is known. */
  readonly registry: () => Promise<Target>;
  /** How near the registry is. */
  readonly nearness: () => Promise<Nearness>;
  /** The clock, in milliseconds. */
  readonly now: () => number;
  /** How to retry. */
  readonly retry?: RetryOptions | undefined;
}

/** A token server of an earlier command, as its registry would name it now. */
interface Remembered {
  readonly realm: KnownRealm;
  readonly challenge: Challenge;
}

interface Wanted {
  readonly realm: string;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  readonly credential: Credential | undefined;
  readonly owner: string;
  /** How often the server is asked at most, where that is less than usual. */
  readonly tries: number | undefined;
}

interface HeldToken extends Token {
  readonly scopes: readonly string[];
}

/**
 * Lets requests into one registry. Knows nothing before the registry's first challenge; afterwards requests
 * carry their token or password at once. Tokens are shared by all requests they cover, and widened rather than
 * replaced (C-AUTH-06).
 */
export class Authorizer {
  readonly #world: AuthWorld;
  #challenge: Challenge | undefined;
  /** What it offered, too: for who has no password to send. */
  #otherwise: Challenge | undefined;
  /** From an earlier command, until a challenge says otherwise or it does not work. */
  #recalled: Promise<Remembered | undefined> | undefined;
  /** Why it did not, for requests that now go without. */
  readonly #failed = new WeakMap<Wish, { readonly realm: KnownRealm; readonly error: Refusal }>();
  /** By realm, service, credential and first resource. */
  readonly #tokens = new Map<string, readonly HeldToken[]>();
  readonly #fetching = new Map<string, Promise<HeldToken>>();
  readonly #coming = new Set<{
    readonly key: string;
    readonly scopes: readonly string[];
    readonly fetching: Promise<HeldToken>;
  }>();
  /** Refresh tokens that servers gave for a credential (C-AUTH-03). */
  readonly #refreshed = new Map<string, string>();

  /** By resource: what an act that begins with it will want in all, so that one token will do. */
  readonly #foreseen = new Map<string, readonly string[]>();

  /** Asks nobody yet. */
  constructor(world: AuthWorld) {
    this.#world = world;
  }

  /** All of `scopes` will be wanted by one act: who asks for the token of one of them asks for all at once. */
  foresee(scopes: readonly string[]): void {
    const all = mergeScopes(scopes, []);
    for (const scope of all) {
      const resource = resourceOf(scope);
      if (!this.#foreseen.has(resource)) this.#foreseen.set(resource, all);
    }
  }

  /** Whether a challenge is known. */
  get challenged(): boolean {
    return this.#challenge !== undefined;
  }

  /** Keeps the challenge of an answer, unless it has none that wherry knows (C-AUTH-10). */
  learn(headers: Headers): boolean {
    const offered = parseChallenges(headers.get("www-authenticate") ?? "");
    const chosen = chooseChallenge(offered);
    if (chosen === undefined) return false;
    this.#challenge = chosen;
    this.#otherwise = chooseChallenge(offered.filter(({ scheme }) => scheme === "bearer"));
    return true;
  }

  /** What to send with a request, as far as that is known; `undefined` means: without authorization. */
  async grant(wish: Wish): Promise<Grant | undefined> {
    if (this.#challenge !== undefined) return await this.#answer(this.#challenge, wish);
    // What concerns no repository has its scope in the challenge alone.
    if (this.#world.realms === undefined || wish.scopes.length === 0) return undefined;
    const recalled = await (this.#recalled ??= this.#recall(this.#world.realms));
    return recalled && await this.#answerRecalled(recalled, wish);
  }

  async #recall(realms: RealmMemory): Promise<Remembered | undefined> {
    const known = await realms.realm(this.#world.host).catch(() => undefined);
    if (known === undefined) return undefined;
    const params = new Map([["realm", known.realm]]);
    if (known.service !== undefined) params.set("service", known.service);
    return { realm: known, challenge: { scheme: "bearer", params } };
  }

  /** What was true of the registry once must not keep anybody out: should there be no token, it is asked as if nothing was known. */
  async #answerRecalled(
    { realm, challenge }: Remembered,
    wish: Wish,
  ): Promise<Grant | undefined> {
    try {
      const grant = await this.#answer(challenge, wish, 1);
      return grant && { ...grant, remembered: realm };
    } catch (error) {
      wish.signal?.throwIfAborted();
      this.#world.realms?.forgetRealm(this.#world.host);
      this.#recalled = Promise.resolve(undefined);
      if (error instanceof Refusal && error.status === 401) {
        this.#failed.set(wish, { realm, error });
      }
      return undefined;
    }
  }

  /** Only what readers are asked for is worth a token before the first request, and only what nobody else can have written. */
  async #keep({ params }: Challenge, { method }: Wish): Promise<void> {
    const { realms, registry, host, unverified } = this.#world;
    const realm = params.get("realm") ?? "";
    if (realms === undefined || (method !== "GET" && method !== "HEAD")) return;
    const base = await registry();
    const surely = base.secure && unverified?.(base) !== true;
    if (!surely && !sameOrigin(parseTarget(realm), base)) return;
    realms.keepRealm(host, { realm, service: params.get("service") });
  }

  /**
   * What to send after `refused` was answered with 401, or with 403 and a challenge.
   *
   * @returns `undefined` when there is nothing better: the answer stands (C-AUTH-09).
   */
  async grantAfter(
    headers: Headers,
    refused: Grant | undefined,
    wish: Wish,
  ): Promise<Grant | undefined> {
    const learned = this.learn(headers);
    const challenge = this.#challenge;
    if (challenge === undefined) return undefined;
    // A challenge kept from another request speaks of that one's repository.
    const asked = learned ? parseScopes(challenge.params.get("scope") ?? "") : [];
    const scopes = mergeScopes(wish.scopes, asked);
    const elsewhere = refused?.remembered !== undefined && !isOf(challenge, refused.remembered);
    if (refused !== undefined) {
      this.#forget(refused.value);
      if (!elsewhere && refused.fresh && coversScopes(refused.scopes, scopes)) return undefined;
    }
    const failed = this.#failed.get(wish);
    // The same question again would be one failed login more.
    if (failed !== undefined && isOf(challenge, failed.realm)) throw failed.error;
    const next = await this.#answer(challenge, { ...wish, scopes });
    const heard = learned && challenge.scheme === "bearer";
    if (next !== undefined && heard && (refused === undefined || elsewhere)) {
      await this.#keep(challenge, wish);
    }
    return next?.value === refused?.value ? undefined : next;
  }

  /** Who `wish` is made by, for messages. */
  async asker(wish: Pick<Wish, "repository">): Promise<string | undefined> {
    const credential = await this.#credential(wish.repository);
    return credential && nameOf(credential);
  }

  async #answer(
    challenge: Challenge,
    wish: Wish,
    tries?: number,
  ): Promise<Grant | undefined> {
    const credential = await this.#credential(wish.repository);
    if (credential?.kind === "bearer") {
      return { value: `Bearer ${credential.token}`, scopes: [], fresh: true };
    }
    if (challenge.scheme === "basic") {
      const hasPassword = credential !== undefined && credential.kind !== "identity";
      if (!hasPassword && this.#otherwise !== undefined) {
        return await this.#bearer(this.#otherwise, wish, credential, tries);
      }
      const value = basicHeader(credential);
      return value === undefined ? undefined : { value, scopes: [], fresh: true };
    }
    return await this.#bearer(challenge, wish, credential, tries);
  }

  async #credential(repository: string | undefined): Promise<Credential | undefined> {
    return await this.#world.credentials?.(this.#world.host, repository);
  }

  async #bearer(
    challenge: Challenge,
    wish: Wish,
    credential: Credential | undefined,
    tries: number | undefined,
  ): Promise<Grant> {
    const realm = challenge.params.get("realm") ?? "";
    const service = challenge.params.get("service");
    const owner = JSON.stringify([realm, service, credential]);
    const plan = this.#foreseen.get(resourceOf(wish.scopes[0] ?? "")) ?? [];
    const key = `${owner} ${resourceOf(plan[0] ?? wish.scopes[0] ?? "")}`;
    const now = this.#world.now();
    const held = (this.#tokens.get(key) ?? []).filter((token) => token.expiresAt > now);
    const good = held.find((token) => coversScopes(token.scopes, wish.scopes));
    if (good !== undefined) {
      return { value: `Bearer ${good.value}`, scopes: good.scopes, fresh: false };
    }
    // Foreseen by an act that asks for more: a token under way that will do for this, too.
    const coming = [...this.#coming].find((one) =>
      one.key === key && coversScopes(one.scopes, wish.scopes)
    );
    if (coming !== undefined && plan.length > 0) {
      const token = await orAborted(coming.fetching.catch(() => undefined), wish.signal);
      if (token !== undefined) {
        return { value: `Bearer ${token.value}`, scopes: token.scopes, fresh: false };
      }
    }
    const obtain = (scopes: readonly string[]) =>
      this.#single(key, { realm, service, scopes, credential, owner, tries }, wish.signal);
    // Of one repository a wider token serves more requests; other repositories in it may be refused together.
    const first = wish.scopes[0];
    const own = held.flatMap((token) => token.scopes).filter((scope) =>
      first !== undefined && resourceOf(scope) === resourceOf(first)
    );
    const wider = mergeScopes(wish.scopes, [...plan, ...own]);
    let token: HeldToken;
    try {
      token = await obtain(wider);
    } catch (error) {
      if (coversScopes(wish.scopes, wider) || !(error instanceof Refusal)) throw error;
      token = await obtain(wish.scopes);
    }
    return { value: `Bearer ${token.value}`, scopes: token.scopes, fresh: true };
  }

  /** One request for one token, whoever waits for it; a waiter that gives up does not end it for the others. */
  #single(
    key: string,
    want: Wanted,
    signal: AbortSignal | undefined,
  ): Promise<HeldToken> {
    const name = `${key} ${want.scopes.join(" ")}`;
    let fetching = this.#fetching.get(name);
    if (fetching === undefined) {
      fetching = this.#fetch(key, want).finally(() => {
        this.#fetching.delete(name);
        this.#coming.delete(coming);
      });
      const coming = { key, scopes: want.scopes, fetching };
      this.#coming.add(coming);
      this.#fetching.set(name, fetching);
    }
    return orAborted(fetching, signal);
  }

  async #fetch(
    key: string,
    want: Wanted,
  ): Promise<HeldToken> {
    const { transport, now, retry } = this.#world;
    const refresh = this.#refreshed.get(want.owner);
    const credential = refresh === undefined
      ? want.credential
      : { kind: "identity" as const, token: refresh };
    const token = await fetchToken({ ...want, credential }, {
      transport,
      now,
      retry: want.tries === undefined ? retry : { ...retry, tries: want.tries },
      registry: await this.#world.registry(),
      nearness: await this.#world.nearness(),
    });
    if (token.refreshToken !== undefined) this.#refreshed.set(want.owner, token.refreshToken);
    const held: HeldToken = { ...token, scopes: want.scopes };
    const others = (this.#tokens.get(key) ?? []).filter((other) =>
      other.expiresAt > now() && !coversScopes(held.scopes, other.scopes)
    );
    this.#tokens.set(key, [held, ...others]);
    return held;
  }

  #forget(value: string): void {
    for (const [key, tokens] of this.#tokens) {
      const rest = tokens.filter((token) => `Bearer ${token.value}` !== value);
      if (rest.length === tokens.length) continue;
      if (rest.length === 0) this.#tokens.delete(key);
      else this.#tokens.set(key, rest);
    }
  }
}

function isOf({ params }: Challenge, { realm, service }: KnownRealm): boolean {
  return params.get("realm") === realm && params.get("service") === service;
}
