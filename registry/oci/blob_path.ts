import { algorithmOf, type Digest, hexOf } from "./digest.ts";

/** Where a blob lies in an image layout, from its top. */
export function blobPath(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}
