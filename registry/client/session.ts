/** Requests to one registry, authorized and tried again: callers see answers only. */
import { orAborted } from "../abort.ts";
import { type Answer, type ApiRequest, discard } from "./api_request.ts";
import { Authorizer, type Grant } from "./auth.ts";
import { countedBy } from "./counter.ts";
import { Follower } from "./follow.ts";
import { locationOf } from "./location.ts";
import { noticesOf } from "./notices.ts";
import type { ClientOptions, HostFacts } from "./options.ts";
import { Pace } from "./pace.ts";
import { explain, mayPass, refusalOf } from "./refusal.ts";
import { askedPause, isRetryableStatus, ownPause, type Release } from "./retry.ts";
import { listed } from "./dial.ts";
import { Scheme } from "./scheme.ts";
import type { Transport } from "./transport.ts";
import { TransportError } from "./transport_error.ts";
import { sameOrigin, type Target } from "./url.ts";

/** Times that a request is authorized anew. */
const MAX_ROUNDS = 3;
/** Old connections that the host closed while they were idle, in a row, before it counts as a failure. */
const MAX_STALE = 64;
/** What was true so long before a request could leave may not be any more, in milliseconds. */
const LONG_MS = 1000;

/** One registry and what is known of it. */
export class Session {
  /** The registry as people name it. */
  readonly host: string;
  /** How it may be pressed. */
  readonly pace: Pace;
  /** What the registry showed it does. */
  readonly learned: HostFacts = {};
  readonly #transport: Transport;
  readonly #options: ClientOptions;
  readonly #auth: Authorizer;
  readonly #scheme: Scheme;
  readonly #follower: Follower;
  readonly #warned = new Set<string>();
  /** The first request goes alone, so that many do not all meet the same challenge. */
  #first: Promise<void> | undefined;
  /** So many others need not wait for it. */
  #companions = 0;

  /** Connects to nothing yet. `api` is the host of the API. */
  constructor(host: string, api: string, transport: Transport, options: ClientOptions) {
    this.host = host;
    this.#scheme = new Scheme(api, transport, options);
    this.#transport = transport;
    this.#options = options;
    this.pace = new Pace(host, options);
    this.#follower = new Follower(host, this.#scheme, transport, options);
    this.#auth = new Authorizer({
      host,
      transport,
      credentials: options.credentials,
      realms: options.realms,
      unverified: (base) =>
        listed(options.insecureHosts, base) || listed(options.unverifiedHosts, base),
      registry: () => this.base(),
      nearness: () => this.#follower.nearness(),
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

  /** Sends a request and reads its answer, which is short: one that is cut is asked for again. */
  async read<T>(request: ApiRequest, read: (answer: Answer) => Promise<T>): Promise<T> {
    for (let attempt = 1;; attempt++) {
      const answer = await this.send(request);
      try {
        return await read(answer);
      } catch (error) {
        request.signal?.throwIfAborted();
        if (!mayPass(error) || attempt >= this.tries) throw error;
        await this.pace.backOff(attempt, request.signal);
      }
    }
  }

  /** Scheme, host and port of the API, found out once (C-CONN-01..03). */
  base(signal?: AbortSignal): Promise<Target> {
    return this.#scheme.base(signal);
  }

  /**
   * Where an answer's `Location` leads, see {@linkcode locationOf}.
   *
   * @throws {OciError} When there is none, or it cannot be used.
   */
  async locate(answer: Answer, act: string): Promise<Target> {
    const base = await this.base();
    try {
      return locationOf(answer, base);
    } catch (error) {
      throw explain(error, act);
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
      const leave = await this.#enter(request, attempt > 1 || stale > 0);
      let pause: number;
      try {
        const { answer, grant } = await this.#authorized(request);
        this.pace.answered();
        for (const notice of noticesOf(this.host, answer.headers)) this.warnOnce(notice);
        if (request.expect.includes(answer.status)) {
          this.pace.ease();
          return answer;
        }
        const busy = isRetryableStatus(answer.status);
        const asked = askedPause(answer.headers, this.now());
        const tally = countedBy(signal);
        if (answer.status === 429 && tally !== undefined) tally.throttled++;
        if (busy) this.pace.press(asked ?? 0);
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
          this.pace.giveUp(error);
          throw error;
        }
        pause = ownPause(attempt, retry);
        this.debug(`${error.message}; again in ${pause} ms`);
      } finally {
        leave();
      }
      attempt++;
      await this.pace.pause(pause, signal);
    }
  }

  async #enter({ bulk = false, again, signal }: ApiRequest, once: boolean): Promise<Release> {
    if (once) await again?.();
    const since = this.now();
    const leave = await this.pace.enter(bulk, signal);
    if (again === undefined || this.now() - since < LONG_MS) return leave;
    leave(); // it sends a request itself
    await again();
    return await this.pace.enter(bulk, signal);
  }

  async #authorized(
    request: ApiRequest,
  ): Promise<{ readonly answer: Answer; readonly grant: Grant | undefined }> {
    let grant = await this.#auth.grant(request);
    for (let round = 0;; round++) {
      const answer = await this.#follower.follow(request, grant);
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
}
