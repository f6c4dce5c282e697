/** What an image needs to be whole elsewhere: its documents and blobs, found by reading small documents only. */
import type { Descriptor, Platform } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { isForeignLayerType, isIndexType, isManifestType } from "../oci/media_type.ts";
import { parseDocument } from "../oci/manifest.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { CallOptions, RawManifest, Reader, Registry } from "../registry.ts";

/** An image somewhere. */
export interface Found {
  /** The place. */
  readonly registry: Reader & Partial<Pick<Registry, "referrers">>;
  /** The repository in it. */
  readonly repository: string;
  /** Tag or digest. */
  readonly reference: string;
}

/** Everything below one name. */
export interface Closure {
  /** The manifest or index that the name stands for. */
  readonly top: RawManifest;
  /** Every document, `top` included, by digest. */
  readonly documents: ReadonlyMap<Digest, RawManifest>;
  /** Configs and layers. */
  readonly blobs: ReadonlyMap<Digest, Descriptor>;
  /** Children of indexes that no wanted platform needs. */
  readonly absent: readonly Descriptor[];
  /** What speaks of it: signatures, attestations, bills of materials; each with what it needs. */
  readonly referrers: readonly Descriptor[];
}

/** Options of {@linkcode closureOf}. */
export interface ClosureOptions extends CallOptions {
  /** The image as people know it, for messages. Default: its repository and reference. */
  readonly named?: string | undefined;
  /** Platforms to keep; none: all. */
  readonly platforms?: readonly Platform[] | undefined;
  /** Without what speaks of it. */
  readonly alone?: boolean | undefined;
}

const MAX_DOCUMENTS = 10_000;
const MAX_DEPTH = 8;

/**
 * Finds all that the image behind a name needs.
 *
 * @throws {OciError} `MANIFEST_UNKNOWN` when it is not there, or has none of the platforms.
 */
export async function closureOf(from: Found, options: ClosureOptions = {}): Promise<Closure> {
  const { signal, platforms = [] } = options;
  const documents = new Map<Digest, RawManifest>();
  const blobs = new Map<Digest, Descriptor>();
  const absent: Descriptor[] = [];
  const read = async (reference: string) => {
    const raw = await from.registry.manifest(from.repository, reference, { signal });
    if (raw !== undefined) return raw;
    throw new OciError(
      "MANIFEST_UNKNOWN",
      `Cannot find ${
        reference === from.reference && options.named !== undefined
          ? options.named
          : `${from.repository}${reference.includes(":") ? "@" : ":"}${reference}`
      }: it is not there`,
    );
  };
  const visit = async (raw: RawManifest, depth: number): Promise<void> => {
    if (documents.has(raw.digest)) return;
    if (depth > MAX_DEPTH || documents.size > MAX_DOCUMENTS) {
      throw new OciError(
        "MANIFEST_INVALID",
        `Cannot take ${from.repository}@${raw.digest}: indexes nest deeper than ${MAX_DEPTH} or name more than ${MAX_DOCUMENTS} documents`,
      );
    }
    documents.set(raw.digest, raw);
    const document = parseDocument(raw.bytes, raw.mediaType);
    if (document.kind === "manifest") {
      const { config, layers } = document.manifest;
      for (const blob of [config, ...layers]) {
        if (!isForeignLayerType(blob.mediaType)) blobs.set(blob.digest, blob);
      }
      return;
    }
    for (const child of document.index.manifests) {
      if (!isIndexType(child.mediaType) && !isManifestType(child.mediaType)) {
        blobs.set(child.digest, child);
      } else if (isWanted(child, platforms)) await visit(await read(child.digest), depth + 1);
      else absent.push(child);
    }
  };
  const top = await read(from.reference);
  await visit(top, 0);
  if (absent.length > 0 && documents.size === 1) {
    throw new OciError(
      "MANIFEST_UNKNOWN",
      `Cannot take ${from.repository}:${from.reference} for ${
        platforms.map(formatPlatform).join(", ")
      }: it has ${absent.map((one) => formatPlatform(one.platform)).join(", ")}`,
    );
  }
  const referrers: Descriptor[] = [];
  // A copy: what speaks of a referrer is not looked for.
  for (const digest of options.alone ? [] : [...documents.keys()]) {
    for (const one of await from.registry.referrers?.(from.repository, digest, { signal }) ?? []) {
      if (documents.has(one.digest)) continue;
      referrers.push(one);
      await visit(await read(one.digest), 1);
    }
  }
  return { top, documents, blobs, absent, referrers };
}

function isWanted(child: Descriptor, platforms: readonly Platform[]): boolean {
  const { platform } = child;
  if (platforms.length === 0 || platform === undefined) return true;
  return platforms.some((wanted) =>
    wanted.os === platform.os && wanted.architecture === platform.architecture &&
    (wanted.variant === undefined || wanted.variant === platform.variant)
  );
}
