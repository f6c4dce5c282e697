import { algorithmOf, type Digest, Digester, digestOf } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import type { CallOptions } from "../registry.ts";
import { bytesSource, type OpenOptions, type Source } from "../source.ts";
import type { Place } from "./place.ts";
import { RANGE_BYTES, RangeReader, type RangeSource, type Read } from "./ranges.ts";
import type { Release } from "./retry.ts";
import { repositoryScope } from "./scope.ts";
import { type Answer, type ApiRequest, discard } from "./api_request.ts";
import type { Session } from "./session.ts";
import { TransportError } from "./transport_error.ts";
import { later } from "./watch.ts";

/** Up to here a blob is read at once: configs and the like, in one request. */
const SMALL = 64 * 1024;
/** A blob without a length is read up to here. */
const MAX_UNMEASURED = 16 * 1024 * 1024;
/** An answer nobody opens is given back after this time. */
const HOLD_MS = 10_000;
/** A connection that brought this much may be cut as often as it likes (C-DL-03). */
const PROGRESS = 1024 * 1024;

/** Answers that wait to be opened; the client lets them go when it is closed. */
export type Held = Set<{ drop(): Promise<void> }>;

/**
 * Asks for a blob: one request, whose answer is the first {@linkcode Source.open} of what this returns.
 *
 * @returns `undefined` when the registry has no such blob.
 * @throws {OciError} When it cannot be read, or a small one is not what its digest says.
 */
export async function getBlob(
  session: Session,
  held: Held,
  blob: Place & { readonly digest: Digest },
  { signal }: CallOptions = {},
): Promise<Source | undefined> {
  const { repository, digest } = blob;
  const request: ApiRequest = {
    act: `read blob ${digest} of ${blob.name}`,
    method: "GET",
    to: `/v2/${repository}/blobs/${digest}`,
    repository,
    scopes: [repositoryScope(repository, "pull")],
    expect: [200, 404],
    signal,
  };
  return await session.read(request, async (answer) => {
    if (answer.status === 404) {
      await discard(answer);
      return undefined;
    }
    const size = lengthOf(answer.headers);
    if (size === undefined || size <= SMALL) {
      return bytesSource(await readSmall(answer, digest, size ?? MAX_UNMEASURED, request.act));
    }
    return new RemoteBlob(session, held, request, digest, size, answer);
  });
}

async function readSmall(
  answer: Answer,
  digest: Digest,
  limit: number,
  act: string,
): Promise<Uint8Array> {
  const bytes = await answer.bytes(limit).catch((cause) => {
    const why = cause instanceof TransportError ? cause.why : cause.message;
    throw new OciError("UNAVAILABLE", `Cannot ${act}: ${why}`, { cause });
  });
  const seen = digestOf(bytes, algorithmOf(digest));
  if (seen !== digest) throw mismatch(act, seen, answer.headers);
  return bytes;
}

/** {@linkcode OpenOptions}, filled in. */
interface Wanted {
  readonly offset: number;
  readonly signal: AbortSignal | undefined;
  readonly reuse: boolean;
  readonly verify: boolean;
}

/** What a body is read with. */
interface BodyReader {
  read(): Promise<Read>;
  cancel(reason?: unknown): Promise<void>;
}

/** A blob too long to keep. Reading it to the end verifies it; a connection that is cut is taken up again. */
class RemoteBlob implements Source {
  readonly size: number;
  readonly #session: Session;
  readonly #held: Held;
  readonly #request: ApiRequest;
  readonly #digest: Digest;
  #first: Answer | undefined;
  readonly #letGo: () => void;

  constructor(
    session: Session,
    held: Held,
    request: ApiRequest,
    digest: Digest,
    size: number,
    first: Answer,
  ) {
    this.#session = session;
    this.#held = held;
    this.#request = { ...request, expect: [200, 206], bulk: true, signal: undefined };
    this.#digest = digest;
    this.size = size;
    this.#first = first;
    held.add(this);
    this.#letGo = later(HOLD_MS, () => void this.drop());
  }

  /** Gives the unopened answer back. */
  async drop(): Promise<void> {
    await this.#take()?.body.cancel();
  }

  async open(
    { offset = 0, signal, reuse = false, verify = true }: OpenOptions = {},
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    // The rest of nothing: asked for as a range it would be a 416.
    if (offset > 0 && offset >= this.size) return ReadableStream.from([]);
    if (offset > 0) void this.drop();
    const leave = await this.#session.pace.down.enter(signal);
    try {
      const first = this.#take();
      const wanted = { offset, signal, reuse, verify };
      if (first !== undefined && this.#inRanges(first)) {
        first.reuse();
        return this.#verified(
          new RangeReader(this.#ranges(signal), first.body.getReader()),
          wanted,
          leave,
        );
      }
      if (reuse) first?.reuse();
      const body = first?.body ?? await this.#from(wanted);
      return this.#verified(body.getReader(), wanted, leave);
    } catch (error) {
      leave();
      throw error;
    }
  }

