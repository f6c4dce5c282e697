/** What is refused before anything is written. */
import { algorithmOf, type Digest, digestOfMade, isDigest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { isRepositoryName, isTag } from "../oci/reference.ts";

/** What is done to one repository is done to it again. */
let fine = "";

/** @throws {OciError} NAME_INVALID. */
export function checkName(repository: string): void {
  if (repository === fine) return;
  if (isRepositoryName(repository)) {
    fine = repository;
    return;
  }
  throw new OciError(
    "NAME_INVALID",
    `Cannot store in ${JSON.stringify(repository.slice(0, 300))}: it is not a repository name`,
  );
}

/** @throws {OciError} MANIFEST_INVALID. */
export function checkTagName(tag: string): void {
  if (isTag(tag) && !isDigest(tag)) return;
  throw new OciError(
    "MANIFEST_INVALID",
    `Cannot set tag ${
      JSON.stringify(tag.slice(0, 140))
    }: want 1 to 128 letters, digits, "_", "." and "-"`,
  );
}

/** @throws {OciError} DIGEST_INVALID when `bytes`, a `what`, are not `want`. */
export function expectDigest(
  what: "blob" | "manifest",
  repository: string,
  bytes: Uint8Array,
  want: Digest,
): void {
  const seen = digestOfMade(bytes, algorithmOf(want));
  if (seen === want) return;
  throw new OciError(
    "DIGEST_INVALID",
    `Cannot store ${what} in ${repository}: its bytes have digest ${seen}, want ${want}`,
  );
}
