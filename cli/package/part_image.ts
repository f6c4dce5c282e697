/** Images that packages and builders are made from, wherever their names say they are. */
import { type Image, readImage } from "../../registry/image.ts";
import type { Descriptor, Platform } from "../../registry/oci/descriptor.ts";
import { choosePlatform } from "../../registry/oci/platform.ts";
import { UsageError } from "../exit.ts";
import { nowhere } from "../open_image.ts";
import { imagePlace, type Located, openForReading } from "../places.ts";
import { type PullPolicy, readUnder } from "../pull_policy.ts";
import type { Session } from "../session.ts";

/** Options of {@linkcode openPart}. */
export interface OpenPart {
  /** Chooses from an index. */
  readonly platform: Platform;
  /** See {@linkcode readUnder}. */
  readonly policy?: PullPolicy | undefined;
  /** Told what an index that the name stands for has, before any of it is read; then another platform will do. */
  readonly onIndex?: ((entries: readonly Descriptor[]) => void) | undefined;
  /** Closes archives with the command. */
  readonly stack: AsyncDisposableStack;
}

/**
 * Opens an image: a name in a registry or, as the policy says, in the store; or a place with a prefix.
 *
 * @throws {UsageError} When it is not there.
 */
export async function openPart(
  session: Session,
  name: string,
  { platform, policy, onIndex, stack }: OpenPart,
): Promise<Image> {
  const place = await imagePlace(session, name);
  const { signal } = session.ctx;
  const choose = onIndex && ((entries: readonly Descriptor[], wanted: Platform) => {
    onIndex(entries);
    return choosePlatform(entries, wanted) ?? entries[0];
  });
  const read = async ({ registry, repository, reference }: Located) =>
    await readImage(registry, repository, reference, platform, { signal, choose });
  if (place.kind === "registry") {
    const { value, located } = await readUnder(session, place.reference, policy, undefined, read);
    if (value !== undefined) return value;
    if (policy === "never") absent(name, located);
    throw await nowhere(session, place.reference, policy !== "if-not-present");
  }
  const located = await openForReading(session, place, stack);
  return await read(located) ?? absent(name, located);
}

function absent(name: string, located: Located): never {
  throw new UsageError(`Cannot find image ${JSON.stringify(name)}: ${located.name} is not there`);
}
