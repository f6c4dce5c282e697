/** Images that packages and builders are made from, wherever their names say they are. */
import { type Image, readImage } from "../../registry/image.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import { UsageError } from "../exit.ts";
import { type Located, openForReading, readPlace } from "../places.ts";
import { type PullPolicy, underPolicy } from "../pull_policy.ts";
import type { Session } from "../session.ts";

/** Options of {@linkcode openImage}. */
export interface OpenImage {
  /** Chooses from an index. */
  readonly platform: Platform;
  /** Default always. */
  readonly policy?: PullPolicy | undefined;
  /** Closes archives with the command. */
  readonly stack: AsyncDisposableStack;
}

/**
 * Opens an image: a name in a registry or, as the policy says, in the store; or a place with a prefix.
 *
 * @throws {UsageError} When it is not there.
 */
export async function openImage(
  session: Session,
  name: string,
  { platform, policy = "always", stack }: OpenImage,
): Promise<Image> {
  const located = await locate(session, name, policy, stack);
  const { registry, repository, reference } = located;
  const image = await readImage(registry, repository, reference, platform, {
    signal: session.ctx.signal,
  });
  if (image !== undefined) return image;
  throw new UsageError(`Cannot find image ${JSON.stringify(name)}: ${located.name} is not there`);
}

async function locate(
  session: Session,
  name: string,
  policy: PullPolicy,
  stack: AsyncDisposableStack,
): Promise<Located> {
  const place = readPlace(name);
  if (place.kind !== "registry") return await openForReading(session, place, stack);
  return await underPolicy(session, place.reference, policy);
}
