/** Short questions to the clouds' own services: small answers, no redirects, no words that could hold a secret. */
import { collect } from "../../source.ts";
import type { TransportOptions } from "../options.ts";
import { isRetryableStatus, ownPause, waitFor } from "../retry.ts";
import { Transport } from "../transport.ts";
import { TransportError } from "../transport_error.ts";
import { parseTarget } from "../url.ts";

/** One question. */
export interface CloudRequest {
  /** `GET`, ... */
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Text of the body. */
  readonly body?: string | undefined;
}

/** Its answer, whatever the status. */
export interface CloudAnswer {
  /** The HTTP status. */
  readonly status: number;
  /** Its headers. */
  readonly headers: Headers;
  /** At most 256 KiB. Holds secrets. */
  readonly text: string;
}

/** A cloud keychain that is set up and does not work. Has no secret in it. */
export class KeychainError extends Error {
  override readonly name = "KeychainError";
}

const MAX_ANSWER = 256 * 1024;
const TRIES = 3;

/** Connections of one look for a secret; dispose it at its end. */
export class CloudHttp implements AsyncDisposable {
  readonly #options: TransportOptions;
  readonly #probeMs: number;
  readonly #transports = new Map<string, Transport>();

  /** `probeMs`: how long a machine may keep us waiting that has no metadata service. */
  constructor(options: TransportOptions, probeMs: number) {
    this.#options = options;
    this.#probeMs = probeMs;
  }

  /**
   * Asks a service of the cloud, through a proxy if one is set, up to three times.
   *
   * @throws {TransportError} When no answer came.
   */
  async ask(request: CloudRequest): Promise<CloudAnswer> {
    const transport = this.#transport("far", {
      ...this.#options,
      connectTimeoutMs: 10_000,
      answerTimeoutMs: 20_000,
      idleTimeoutMs: 10_000,
    });
    for (let attempt = 1;; attempt++) {
      try {
        const answer = await exchange(transport, request);
        if (attempt >= TRIES || !isRetryableStatus(answer.status)) return answer;
      } catch (error) {
        const again = error instanceof TransportError && error.retryable && attempt < TRIES;
        if (!again) throw error;
      }
      await waitFor(ownPause(attempt, { baseMs: 100 }));
    }
  }

  /**
   * Asks a service of this very machine or its host: never through a proxy, and in short time.
   *
   * @throws {TransportError} When no answer came.
   */
  async askNear(request: CloudRequest): Promise<CloudAnswer> {
    const { proxy: _, ...options } = this.#options;
    return await exchange(
      this.#transport("near", {
        ...options,
        connectTimeoutMs: 1_000,
        answerTimeoutMs: 10_000,
        idleTimeoutMs: 5_000,
      }),
      request,
    );
  }

  /** As {@linkcode askNear}, but nothing that listens is a usual answer: `undefined`, within the time to probe. */
  async probe(request: CloudRequest): Promise<CloudAnswer | undefined> {
    const { proxy: _, ...options } = this.#options;
    const half = Math.ceil(this.#probeMs / 2);
    const transport = this.#transport("probe", {
      ...options,
      connectTimeoutMs: half,
      answerTimeoutMs: half,
      idleTimeoutMs: half,
    });
    try {
      return await exchange(transport, request);
    } catch (error) {
      if (error instanceof TransportError) return undefined;
      throw error;
    }
  }

  /** Closes all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const transport of this.#transports.values()) await transport.close();
  }

  #transport(kind: string, options: TransportOptions): Transport {
    const known = this.#transports.get(kind) ?? new Transport(options);
    this.#transports.set(kind, known);
    return known;
  }
}

/** The text of a form. */
export function formBody(fields: Readonly<Record<string, string>>): string {
  return new URLSearchParams(fields).toString();
}

/** The type that goes with {@linkcode formBody}. */
export const FORM = { "content-type": "application/x-www-form-urlencoded" } as const;

/**
 * What a failed answer may be called: its status and the code in it, nothing that is free text. Codes of Amazon
 * (`__type`, `<Code>`), of OAuth (`error`, with Microsoft's `AADSTS` number).
 */
export function faultOf(answer: CloudAnswer): string {
  const { status, text } = answer;
  const code = /"(?:__type|code|error)"\s*:\s*"(?:[\w.]*#)?([A-Za-z_.]{1,60})"/.exec(text)?.[1] ??
    /<Code>([A-Za-z.]{1,60})<\/Code>/.exec(text)?.[1];
  const number = /\b(AADSTS\d{1,8})\b/.exec(text)?.[1];
  return [String(status), code, number].filter((part) => part !== undefined).join(" ");
}

async function exchange(transport: Transport, request: CloudRequest): Promise<CloudAnswer> {
  const { method, url, headers, body } = request;
  const bytes = body === undefined ? undefined : new TextEncoder().encode(body);
  const answer = await transport.exchange({
    method,
    target: parseTarget(url),
    headers,
    ...(bytes === undefined ? {} : {
      body: { size: bytes.byteLength, open: () => Promise.resolve(new Blob([bytes]).stream()) },
    }),
  });
  const text = new TextDecoder().decode(await collect(answer.body, MAX_ANSWER));
  return { status: answer.status, headers: answer.headers, text };
}
