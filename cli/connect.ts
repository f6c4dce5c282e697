/** The clients of a command, from its flags, its environment and the files of the machine. */
import { certDirs, readCertDirs, readSystemCerts } from "../registry/client/certs.ts";
import { isBundleEndpoint } from "../registry/client/bundle_endpoint.ts";
import { connectRegistry, Registries } from "../registry/client/client.ts";
import { type Connections, mirrored } from "../registry/client/mirror.ts";
import { type MirrorTable, routeOf, type Try } from "../registry/client/mirror_table.ts";
import type {
  ClientOptions,
  CredentialSource,
  ProxySettings,
  RealmMemory,
  RetryOptions,
  TransportOptions,
} from "../registry/client/options.ts";
import type { Log } from "../registry/context.ts";
import { apiHost } from "../registry/oci/reference.ts";
import { bundleMirror } from "./bundle_mirror.ts";
import { flaggedCerts } from "./ca_certs.ts";
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import { rateOf } from "./rate.ts";
import { hostPolicy } from "./host_policy.ts";
import type { Io } from "./io.ts";
import { readRegistrySettings } from "./registry_settings.ts";

/** All registries a command may reach. Dispose it. */
export interface Connected extends Connections {
  /** The same for images that are only read: mirrors come first. Disposed with the rest. */
  readonly sources: Pick<Connections, "client">;
  /** Who may be asked when a repository is read: mirrors and bundles, and the place itself last. */
  readonly readFrom: (registry: string, repository: string) => readonly Try[];
}

/**
 * All registries this command may reach.
 *
 * @param around Stands between the clients and where secrets come from.
 * @param retry Whether to be less patient than usual.
 * @param realms What earlier commands know of token servers.
 * @throws {UsageError} When a flag, a certificate or a settings file cannot be read.
 */
export async function connect(
  io: Io,
  flags: CommonFlags,
  log: Log,
  version: string,
  around: (source: CredentialSource) => CredentialSource = (source) => source,
  retry: RetryOptions = {},
  realms?: RealmMemory,
): Promise<Connected> {
  const { transport, mirrors } = await transportOptions(io, flags, log, version);
  const options: ClientOptions = {
    ...transport,
    perSecond: rateOf(flags.maxRps),
    credentials: around(await whenAsked(io, transport, log)),
    realms,
    log,
    retry,
  };
  const registries = new Registries(options);
  const sources = mirrored(registries, mirrors, {
    // A mirror is a convenience: it is not waited for as long as the place it stands in for.
    connectMirror: (host, namespace) =>
      isBundleEndpoint(host) ? bundleMirror(host, namespace) : connectRegistry(host, {
        ...options,
        connectTimeoutMs: 5_000,
        retry: { tries: 2 },
        namespace,
      }),
    log,
  });
  return {
    client: (host) => registries.client(host),
    sources,
    readFrom: (registry, repository) => routeOf(mirrors, registry, repository).tries,
    stats: () => sources.stats(),
    [Symbol.asyncDispose]: () => sources[Symbol.asyncDispose](),
  };
}

/** As {@linkcode credentialSource}, whose code is loaded when a registry asks for a secret, or one is given anyway. */
async function whenAsked(
  io: Io,
  transport: TransportOptions,
  log: Log,
): Promise<CredentialSource> {
  const make = async () =>
    (await import("./credential_source.ts")).credentialSource(io, transport, log);
  if (io.env["CNB_REGISTRY_AUTH"]) return await make(); // what is wrong with it is said at once
  let made: Promise<CredentialSource> | undefined;
  return async (registry, repository) => await (await (made ??= make()))(registry, repository);
}

/**
 * How connections are made, and the mirrors that are known.
 *
 * @throws {UsageError} When a flag, a certificate or a settings file cannot be read.
 */
export async function transportOptions(
  io: Io,
  flags: CommonFlags,
  log: Log,
  version: string,
): Promise<{ readonly transport: TransportOptions; readonly mirrors: MirrorTable }> {
  const { env } = io;
  const settings = readRegistrySettings(env);
  const { mirrors } = settings;
  const insecure = insecureHosts(
    [...(flags.insecureRegistry ?? []), ...words(env["CNB_INSECURE_REGISTRIES"])],
  );
  const endpoints = mirrors.flatMap((rule) => rule.mirrors)
    .filter(({ location }) => !isBundleEndpoint(location)); // a file is not dialled
  const allowHost = hostPolicy({
    offline: flags.offline ?? false,
    allow: [...settings.offlineAllow, ...words(env["WHERRY_OFFLINE_ALLOW"])],
    blocked: settings.blockedHosts,
    mirrors: endpoints.map(({ location }) => hostOf(location)),
    path: settings.path,
  });
  const lax = [
    ...endpoints.filter((endpoint) => endpoint.insecure).map(({ location }) => location),
    ...mirrors.filter((rule) => rule.insecure).map(({ prefix, location }) => location ?? prefix),
  ].map(hostOf);
  return {
    mirrors,
    transport: {
      userAgent: `wherry/${version}`,
      caCerts: flaggedCerts(io.cwd, flags),
      systemCerts: () => readSystemCerts(env),
      hosts: await readCertDirs(certDirs(env), log),
      insecureHosts: [...insecure.either, ...lax],
      unverifiedHosts: insecure.unverified,
      plainHosts: insecure.plain,
      ...(allowHost === undefined ? {} : { allowHost }),
      proxy: proxyOf(env),
    },
  };
}

/** The three values of insecure (C-CONN-05): `http://HOST`, `https://HOST` without a check, `HOST` for either. */
function insecureHosts(entries: readonly string[]): {
  readonly either: readonly string[];
  readonly unverified: readonly string[];
  readonly plain: readonly string[];
} {
  const either: string[] = [];
  const unverified: string[] = [];
  const plain: string[] = [];
  for (const entry of entries) {
    const [, scheme, host = ""] = /^(?:(https?):\/\/)?([^/]+)\/?$/i.exec(entry.toLowerCase()) ?? [];
    if (host === "") {
      throw new UsageError(
        `Cannot use --insecure-registry ${
          JSON.stringify(entry)
        }: want a host, http://HOST or https://HOST`,
      );
    }
    (scheme === "http" ? plain : scheme === "https" ? unverified : either).push(host);
  }
  return { either, unverified, plain };
}

/** The host of a location, as it is dialled. */
function hostOf(location: string): string {
  const host = location.split("/")[0] ?? "";
  return apiHost(host);
}

function words(text: string | undefined): readonly string[] {
  return (text ?? "").split(",").map((word) => word.trim()).filter((word) => word !== "");
}

/** The usual variables; lower case wins, and HTTP_PROXY in capitals is ignored inside of CGI (httpoxy). */
function proxyOf(env: Readonly<Record<string, string>>): ProxySettings {
  const upperHttp = env["REQUEST_METHOD"] === undefined ? env["HTTP_PROXY"] : undefined;
  return {
    http: env["http_proxy"] || upperHttp || undefined,
    https: env["https_proxy"] || env["HTTPS_PROXY"] || undefined,
    no: env["no_proxy"] || env["NO_PROXY"] || undefined,
  };
}
