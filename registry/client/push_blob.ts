/** A blob into a repository, by the cheapest way that works. */
import { OciError } from "../oci/error.ts";
import type { PushOptions } from "../registry.ts";
import { discard } from "./api_request.ts";
import { mayPass } from "./refusal.ts";
import { repositoryScope } from "./scope.ts";
import type { Session } from "./session.ts";
import { cancelUpload, exists } from "./upload.ts";
import { type BlobPush, inMemory, upload } from "./upload_ways.ts";
import type { Target } from "./url.ts";
import type { Whereabouts } from "./whereabouts.ts";

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
