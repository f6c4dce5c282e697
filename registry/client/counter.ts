import type { HostStats } from "./options.ts";

/** Counts what goes over the wire to one host. */
export class Counter {
  #requests = 0;
  readonly #methods: Record<string, number> = {};
  /** Bytes of request bodies. */
  sent = 0;
  /** Bytes of response bodies. */
  received = 0;

  /** A request leaves. */
  count(method: string): void {
    this.#requests++;
    this.#methods[method] = (this.#methods[method] ?? 0) + 1;
  }

  /** What was counted so far; later counts do not change it. */
  read(): HostStats {
    return {
      requests: this.#requests,
      methods: { ...this.#methods },
      bytesSent: this.sent,
      bytesReceived: this.received,
    };
  }
}
