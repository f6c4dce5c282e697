/** Listening: the server on a port or a socket file, with a graceful end. */
import { Crowd } from "./http/crowd.ts";
import { type Door, type ListenAddress, openDoor, type ServerTls } from "./http/door.ts";
import { limitsOf, type Patience } from "./http/pace.ts";
import type { RegistryServer } from "./server.ts";

export type { ListenAddress, ServerTls } from "./http/door.ts";

/** Options of {@linkcode serve}. */
export interface ServeOptions {
  /** A host with a port (0: any free one), or the path of a socket file. */
  readonly listen: ListenAddress;
  /** When aborted, ends as {@linkcode Listening.shutdown} does. */
  readonly signal?: AbortSignal | undefined;
  /** How long requests under way may go on after the end was asked for. Default 10 s. */
  readonly drainMs?: number | undefined;
  /** Speak HTTPS. */
  readonly tls?: ServerTls | undefined;
  /** How long slow clients are waited for. */
  readonly patience?: Patience | undefined;
  /** Who comes when there are so many is told to come again later. Default 4096. */
  readonly maxConnections?: number | undefined;
  /**
   * Proxies whose `X-Forwarded-For` is believed, for logs and for counting wrong passwords: CIDR ranges, `unix` for a socket
   * file. Default: none.
   */
  readonly trustedProxies?: readonly string[] | undefined;
}

/** A server that listens. */
export interface Listening extends AsyncDisposable {
  /** The real address: with the port that was chosen. */
  readonly address: ListenAddress;
  /** `http://host:port` or `unix:PATH`. */
  readonly url: string;
  /** Answers new requests with 503, lets those under way end, then closes. Idempotent. */
  shutdown(): Promise<void>;
  /** Settles when it has ended. */
  readonly finished: Promise<void>;
}

/**
 * Reads `host:port`, `:port`, `[v6]:port` or `unix:PATH`.
 *
 * @throws {TypeError} When it is none of these.
 */
export function parseListen(text: string): ListenAddress {
  if (text.startsWith("unix:") && text.length > 5) return { path: text.slice(5) };
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? NaN);
  if (match === null || port > 65535) {
    throw new TypeError(`Cannot listen on ${JSON.stringify(text)}: want HOST:PORT or unix:PATH`);
  }
  return { hostname: match[1] ?? (match[2] || "127.0.0.1"), port };
}

/**
 * Starts to listen; resolves when it does.
 *
 * @throws {OciError} `UNAVAILABLE` when the address cannot be had, or certificate and key cannot be used.
 */
export async function serve(server: RegistryServer, options: ServeOptions): Promise<Listening> {
  const { listen, signal, drainMs = DRAIN_MS, tls, patience, maxConnections } = options;
  const limits = limitsOf(patience);
  const door = await openDoor(listen, tls, limits.headMs);
  const crowd = new Crowd(server, {
    limits,
    max: maxConnections ?? MAX_CONNECTIONS,
    trustedProxies: options.trustedProxies ?? [],
  });
  const accepting = accept(door, crowd);
  const over = Promise.withResolvers<void>();
  let ending: Promise<void> | undefined;
  const shutdown = () =>
    ending ??= (async () => {
      signal?.removeEventListener("abort", onAbort);
      await crowd.drain(drainMs);
      door.close();
      await accepting;
      // Whoever is still busy after that has had its time.
      await crowd.close();
      if ("path" in listen) await Deno.remove(listen.path).catch(() => {});
      over.resolve();
    })();
  const onAbort = () => void shutdown();
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  const { address } = door;
  return {
    address,
    url: urlOf(address, tls !== undefined),
    shutdown,
    finished: over.promise,
    [Symbol.asyncDispose]: shutdown,
  };
}

const DRAIN_MS = 10_000;
const MAX_CONNECTIONS = 4096;
/** There are no more file descriptors, say: it may pass. */
const ACCEPT_AGAIN_MS = 100;

async function accept(door: Door, crowd: Crowd): Promise<void> {
  for (;;) {
    try {
      const guest = await door.accept();
      if (guest === undefined) return;
      crowd.enter(guest);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_AGAIN_MS));
    }
  }
}

function urlOf(address: ListenAddress, tls: boolean): string {
  if ("path" in address) return `unix:${address.path}`;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `${tls ? "https" : "http"}://${host}:${address.port}`;
}
