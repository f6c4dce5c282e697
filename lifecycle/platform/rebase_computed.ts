/** Writes images that were computed in other threads. */
import type { Image } from "../../registry/image.ts";
import { isOciError } from "../../registry/oci/error.ts";
import type { Registry } from "../../registry/registry.ts";
import { bytesSource } from "../../registry/source.ts";
import type { MadeImage } from "./rebase_compute.ts";
import type { BaseLayers } from "./rebase_layers.ts";
import type { RebaseTarget } from "./rebase_write.ts";

/**
 * Writes an image into the repository of the store it comes from, where all of it but the base's layers and its two
 * documents is; then lets its tag name it.
 *
 * @throws {OciError} `PRECONDITION_FAILED` when the tag is not where it was expected.
 */
export async function writeComputed(
  { raw: { mediaType, bytes }, rawConfig, config }: MadeImage,
  base: Image,
  to: Registry,
  { repository, tag, expect }: Required<RebaseTarget>,
  bases: BaseLayers,
  signal: AbortSignal,
): Promise<void> {
  const tags = tag === undefined ? [] : [tag];
  const expected = tag === undefined || expect === undefined ? [] : [{ tag, is: expect }];
  const write = async () => {
    await bases.ensure(to, repository, base, { signal });
    const how = { signal, fresh: true, manifestFollows: true };
    await to.pushBlob(repository, config, bytesSource(rawConfig), how);
    await to.pushManifest(repository, { mediaType, bytes }, { signal, tags, expect: expected });
  };
  try {
    await write();
  } catch (error) {
    if (!isOciError(error, "MANIFEST_BLOB_UNKNOWN")) throw error;
    bases.forget(to, repository, base); // collected meanwhile
    await write();
  }
}
