import type { HostStats } from "./options.ts";

/** What was sent for one act, whichever hosts it went to. */
export interface Tally {
  /** Requests, retries included. */
  requests: number;
  /** Bytes of bodies, both ways. */
  bytes: number;
  /** Answers of 429. */
  throttled: number;
  /** Milliseconds that were waited because an answer said "not now", to this act or another, or did not come. */
  waited: number;
}

/** Of an act that has sent nothing yet. */
const NOTHING: Readonly<Tally> = { requests: 0, bytes: 0, throttled: 0, waited: 0 };

const tallies = new WeakMap<AbortSignal, Tally>();

/**
 * Counts all that is sent with `signal` from now on, from nothing. A signal goes with each request of an act already, down to the
 * connection, so nothing else need be handed through. What several acts share, such as a token, is nobody's.
 */
export function beginTally(signal: AbortSignal): Tally {
  const tally = Object.assign(tallies.get(signal) ?? {}, NOTHING);
  tallies.set(signal, tally);
  return tally;
}

/** What is counted, where somebody counts. */
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

/** What several counted, host by host. */
export function addStats(
  parts: readonly Readonly<Record<string, HostStats>>[],
): Readonly<Record<string, HostStats>> {
  const sum: Record<string, HostStats> = {};
  for (const [host, one] of parts.flatMap((part) => Object.entries(part))) {
    const before = sum[host];
    const methods: Record<string, number> = { ...before?.methods };
    for (const [method, count] of Object.entries(one.methods)) {
      methods[method] = (methods[method] ?? 0) + count;
    }
    sum[host] = {
      requests: one.requests + (before?.requests ?? 0),
      methods,
      bytesSent: one.bytesSent + (before?.bytesSent ?? 0),
      bytesReceived: one.bytesReceived + (before?.bytesReceived ?? 0),
    };
  }
  return sum;
}
