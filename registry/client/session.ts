/** Requests to one registry: scheme, authorization, redirects, retries and pace, so that callers see answers only. */
import type { Nearness } from "./address.ts";
import { Authorizer, type Grant, type Wish } from "./auth.ts";
import { chooseChallenge, parseChallenges } from "./challenge.ts";
import type { ClientOptions, HostFacts } from "./options.ts";
import { explain, harmless, Refusal, refusalOf } from "./refusal.ts";
import { orAborted } from "../abort.ts";
import { askedPause, Governor, isRetryableStatus, ownPause, waitFor } from "./retry.ts";
import { parseScopes } from "./scope.ts";
import { fetchToken } from "./token.ts";
import type { Row } from "../row.ts";
import type { RequestBody, TransportResponse } from "./exchange.ts";
import type { Transport } from "./transport.ts";
import { Scheme } from "./scheme.ts";
import { TransportError } from "./transport_error.ts";
import { resolveLocation, sameOrigin, type Target, withQuery } from "./url.ts";

/** One request to the registry's API, or to where it sent us. */
export interface ApiRequest extends Wish {
  /** For messages: goes behind "Cannot ". */
  readonly act: string;
  /** `GET`, ... */
  readonly method: string;
  /** Path and query below the host, or a place a `Location` named. */
  readonly to: string | Target;
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent with its length. */
  readonly body?: RequestBody | undefined;
  /** Statuses the caller deals with; all others are thrown. */
  readonly expect: readonly number[];
  /** A long body, either way: counted apart from small requests. The caller holds the place. */
  readonly bulk?: boolean | undefined;
  /** Whether the same request may be sent again. Default: yes. */
  readonly retry?: boolean | undefined;
  /** Called as bytes of the body leave. */
  readonly onSent?: ((bytes: number) => void) | undefined;
  /** It may leave behind the others of this row; sent again, it goes alone. */
  readonly row?: Row | undefined;
}

/** An answer with a status the caller expects. Its body is read, cancelled, or given to {@linkcode discard}. */
export type Answer = TransportResponse;

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const MAX_HOPS = 10;
/** Old connections that the host closed while they were idle, in a row, before it counts as a failure. */
const MAX_STALE = 64;

/** One registry and what is known of it. */
export class Session {
  /** The registry as people name it. */
  readonly host: string;
  /** Places for blobs on their way in. Apart from those on their way out: a copy needs one of each. */
  readonly down: Governor;
  /** Places for blobs on their way out. */
  readonly up: Governor;
  /** What the registry showed it does. */
  readonly learned: HostFacts = {};
  readonly #small: Governor;
  readonly #transport: Transport;
  readonly #options: ClientOptions;
  readonly #auth: Authorizer;
  readonly #scheme: Scheme;
  readonly #warned = new Set<string>();
  /** Those that were in their row already. */
  readonly #rode = new WeakSet<ApiRequest>();
  #nearness: Promise<Nearness> | undefined;
  /** The first request goes alone, so that many do not all meet the same challenge. */
  #first: Promise<void> | undefined;
  /** So many others need not wait for it. */
  #companions = 0;
  #pausedUntil = 0;
  #nextTurn = 0;
  /** Requests in a row that got no answer at all, for all their tries. */
  #unanswered = 0;
  #brokenUntil = 0;

