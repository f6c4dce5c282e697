/** Which place is asked for what, and what is done when it fails. */
import type { Log } from "../context.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { HUB } from "../oci/reference.ts";
import type { CallOptions } from "../registry.ts";
import type { Source } from "../source.ts";
import { type Relay, relayed } from "./mirror_source.ts";
import { type MirrorTable, type Route, routeOf, type Try } from "./mirror_table.ts";
import type { Mirrors } from "./mirrors.ts";
import type { RegistryClient } from "./options.ts";

/** What {@linkcode MirrorReads} reads with. */
export interface MirrorReadsOptions {
  /** The registry that mirrors stand in for. */
  readonly primary: RegistryClient;
  /** Other registries by host, for rows that rewrite one to another. */
  readonly client: (host: string) => RegistryClient;
  /** Theirs, shared by all registries. */
  readonly mirrors: Mirrors;
  /** The rows. */
  readonly table: MirrorTable;
  /** Told which mirror answered, at debug level. */
  readonly log?: Log | undefined;
}

/** Reads of one registry through its mirrors. */
export class MirrorReads {
  readonly #primary: RegistryClient;
  readonly #client: (host: string) => RegistryClient;
  readonly #mirrors: Mirrors;
  readonly #table: MirrorTable;
  readonly #log: Log | undefined;
  /** The mirror that had something of a repository last: what belongs to it is there too. */
  readonly #last = new Map<string, Try>();

  constructor({ primary, client, mirrors, table, log }: MirrorReadsOptions) {
    this.#primary = primary;
    this.#client = client;
    this.#mirrors = mirrors;
    this.#table = table;
    this.#log = log;
  }

  /** A blob from the first place that has it, read on from the next where that one breaks down. */
  async blob(
    repository: string,
    digest: Digest,
    options?: CallOptions,
  ): Promise<Source | undefined> {
    return (await this.#relay(repository, digest, options))?.source;
  }

  /**
   * What `ask` finds at the first place that has it.
   *
   * @param reference Tag or digest, which decides who may be asked.
   * @param ask Gives `undefined` for what is not there: then the next place is asked.
   * @throws {OciError} What the first place said, when all that may be asked have failed; `DENIED` when none may be.
   */
  async read<T>(
    repository: string,
    reference: string,
    ask: (client: RegistryClient, repository: string, one: Try) => Promise<T | undefined>,
    { signal }: CallOptions = {},
  ): Promise<T | undefined> {
    const byDigest = isDigest(reference);
    const failures: OciError[] = [];
    const order = this.#order(repository, byDigest);
    if (order.length === 0) {
      throw new OciError(
        "DENIED",
        `Cannot read ${this.#primary.name}/${repository}${
          byDigest ? "@" : ":"
        }${reference}: its mirrors serve ${
          byDigest ? "tags" : "digests"
        } only, and it may not be asked itself`,
      );
    }
    for (const one of order) {
      let found: T | undefined;
      try {
        found = await ask(this.#clientOf(one), one.repository, one);
      } catch (error) {
        signal?.throwIfAborted();
        if (one.primary || !(error instanceof OciError)) throw error;
        this.#mirrors.fail(one.host, error);
        failures.push(error);
        continue;
      }
      if (found === undefined) {
        if (one.primary) return undefined;
        continue;
      }
      if (one.primary) return found;
      this.#last.set(repository, one);
      this.#log?.debug(
        `${one.host} served ${this.#primary.name}/${repository}${byDigest ? "@" : ":"}${reference}`,
      );
      return found;
    }
    const [first] = failures;
    if (first === undefined) return undefined;
    throw new OciError(
      first.code,
      `${first.message}; ${this.#primary.name} itself may not be asked for what its mirrors cannot give`,
      { status: first.status, detail: first.detail, cause: first },
    );
  }

  /** Where a repository is listed: at the place itself if it may be asked, since a mirror lists what it happens to hold. */
  lister(repository: string): { readonly client: RegistryClient; readonly repository: string } {
    const { tries } = this.#route(repository);
    const chosen = tries.find(({ primary }) => primary) ?? tries[0]!;
    return { client: this.#clientOf(chosen), repository: chosen.repository };
  }

  /** The blob from the first place that has it; places in `gone` are not asked. */
  async #relay(
    repository: string,
    digest: Digest,
    options?: CallOptions,
    gone: ReadonlySet<string> = new Set(),
  ): Promise<Relay | undefined> {
    let from: Try | undefined;
    const source = await this.read(repository, digest, (client, name, one) => {
      from = one;
      return gone.has(one.host) ? Promise.resolve(undefined) : client.blob(name, digest, options);
    }, options);
    if (source === undefined || from === undefined) return undefined;
    const { host, primary } = from;
    const relay: Relay = {
      source,
      next: async (error) => {
        if (primary || !(error instanceof OciError)) return undefined;
        this.#mirrors.fail(host, error);
        return await this.#relay(repository, digest, options, new Set([...gone, host]));
      },
    };
    return primary || gone.size > 0 ? relay : { ...relay, source: relayed(relay) };
  }

  #route(repository: string): Route {
    const route = routeOf(this.#table, this.#primary.name, repository);
    if (route.tries.length === 0) {
      throw new OciError(
        "DENIED",
        `Cannot read ${this.#primary.name}/${repository}: ${route.rule?.origin} blocks ${
          JSON.stringify(route.rule?.prefix)
        }`,
      );
    }
    return route;
  }

  /** Who is asked: what had the rest of the image, then those that work, those that failed, the place itself. */
  #order(repository: string, byDigest: boolean): readonly Try[] {
    const { tries } = this.#route(repository);
    const last = byDigest ? this.#last.get(repository) : undefined;
    const isLast = (one: Try) => one.host === last?.host && one.repository === last.repository;
    const fit = tries.filter((one) =>
      isLast(one) || one.pull === "all" || one.pull === (byDigest ? "digest-only" : "tag-only")
    );
    const rank = (one: Try) => {
      if (!one.primary && this.#mirrors.isFailing(one.host)) return 3;
      if (isLast(one)) return 0;
      return one.primary ? 2 : 1;
    };
    const sorted = fit.toSorted((a, b) => rank(a) - rank(b));
    // Behind the place itself nobody needs to be asked: what it does not have is not there.
    const end = sorted.findIndex(({ primary }) => primary);
    return end < 0 ? sorted : sorted.slice(0, end + 1);
  }

  #clientOf({ host, primary }: Try): RegistryClient {
    const { name } = this.#primary;
    if (!primary) return this.#mirrors.client(host, name === HUB ? "docker.io" : name);
    return host === name ? this.#primary : this.#client(host);
  }
}
