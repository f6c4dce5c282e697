/** Clients of mirrors. */
import type { Log } from "../context.ts";
import { isOciError, type OciError } from "../oci/error.ts";
import { addStats } from "./counter.ts";
import type { HostStats, RegistryClient } from "./options.ts";

/** Options of {@linkcode Mirrors}. */
export interface MirrorsOptions {
  /** Connects to a mirror: `namespace` is the host it stands in for, sent as `ns` to it alone (C-MISC-04). */
  readonly connectMirror: (host: string, namespace: string) => RegistryClient;
  /** Mirrors that fail are warned of, once; at debug level which one answered. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds. */
  readonly now?: (() => number) | undefined;
}

/** A mirror that failed is left alone this long while there is another place to ask. */
const FAILED_MS = 60_000;

/** Clients of mirrors and how they fare, shared by all registries. */
export class Mirrors implements AsyncDisposable {
  readonly #options: MirrorsOptions;
  readonly #clients = new Map<string, RegistryClient>();
  readonly #failed = new Map<string, number>();

  constructor(options: MirrorsOptions) {
    this.#options = options;
  }

  /** Of the mirror at `host`, standing in for `namespace`; the same object every time. */
  client(host: string, namespace: string): RegistryClient {
    const key = `${host} ${namespace}`;
    const known = this.#clients.get(key) ?? this.#options.connectMirror(host, namespace);
    this.#clients.set(key, known);
    return known;
  }

  /** Whether it failed a moment ago. */
  isFailing(host: string): boolean {
    const at = this.#failed.get(host);
    return at !== undefined && at + FAILED_MS > this.#now();
  }

  /** Notes that `host` failed; the first time people hear of it. */
  fail(host: string, error: OciError): void {
    if (!this.#failed.has(host)) {
      this.#options.log?.warn(`Mirror ${host} does not serve: ${error.message}`);
    }
    if (isOciError(error, "UNAVAILABLE", "TOOMANYREQUESTS")) this.#failed.set(host, this.#now());
  }

  /** What went over the wire to all of them, by host. */
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
