/** `wherry copy` to an archive: an OCI one holds an index whole, docker's one image. */
import { closureOf } from "../registry/bundle/closure.ts";
import { readImage } from "../registry/image.ts";
import { OciError } from "../registry/oci/error.ts";
import { isIndexType } from "../registry/oci/media_type.ts";
import type { Platform } from "../registry/oci/descriptor.ts";
import { formatPlatform } from "../registry/oci/platform.ts";
import { UsageError } from "./exit.ts";
import type { Located } from "./places.ts";
import { machinePlatform } from "./platform.ts";
import type { Session } from "./session.ts";
import { type ArchivePlace, writeArchive } from "./write_archive.ts";

/**
 * Writes the file, whole or not at all.
 *
 * @param platform What to take of an index; without one an OCI archive gets all of it, docker's this machine's image.
 * @returns The digest of what was written, and its platform where one was chosen without a word from the user.
 * @throws {UsageError} When there is nothing at `from`.
 */
export async function copyToArchive(
  session: Session,
  from: Located,
  to: ArchivePlace,
  platform: Platform | undefined,
): Promise<string> {
  const { signal } = session.ctx;
  const { registry, repository, reference } = from;
  if (to.kind === "oci-archive" && platform === undefined) {
    const raw = await registry.manifest(repository, reference, { signal });
    if (raw === undefined) throw absent(from);
    if (isIndexType(raw.mediaType)) {
      const { writeOciArchiveTree } = await import("../registry/store/oci_archive.ts");
      const options = { signal, alone: true, named: from.name };
      const tree = await closureOf({ ...from, reference: raw.digest }, options);
      const blob = async (digest: typeof raw.digest) => {
        const source = await registry.blob(repository, digest, { signal });
        if (source !== undefined) return source;
        throw new OciError("BLOB_UNKNOWN", `Cannot copy ${from.name}: blob ${digest} is not there`);
      };
      await writeOciArchiveTree(session.path(to.path), { ...tree, blob }, to.tag ?? "latest", {
        signal,
      });
      return raw.digest;
    }
  }
  const image = await readImage(registry, repository, reference, platform ?? machinePlatform(), {
    signal,
    onIndex: (_, { manifests }, chosen) => {
      if (platform !== undefined || manifests.length < 2) return;
      session.log.info(
        `${to.kind}:${to.path} holds one image: ${
          formatPlatform(chosen.platform)
        } (see: --platform)`,
      );
    },
  });
  if (image === undefined) throw absent(from);
  await writeArchive(session, to, [image]);
  return image.raw.digest;
}

function absent({ name }: Located): UsageError {
  return new UsageError(`Cannot find ${name}: it is not there`);
}
