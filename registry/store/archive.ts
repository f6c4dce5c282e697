/** What image archives of both kinds share: an image with the names it travels under. */
import type { Image } from "../image.ts";
import type { Digest } from "../oci/digest.ts";
import type { Reader } from "../registry.ts";

/** An image to write, with its names. */
export interface ArchiveImage {
  /** The image; its layers are read once, in order. */
  readonly image: Image;
  /**
   * `docker-archive`: full names with tags (`registry.example/app:1`), for RepoTags. `oci-archive`: tags or
   * names, for `org.opencontainers.image.ref.name`. May be empty.
   */
  readonly names: readonly string[];
}

/** An archive opened for reading; nothing of it is unpacked. Close it with `await using`. */
export interface OpenArchive extends AsyncDisposable {
  /** Reads its manifests and blobs. */
  readonly reader: Reader;
  /** The repository to ask `reader` for. */
  readonly repository: string;
  /** What it holds, in its own order. */
  readonly images: readonly {
    /** Of the manifest or index. */
    readonly digest: Digest;
    /** As written in the archive. */
    readonly names: readonly string[];
  }[];
}