  #take(): Answer | undefined {
    const first = this.#first;
    this.#first = undefined;
    this.#letGo();
    this.#held.delete(this);
    return first;
  }

  /** Whether it is worth several requests at once, and the registry says it serves parts (C-DL-04). */
  #inRanges({ status, headers }: Answer): boolean {
    return status === 200 && this.size >= this.#session.rangesFrom &&
      this.size > RANGE_BYTES && /\bbytes\b/i.test(headers.get("accept-ranges") ?? "");
  }

  /** A part that fails in any way is a cut: what follows is read as one then, and says what is wrong. */
  #ranges(whole: AbortSignal | undefined): RangeSource {
    const { size } = this;
    return {
      size,
      enter: () => this.#session.pace.down.tryEnter(),
      now: () => this.#session.now(),
      fetch: async (from, into, over) => {
        const signal = whole === undefined ? over : AbortSignal.any([over, whole]);
        try {
          await this.#part(from, into, signal);
        } catch (cause) {
          signal.throwIfAborted();
          throw new TransportError("reset", this.#session.host, `a part did not come (${cause})`);
        }
      },
    };
  }

  async #part(from: number, into: Uint8Array, signal: AbortSignal): Promise<void> {
    const answer = await this.#session.send({
      ...this.#request,
      signal,
      headers: { range: `bytes=${from}-${from + into.byteLength - 1}` },
    });
    const range = answer.headers.get("content-range")?.trim();
    if (
      answer.status !== 206 ||
      !range?.startsWith(`bytes ${from}-${from + into.byteLength - 1}/`)
    ) {
      await answer.body.cancel();
      throw new Error(`answered with ${answer.status} and ${JSON.stringify(range)}`);
    }
    answer.reuse();
    let got = 0;
    for await (const chunk of answer.body) {
      if (got + chunk.byteLength > into.byteLength) throw new Error("it is too long");
      into.set(chunk, got);
      got += chunk.byteLength;
    }
    if (got < into.byteLength) throw new Error(`it ended after ${got} bytes`);
  }

  /** The bytes from `offset` on, whether the registry knows ranges or not (C-DL-03). */
  async #from(
    { offset, signal, reuse }: Wanted,
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const { act } = this.#request;
    const answer = await this.#session.send({
      ...this.#request,
      signal,
      ...(offset === 0 ? {} : { headers: { range: `bytes=${offset}-` } }),
    });
    if (reuse) answer.reuse();
    const wrong = (why: string) => new OciError("SIZE_INVALID", `Cannot ${act}: ${why}`);
    if (answer.status === 206) {
      const range = answer.headers.get("content-range") ?? "";
      const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range.trim());
      if (
        Number(match?.[1]) === offset && Number(match?.[2]) === this.size - 1 &&
        (match?.[3] === "*" || Number(match?.[3]) === this.size)
      ) return answer.body;
      await answer.body.cancel();
      throw wrong(
        `asked for bytes from ${offset}, the registry sent ${JSON.stringify(range.slice(0, 80))}`,
      );
    }
    const length = lengthOf(answer.headers);
    if (length !== undefined && length !== this.size) {
      await answer.body.cancel();
      throw wrong(`it had ${this.size} bytes before and has ${length} now`);
    }
    return skip(answer.body, offset);
  }

  #verified(
    body: BodyReader,
    wanted: Wanted,
    leave: Release,
  ): ReadableStream<Uint8Array<ArrayBuffer>> {
    const { act } = this.#request;
    const { offset, signal } = wanted;
    // A part has no digest: who opens at an offset has the beginning already, and verifies the whole.
    const digester = offset === 0 && wanted.verify
      ? new Digester(algorithmOf(this.#digest))
      : undefined;
    let reader = body;
    let at = offset;
    let cuts = 0;
    let lastCut = offset;
    const next = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => {
      for (;;) {
        try {
          const { value } = await reader.read();
          if (value !== undefined) {
            return wanted.reuse || !(reader instanceof RangeReader) ? value : value.slice();
          }
          if (at === this.size) return undefined;
          throw new TransportError(
            "reset",
            this.#session.host,
            `it ended after ${at} of ${this.size} bytes`,
          );
        } catch (error) {
          signal?.throwIfAborted();
          if (!(error instanceof TransportError) || !error.retryable) throw error;
          cuts = at - lastCut >= PROGRESS ? 1 : cuts + 1;
          lastCut = at;
          if (cuts >= this.#session.tries) {
            throw new OciError("UNAVAILABLE", `Cannot ${act}: ${error.host}: ${error.why}`, {
              cause: error,
            });
          }
          this.#session.debug(`${error.message}; going on behind byte ${at} of ${this.#digest}`);
          await reader.cancel().catch(() => {});
          await this.#session.pace.backOff(cuts, signal);
          reader = (await this.#from({ ...wanted, offset: at })).getReader();
        }
      }
    };
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        try {
          const chunk = await next();
          if (chunk === undefined) {
            const seen = digester?.digest() ?? this.#digest;
            if (seen !== this.#digest) throw mismatch(act, seen, undefined);
            leave();
            return controller.close();
          }
          at += chunk.byteLength;
          if (at > this.size) {
            throw new OciError(
              "SIZE_INVALID",
              `Cannot ${act}: it has more than the ${this.size} bytes announced`,
            );
          }
          digester?.update(chunk);
          controller.enqueue(chunk);
        } catch (error) {
          leave();
          await reader.cancel().catch(() => {});
          throw error;
        }
      },
      cancel: async (reason) => {
        leave();
        await reader.cancel(reason).catch(() => {});
      },
    }, { highWaterMark: 0 });
  }
}

function mismatch(act: string, seen: Digest, headers: Headers | undefined): OciError {
  const coding = headers?.get("content-encoding");
  const hint = coding ? ` (sent with Content-Encoding ${JSON.stringify(coding)})` : "";
  return new OciError("DIGEST_INVALID", `Cannot ${act}: its bytes hash to ${seen}${hint}`);
}

/** The length an answer announces. */
export function lengthOf(headers: Headers): number | undefined {
  const text = headers.get("content-length");
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function skip(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  bytes: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (bytes === 0) return body;
  const reader = body.getReader();
  let left = bytes;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        const rest = value.subarray(Math.min(left, value.byteLength));
        left -= value.byteLength - rest.byteLength;
        if (rest.byteLength > 0) return controller.enqueue(rest);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
