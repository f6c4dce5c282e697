import type { Descriptor } from "../oci/descriptor.ts";
import { type Algorithm, algorithmOf, type Digest } from "../oci/digest.ts";
import { isOciError, OciError } from "../oci/error.ts";
import type { PushOptions } from "../registry.ts";
import type { Source } from "../source.ts";
import { RemoteUpload } from "./chunked_upload.ts";
import { mayPass } from "./refusal.ts";
import { repositoryScope } from "./scope.ts";
import { discard } from "./api_request.ts";
import type { Session } from "./session.ts";
import { type Target, withQuery } from "./url.ts";
import type { Whereabouts } from "./whereabouts.ts";

/** A blob that is to be in a repository. */
export interface BlobPush {
  /** The repository for people: `registry.example/app`. */
  readonly name: string;
  /** The repository. */
  readonly repository: string;
  /** What it is. */
  readonly descriptor: Descriptor;
  /** Its bytes. */
  readonly source: Source;
}

/**
 * Brings a blob into a repository by the cheapest way that works (C-UP-01): it is there; it is mounted from
 * another repository; it is sent in one request with its length; it is sent in pieces.
 */
export async function pushBlob(
  session: Session,
  known: Whereabouts,
  push: BlobPush,
  options: PushOptions = {},
): Promise<"exists" | "mounted" | "uploaded"> {
  const { repository, descriptor: { digest, size }, source } = push;
  if (known.has(repository, digest)) {
    options.onLeft?.();
    return "exists";
  }
  if (source.size !== size) {
    throw new OciError(
      "SIZE_INVALID",
      `Cannot push blob ${digest} to ${push.name}: its descriptor says ${size} bytes, its source has ${source.size}`,
    );
  }
  const from = options.mountFrom ?? known.elsewhere(repository, digest);
  const mountable = from !== undefined && from !== repository && !known.refuses(from, repository);
  const mount = mountable ? await tryMount(session, push, from, options) : undefined;
  if (mountable && mount === undefined) known.refuse(from, repository);
  // An upload was begun instead: the other repository does not have it, or that cannot be mounted.
  if (mountable && mount !== "mounted") known.remove(from, digest);
  if (mount === "mounted") {
    known.add(repository, digest);
    return "mounted";
  }
  if (
    !(options.fresh && mount === undefined) &&
    await exists(session, push, digest, options.signal)
  ) {
    known.add(repository, digest);
    if (mount !== undefined) await cancelUpload(session, push, mount);
    return "exists";
  }
  const opened = mount ?? await tryOnePost(session, push, options);
  if (opened !== "uploaded") await upload(session, push, opened, options);
  known.add(repository, digest);
  return "uploaded";
}

/** Up to here the bytes may travel in vain, once for each registry, to learn whether it takes them in one POST. */
const SMALL_BLOB = 64 * 1024;

/**
 * Sends a small blob with the POST that would start an upload (spec end-4b). A registry that does not know this starts
 * an upload as ever, so nothing is lost, and is not tried again.
 */
async function tryOnePost(
  session: Session,
  push: BlobPush,
  { signal, onProgress, row, onLeft }: PushOptions,
): Promise<"uploaded" | Target | undefined> {
  const { repository, descriptor: { digest, size }, source } = push;
  if (session.learned.singlePost === false || size > SMALL_BLOB || size === 0) return undefined;
  const act = `push blob ${digest} to ${push.name}`;
  try {
    const answer = await session.send({
      act,
      method: "POST",
      to: `/v2/${repository}/blobs/uploads/?digest=${encodeURIComponent(digest)}`,
      repository,
      scopes: [repositoryScope(repository, "pull", "push")],
      headers: { "content-type": "application/octet-stream" },
      body: { size, bytes: inMemory(source, size), open: () => source.open({ signal }) },
      expect: [201, 202],
      retry: false,
      row,
      // Where it is not known to do, the bytes may have to be sent once more.
      onSent: session.learned.singlePost === true ? onLeft : undefined,
      signal,
    });
    await discard(answer);
    session.learned.singlePost = answer.status === 201;
    if (answer.status === 202) return await session.locate(answer, act);
    onProgress?.(size);
    return "uploaded";
  } catch (error) {
    signal?.throwIfAborted();
    // Bytes that are wrong are so in any request; rights too. All else: as everybody does it.
    if (
      !(error instanceof OciError) ||
      ["DIGEST_INVALID", "DENIED", "UNAUTHORIZED"].includes(error.code)
    ) {
      throw error;
    }
    if (!mayPass(error)) session.learned.singlePost = false;
    session.debug(String(error));
    return undefined;
  }
}

