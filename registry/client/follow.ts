/** One request to a registry, followed to where its answers lead. */
import { orAborted } from "../abort.ts";
import type { Nearness } from "./address.ts";
import { type Answer, type ApiRequest, discard } from "./api_request.ts";
import type { Grant } from "./auth.ts";
import { chooseChallenge, parseChallenges } from "./challenge.ts";
import { redirectOf } from "./location.ts";
import type { ClientOptions } from "./options.ts";
import { Refusal } from "./refusal.ts";
import type { Scheme } from "./scheme.ts";
import { parseScopes } from "./scope.ts";
import { fetchToken } from "./token.ts";
import type { Transport } from "./transport.ts";
import { TransportError } from "./transport_error.ts";
import { sameOrigin, type Target, withQuery } from "./url.ts";

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const MAX_HOPS = 10;

/** Sends requests to one registry and goes where the answers lead. */
export class Follower {
  readonly #host: string;
  readonly #scheme: Scheme;
  readonly #transport: Transport;
  readonly #options: ClientOptions;
  /** Those that were in their row already. */
  readonly #rode = new WeakSet<ApiRequest>();
  #nearness: Promise<Nearness> | undefined;

  /** Sends nothing yet. `host` is the registry as people name it. */
  constructor(host: string, scheme: Scheme, transport: Transport, options: ClientOptions) {
    this.#host = host;
    this.#scheme = scheme;
    this.#transport = transport;
    this.#options = options;
  }

  /** How near the registry is: nothing it leads to may be nearer. */
  nearness(): Promise<Nearness> {
    return this.#nearness ??= this.#scheme.base().then((base) => this.#transport.nearness(base));
  }

  /** Follows redirects by hand: no secret and no header of ours goes to another host (C-DL-05, N-01). */
  async follow(request: ApiRequest, grant: Grant | undefined): Promise<Answer> {
    const reads = request.method === "GET" || request.method === "HEAD";
    await this.#scheme.base(request.signal);
    if (this.#scheme.presumed && !(reads && grant === undefined)) {
      await orAborted(this.#scheme.look(), request.signal);
    }
    const { presumed } = this.#scheme;
    const base = await this.#scheme.base(request.signal);
    let target = typeof request.to === "string" ? this.#named(base, request.to) : request.to;
    let renewals = typeof request.to === "string" ? 1 : 0;
    for (let hop = 0;; hop++) {
      const ours = sameOrigin(target, base);
      const exchanging = this.#exchange(request, target, ours ? grant?.value : undefined, ours);
      let answer: Answer;
      if (presumed && ours) {
        const sense = await this.#sense(exchanging, request.signal);
        if (sense === undefined) return await this.follow(request, grant);
        answer = sense;
      } else answer = await exchanging;
      if (answer.status === 403 && !ours && hop > 0 && reads && renewals-- > 0) {
        // The address was signed for a time that is over: the registry signs another (C-DL-06).
        await discard(answer);
        this.#options.log?.debug(
          `${answer.target.host} denies what ${this.#host} led to; asking for another address`,
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
      target = redirectOf(answer);
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
      ...(ours ? {} : { guard: await this.nearness() }),
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
      nearness: await this.nearness(),
      now: () => this.#options.now?.() ?? Date.now(),
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
}
