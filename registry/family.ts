/** The same image in the other family of media types, Docker's or OCI's: only its documents differ. */
import { encodeJson } from "./image.ts";
import type { Descriptor } from "./oci/descriptor.ts";
import { type Digest, digestOf } from "./oci/digest.ts";
import { OciError } from "./oci/error.ts";
import { type Index, type Manifest, parseDocument } from "./oci/manifest.ts";
import { familyType, isIndexType, isManifestType, MediaType } from "./oci/media_type.ts";
import type { CallOptions, RawManifest, Reader } from "./registry.ts";

/** One of the two. */
export type Family = "oci" | "docker";

/** Deeper nesting is an attack, not an image (M-07). */
const MAX_DEPTH = 8;
/** More documents behind one name than any real index has (M-07). */
const MAX_DOCUMENTS = 10_000;

/**
 * What `from` has, its documents in `family` (C-MT-05). Those that are in it already stay byte for byte; the others get
 * another digest, and what has no place in Docker's family goes: annotations, and an index's attestations, which
 * speak of digests that are no more. Blobs are the same.
 *
 * @throws {OciError} `MANIFEST_INVALID` when it is read and is no image: an artefact, or a layer of a type that the family lacks.
 */
export function inFamily(from: Reader, family: Family): Reader {
  /** By their new digests, which `from` does not know. */
  const made = new Map<Digest, RawManifest>();

  const read = async (
    repository: string,
    reference: string,
    options: CallOptions | undefined,
    depth = 0,
  ): Promise<RawManifest | undefined> => {
    const raw = made.get(reference as Digest) ??
      await from.manifest(repository, reference, options);
    if (raw === undefined) return undefined;
    const fail = (why: string) =>
      new OciError(
        "MANIFEST_INVALID",
        `Cannot turn ${repository}@${raw.digest} into ${
          family === "oci" ? "an OCI" : "a Docker"
        } image: ${why}`,
      );
    if (depth > MAX_DEPTH || made.size > MAX_DOCUMENTS) {
      throw fail(
        `indexes nest deeper than ${MAX_DEPTH} or name more than ${MAX_DOCUMENTS} documents`,
      );
    }
    const document = parseDocument(raw.bytes, raw.mediaType);
    if (document.kind === "manifest") return keep(raw, inManifest(document.manifest, family, fail));
    const manifests: Descriptor[] = [];
    for (const child of document.index.manifests) {
      if (isAttestation(child)) continue;
      if (!isIndexType(child.mediaType) && !isManifestType(child.mediaType)) {
        throw fail(`it names something of type ${JSON.stringify(child.mediaType)}`);
      }
      const inner = await read(repository, child.digest, options, depth + 1);
      if (inner === undefined) throw fail(`${child.digest}, which it names, is not there`);
      const { mediaType, digest } = inner;
      manifests.push(
        digest === child.digest ? child : {
          ...plain(child, family),
          mediaType,
          digest,
          size: inner.bytes.byteLength,
        },
      );
    }
    const same = raw.mediaType === typeOf(family, true) &&
      manifests.length === document.index.manifests.length &&
      manifests.every((one, at) => one === document.index.manifests[at]);
    return same ? raw : keep(raw, {
      ...bare(document.index, family),
      schemaVersion: 2,
      mediaType: typeOf(family, true),
      manifests,
    });
  };

  /** `value` as a document, unless it says what `raw` says. */
  const keep = (raw: RawManifest, value: Partial<Manifest | Index> & Typed | undefined) => {
    if (value === undefined) return raw;
    const bytes = encodeJson(value);
    const mine = { mediaType: value.mediaType, digest: digestOf(bytes), bytes };
    made.set(mine.digest, mine);
    return mine;
  };

  return {
    standsFor: from.standsFor ?? from,
    manifest: (repository, reference, options) => read(repository, reference, options),
    async stat(repository, reference, options) {
      const raw = await read(repository, reference, options);
      return raw && { mediaType: raw.mediaType, digest: raw.digest, size: raw.bytes.byteLength };
    },
    blob: (repository, digest, options) => from.blob(repository, digest, options),
  };
}

interface Typed {
  readonly mediaType: string;
}

function typeOf(family: Family, index: boolean): string {
  if (family === "oci") return index ? MediaType.ociIndex : MediaType.ociManifest;
  return index ? MediaType.dockerList : MediaType.dockerManifest;
}

/** `undefined` when it is in the family already. */
function inManifest(
  manifest: Manifest,
  family: Family,
  fail: (why: string) => Error,
): (Manifest & Typed) | undefined {
  const turned = (descriptor: Descriptor, what: string): Descriptor => {
    const mediaType = familyType(descriptor.mediaType, family === "docker");
    if (mediaType === undefined) {
      throw fail(`${what} has the type ${JSON.stringify(descriptor.mediaType)}`);
    }
    return mediaType === descriptor.mediaType
      ? descriptor
      : { ...plain(descriptor, family), mediaType };
  };
  const config = turned(manifest.config, "its config");
  const layers = manifest.layers.map((layer, at) => turned(layer, `layer ${at + 1}`));
  const mediaType = typeOf(family, false);
  if (
    (manifest.mediaType ?? MediaType.ociManifest) === mediaType && config === manifest.config &&
    layers.every((layer, at) => layer === manifest.layers[at])
  ) return undefined;
  return { ...bare(manifest, family), schemaVersion: 2, mediaType, config, layers };
}

/** What a document says of itself, as far as the family has words for it. */
function bare(
  { annotations }: { readonly annotations?: Readonly<Record<string, string>> | undefined },
  family: Family,
): { readonly annotations?: Readonly<Record<string, string>> } {
  return family === "oci" && annotations !== undefined ? { annotations } : {};
}

function plain(descriptor: Descriptor, family: Family): Descriptor {
  const { data: _, annotations, artifactType: __, ...rest } = descriptor;
  return { ...rest, ...platformOf(descriptor), ...bare({ annotations }, family) };
}

/** In the order that everybody writes, so that an index which is turned there and back is what it was. */
function platformOf({ platform }: Descriptor): Pick<Descriptor, "platform"> {
  if (platform === undefined) return {};
  const { architecture, os, ...more } = platform;
  return { platform: { architecture, os, ...more } };
}

/** BuildKit's record of how an image was made: no image. */
function isAttestation({ platform, annotations }: Descriptor): boolean {
  return platform?.os === "unknown" && platform.architecture === "unknown" &&
    annotations?.["vnd.docker.reference.digest"] !== undefined;
}
