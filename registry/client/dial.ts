/** The one file that opens connections: to a host, through a proxy, with TLS and whom it trusts there. */
import { lookup as lookupName } from "node:dns";
import http from "node:http";
import https from "node:https";
import type net from "node:net";
import tls from "node:tls";
import { type Nearness, nearnessOf } from "./address.ts";
import { Connection, type Wire } from "./http1.ts";
import type { HostTls, TransportOptions } from "./options.ts";
import type { Proxy } from "./proxy.ts";
import { secured, SocketWire } from "./socket_wire.ts";
import { TransportError } from "./transport_error.ts";
import type { Target } from "./url.ts";

/** How a request gets to its host. */
export interface Way {
  /** Equal for requests that may share a connection. */
  readonly key: string;
  /** The host. */
  readonly target: Target;
  /** What stands between. */
  readonly proxy: Proxy | undefined;
  /** Addresses nearer than this are refused when they are known. */
  readonly guard: Nearness | undefined;
}

/** Opens connections; keeps none. */
export class Dialer {
  readonly #options: TransportOptions;
  #systemCerts: Promise<readonly string[]> | undefined;

  /** Of the options, those about proxies, certificates and trust count. */
  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** Opens a connection along `way`: to the host, through a tunnel, or to a proxy that passes requests on. */
  async open(way: Way, signal: AbortSignal): Promise<Connection> {
    const { target, proxy, guard } = way;
    if (proxy !== undefined && target.secure) {
      const socket = await this.tunnel(proxy, target, signal);
      const options = { ...await this.#tls(target), socket } as tls.ConnectionOptions;
      return new Connection(await secured(tls.connect(options), signal), target.host);
    }
    if (proxy !== undefined) {
      const { hostname, port } = proxy;
      const wire = proxy.secure
        ? await secured(tls.connect({ host: hostname, port, ...servernameOf(hostname) }), signal)
        : await Deno.connect({ hostname, port, signal });
      return new Connection(wire, target.host);
    }
    const { hostname, port } = target;
    const options = target.secure ? await this.#tls(target) : {};
    if (target.secure && Object.keys(options).some((name) => name !== "servername")) {
      // Deno's own TLS has no key of ours, no host that goes unchecked, and is slow with authorities of ours (44 ms
      // for each connection).
      const lookup = guard === undefined ? {} : { lookup: guardedLookup(guard) };
      const socket = tls.connect(
        { ...options, ...lookup, host: hostname, port } as tls.ConnectionOptions,
      );
      return new Connection(await secured(socket, signal), target.host);
    }
    const plain = await dial(hostname, port, guard, signal);
    plain.setNoDelay(true);
    if (!target.secure) return new Connection(plain, target.host);
    const wire = await Deno.startTls(plain, {
      hostname,
      alpnProtocols: ["http/1.1"],
    });
    const stop = () => wire.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      await wire.handshake();
      return new Connection(wire, target.host);
    } catch (error) {
      if (!signal.aborted) wire.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #authorities(target: Target): Promise<readonly string[]> {
    const { caCerts = [], systemCerts } = this.#options;
    this.#systemCerts ??= systemCerts?.() ?? Promise.resolve([]);
    return [...caCerts, ...await this.#systemCerts, ...this.#own(target)?.caCerts ?? []];
  }

  #own(target: Target): HostTls | undefined {
    const { hosts = {} } = this.#options;
    return hosts[`${target.hostname}:${target.port}`] ?? hosts[target.host] ??
      hosts[target.hostname];
  }

  /** Trust for one host: a private authority or key counts for the host it was given for only (N-06). */
  async #tls(
    target: Target,
  ): Promise<tls.SecureContextOptions & { rejectUnauthorized?: boolean }> {
    const own = this.#own(target);
    const extra = await this.#authorities(target);
    return {
      ...servernameOf(target.hostname),
      ...(extra.length === 0 ? {} : { ca: [...tls.rootCertificates, ...extra] }),
      ...(own?.cert === undefined || own.key === undefined ? {} : { cert: own.cert, key: own.key }),
      ...(listed(this.#options.insecureHosts, target) ||
          listed(this.#options.unverifiedHosts, target)
        ? { rejectUnauthorized: false }
        : {}),
    };
  }

  /** Asks a proxy for a connection to `target`. */
  tunnel(proxy: Proxy, target: Target, signal: AbortSignal): Promise<net.Socket> {
    const authority = `${
      target.hostname.includes(":") ? `[${target.hostname}]` : target.hostname
    }:${target.port}`;
    return new Promise((resolve, reject) => {
      const asking = (proxy.secure ? https : http).request({
        method: "CONNECT",
        host: proxy.hostname,
        port: proxy.port,
        path: authority,
        agent: false,
        signal,
        headers: {
          host: authority,
          ...(proxy.authorization === undefined
            ? {}
            : { "proxy-authorization": proxy.authorization }),
        },
      });
      const refuse = (why: string) => {
        asking.destroy();
        reject(
          new TransportError(
            "connect",
            target.host,
            `the proxy ${proxy.hostname}:${proxy.port} ${why}`,
          ),
        );
      };
      asking.once("connect", (answer, socket) => {
        if (answer.statusCode === 200) return resolve(socket as net.Socket);
        socket.destroy();
        refuse(`answered ${answer.statusCode}`);
      });
      asking.once("response", (answer) => refuse(`answered ${answer.statusCode}`));
      asking.once("error", (cause) => refuse(`cannot be reached: ${cause.message}`));
      asking.end();
    });
  }

  /** The bytes of a host, before any TLS. */
  async reach(target: Target, proxy: Proxy | undefined, signal: AbortSignal): Promise<Wire> {
    return proxy === undefined
      ? await dial(target.hostname, target.port, undefined, signal)
      : new SocketWire(await this.tunnel(proxy, target, signal));
  }
}

/** A connection to a name or address; with `guard` to none that is nearer, looked at when it is known. */
async function dial(
  hostname: string,
  port: number,
  guard: Nearness | undefined,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  if (guard === undefined || nearnessOf(hostname) !== undefined) {
    return await Deno.connect({ hostname, port, signal });
  }
  const addresses = await new Promise<readonly { readonly address: string }[]>(
    (resolve, reject) =>
      guardedLookup(guard)(
        hostname,
        { all: true },
        (error, found) =>
          error ? reject(error) : resolve(found as readonly { readonly address: string }[]),
      ),
  );
  for (const [at, { address }] of addresses.entries()) {
    try {
      return await Deno.connect({ hostname: address, port, signal });
    } catch (error) {
      if (signal.aborted || at === addresses.length - 1) throw error;
    }
  }
  throw new TransportError("connect", hostname, "no such host", { retryable: false });
}

/** Whether `entries` (`host` or `host:port`) name the host of `target`. */
export function listed(entries: readonly string[] | undefined, target: Target): boolean {
  return entries?.some((entry) => {
    const name = entry.toLowerCase();
    return name === target.host || name === target.hostname ||
      name === `[${target.hostname}]` || name === `${target.hostname}:${target.port}`;
  }) ?? false;
}

/** Looks a name up and refuses it when any of its addresses is too near, at the moment of connecting. */
function guardedLookup(guard: Nearness): net.LookupFunction {
  return (hostname, options, callback) =>
    lookupName(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, "", 4);
      const near = found.find(({ address }) => (nearnessOf(address) ?? 3) > guard);
      if (near !== undefined) return callback(tooNear(hostname, near.address), "", 4);
      if (options.all) return callback(null, found);
      callback(null, found[0]?.address ?? "", found[0]?.family ?? 4);
    });
}

/** How near the nearest of a name's addresses is; 0 when it has none. */
export async function nearnessByName(hostname: string): Promise<Nearness> {
  const addresses = await new Promise<readonly { readonly address: string }[]>((resolve) =>
    lookupName(hostname, { all: true }, (error, found) => resolve(error ? [] : found))
  );
  return addresses.reduce<Nearness>((most, { address }) => {
    const near = nearnessOf(address) ?? 0;
    return near > most ? near : most;
  }, 0);
}

/** Why an address is refused. */
export function tooNear(host: string, address: string): TransportError {
  return new TransportError(
    "blocked",
    host,
    `a registry pointed there, and ${address} is nearer to this machine than the registry is; name the host as trusted if that is meant`,
  );
}

function servernameOf(hostname: string): { servername?: string } {
  return nearnessOf(hostname) === undefined ? { servername: hostname } : {};
}
