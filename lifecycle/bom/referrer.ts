/** Bills of materials beside an image, as OCI referrers: what scanners and `oras discover` look for. */
import { encodeJson, type Image } from "../../registry/image.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import { parseDocument } from "../../registry/oci/manifest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import type { Lister, Reader, Registry } from "../../registry/registry.ts";
import { bytesSource, readAll } from "../../registry/source.ts";
import { BOM_FORMATS, type BomDocument, type BomFormat } from "./document.ts";

const EMPTY = new TextEncoder().encode("{}");

/** A larger one is no bill of materials. */
const MAX_BYTES = 256 * 1024 * 1024;

/**
 * Puts `document` beside `image`: a manifest whose `subject` is the image's and whose `artifactType` is the document's
 * media type. Where the registry has no referrers API, the client also keeps the tag that stands in for it. The same
 * document twice is the same manifest.
 *
 * @param created RFC 3339, for the annotation.
 */
export async function attachBom(
  image: Image,
  to: Registry,
  repository: string,
  document: { readonly format: BomFormat; readonly bytes: Uint8Array<ArrayBuffer> },
  created: string,
  signal?: AbortSignal,
): Promise<Descriptor> {
  const { mediaType } = BOM_FORMATS[document.format];
  const blob = (bytes: Uint8Array<ArrayBuffer>, type: string) => ({
    mediaType: type,
    digest: digestOf(bytes),
    size: bytes.byteLength,
  });
  const config = blob(EMPTY, MediaType.ociEmpty);
  const layer = blob(document.bytes, mediaType);
  await to.pushBlob(repository, config, bytesSource(EMPTY), { signal });
  await to.pushBlob(repository, layer, bytesSource(document.bytes), { signal });
  const { raw } = image;
  return await to.pushManifest(repository, {
    mediaType: MediaType.ociManifest,
    bytes: encodeJson({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      artifactType: mediaType,
      config,
      layers: [{
        ...layer,
        annotations: {
          "org.opencontainers.image.title": `sbom.${BOM_FORMATS[document.format].extension}`,
        },
      }],
      subject: { mediaType: raw.mediaType, digest: raw.digest, size: raw.bytes.byteLength },
      annotations: { "org.opencontainers.image.created": created },
    }),
  }, { signal });
}

/** A bill of materials that lies beside an image. */
export interface AttachedBom {
  /** Of the manifest that refers to the image. */
  readonly digest: Digest;
  /** What it is. */
  readonly format: BomFormat;
}

/** The bills of materials beside the manifest `digest`. */
export async function attachedBoms(
  place: Lister,
  repository: string,
  digest: Digest,
  signal?: AbortSignal,
): Promise<readonly AttachedBom[]> {
  const found = await place.referrers(repository, digest, { signal });
  return found.flatMap((one) => {
    const format = formatOfType(one.artifactType ?? "");
    return format === undefined ? [] : [{ digest: one.digest, format }];
  });
}

/** Opens one of them; `undefined` when it is gone. */
export async function readAttachedBom(
  place: Reader,
  repository: string,
  { digest, format }: AttachedBom,
  signal?: AbortSignal,
): Promise<BomDocument | undefined> {
  const raw = await place.manifest(repository, digest, { signal });
  if (raw === undefined) return undefined;
  const document = parseDocument(raw.bytes, raw.mediaType);
  const layer = document.kind === "manifest" ? document.manifest.layers[0] : undefined;
  if (layer === undefined) return undefined;
  const blob = await place.blob(repository, layer.digest, { signal });
  if (blob === undefined) return undefined;
  const bytes = await readAll(blob, MAX_BYTES);
  return { path: digest, buildpack: "", layer: "", format, bytes };
}

function formatOfType(artifactType: string): BomFormat | undefined {
  const bare = artifactType.split(";")[0]!.trim().toLowerCase();
  for (const [format, { mediaType }] of Object.entries(BOM_FORMATS)) {
    if (mediaType === bare) return format as BomFormat;
  }
  return undefined;
}
