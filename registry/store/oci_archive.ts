/** An OCI image layout in one tar: `oci-archive:`. */
import { isForeignLayerType, MediaType } from "../oci/media_type.ts";
import { algorithmOf, type Digest, hexOf } from "../oci/digest.ts";
import { encodeJson, type Layer } from "../image.ts";
import type { CallOptions } from "../registry.ts";
import type { Source } from "../source.ts";
import type { ArchiveImage, OpenArchive } from "./archive.ts";
import {
  checkLayout,
  type LayoutFiles,
  LayoutReader,
  readLayoutIndex,
  REF_NAME,
  refName,
} from "./layout_reader.ts";
import { LAYOUT_REPOSITORY } from "./layout.ts";
import { TarFile } from "./tar_file.ts";
import { writeArchive } from "./tar_writer.ts";
import { verifiedSource } from "./verified.ts";

/**
 * Writes images as one OCI archive; the same images make the same bytes. The file appears whole or not at all.
 *
 * @throws {OciError} `UNAVAILABLE` when it cannot be written, `DIGEST_INVALID` or `SIZE_INVALID` when a layer is
 * not what its image says.
 */
export async function writeOciArchive(
  file: string,
  images: readonly ArchiveImage[],
  options: CallOptions = {},
): Promise<void> {
  await writeArchive(file, async (sink) => {
    await sink.file("oci-layout", encodeJson({ imageLayoutVersion: "1.0.0" }));
    const manifests = images.flatMap(({ image: { raw, config }, names }) => {
      const { os, architecture, variant } = config;
      const platform = os === "" ? {} : {
        platform: { architecture, os, ...(variant === undefined ? {} : { variant }) },
      };
      const { mediaType, digest, bytes } = raw;
      const entry = { mediaType, digest, size: bytes.byteLength, ...platform };
      return names.length === 0
        ? [entry]
        : names.map((name) => ({ ...entry, annotations: { [REF_NAME]: name } }));
    });
    const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests };
    await sink.file("index.json", encodeJson(index));
    await sink.directory("blobs");
    for (const { image } of images) {
      for (const algorithm of algorithmsOf(image.raw.digest, image.layers)) {
        await sink.directory(`blobs/${algorithm}`);
      }
      await sink.file(blobPath(image.raw.digest), image.raw.bytes);
      await sink.file(blobPath(image.manifest.config.digest), image.rawConfig);
      for (const layer of image.layers) {
        if (isForeignLayerType(layer.descriptor.mediaType)) continue;
        await sink.file(blobPath(layer.descriptor.digest), layerSource(layer));
      }
    }
  }, options);
}

/** A layer's blob, opened when its turn comes and checked while it is read. */
export function layerSource({ descriptor, blob }: Layer): Source {
  const lazy: Source = {
    size: descriptor.size,
    open: async (options) => await (await blob()).open(options),
  };
  return verifiedSource(lazy, descriptor.digest, "an image");
}

/**
 * Opens an OCI archive, plain or compressed. Nothing is unpacked beside it.
 *
 * @throws {OciError} As {@linkcode openLayout}; `MANIFEST_INVALID` for a tar that is broken or leads outside.
 */
export async function readOciArchive(
  file: string,
  options: CallOptions = {},
): Promise<OpenArchive> {
  const tar = await TarFile.open(file, options);
  const files: LayoutFiles = {
    name: `oci-archive:${file}`,
    document: (path, limit) => tar.document(path, limit),
    blob: (digest) => Promise.resolve(tar.member(blobPath(digest))?.source),
  };
  try {
    await checkLayout(files);
    const { manifests } = await readLayoutIndex(files);
    const images = new Map<Digest, string[]>();
    for (const entry of manifests) {
      const names = images.get(entry.digest) ?? [];
      const name = refName(entry);
      images.set(entry.digest, name === undefined ? names : [...names, name]);
    }
    return {
      reader: new LayoutReader(files, verifiedSource),
      repository: LAYOUT_REPOSITORY,
      images: [...images].map(([digest, names]) => ({ digest, names })),
      [Symbol.asyncDispose]: () => tar[Symbol.asyncDispose](),
    };
  } catch (error) {
    await tar[Symbol.asyncDispose]();
    throw error;
  }
}

/** Whether `file` is a tar whose root holds an `oci-layout`, as package files do, whatever it is called. */
export async function isLayoutArchive(file: string): Promise<boolean> {
  try {
    await using tar = await TarFile.open(file);
    return tar.member("oci-layout") !== undefined;
  } catch {
    return false;
  }
}

function blobPath(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

function algorithmsOf(manifest: Digest, layers: readonly Layer[]): Set<string> {
  return new Set([
    "sha256",
    ...[manifest, ...layers.map((l) => l.descriptor.digest)].map(algorithmOf),
  ]);
}
