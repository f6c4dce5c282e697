import type { HostStats } from "./options.ts";

/** What was sent for one act, whichever hosts it went to. */
export interface Tally {
  /** Requests, retries included. */
  requests: number;
  /** Bytes of bodies, both ways. */
  bytes: number;
}

const tallies = new WeakMap<AbortSignal, Tally>();

/**
 * Counts all that is sent with `signal` from now on. A signal goes with each request of an act already, down to the
 * connection, so nothing else need be handed through. What several acts share, such as a token, is nobody's.
 */
export function tallyOf(signal: AbortSignal): Tally {
  const known = tallies.get(signal) ?? { requests: 0, bytes: 0 };
  tallies.set(signal, known);
  return known;
}

/** The same, where somebody counts. */
export function countedBy(signal: AbortSignal | undefined): Tally | undefined {
  return signal && tallies.get(signal);
}

/** Counts what goes over the wire to one host. */
export class Counter {
  #requests = 0;
  readonly #methods: Record<string, number> = {};
  #sent = 0;
  #received = 0;

  /** A request leaves. */
  count(method: string, tally: Tally | undefined): void {
    this.#requests++;
    if (tally !== undefined) tally.requests++;
    this.#methods[method] = (this.#methods[method] ?? 0) + 1;
  }

  /** Bytes of a request's body left. */
  send(bytes: number, tally: Tally | undefined): void {
    this.#sent += bytes;
    if (tally !== undefined) tally.bytes += bytes;
  }

  /** Bytes of an answer's body came. */
  receive(bytes: number, tally: Tally | undefined): void {
    this.#received += bytes;
    if (tally !== undefined) tally.bytes += bytes;
  }

  /** What was counted so far; later counts do not change it. */
  read(): HostStats {
    return {
      requests: this.#requests,
      methods: { ...this.#methods },
      bytesSent: this.#sent,
      bytesReceived: this.#received,
    };
  }
}
