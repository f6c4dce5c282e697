import type { Descriptor } from "../oci/descriptor.ts";
import { OciError } from "../oci/error.ts";
import type { PushOptions } from "../registry.ts";
import type { Source } from "../source.ts";
import { RemoteUpload } from "./chunked_upload.ts";
import { mayPass } from "./refusal.ts";
import { repositoryScope } from "./scope.ts";
import { discard, type Session } from "./session.ts";
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
  if (known.has(repository, digest)) return "exists";
  if (source.size !== size) {
    throw new OciError(
      "SIZE_INVALID",
      `Cannot push blob ${digest} to ${push.name}: its descriptor says ${size} bytes, its source has ${source.size}`,
    );
  }
  const from = options.mountFrom ?? known.elsewhere(repository, digest);
  const mountable = from !== undefined && from !== repository && !known.refuses(from, repository);
  const mount = mountable ? await tryMount(session, push, from, options.signal) : undefined;
  if (mountable && mount === undefined) known.refuse(from, repository);
  // An upload was begun instead: the other repository does not have it, or that cannot be mounted.
  if (mountable && mount !== "mounted") known.remove(from, digest);
  if (mount === "mounted") {
    known.add(repository, digest);
    return "mounted";
  }
  if (!(options.fresh && mount === undefined) && await exists(session, push, options.signal)) {
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
  { signal, onProgress }: PushOptions,
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
      body: { size, open: () => source.open({ signal }) },
      expect: [201, 202],
      retry: false,
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
): Promise<{ readonly location: Target; readonly headers: Headers }> {
  const act = `push to ${push.name}`;
  const answer = await session.send({
    act,
    method: "POST",
    to: `/v2/${push.repository}/blobs/uploads/`,
    repository: push.repository,
    scopes: [repositoryScope(push.repository, "pull", "push")],
    expect: [202],
    signal,
  });
  await discard(answer);
  return { location: await session.locate(answer, act), headers: answer.headers };
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
async function exists(session: Session, push: BlobPush, signal?: AbortSignal): Promise<boolean> {
  const answer = await session.send({
    act: `push to ${push.name}`,
    method: "HEAD",
    to: `/v2/${push.repository}/blobs/${push.descriptor.digest}`,
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
  signal: AbortSignal | undefined,
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
  let whole = true;
  for (let attempt = 1;; attempt++) {
    // An upload in pieces takes a place for each piece.
    const leave = whole ? await session.up.enter(signal) : () => {};
    try {
      const sent = onSent();
      if (!whole) return await pieces(session, push, sent, signal);
      await using bytes = new EarlyBytes(push.source, signal);
      location ??= (await startUpload(session, push, signal)).location;
      return await put(session, push, location, bytes, sent, signal);
    } catch (error) {
      if (location !== undefined) await cancelUpload(session, push, location);
      signal?.throwIfAborted();
      // Something on the way takes no long bodies, or none in one piece.
      const tooLong = whole && error instanceof OciError &&
        [405, 411, 413, 501].includes(error.status);
      if (tooLong) whole = false;
      else if (!mayPass(error) || attempt >= session.tries) throw error;
      location = undefined;
    } finally {
      leave();
    }
    if (whole) await session.backOff(attempt, signal);
  }
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
  bytes: EarlyBytes,
  onSent: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { repository, descriptor: { digest, size } } = push;
  const answer = await session.send({
    act: `push blob ${digest} to ${push.name}`,
    method: "PUT",
    to: withQuery(location, "digest", digest),
    repository,
    scopes: [repositoryScope(repository, "pull", "push")],
    headers: { "content-type": "application/octet-stream" },
    body: { size, open: () => bytes.open() },
    expect: [200, 201, 204],
    bulk: true,
    retry: false,
    onSent,
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
  const parts = await RemoteUpload.start(session, push, signal);
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
