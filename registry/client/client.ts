/** Remote registries as places: one, or all of a process. */
import { apiHost } from "../oci/reference.ts";
import type { ClientOptions, HostStats, RegistryClient } from "./options.ts";
import { RemoteRegistry } from "./remote_registry.ts";
import { Transport } from "./transport.ts";

/**
 * A registry by the host of a {@linkcode Reference}. Nothing is sent before the first call.
 *
 * @example Copying a config
 * ```ts ignore
 * await using registry = connectRegistry("localhost:5000", {});
 * const manifest = await registry.manifest("app", "latest");
 * ```
 */
export function connectRegistry(host: string, options: ClientOptions = {}): RegistryClient {
  const transport = new Transport(options);
  return new RemoteRegistry(host, transport, options, () => transport.close());
}

/**
 * All registries of a process: one object for each host, so that two images of one registry know that they are
 * neighbours, and connections, tokens and pace are shared.
 */
export class Registries implements AsyncDisposable {
  readonly #options: ClientOptions;
  readonly #transport: Transport;
  readonly #clients = new Map<string, RemoteRegistry>();

  /** Connects to nothing yet. */
  constructor(options: ClientOptions = {}) {
    this.#options = options;
    this.#transport = new Transport(options);
  }

  /** The registry of a {@linkcode Reference}'s host; the same object every time. Ours to dispose. */
  client(host: string): RegistryClient {
    const key = apiHost(host.toLowerCase());
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const made = new RemoteRegistry(
      host.toLowerCase(),
      this.#transport,
      this.#options,
      () => Promise.resolve(),
    );
    this.#clients.set(key, made);
    return made;
  }

  /** What went over the wire so far, by host. */
  stats(): Readonly<Record<string, HostStats>> {
    return this.#transport.stats();
  }

  /** Closes all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.values()) await client[Symbol.asyncDispose]();
    await this.#transport.close();
  }
}