/** Starts an upload; returns where it goes on. */
export async function startUpload(
  session: Session,
  push: { readonly name: string; readonly repository: string },
  signal?: AbortSignal,
  algorithm: Algorithm = "sha256",
): Promise<{ readonly location: Target; readonly headers: Headers }> {
  const act = `push to ${push.name}`;
  // A registry that hashes as bytes come must know how (C-UP-12); all others do not look at it.
  const query = algorithm === "sha256" ? "" : `?digest-algorithm=${algorithm}`;
  const answer = await session.send({
    act,
    method: "POST",
    to: `/v2/${push.repository}/blobs/uploads/${query}`,
    repository: push.repository,
    scopes: [repositoryScope(push.repository, "pull", "push")],
    expect: [202],
    signal,
  }).catch((error) => {
    throw unlessUnmade(error, act);
  });
  await discard(answer);
  return { location: await session.locate(answer, act), headers: answer.headers };
}

/** Some registries, ECR for one, take nothing into a repository that nobody made before (C-PUT-04). */
function unlessUnmade(error: unknown, act: string): unknown {
  if (!isOciError(error, "NAME_UNKNOWN") || error.status !== 404) return error;
  return new OciError(
    "NAME_UNKNOWN",
    `Cannot ${act}: the registry has no such repository and does not make one by itself; want it made there first`,
    { status: 404, cause: error },
  );
}

/** Drops an upload. That it fails is no matter: registries clean up, and some want a right for it (C-AUTH-11). */
export async function cancelUpload(
  session: Session,
  push: { readonly name: string; readonly repository: string },
  location: Target,
): Promise<void> {
  try {
    const answer = await session.send({
      act: `cancel an upload to ${push.name}`,
      method: "DELETE",
      to: location,
      repository: push.repository,
      scopes: [repositoryScope(push.repository, "pull", "push")],
      expect: [200, 202, 204, 404],
      retry: false,
    });
    await discard(answer);
  } catch (error) {
    session.debug(String(error));
  }
}

/** A probe: what is denied may be there or not, and is pushed then (C-GET-06). */
export async function exists(
  session: Session,
  push: { readonly name: string; readonly repository: string },
  digest: Digest,
  signal?: AbortSignal,
): Promise<boolean> {
  const answer = await session.send({
    act: `push to ${push.name}`,
    method: "HEAD",
    to: `/v2/${push.repository}/blobs/${digest}`,
    repository: push.repository,
    scopes: [repositoryScope(push.repository, "pull", "push")],
    expect: [200, 400, 403, 404, 405, 501],
    signal,
  });
  await discard(answer);
  return answer.status === 200;
}

/** Whatever goes wrong with a mount, the blob is sent instead (C-MNT-02). */
async function tryMount(
  session: Session,
  push: BlobPush,
  from: string,
  { signal, row, onLeft }: PushOptions,
): Promise<"mounted" | Target | undefined> {
  const { repository, descriptor: { digest } } = push;
  const act = `mount ${digest} from ${from} to ${push.name}`;
  const query = `mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`;
  try {
    const answer = await session.send({
      act,
      method: "POST",
      to: `/v2/${repository}/blobs/uploads/?${query}`,
      repository,
      scopes: [repositoryScope(repository, "pull", "push"), repositoryScope(from, "pull")],
      expect: [201, 202],
      row,
      onSent: onLeft,
      signal,
    });
    await discard(answer);
    return answer.status === 201 ? "mounted" : await session.locate(answer, act);
  } catch (error) {
    signal?.throwIfAborted();
    session.debug(String(error));
    return undefined;
  }
}

async function upload(
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
function inMemory({ bytes }: Source, size: number): Uint8Array<ArrayBuffer> | undefined {
  return bytes?.byteLength === size ? bytes : undefined;
}
