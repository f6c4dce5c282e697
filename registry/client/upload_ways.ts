/** How the bytes of a blob go: in one request, in pieces, or as a stream; when one way fails, by the next (C-UP-02). */
import type { Descriptor } from "../oci/descriptor.ts";
import { algorithmOf } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import type { PushOptions } from "../registry.ts";
import type { Source } from "../source.ts";
import { discard } from "./api_request.ts";
import { RemoteUpload } from "./chunked_upload.ts";
import type { Place } from "./place.ts";
import { mayPass } from "./refusal.ts";
import { repositoryScope } from "./scope.ts";
import type { Session } from "./session.ts";
import { cancelUpload, startUpload } from "./upload.ts";
import { type Target, withQuery } from "./url.ts";

/** A blob that is to be in a repository. */
export interface BlobPush extends Place {
  /** What it is. */
  readonly descriptor: Descriptor;
  /** Its bytes. */
  readonly source: Source;
}

/** Sends a blob; `opened` is where an upload that was begun already goes on. */
export async function upload(
  session: Session,
  push: BlobPush,
  opened: Target | undefined,
  options: PushOptions,
): Promise<void> {
  const { signal } = options;
  const onSent = forward(options.onProgress);
  let location = opened;
  let way: Way = "whole";
  for (let attempt = 1;; attempt++) {
    // An upload in pieces takes a place for each piece.
    const leave = way === "pieces" ? () => {} : await session.pace.up.enter(signal);
    try {
      const sent = onSent();
      if (way === "pieces") return await pieces(session, push, sent, signal);
      await using bytes = new EarlyBytes(push.source, signal);
      const algorithm = algorithmOf(push.descriptor.digest);
      location ??= (await startUpload(session, push, signal, algorithm)).location;
      if (way === "stream") {
        location = await patch(session, push, location, bytes, sent, signal);
        return await put(session, push, location, undefined, undefined, signal);
      }
      return await put(session, push, location, bytes, sent, signal, options);
    } catch (error) {
      if (location !== undefined) await cancelUpload(session, push, location);
      signal?.throwIfAborted();
      const tired: boolean = way === "whole" && attempt > 1 && push.descriptor.size >= TIRING &&
        mayPass(error);
      const next: Way = tired ? "pieces" : nextWay(way, error);
      if (next === way && (!mayPass(error) || attempt >= session.tries)) throw error;
      location = undefined;
      if (next !== way) {
        way = next;
        continue;
      }
    } finally {
      leave();
    }
    await session.pace.backOff(attempt, signal);
  }
}

/** A blob this long that was cut twice goes in pieces: the next cut costs one of them. */
const TIRING = 8 * 1024 * 1024;

/** How a blob's bytes go: in the closing request; in several before it; in one before it, as crane does (C-UP-02). */
type Way = "whole" | "pieces" | "stream";

/** Something on the way takes no long bodies, or none in one piece; some registries know no pieces. */
function nextWay(way: Way, error: unknown): Way {
  if (!(error instanceof OciError)) return way;
  const { status } = error;
  if (way === "whole" && [405, 411, 413, 501].includes(status)) return "pieces";
  if (way === "pieces" && [400, 404, 405, 411, 415, 416, 501].includes(status)) return "stream";
  return way;
}

/** All bytes in one request that names no range; returns where the upload is closed. */
async function patch(
  session: Session,
  push: BlobPush,
  location: Target,
  bytes: EarlyBytes,
  onSent: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<Target> {
  const { repository, descriptor: { digest, size } } = push;
  const act = `push blob ${digest} to ${push.name}`;
  const answer = await session.send({
    act,
    method: "PATCH",
    to: location,
    repository,
    scopes: [repositoryScope(repository, "pull", "push")],
    headers: { "content-type": "application/octet-stream" },
    body: { size, open: () => bytes.open() },
    expect: [201, 202, 204],
    bulk: true,
    retry: false,
    onSent,
    signal,
  });
  await discard(answer);
  return answer.headers.has("location") ? await session.locate(answer, act) : location;
}

/**
 * The bytes of an upload, asked for while the registry is still asked to begin it: where they come from another registry
 * that is a round trip less for each blob. The registry holds them against the digest, so they are not hashed here.
 */
class EarlyBytes implements AsyncDisposable {
  readonly #open: () => ReturnType<Source["open"]>;
  #first: ReturnType<Source["open"]> | undefined;

  constructor(source: Source, signal: AbortSignal | undefined) {
    this.#open = () => source.open({ signal, reuse: true, verify: false });
    this.#first = this.#open();
    this.#first.catch(() => {}); // said when it is opened
  }

  /** From the start, as often as the request has to be sent. */
  open(): ReturnType<Source["open"]> {
    const first = this.#first;
    this.#first = undefined;
    return first ?? this.#open();
  }

  /** Lets go of what nobody wanted. */
  async [Symbol.asyncDispose](): Promise<void> {
    const first = this.#first;
    this.#first = undefined;
    await first?.then((stream) => stream.cancel()).catch(() => {});
  }
}

async function put(
  session: Session,
  push: BlobPush,
  location: Target,
  /** Absent when they have gone before. */
  bytes: EarlyBytes | undefined,
  onSent: ((bytes: number) => void) | undefined,
  signal: AbortSignal | undefined,
  { row, onLeft }: PushOptions = {},
): Promise<void> {
  const { repository, descriptor: { digest, size }, source } = push;
  let left = 0;
  const answer = await session.send({
    act: `push blob ${digest} to ${push.name}`,
    method: "PUT",
    to: withQuery(location, "digest", digest),
    repository,
    scopes: [repositoryScope(repository, "pull", "push")],
    headers: { "content-type": "application/octet-stream" },
    body: bytes && { size, bytes: inMemory(source, size), open: () => bytes.open() },
    expect: [200, 201, 204],
    bulk: true,
    retry: false,
    row,
    onSent: (bytes) => {
      onSent?.(bytes);
      if ((left += bytes) === size) onLeft?.();
    },
    signal,
  });
  await discard(answer);
}

async function pieces(
  session: Session,
  push: BlobPush,
  onSent: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const algorithm = algorithmOf(push.descriptor.digest);
  const parts = await RemoteUpload.start(session, push, signal, algorithm);
  try {
    for await (const chunk of await push.source.open({ signal, reuse: true })) {
      await parts.write(chunk);
      onSent(chunk.byteLength);
    }
    await parts.commit(push.descriptor.digest);
  } catch (error) {
    await parts.abort();
    throw error;
  }
}

/** Reports progress over several tries: bytes sent again are not counted again. */
function forward(onProgress: ((bytes: number) => void) | undefined): () => (bytes: number) => void {
  let best = 0;
  return () => {
    let sent = 0;
    return (bytes) => {
      sent += bytes;
      if (sent > best) {
        onProgress?.(sent - best);
        best = sent;
      }
    };
  };
}

/** The bytes, where they are at hand and as many as promised. */
export function inMemory({ bytes }: Source, size: number): Uint8Array<ArrayBuffer> | undefined {
  return bytes?.byteLength === size ? bytes : undefined;
}
