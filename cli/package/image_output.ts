/** Where finished images go: one as it is, several as an index. */
import { type Image, pushImage } from "../../registry/image.ts";
import { type Destination, refuseSeveral } from "../destination.ts";
import { indexOf } from "../image_index.ts";
import { inRegistry, inStore, layout, type Writable } from "../places.ts";
import type { Session } from "../session.ts";
import { writeArchive } from "../write_archive.ts";

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
 * Puts images where they belong: a registry, the store, a layout or an archive; several, one a platform, under an index.
 *
 * @param publish In the registry, not the store.
 * @throws {UsageError} When that place cannot take so many.
 */
export async function putImages(
  session: Session,
  to: Destination,
  images: readonly Image[],
  publish = false,
): Promise<PutImages> {
  const { name, place, references } = to;
  refuseSeveral(to, images.length);
  if (place.kind === "oci-archive" || place.kind === "docker-archive") {
    const { digest } = await writeArchive(session, place, images);
    return { name, repositoryName: name, digest };
  }
  if (place.kind === "oci") return await put(session, [await layout(session, place, true)], images);
  const open = publish ? inRegistry : inStore;
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
      indexOf(images),
      { signal, tags: [reference] },
    );
    digest = pushed.digest;
  }
  const { name, repositoryName } = places[0]!;
  return { name, repositoryName, digest };
}
