/** All connections of one server. */
import type { Peer, RegistryServer } from "../server.ts";
import { Connection } from "./connection.ts";
import type { Guest } from "./door.ts";
import { remoteOf } from "./forwarded.ts";
import type { Answer, Ask } from "./message.ts";
import type { Limits } from "./pace.ts";
import { answerOf, requestOf } from "./web.ts";

/** Options of {@linkcode Crowd}. */
export interface CrowdOptions {
  /** For slow clients. */
  readonly limits: Limits;
  /** So many at once at the most. */
  readonly max: number;
  /** Proxies whose word for a client's address is taken: CIDR ranges, `unix`. */
  readonly trustedProxies: readonly string[];
}

/** The connections of a server, and the one timer that looks after them. */
export class Crowd {
  readonly #server: RegistryServer;
  readonly #options: CrowdOptions;
  readonly #connections = new Map<Connection, Promise<void>>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #draining = false;
  #changed: (() => void) | undefined;

  /** Nobody is here yet. */
  constructor(server: RegistryServer, options: CrowdOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** Serves one more. */
  enter({ wire, peer }: Guest): void {
    const { limits, max } = this.#options;
    const full = this.#connections.size >= max;
    const connection = new Connection(wire, limits, () => this.#changed?.());
    const ends = () => full || this.#draining;
    const serving = connection.serve((ask) => this.#answer(ask, peer, ends()), ends)
      .then(() => {
        this.#connections.delete(connection);
        if (this.#connections.size > 0) return;
        clearInterval(this.#timer);
        this.#timer = undefined;
      });
    this.#connections.set(connection, serving);
    this.#timer ??= setInterval(() => {
      for (const one of this.#connections.keys()) one.look();
    }, stepOf(limits));
  }

  /** Lets requests under way end, `ms` at the most; those that come meanwhile are told to come again. */
  async drain(ms: number): Promise<void> {
    this.#draining = true;
    const quiet = Promise.withResolvers<void>();
    this.#changed = () => {
      if (this.#connections.keys().every((one) => !one.busy)) quiet.resolve();
    };
    const timer = setTimeout(quiet.resolve, ms);
    this.#changed();
    await quiet.promise;
    clearTimeout(timer);
    this.#changed = undefined;
  }

  /** Ends all of them; settles when they have ended. */
  async close(): Promise<void> {
    for (const connection of this.#connections.keys()) connection.close();
    await Promise.all(this.#connections.values());
  }

  async #answer(ask: Ask, peer: Peer, ends: boolean): Promise<Answer> {
    if (ends) return LATER;
    const server = this.#server;
    const { trustedProxies } = this.#options;
    if (trustedProxies.length > 0) {
      const remote = remoteOf(peer.remote, ask.headers.get("x-forwarded-for"), trustedProxies);
      peer = { ...peer, remote };
    }
    return await (server.answer?.(ask, peer) ?? server.fetch(requestOf(ask), peer).then(answerOf));
  }
}

/** Some way of seeing within a quarter of the time that it is over. */
function stepOf({ idleMs, graceMs, headMs, keepMs }: Limits): number {
  return Math.max(1, Math.min(1000, idleMs / 4, graceMs / 4, headMs / 4, keepMs / 4));
}

const LATER: Answer = { status: 503, headers: { "retry-after": "1" }, body: null };
