import type { Descriptor } from "./oci/descriptor.ts";
import type { Digest } from "./oci/digest.ts";
import type { Document } from "./oci/manifest.ts";

/**
 * How a manifest with a `subject` shows up in the list of its subject's referrers: its own descriptor with its
 * artifactType (an image's config type when it says none) and all its annotations; `undefined` without one.
 *
 * @see OCI distribution spec 1.1, "Listing Referrers"
 */
export function referrerOf(
  document: Document,
  descriptor: Descriptor,
): { readonly subject: Digest; readonly descriptor: Descriptor } | undefined {
  const value = document.kind === "index" ? document.index : document.manifest;
  if (value.subject === undefined) return undefined;
  const artifactType = value.artifactType ||
    (document.kind === "manifest" ? document.manifest.config.mediaType : undefined);
  return {
    subject: value.subject.digest,
    descriptor: {
      mediaType: descriptor.mediaType,
      digest: descriptor.digest,
      size: descriptor.size,
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(value.annotations === undefined ? {} : { annotations: value.annotations }),
    },
  };
}
