import type { Image } from "../registry/image.ts";
import { familiarName, type Place } from "../registry/oci/reference.ts";
import type { Session } from "./session.ts";

/** An archive as a place. */
export type ArchivePlace = Extract<Place, { kind: "oci-archive" | "docker-archive" }>;

/** Writes one image to the archive `to`, whole or not at all. */
export async function writeArchive(
  session: Session,
  to: ArchivePlace,
  image: Image,
): Promise<void> {
  const file = session.path(to.path);
  const options = { signal: session.ctx.signal };
  if (to.kind === "oci-archive") {
    const { writeOciArchive } = await import("../registry/store/oci_archive.ts");
    await writeOciArchive(file, [{ image, names: [to.tag ?? "latest"] }], options);
  } else {
    const { writeDockerArchive } = await import("../registry/store/docker_archive.ts");
    const names = to.reference ? [familiarName(to.reference)] : [];
    await writeDockerArchive(file, [{ image, names }], options);
  }
}
