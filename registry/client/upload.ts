/** An upload without its bytes: whether it is needed, where it begins, how it is given up. */
import type { Algorithm, Digest } from "../oci/digest.ts";
import { isOciError, OciError } from "../oci/error.ts";
import { discard } from "./api_request.ts";
import type { Place } from "./place.ts";
import { repositoryScope } from "./scope.ts";
import type { Session } from "./session.ts";
import type { Target } from "./url.ts";
import { later } from "./watch.ts";

/** Starts an upload; returns where it goes on. */
export async function startUpload(
  session: Session,
  push: Place,
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

/**
 * Drops an upload. That it fails is no matter: registries clean up, and some want a right for it (C-AUTH-11). A registry
 * that does not answer is not waited for: who pressed Ctrl-C because of that would wait once more.
 */
export async function cancelUpload(
  session: Session,
  push: Place,
  location: Target,
): Promise<void> {
  const late = new AbortController();
  const inTime = later(CANCEL_MS, () => late.abort());
  try {
    const answer = await session.send({
      act: `cancel an upload to ${push.name}`,
      method: "DELETE",
      to: location,
      repository: push.repository,
      scopes: [repositoryScope(push.repository, "pull", "push")],
      expect: [200, 202, 204, 404],
      retry: false,
      signal: late.signal,
    });
    await discard(answer);
  } catch (error) {
    session.debug(String(error));
  } finally {
    inTime();
  }
}

const CANCEL_MS = 3_000;

/** A probe: what is denied may be there or not, and is pushed then (C-GET-06). */
export async function exists(
  session: Session,
  push: Place,
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