  /** Connects to nothing yet. `api` is the host of the API. */
  constructor(host: string, api: string, transport: Transport, options: ClientOptions) {
    this.host = host;
    this.#scheme = new Scheme(api, transport, options);
    this.#transport = transport;
    this.#options = options;
    this.#small = new Governor(options.maxSmall ?? 32);
    this.down = new Governor(options.maxBulk ?? 6);
    this.up = new Governor(options.maxBulk ?? 6);
    this.#auth = new Authorizer({
      host,
      transport,
      credentials: options.credentials,
      realms: options.realms,
      registry: () => this.base(),
      nearness: () => this.#near(),
      now: () => this.now(),
      retry: options.retry,
    });
  }

  /**
   * Sends a request, as often as it takes and is allowed.
   *
   * @throws {OciError} `Cannot <act>: ...` for an answer with another status, or without any.
   */
  async send(request: ApiRequest): Promise<Answer> {
    try {
      return await this.#alone(request, () => this.#persist(request));
    } catch (error) {
      throw explain(error, request.act);
    }
  }

  /** Scheme, host and port of the API, found out once (C-CONN-01..03). */
  base(signal?: AbortSignal): Promise<Target> {
    return this.#scheme.base(signal);
  }

  /**
   * Where an answer's `Location` leads. A registry behind a proxy that ends TLS names itself with http at times;
   * that is read as https, since nothing else may ever leave TLS (C-UP-03, N-05).
   *
   * @throws {OciError} When there is none, or it cannot be used.
   */
  async locate(answer: Answer, act: string): Promise<Target> {
    const base = await this.base();
    try {
      const location = answer.headers.get("location");
      if (location === null) {
        throw new Refusal("UNAVAILABLE", "the registry did not say where to go on");
      }
      const target = resolveLocation(answer.target, location);
      if (!answer.target.secure || target.secure) return target;
      if (target.hostname !== base.hostname) {
        throw new Refusal("UNAVAILABLE", "the registry leads out of TLS");
      }
      return { ...target, secure: true, host: base.host, port: base.port };
    } catch (error) {
      if (!(error instanceof TypeError)) throw explain(error, act);
      throw explain(
        new Refusal("UNAVAILABLE", "the registry names an address that cannot be used", {
          cause: error,
        }),
        act,
      );
    }
  }

  /**
   * What an act will want of some repositories: one token for all of it, and the first two requests at once, since two
   * challenges are cheaper than one more round trip.
   */
  foresee(scopes: readonly string[]): void {
    this.#auth.foresee(scopes);
    if (scopes.length > 1 && this.#first === undefined) this.#companions = 1;
  }

  /** Whether it asked for a token or a password. */
  get challenged(): boolean {
    return this.#auth.challenged;
  }

  /** Says something to the log once. */
  warnOnce(line: string): void {
    if (this.#warned.has(line)) return;
    this.#warned.add(line);
    this.#options.log?.warn(line);
  }

  /** Gives requests without a reply for people: an ignored failure, in the log of the curious. */
  debug(line: string): void {
    this.#options.log?.debug(line);
  }

  /** Pauses before try `attempt` + 1, in line with what the registry asked for. */
  async backOff(attempt: number, signal?: AbortSignal): Promise<void> {
    const wait = this.#options.retry?.wait ?? waitFor;
    await wait(ownPause(attempt, this.#options.retry), signal);
  }

  /** Blobs this long are read by several requests at once (C-DL-04). */
  get rangesFrom(): number {
    return this.#options.rangesFrom ?? 64 * 1024 * 1024;
  }

  /** Tries in all. */
  get tries(): number {
    return this.#options.retry?.tries ?? 5;
  }

  /** The clock, in milliseconds. */
  now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  #near(): Promise<Nearness> {
    return this.#nearness ??= this.base().then((base) => this.#transport.nearness(base));
  }

  async #alone(request: ApiRequest, act: () => Promise<Answer>): Promise<Answer> {
    if (this.#first !== undefined) {
      if (this.#companions > 0) this.#companions--;
      else await orAborted(this.#first, request.signal);
      return await act();
    }
    const first = Promise.withResolvers<void>();
    this.#first = first.promise;
    try {
      return await act();
    } finally {
      first.resolve();
    }
  }

  async #persist(request: ApiRequest): Promise<Answer> {
    const { retry = {} } = this.#options;
    const { signal } = request;
    const tries = request.retry === false ? 1 : this.tries;
    let stale = 0;
    for (let attempt = 1;;) {
      this.#demandHope();
      await this.#turn(signal);
      await this.#rest(signal);
      const leave = request.bulk ? () => {} : await this.#small.enter(signal);
      let pause: number;
      try {
        const { answer, grant } = await this.#authorized(request);
        this.#unanswered = 0;
        this.#heed(answer);
        if (request.expect.includes(answer.status)) {
          this.#small.ease();
          return answer;
        }
        const busy = isRetryableStatus(answer.status);
        const asked = askedPause(answer.headers, this.now());
        if (busy) this.#press(asked ?? 0);
        if (!busy || attempt >= tries || (asked ?? 0) > (retry.maxAskedMs ?? 300_000)) {
          const asker = grant === undefined ? undefined : await this.#auth.asker(request);
          throw await refusalOf(request.method, answer, asker);
        }
        await discard(answer);
        pause = Math.max(asked ?? 0, ownPause(attempt, retry));
        this.debug(
          `${this.host} answered ${request.method} with ${answer.status}; again in ${pause} ms`,
        );
      } catch (error) {
        if (!(error instanceof TransportError) || !error.retryable || request.retry === false) {
          throw error;
        }
        if (error.stale && ++stale <= MAX_STALE) continue;
        const hopeless = error.fault === "connect" && attempt >= (retry.connectTries ?? tries);
        if (attempt >= tries || hopeless) {
          this.#giveUp(error);
          throw error;
        }
        pause = ownPause(attempt, retry);
        this.debug(`${error.message}; again in ${pause} ms`);
      } finally {
        leave();
      }
      attempt++;
      await (retry.wait ?? waitFor)(pause, signal);
    }
  }

  /** Of thousands of images only the first few shall find out that a host is down, for all their tries. */
  #giveUp(error: TransportError): void {
    if (!["connect", "timeout"].includes(error.fault) || ++this.#unanswered < MAX_UNANSWERED) {
      return;
    }
    this.#brokenUntil = this.now() + BROKEN_MS;
  }

  #demandHope(): void {
    if (this.#unanswered < MAX_UNANSWERED || this.now() >= this.#brokenUntil) return;
    throw new TransportError(
      "blocked",
      this.host,
      `it answered none of the last ${this.#unanswered} requests, and is not asked for ${
        BROKEN_MS / 1000
      } s`,
    );
  }

  /** Waits for this request's turn, where a registry may be asked only so often: evenly, not in bursts. */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    const { perSecond, retry } = this.#options;
    if (perSecond === undefined) return;
    const now = this.now();
    const turn = Math.max(now, this.#nextTurn);
    this.#nextTurn = turn + 1000 / perSecond;
    if (turn > now) await (retry?.wait ?? waitFor)(turn - now, signal);
  }

  /** Waits while the registry wants to be left alone, whichever request it said that to. */
  async #rest(signal: AbortSignal | undefined): Promise<void> {
    const left = this.#pausedUntil - this.now();
    if (left > 0) await (this.#options.retry?.wait ?? waitFor)(left, signal);
  }

  #press(asked: number): void {
    this.#small.press();
    this.down.press();
    this.up.press();
    const most = this.#options.retry?.maxAskedMs ?? 300_000;
    if (asked > 0 && asked <= most) {
      this.#pausedUntil = Math.max(this.#pausedUntil, this.now() + asked);
    }
    if (asked >= 1000) {
      this.#options.log?.info(`${this.host} asks for a pause of ${Math.ceil(asked / 1000)} s`);
    }
  }

  /** Shows what a registry wants people to know, once (C-MISC-01). */
  #heed(answer: Answer): void {
    const warning = answer.headers.get("warning");
    for (const [, text] of warning?.matchAll(/299 - "((?:[^"\\]|\\.)*)"/g) ?? []) {
      this.warnOnce(`${this.host}: ${harmless(text!.replace(/\\(.)/g, "$1"))}`);
    }
    this.#heedLimit(answer.headers);
  }

  /** Docker Hub tells how many pulls are left, `76;w=21600`: people hear of it while some are. */
  #heedLimit(headers: Headers): void {
    const [limit, left] = ["ratelimit-limit", "ratelimit-remaining"].map((name) =>
      /^(\d{1,9})(?:;w=(\d{1,9}))?$/.exec(headers.get(name)?.trim() ?? "")
    );
    if (!limit || !left || Number(left[1]) * 10 > Number(limit[1])) return;
    const hours = left[2] === undefined ? "" : ` in ${Math.ceil(Number(left[2]) / 3600)} h`;
    this.warnOnce(
      `${this.host} allows ${limit[1]} pulls${hours}, and few are left; log in for more`,
    );
  }

  async #authorized(
    request: ApiRequest,
  ): Promise<{ readonly answer: Answer; readonly grant: Grant | undefined }> {
    let grant = await this.#auth.grant(request);
    for (let round = 0;; round++) {
      const answer = await this.#follow(request, grant);
      const refused = answer.status === 401 ||
        (answer.status === 403 &&
          /insufficient_scope/.test(answer.headers.get("www-authenticate") ?? ""));
      const ours = sameOrigin(answer.target, await this.base());
      if (!refused || !ours || round >= MAX_ROUNDS) return { answer, grant };
      if (!this.#auth.learn(answer.headers) && !this.#auth.challenged) {
        await this.#ping(request.signal);
      }
      const next = await this.#betterGrant(answer, grant, request);
      if (next === undefined) return { answer, grant };
      await discard(answer);
      grant = next;
    }
  }

  async #betterGrant(
    answer: Answer,
    grant: Grant | undefined,
    request: ApiRequest,
  ): Promise<Grant | undefined> {
    try {
      return await this.#auth.grantAfter(answer.headers, grant, request);
    } catch (error) {
      await discard(answer);
      throw error;
    }
  }

  /** Some registries tell the way in only here (C-AUTH-10). */
  async #ping(signal: AbortSignal | undefined): Promise<void> {
    const target = { ...await this.base(), path: "/v2/" };
    const answer = await this.#transport.exchange({ method: "GET", target, signal });
    this.#auth.learn(answer.headers);
    await discard(answer);
  }

  /** Follows redirects by hand: no secret and no header of ours goes to another host (C-DL-05, N-01). */
  async #follow(request: ApiRequest, grant: Grant | undefined): Promise<Answer> {
    const reads = request.method === "GET" || request.method === "HEAD";
    await this.base(request.signal);
    if (this.#scheme.presumed && !(reads && grant === undefined)) {
      await orAborted(this.#scheme.look(), request.signal);
    }
    const { presumed } = this.#scheme;
    const base = await this.base(request.signal);
    let target = typeof request.to === "string" ? this.#named(base, request.to) : request.to;
    let renewals = typeof request.to === "string" ? 1 : 0;
    for (let hop = 0;; hop++) {
      const ours = sameOrigin(target, base);
      const exchanging = this.#exchange(request, target, ours ? grant?.value : undefined, ours);
      let answer: Answer;
      if (presumed && ours) {
        const sense = await this.#sense(exchanging, request.signal);
        if (sense === undefined) return await this.#follow(request, grant);
        answer = sense;
      } else answer = await exchanging;
      if (answer.status === 403 && !ours && hop > 0 && reads && renewals-- > 0) {
        // The address was signed for a time that is over: the registry signs another (C-DL-06).
        await discard(answer);
        this.debug(
          `${answer.target.host} denies what ${this.host} led to; asking for another address`,
        );
        target = this.#named(base, request.to as string);
        hop = -1;
        continue;
      }
      if (!ours && hop > 0 && answer.status === 401) {
        answer = await this.#asStranger(request, answer);
      }
      if (!REDIRECTS.includes(answer.status) || request.expect.includes(answer.status)) {
        return answer;
      }
      if (!reads && answer.status !== 307 && answer.status !== 308) return answer;
      await discard(answer);
      if (hop >= MAX_HOPS) {
        throw new Refusal("UNAVAILABLE", `the registry redirects more than ${MAX_HOPS} times`);
      }
      target = this.#next(answer);
    }
  }

  /** The answer to a request that was sent with http by presumption; `undefined` when it is to be sent with https. */
  async #sense(
    exchanging: Promise<Answer>,
    signal: AbortSignal | undefined,
  ): Promise<Answer | undefined> {
    let answer: Answer;
    try {
      answer = await exchanging;
    } catch (error) {
      signal?.throwIfAborted();
      // Who wants TLS says so at once: nobody waits a second time for one that keeps silent.
      const unheard = error instanceof TransportError &&
        ["connect", "blocked", "timeout"].includes(error.fault);
      if (unheard || !await orAborted(this.#scheme.look(), signal)) throw error;
      return undefined;
    }
    // In these words Go's and other servers say that they want TLS.
    if (answer.status === 400 && await orAborted(this.#scheme.look(), signal)) {
      await discard(answer);
      return undefined;
    }
    this.#scheme.heard();
    return answer;
  }

  async #exchange(
    request: ApiRequest,
    target: Target,
    authorization: string | undefined,
    ours: boolean,
  ): Promise<Answer> {
    const row = this.#rode.has(request) ? undefined : request.row;
    this.#rode.add(request);
    return await this.#transport.exchange({
      method: request.method,
      target,
      row,
      signal: request.signal,
      body: request.body,
      onSent: request.onSent,
      headers: authorization === undefined
        ? request.headers
        : { ...request.headers, authorization },
      ...(ours ? {} : { guard: await this.#near() }),
    });
  }

  /** A host we were sent to wants a token: an anonymous one, for this request, and never ours (C-AUTH-14). */
  async #asStranger(request: ApiRequest, answer: Answer): Promise<Answer> {
    const challenge = chooseChallenge(
      parseChallenges(answer.headers.get("www-authenticate") ?? ""),
    );
    if (challenge?.scheme !== "bearer") return answer;
    await discard(answer);
    const token = await fetchToken({
      realm: challenge.params.get("realm") ?? "",
      service: challenge.params.get("service"),
      scopes: parseScopes(challenge.params.get("scope") ?? ""),
      signal: request.signal,
    }, {
      transport: this.#transport,
      registry: answer.target,
      nearness: await this.#near(),
      now: () => this.now(),
      retry: this.#options.retry,
      stranger: true,
    });
    return await this.#exchange(request, answer.target, `Bearer ${token.value}`, false);
  }

  /** A mirror of several registries is told which one is meant. */
  #named(base: Target, path: string): Target {
    const { namespace } = this.#options;
    const target = { ...base, path };
    return namespace === undefined ? target : withQuery(target, "ns", namespace);
  }

  #next(answer: Answer): Target {
    const location = answer.headers.get("location");
    const secure = answer.target.secure;
    try {
      const next = location === null ? undefined : resolveLocation(answer.target, location);
      if (next !== undefined && (next.secure || !secure)) return next;
    } catch (cause) {
      throw new Refusal("UNAVAILABLE", "the registry redirects to an address that cannot be used", {
        cause,
      });
    }
    throw new Refusal(
      "UNAVAILABLE",
      location === null
        ? "the registry redirects without saying where"
        : "the registry redirects out of TLS",
    );
  }
}

const MAX_ROUNDS = 3;
const MAX_UNANSWERED = 3;
const BROKEN_MS = 30_000;

/** An answer's body is not wanted: reads it away when it is short, so that the connection can be used again. */
export async function discard(answer: Answer): Promise<void> {
  const length = Number(answer.headers.get("content-length") ?? Number.NaN);
  if (!(length <= 64 * 1024)) return await answer.body.cancel();
  try {
    await answer.bytes(64 * 1024);
  } catch {
    // It was not wanted anyway.
  }
}
