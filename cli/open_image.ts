/** One image to look at, wherever the name leads: what `sbom`, `diff`, `verify` and `inspect --files` start with. */
import { describeIndex, type IndexInfo } from "../lifecycle/platform/image_info.ts";
import { type Image, readImage } from "../registry/image.ts";
import type { Descriptor, Platform } from "../registry/oci/descriptor.ts";
import { choosePlatform, formatPlatform } from "../registry/oci/platform.ts";
import { familiarName, HUB, type Reference } from "../registry/oci/reference.ts";
import { alsoNotInStore, UsageError } from "./exit.ts";
import { fromRegistry, imagePlace, inStore, type Located, openForReading } from "./places.ts";
import { machinePlatform, readPlatform } from "./platform.ts";
import type { Session } from "./session.ts";

/** Which image of a name. */
export interface WhichImage {
  /** `os/arch[/variant]`; without it this machine's, or what there is. */
  readonly platform?: string;
  /** Only the registry, not the store. */
  readonly remote?: boolean;
}

/** An image and where it lies. */
export interface OpenedImage {
  /** Its documents. */
  readonly image: Image;
  /** What it was chosen from. */
  readonly index?: IndexInfo | undefined;
  /** Where it lies. */
  readonly located: Located;
  /** As messages name the place. */
  readonly where: "registry" | "store" | "file";
}

/**
 * Opens the image `name` for reading. A plain name is looked for in the store, where a build puts it, then in its registry.
 *
 * @param stack Closes archives with the command.
 * @throws {UsageError} When it is nowhere.
 */
export async function openImage(
  session: Session,
  name: string,
  which: WhichImage,
  stack: AsyncDisposableStack,
): Promise<OpenedImage> {
  const place = await imagePlace(session, name);
  if (place.kind !== "registry") {
    const located = await openForReading(session, place, stack);
    const found = await imageAt(session, located, which);
    if (found !== undefined) {
      return { ...found, located, where: place.kind === "store" ? "store" : "file" };
    }
    throw new UsageError(`Cannot find ${name}: it is not there`);
  }
  if (!which.remote && await hasStore(session)) {
    const located = await inStore(session, place.reference);
    const found = await imageAt(session, located, which);
    if (found !== undefined) {
      if (place.reference.registry !== HUB) tellStore(session, located.name);
      return { ...found, located, where: "store" };
    }
  }
  const located = await fromRegistry(session, place.reference);
  const found = await imageAt(session, located, which).catch((cause) => {
    session.ctx.signal.throwIfAborted();
    throw which.remote ? cause : alsoNotInStore(cause);
  });
  if (found !== undefined) return { ...found, located, where: "registry" };
  throw await nowhere(session, place.reference, which.remote);
}

/** The registry may have a newer one by this name, and is not asked: whoever named a registry should know. */
function tellStore({ log }: Session, name: string): void {
  log.info(`${name} is the one in the store; --remote looks at the one in its registry`);
}

/**
 * An image that is not there, with all places that were asked.
 *
 * @param remote The store was not.
 */
export async function nowhere(
  session: Session,
  reference: Reference,
  remote = false,
): Promise<UsageError> {
  const store = remote ? "" : "the store has none, ";
  const asked = await session.askedFor(reference);
  return new UsageError(`Cannot find ${familiarName(reference)}: ${store}${asked} has none`);
}

/** Whether there is a store at all: reading makes none. */
export async function hasStore(session: Session): Promise<boolean> {
  let dir: string;
  try {
    dir = session.storeDir();
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
  return await Deno.stat(dir).then(() => true, () => false);
}

/**
 * What `located` names, `undefined` when there is nothing.
 *
 * @throws {UsageError} When it is an image of another platform than the one that was asked for.
 */
export async function imageAt(
  session: Session,
  { registry, repository, reference, name }: Located,
  which: WhichImage,
): Promise<Pick<OpenedImage, "image" | "index"> | undefined> {
  let index: IndexInfo | undefined;
  const asked = which.platform === undefined ? undefined : readPlatform(which.platform);
  const image = await readImage(registry, repository, reference, asked ?? machinePlatform(), {
    signal: session.ctx.signal,
    onIndex: (raw, { manifests }) => index ??= describeIndex(raw, manifests),
    ...(asked === undefined ? { choose: anyPlatform } : {}),
  });
  if (image !== undefined && index === undefined && asked !== undefined) {
    const { os, architecture, variant } = image.config;
    const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
    if (choosePlatform([{ ...image.manifest.config, platform }], asked) === undefined) {
      throw new UsageError(
        `Cannot find ${name} for ${formatPlatform(asked)}: it is one image, for ${
          formatPlatform(platform)
        }`,
      );
    }
  }
  return image && { image, index };
}

/** Nobody asked for a platform: another one than this machine's can be looked at, too. */
function anyPlatform(entries: readonly Descriptor[], wanted: Platform): Descriptor | undefined {
  return choosePlatform(entries, wanted) ??
    entries.find(({ platform }) => platform?.os !== "unknown");
}
