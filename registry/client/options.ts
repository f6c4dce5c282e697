/** What a client of remote registries is told from outside, as values: it reads no environment and no flag. */
import type { Log } from "../context.ts";
import type { CallOptions, ManifestOptions, Registry } from "../registry.ts";

/** A secret for one registry. */
export type Credential =
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  /** A refresh token, traded for access tokens (C-AUTH-03). */
  | { readonly kind: "identity"; readonly token: string }
  /** A finished access token, sent as it is. */
  | { readonly kind: "bearer"; readonly token: string }
  /** A finished `Authorization` value, sent as it is (C-AUTH-15). */
  | { readonly kind: "header"; readonly value: string };

/** Finds the secret for a repository of a registry; asked only when a registry wants one (C-CRED-06). */
export type CredentialSource = (
  registry: string,
  repository: string | undefined,
) => Promise<Credential | undefined>;

/** Certificates for one host (C-CONN-04). */
export interface HostTls {
  /** PEM of certificate authorities trusted for this host besides the general ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** PEM of our certificate for this host; goes with `key`. */
  readonly cert?: string | undefined;
  /** PEM of its private key. */
  readonly key?: string | undefined;
}

/** Which proxy to use, as the usual variables say it (C-CONN-06). */
export interface ProxySettings {
  /** `HTTP_PROXY`: for plain http. */
  readonly http?: string | undefined;
  /** `HTTPS_PROXY`: a tunnel for https. */
  readonly https?: string | undefined;
  /** `NO_PROXY`: hosts, `.suffixes`, `*`, CIDR ranges, each with an optional port, comma separated. */
  readonly no?: string | undefined;
}

/** How connections are made. */
export interface TransportOptions {
  /** What `user-agent` says. Default `wherry`. */
  readonly userAgent?: string | undefined;
  /** PEM of certificate authorities trusted besides the built-in ones, for every host. */
  readonly caCerts?: readonly string[] | undefined;
  /** More of these, asked for once, when the first certificate has to be checked: reading them all takes a while. */
  readonly systemCerts?: (() => Promise<readonly string[]>) | undefined;
  /** By `host` or `host:port`. */
  readonly hosts?: Readonly<Record<string, HostTls>> | undefined;
  /** `host` or `host:port` whose certificate is not checked and which may be plain http (C-CONN-05). */
  readonly insecureHosts?: readonly string[] | undefined;
  /** `host` or `host:port` whose certificate is not checked, but that must speak TLS (C-CONN-05). */
  readonly unverifiedHosts?: readonly string[] | undefined;
  /** `host` or `host:port` that speaks plain http, without a try with TLS (C-CONN-05). */
  readonly plainHosts?: readonly string[] | undefined;
  /** Whether a host may be reached at all; the name comes with its port if it has one (C-CONN-08). */
  readonly allowHost?: ((host: string) => boolean) | undefined;
  /** Hosts a registry may send us to even though they resolve to an address nearer than its own (C-AUTH-12). */
  readonly trustedHosts?: readonly string[] | undefined;
  /** Proxies; none by default. */
  readonly proxy?: ProxySettings | undefined;
  /** Until a connection stands, in milliseconds. Default 30,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Until an answer begins after the request left. Default 300,000: some registries hash a blob first. */
  readonly answerTimeoutMs?: number | undefined;
  /** The longest pause within a body, either way. Default 60,000. */
  readonly idleTimeoutMs?: number | undefined;
}

/** How often and how patiently to try again (C-RETRY). */
export interface RetryOptions {
  /** Tries in all. Default 5. */
  readonly tries?: number | undefined;
  /** Tries in all where no connection is made at all: nobody listens, no such host. Default as `tries`. */
  readonly connectTries?: number | undefined;
  /** First pause in milliseconds, doubled each time, with jitter. Default 250. */
  readonly baseMs?: number | undefined;
  /** The longest pause of our own. Default 30,000. */
  readonly maxMs?: number | undefined;
  /** The longest pause a registry may ask for. Default 300,000. */
  readonly maxAskedMs?: number | undefined;
  /** Pauses; replaced in tests so that they see the pause instead of living through it. */
  readonly wait?: ((ms: number, signal: AbortSignal | undefined) => Promise<void>) | undefined;
}

