/** An OCI image layout in one tar: `oci-archive:`. */
import { blobPath } from "../oci/blob_path.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { isForeignLayerType, MediaType } from "../oci/media_type.ts";
import { algorithmOf, type Digest } from "../oci/digest.ts";
import { encodeJson, type Image, type Layer } from "../image.ts";
import type { CallOptions, RawManifest } from "../registry.ts";
import { bytesSource, type Source } from "../source.ts";
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
  const entries = images.flatMap(({ image: { raw, config }, names }) => {
    const { os, architecture, variant } = config;
    const platform = os === "" ? {} : {
      platform: { architecture, os, ...(variant === undefined ? {} : { variant }) },
    };
    const { mediaType, digest, bytes } = raw;
    const entry: Descriptor = { mediaType, digest, size: bytes.byteLength, ...platform };
    return names.length === 0 ? [entry] : names.map((name) => named(entry, name));
  });
  const contents = images.map(({ image }) =>
    [
      [image.raw.digest, image.raw.bytes],
      [image.manifest.config.digest, image.rawConfig],
      ...image.layers.filter(({ descriptor }) => !isForeignLayerType(descriptor.mediaType))
        .map((layer) => [layer.descriptor.digest, layerSource(layer)] as const),
    ] as const
  );
  await writeLayout(file, entries, contents, options);
}

/** A document and all it names, where it lies: an index with its images. */
export interface ArchiveTree {
  /** What the name stands for; among the documents, too. */
  readonly top: RawManifest;
  /** Manifests and indexes. */
  readonly documents: ReadonlyMap<Digest, RawManifest>;
  /** Configs and layers. */
  readonly blobs: ReadonlyMap<Digest, Descriptor>;
  /** Opens one of `blobs`. */
  readonly blob: (digest: Digest) => Promise<Source>;
}

/** The tree of an index and the images that it names. */
export function treeOf(top: RawManifest, images: readonly Image[]): ArchiveTree {
  const documents = new Map([top, ...images.map(({ raw }) => raw)].map((raw) => [raw.digest, raw]));
  const blobs = new Map<Digest, Descriptor>();
  const open = new Map<Digest, Layer["blob"]>();
  for (const { manifest: { config }, rawConfig, layers } of images) {
    blobs.set(config.digest, config);
    open.set(config.digest, () => Promise.resolve(bytesSource(rawConfig)));
    for (const { descriptor, blob } of layers) {
      if (isForeignLayerType(descriptor.mediaType)) continue;
      blobs.set(descriptor.digest, descriptor);
      open.set(descriptor.digest, blob);
    }
  }
  return { top, documents, blobs, blob: async (digest) => await open.get(digest)!() };
}

/**
 * Writes an index with its images as one OCI archive, as {@linkcode writeOciArchive} writes images.
 *
 * @param name Its tag.
 */
export async function writeOciArchiveTree(
  file: string,
  { top, documents, blobs, blob }: ArchiveTree,
  name: string,
  options: CallOptions = {},
): Promise<void> {
  const { mediaType, digest, bytes } = top;
  const contents = [
    ...[...documents.values()].map((raw) => [raw.digest, raw.bytes] as const),
    ...[...blobs.values()].map((one) =>
      [one.digest, checked(one, () => blob(one.digest))] as const
    ),
  ];
  const entry = { mediaType, digest, size: bytes.byteLength };
  await writeLayout(file, [named(entry, name)], [contents], options);
}

type Content = readonly [Digest, Uint8Array | Source];

function named(entry: Descriptor, name: string): Descriptor {
  return { ...entry, annotations: { [REF_NAME]: name } };
}

async function writeLayout(
  file: string,
  manifests: readonly Descriptor[],
  contents: readonly (readonly Content[])[],
  options: CallOptions,
): Promise<void> {
  await writeArchive(file, async (sink) => {
    await sink.file("oci-layout", encodeJson({ imageLayoutVersion: "1.0.0" }));
    const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests };
    await sink.file("index.json", encodeJson(index));
    await sink.directory("blobs");
    for (const content of contents) {
      for (const algorithm of new Set(["sha256", ...content.map(([one]) => algorithmOf(one))])) {
        await sink.directory(`blobs/${algorithm}`);
      }
      for (const [digest, bytes] of content) await sink.file(blobPath(digest), bytes);
    }
  }, options);
}

/** A layer's blob, opened when its turn comes and checked while it is read. */
export function layerSource({ descriptor, blob }: Layer): Source {
  return checked(descriptor, blob);
}

function checked({ size, digest }: Descriptor, blob: () => Promise<Source>): Source {
  const open: Source["open"] = async (options) => await (await blob()).open(options);
  return verifiedSource({ size, open }, digest, "an image");
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
