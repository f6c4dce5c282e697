import type { Image } from "../registry/image.ts";
import { familiarName, type Place } from "../registry/oci/reference.ts";
import type { RawManifest } from "../registry/registry.ts";
import { indexOf } from "./image_index.ts";
import type { Session } from "./session.ts";

/** An archive as a place. */
export type ArchivePlace = Extract<Place, { kind: "oci-archive" | "docker-archive" }>;

/**
 * Writes images to the archive `to`, whole or not at all; an OCI one gets an index of several, docker's holds one.
 *
 * @returns What its name stands for.
 */
export async function writeArchive(
  session: Session,
  to: ArchivePlace,
  images: readonly Image[],
): Promise<RawManifest> {
  const file = session.path(to.path);
  const options = { signal: session.ctx.signal };
  const [image, ...more] = images;
  if (image === undefined) throw new RangeError("no image");
  if (to.kind === "docker-archive") {
    if (more.length > 0) throw new RangeError(`${images.length} images`);
    const { writeDockerArchive } = await import("../registry/store/docker_archive.ts");
    const names = to.reference ? [familiarName(to.reference)] : [];
    await writeDockerArchive(file, [{ image, names }], options);
    return image.raw;
  }
  const archive = await import("../registry/store/oci_archive.ts");
  const name = to.tag ?? "latest";
  if (more.length === 0) {
    await archive.writeOciArchive(file, [{ image, names: [name] }], options);
    return image.raw;
  }
  const top = indexOf(images);
  await archive.writeOciArchiveTree(file, archive.treeOf(top, images), name, options);
  return top;
}
