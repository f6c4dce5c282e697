/** Reading through mirrors. Writing goes to the place that was named, always. */
import type { Log } from "../context.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import { isOciError, OciError } from "../oci/error.ts";
import { HUB } from "../oci/reference.ts";
import type {
  BlobUpload,
  CallOptions,
  ListOptions,
  PushManifestOptions,
  PushOptions,
  RawManifest,
} from "../registry.ts";
import type { Source } from "../source.ts";
import { concerns, type MirrorTable, type Route, routeOf, type Try } from "./mirror_table.ts";
import { type Relay, relayed } from "./mirror_source.ts";
import type { HostFacts, HostStats, RegistryClient } from "./options.ts";

/** Registries by host, as {@linkcode Registries} has them. */
export interface Connections extends AsyncDisposable {
  /** The registry of a Reference's host; the same object every time. */
  client(host: string): RegistryClient;
  /** What went over the wire so far, by host. */
  stats(): Readonly<Record<string, HostStats>>;
}

/** Options of {@linkcode mirrored}. */
export interface MirroredOptions {
  /** Connects to a mirror: `namespace` is the host it stands in for, sent as `ns` to it alone (C-MISC-04). */
  readonly connectMirror: (host: string, namespace: string) => RegistryClient;
  /** Mirrors that fail are warned of, once; at debug level which one answered. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds. */
  readonly now?: (() => number) | undefined;
}

/** A mirror that failed is left alone this long while there is another place to ask. */
const FAILED_MS = 60_000;

/**
 * `registries` with reads that try the mirrors of `table` first, in order, and the place itself last. What one does
 * not have or cannot say, the next is asked. Credentials are those of the host that is asked, never of the one it
 * stands in for.
 *
 * Use the result for images one reads from, and `registries` for those one writes to: whether a destination holds
 * something, no mirror can say. A host that no row concerns is the same object in both.
 */
export function mirrored(
  registries: Connections,
  table: MirrorTable,
  options: MirroredOptions,
): Connections {
  const made = new Map<string, RegistryClient>();
  const mirrors = new Mirrors(options);
  return {
    client(host) {
      const primary = registries.client(host);
      const registry = primary.name;
      if (!concerns(table, registry)) return primary;
      const known = made.get(registry) ??
        new MirroredRegistry(primary, registries, mirrors, table, options);
      made.set(registry, known);
      return known;
    },
    stats: () => addStats([registries.stats(), mirrors.stats()]),
    async [Symbol.asyncDispose]() {
      await mirrors[Symbol.asyncDispose]();
      await registries[Symbol.asyncDispose]();
    },
  };
}

/** Clients of mirrors and how they fare, shared by all registries. */
class Mirrors implements AsyncDisposable {
  readonly #options: MirroredOptions;
  readonly #clients = new Map<string, RegistryClient>();
  readonly #failed = new Map<string, number>();

  constructor(options: MirroredOptions) {
    this.#options = options;
  }

  client(host: string, namespace: string): RegistryClient {
    const key = `${host} ${namespace}`;
    const known = this.#clients.get(key) ?? this.#options.connectMirror(host, namespace);
    this.#clients.set(key, known);
    return known;
  }

  isFailing(host: string): boolean {
    const at = this.#failed.get(host);
    return at !== undefined && at + FAILED_MS > this.#now();
  }

  fail(host: string, error: OciError): void {
    if (!this.#failed.has(host)) {
      this.#options.log?.warn(`Mirror ${host} does not serve: ${error.message}`);
    }
    if (isOciError(error, "UNAVAILABLE", "TOOMANYREQUESTS")) this.#failed.set(host, this.#now());
  }

  stats(): Readonly<Record<string, HostStats>> {
    return addStats([...this.#clients.values()].map((client) => client.stats()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.values()) await client[Symbol.asyncDispose]();
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }
}

class MirroredRegistry implements RegistryClient {
  readonly name: string;
  readonly #primary: RegistryClient;
  readonly #registries: Connections;
  readonly #mirrors: Mirrors;
  readonly #table: MirrorTable;
  readonly #options: MirroredOptions;
  /** The mirror that had something of a repository last: what belongs to it is there too. */
  readonly #last = new Map<string, Try>();

  constructor(
    primary: RegistryClient,
    registries: Connections,
    mirrors: Mirrors,
    table: MirrorTable,
    options: MirroredOptions,
  ) {
    this.name = primary.name;
    this.#primary = primary;
    this.#registries = registries;
    this.#mirrors = mirrors;
    this.#table = table;
    this.#options = options;
  }

  async manifest(
    repository: string,
    reference: string,
    options?: CallOptions,
  ): Promise<RawManifest | undefined> {
    return await this.#read(
      repository,
      reference,
      (client, name) => client.manifest(name, reference, options),
      options,
    );
  }

  async stat(
    repository: string,
    reference: string,
    options?: CallOptions,
  ): Promise<Descriptor | undefined> {
    return await this.#read(
      repository,
      reference,
      (client, name) => client.stat(name, reference, options),
      options,
    );
  }

