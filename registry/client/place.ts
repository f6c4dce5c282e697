/** Names of things in a registry, checked before they become part of an address (C-REF-07, M-02). */
import { isDigest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { familiarRepository, isRepositoryName, isTagOrDigest } from "../oci/reference.ts";

/** A repository. */
export interface Place {
  /** For people: `registry.example/app`. */
  readonly name: string;
  /** For the registry: `app`. */
  readonly repository: string;
}

/** A manifest's place. */
export interface ManifestPlace extends Place {
  /** Tag or digest. */
  readonly reference: string;
}

/** @throws {OciError} `NAME_INVALID` */
export function placeOf(registry: string, repository: string): Place {
  if (isRepositoryName(repository)) {
    return { name: familiarRepository({ registry, repository }), repository };
  }
  throw new OciError(
    "NAME_INVALID",
    `Cannot ask ${registry} for repository ${
      JSON.stringify(repository.slice(0, 140))
    }: it is not a repository name`,
  );
}

/** @throws {OciError} `NAME_INVALID` */
export function manifestPlaceOf(place: Place, reference: string): ManifestPlace {
  if (isTagOrDigest(reference)) return { ...place, reference };
  throw new OciError(
    "NAME_INVALID",
    `Cannot ask for ${
      JSON.stringify(reference.slice(0, 140))
    } of ${place.name}: want a tag or a digest`,
  );
}

/** @throws {OciError} `DIGEST_INVALID` */
export function checkDigest(registry: string, digest: string): void {
  if (isDigest(digest)) return;
  throw new OciError(
    "DIGEST_INVALID",
    `Cannot ask ${registry} for ${JSON.stringify(digest.slice(0, 140))}: it is not a digest`,
  );
}

/** `registry.example/app:1`, `registry.example/app@sha256:...`. */
export function named({ name, reference }: ManifestPlace): string {
  return `${name}${isDigest(reference) ? "@" : ":"}${reference}`;
}
