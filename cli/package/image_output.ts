/** Where finished images go: one as it is, several as an index. */
import { encodeJson, type Image, pushImage } from "../../registry/image.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { familiarName } from "../../registry/oci/reference.ts";
import { UsageError } from "../exit.ts";
import { inRegistry, inStore, layout, readName, readPlace, type Writable } from "../places.ts";
import type { Session } from "../session.ts";
import { writeArchive } from "../write_archive.ts";

/** How images are put down. */
export interface ImageOutput {
  /** Straight to the registry. */
  readonly publish?: boolean | undefined;
  /** More names in the same registry, or the store. */
  readonly tags?: readonly string[] | undefined;
}

/** What is there now. */
export interface PutImages {
  /** As typed. */
  readonly name: string;
  /** Goes before `@digest`. */
  readonly repositoryName: string;
  /** Of the image, or of the index of several. */
  readonly digest: string;
}

/**
 * Puts images under `name`: a registry, the store, a layout or an archive; several, one a platform, under an index.
 *
 * @throws {UsageError} When that place cannot take them.
 */
export async function putImages(
  session: Session,
  name: string,
  images: readonly Image[],
  { publish = false, tags = [] }: ImageOutput,
): Promise<PutImages> {
  const place = readPlace(name);
  const named = place.kind === "registry" || place.kind === "store";
  if (!named && (publish || tags.length > 0)) {
    throw new UsageError(
      `Cannot ${publish ? "publish" : "tag"} ${name}: --${
        publish ? "publish" : "tag"
      } goes with the name of an image`,
    );
  }
  if (place.kind === "oci-archive" || place.kind === "docker-archive") {
    const [image, ...more] = images;
    if (image === undefined || more.length > 0) {
      throw new UsageError(`Cannot write ${name}: it gets one platform, want oci:DIR for several`);
    }
    await writeArchive(session, place, image);
    return { name, repositoryName: name, digest: image.raw.digest };
  }
  if (place.kind === "oci") return await put(session, [await layout(session, place, true)], images);
  const open = publish ? inRegistry : inStore;
  const references = [place.reference, ...tags.map(readName)];
  const other = references.find(({ registry }) => registry !== place.reference.registry);
  if (publish && other !== undefined) {
    throw new UsageError(
      `Cannot publish ${familiarName(other)} beside ${
        familiarName(place.reference)
      }: want names of one registry`,
    );
  }
  const places: Writable[] = [];
  for (const reference of references) places.push(await open(session, reference));
  return await put(session, places, images);
}

async function put(
  session: Session,
  places: readonly Writable[],
  images: readonly Image[],
): Promise<PutImages> {
  const { signal } = session.ctx;
  let digest = "";
  for (const { registry, repository, reference } of places) {
    const [only] = images;
    if (images.length === 1) {
      await pushImage(only!, registry, repository, { signal, tags: [reference] });
      digest = only!.raw.digest;
      continue;
    }
    for (const image of images) await pushImage(image, registry, repository, { signal });
    const pushed = await registry.pushManifest(
      repository,
      { mediaType: MediaType.ociIndex, bytes: encodeIndex(images) },
      { signal, tags: [reference] },
    );
    digest = pushed.digest;
  }
  const { name, repositoryName } = places[0]!;
  return { name, repositoryName, digest };
}

/** The index of images, each for the platform its config says, in the order given. */
export function encodeIndex(images: readonly Image[]): Uint8Array<ArrayBuffer> {
  const manifests = images.map(({ raw, config }): Descriptor => {
    const { architecture, os, variant } = config;
    return {
      mediaType: raw.mediaType,
      digest: raw.digest,
      size: raw.bytes.byteLength,
      platform: { architecture, os, ...(variant === undefined ? {} : { variant }) },
    };
  });
  return encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests });
}