  async blob(
    repository: string,
    digest: Digest,
    options?: CallOptions,
  ): Promise<Source | undefined> {
    return (await this.#relay(repository, digest, options, new Set()))?.source;
  }

  async referrers(
    repository: string,
    digest: Digest,
    options?: CallOptions & { readonly artifactType?: string | undefined },
  ): Promise<readonly Descriptor[]> {
    const found = await this.#read(repository, digest, async (client, name) => {
      const list = await client.referrers(name, digest, options);
      return list.length > 0 ? list : undefined;
    }, options);
    return found ?? [];
  }

  /** Of the place itself where it may be asked: a mirror lists what it happens to hold. */
  async *tags(repository: string, options?: ListOptions): AsyncGenerator<string> {
    const tries = this.#route(repository).tries;
    const chosen = tries.find(({ primary }) => primary) ?? tries[0]!;
    yield* this.#clientOf(chosen).tags(chosen.repository, options);
  }

  foresee(wants: readonly { readonly repository: string; readonly write: boolean }[]): void {
    this.#primary.foresee(wants);
  }

  begin(): Promise<void> {
    return Promise.resolve();
  }

  get facts(): HostFacts {
    return this.#primary.facts;
  }

  get challenged(): boolean {
    return this.#primary.challenged;
  }

  glance(
    repository: string,
    tag: string,
    options?: CallOptions & { readonly spare?: boolean | undefined },
  ): void {
    this.#primary.glance(repository, tag, options);
  }

  async checkAccess(
    repository: string,
    access: "read" | "write",
    options: CallOptions & { readonly reference?: string | undefined } = {},
  ): Promise<void> {
    if (access === "write") return await this.#primary.checkAccess(repository, access, options);
    await this.stat(repository, options.reference ?? "latest", options);
  }

  repositories(options?: ListOptions): AsyncIterable<string> {
    return this.#primary.repositories(options);
  }

  async pushBlob(
    repository: string,
    descriptor: Descriptor,
    source: Source,
    options?: PushOptions,
  ): Promise<"exists" | "mounted" | "uploaded"> {
    return await this.#primary.pushBlob(repository, descriptor, source, options);
  }

  async pushManifest(
    repository: string,
    manifest: Omit<RawManifest, "digest">,
    options?: PushManifestOptions,
  ): Promise<Descriptor> {
    return await this.#primary.pushManifest(repository, manifest, options);
  }

  async upload(repository: string, options?: CallOptions): Promise<BlobUpload> {
    return await this.#primary.upload(repository, options);
  }

  async deleteManifest(
    repository: string,
    reference: string,
    options?: CallOptions,
  ): Promise<boolean> {
    return await this.#primary.deleteManifest(repository, reference, options);
  }

  async deleteBlob(repository: string, digest: Digest, options?: CallOptions): Promise<boolean> {
    return await this.#primary.deleteBlob(repository, digest, options);
  }

  stats(): Readonly<Record<string, HostStats>> {
    return addStats([this.#primary.stats(), this.#mirrors.stats()]);
  }

  get standsFor(): RegistryClient {
    return this.#primary;
  }

  /** Its connections belong to the {@linkcode Connections} it came from. */
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  /** The blob from the first place that has it; places in `gone` are not asked. */
  async #relay(
    repository: string,
    digest: Digest,
    options: CallOptions | undefined,
    gone: ReadonlySet<string>,
  ): Promise<Relay | undefined> {
    let from: Try | undefined;
    const source = await this.#read(repository, digest, (client, name, one) => {
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

  async #read<T>(
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
        `Cannot read ${this.name}/${repository}${
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
      this.#options.log?.debug(
        `${one.host} served ${this.name}/${repository}${byDigest ? "@" : ":"}${reference}`,
      );
      return found;
    }
    const [first] = failures;
    if (first === undefined) return undefined;
    throw new OciError(
      first.code,
      `${first.message}; ${this.name} itself may not be asked for what its mirrors cannot give`,
      { status: first.status, detail: first.detail, cause: first },
    );
  }

  #route(repository: string): Route {
    const route = routeOf(this.#table, this.name, repository);
    if (route.tries.length === 0) {
      throw new OciError(
        "DENIED",
        `Cannot read ${this.name}/${repository}: ${route.rule?.origin} blocks ${
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
    if (!primary) return this.#mirrors.client(host, this.name === HUB ? "docker.io" : this.name);
    return host === this.name ? this.#primary : this.#registries.client(host);
  }
}

function addStats(
  parts: readonly Readonly<Record<string, HostStats>>[],
): Readonly<Record<string, HostStats>> {
  const sum: Record<string, HostStats> = {};
  for (const [host, one] of parts.flatMap((part) => Object.entries(part))) {
    const before = sum[host];
    const methods: Record<string, number> = { ...before?.methods };
    for (const [method, count] of Object.entries(one.methods)) {
      methods[method] = (methods[method] ?? 0) + count;
    }
    sum[host] = {
      requests: one.requests + (before?.requests ?? 0),
      methods,
      bytesSent: one.bytesSent + (before?.bytesSent ?? 0),
      bytesReceived: one.bytesReceived + (before?.bytesReceived ?? 0),
    };
  }
  return sum;
}
