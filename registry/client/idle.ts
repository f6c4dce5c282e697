import type { Connection } from "./http1.ts";

/** As many wait at most, of each kind. */
const MAX_IDLE = 64;

/** Connections that wait for work, by what they can be used for. */
export class Idle {
  /** The one used last is at the end. */
  readonly #idle = new Map<string, Connection[]>();

  /** One that is open still; `undefined` when there is none. */
  take(key: string): Connection | undefined {
    const idle = this.#idle.get(key);
    for (let connection = idle?.pop(); connection !== undefined; connection = idle?.pop()) {
      if (connection.closed) continue;
      connection.take();
      return connection;
    }
    return undefined;
  }

  /** Keeps one for the next request, or closes it. */
  keep(key: string, connection: Connection): void {
    if (connection.closed) return;
    const idle = (this.#idle.get(key) ?? []).filter((other) => !other.closed);
    if (idle.length >= MAX_IDLE) return connection.close();
    connection.idle();
    this.#idle.set(key, [...idle, connection]);
  }

  /** Closes all. */
  async close(): Promise<void> {
    const idle = [...this.#idle.values()].flat();
    this.#idle.clear();
    for (const connection of idle) connection.close();
    await Promise.all(idle.map((connection) => connection.settled()));
  }
}
