import { encodeJson, type Image } from "../registry/image.ts";
import type { Descriptor } from "../registry/oci/descriptor.ts";
import { digestOf } from "../registry/oci/digest.ts";
import { MediaType } from "../registry/oci/media_type.ts";
import type { RawManifest } from "../registry/registry.ts";

/** The index of images, each for the platform its config says, in the order given. */
export function indexOf(images: readonly Image[]): RawManifest {
  const manifests = images.map(({ raw, config }): Descriptor => {
    const { architecture, os, variant } = config;
    return {
      mediaType: raw.mediaType,
      digest: raw.digest,
      size: raw.bytes.byteLength,
      platform: { architecture, os, ...(variant === undefined ? {} : { variant }) },
    };
  });
  const bytes = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests });
  return { mediaType: MediaType.ociIndex, digest: digestOf(bytes), bytes };
}