/** Options of a client. */
export interface ClientOptions extends TransportOptions {
  /** Where secrets come from. Default: nowhere, every access is anonymous. */
  readonly credentials?: CredentialSource | undefined;
  /** Token servers that earlier commands were sent to. Default: none is known before the first challenge. */
  readonly realms?: RealmMemory | undefined;
  /** Warnings of registries, retries and pauses go here. */
  readonly log?: Log | undefined;
  /** How to retry. */
  readonly retry?: RetryOptions | undefined;
  /** The host this one stands in for, as a mirror: sent as `ns` with each request to its API (C-MISC-04). */
  readonly namespace?: string | undefined;
  /** Small requests in flight per registry. Default 32. */
  readonly maxSmall?: number | undefined;
  /** Requests a second that a registry gets at most. Default: as many as it answers. */
  readonly perSecond?: number | undefined;
  /** Blobs on their way per registry. Default 6. */
  readonly maxBulk?: number | undefined;
  /** Blobs of so many bytes are read by several requests at once where one is slow and the registry serves ranges. Default 64 MiB. */
  readonly rangesFrom?: number | undefined;
  /** The clock, in milliseconds since 1970. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** How a registry said that readers want a token: the address of its token server, and the name it goes by there. */
export interface KnownRealm {
  /** Address. */
  readonly realm: string;
  /** Name of the registry, where it gave one. */
  readonly service?: string | undefined;
}

/** What earlier commands heard, so that the token is asked for first, and not after a request that is refused. */
export interface RealmMemory {
  /** Of a host, not long ago. */
  realm(host: string): Promise<KnownRealm | undefined>;
  /** It was used with success. Nobody waits for it to be noted. */
  keepRealm(host: string, realm: KnownRealm): void;
  /** It is so no longer. */
  forgetRealm(host: string): void;
}

/** What went over the wire to one host. */
export interface HostStats {
  /** Requests sent, retries and redirects included. */
  readonly requests: number;
  /** The same by method. */
  readonly methods: Readonly<Record<string, number>>;
  /** Bytes of request bodies. */
  readonly bytesSent: number;
  /** Bytes of response bodies. */
  readonly bytesReceived: number;
}

/** What a registry showed it does beyond what all do. `undefined`: not seen yet. */
export interface HostFacts {
  /** Takes a blob in one POST (spec end-4b, C-UP-01). */
  singlePost?: boolean | undefined;
  /** Sets many tags with one manifest (spec end-7b, C-PUT-02). */
  manyTags?: boolean | undefined;
  /** Looks at `If-Match` and `If-None-Match` of a manifest's put. */
  conditions?: boolean | undefined;
  /** Was seen to refuse a manifest that lacks something: one that comes too early does no harm there. */
  refuses?: boolean | undefined;
  /** Sent a config along with a manifest, and takes both in one put. */
  along?: boolean | undefined;
  /** `false`: requests of a {@linkcode Row} were dealt with in another order, by something on the way most likely. */
  inOrder?: boolean | undefined;
}

/** A remote registry as a place. Dispose it to close its connections. */
export interface RegistryClient extends Registry, AsyncDisposable {
  /** What went over the wire so far, by host: the registry, its token server, its storage. */
  stats(): Readonly<Record<string, HostStats>>;
  /** What it showed it does; who knows more of it from earlier may add that. Of this host only. */
  readonly facts: HostFacts;
  /** Whether it asked for a token or a password. */
  readonly challenged: boolean;
  /**
   * Says what one act is about to do with these repositories, the most important first: a registry with tokens is then
   * asked for one that allows all of it. Nothing is sent.
   */
  foresee(wants: readonly { readonly repository: string; readonly write: boolean }[]): void;
  /**
   * Starts to read a manifest that is asked for in a moment; whoever does so first gets this answer. Where mirrors come first
   * nothing is sent.
   *
   * @returns Resolves when the request has left; never rejects for what comes of it.
   */
  begin(repository: string, reference: string, options?: ManifestOptions): Promise<void>;
  /**
   * Starts to look what a tag names, for a put that expects something of it and comes at once: where the registry does not
   * look by itself, the put need not wait for that. What was seen holds for a second. `spare`: that its manifest
   * was read a moment ago will do.
   */
  glance(
    repository: string,
    tag: string,
    options?: CallOptions & { readonly spare?: boolean | undefined },
  ): void;
  /**
   * Proves that `repository` can be read or written, before any work is done (AN-3).
   *
   * Read: asks for the manifest `reference`; that it does not exist is fine. Write: starts an upload and
   * cancels it.
   *
   * @throws {OciError} `UNAUTHORIZED`, `DENIED` or `UNAVAILABLE`, in words for people.
   */
  checkAccess(
    repository: string,
    access: "read" | "write",
    options?: CallOptions & { readonly reference?: string | undefined },
  ): Promise<void>;
}
