/** What `docker save` writes and `docker load`, `podman load` and `skopeo` read: `docker-archive:`. */
import { z } from "zod";
import { encodeJson, type Layer } from "../image.ts";
import { MAX_CONFIG_BYTES } from "../image.ts";
import { parseConfig } from "../oci/config.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf, hexOf } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { isForeignLayerType, MediaType } from "../oci/media_type.ts";
import type { CallOptions, RawManifest, Reader } from "../registry.ts";
import type { Source } from "../source.ts";
import type { ArchiveImage, OpenArchive } from "./archive.ts";
import { layerSource } from "./oci_archive.ts";
import { compressionOf, TarFile, type TarMember } from "./tar_file.ts";
import { writeArchive } from "./tar_writer.ts";
import { verifiedSource } from "./verified.ts";

/** The repository of an opened archive; its images are asked for by digest. */
const REPOSITORY = "archive";
const MAX_MANIFEST = 16 * 1024 * 1024;

const manifestSchema = z.array(z.looseObject({
  Config: z.string(),
  RepoTags: z.array(z.string()).nullish(),
  Layers: z.array(z.string()).nullish(),
}));

/**
 * Writes images as one docker archive; the same images make the same bytes. Layers stay compressed as they are:
 * every engine tells by their first bytes. The file appears whole or not at all.
 *
 * @throws {OciError} `UNAVAILABLE` when it cannot be written, `UNSUPPORTED` for foreign layers, `DIGEST_INVALID`
 * or `SIZE_INVALID` when a layer is not what its image says.
 */
export async function writeDockerArchive(
  file: string,
  images: readonly ArchiveImage[],
  options: CallOptions = {},
): Promise<void> {
  await writeArchive(file, async (sink) => {
    const manifest = images.map(({ image, names }) => ({
      Config: configPath(image.manifest.config.digest),
      RepoTags: names,
      Layers: image.layers.map(layerPath),
    }));
    await sink.file("manifest.json", encodeJson(manifest));
    for (const { image } of images) {
      await sink.file(configPath(image.manifest.config.digest), image.rawConfig);
      for (const layer of image.layers) await sink.file(layerPath(layer), layerSource(layer));
    }
  }, options);
}

function configPath(digest: Digest): string {
  return `${hexOf(digest)}.json`;
}

function layerPath({ descriptor: { digest, mediaType } }: Layer): string {
  if (isForeignLayerType(mediaType)) {
    throw new OciError(
      "UNSUPPORTED",
      `Cannot write a docker archive: layer ${digest} lies elsewhere (${mediaType})`,
    );
  }
  const zip = /gzip$/.test(mediaType) ? ".gz" : /zstd$/.test(mediaType) ? ".zst" : "";
  return `${hexOf(digest)}.tar${zip}`;
}

/**
 * Opens a docker archive, plain or compressed, of `docker save` old and new. Its images get OCI manifests,
 * since it has none; layers that are plain are checked against their diffIDs. Nothing is unpacked beside it.
 *
 * @throws {OciError} `MANIFEST_INVALID` for a broken archive, a name that leads outside it or a link in a circle
 * or layers that do not fit the config (M-06).
 */
export async function readDockerArchive(
  file: string,
  options: CallOptions = {},
): Promise<OpenArchive> {
  const tar = await TarFile.open(file, options);
  try {
    const blobs = new Map<Digest, Source>();
    const manifests = new Map<Digest, RawManifest>();
    const images: { digest: Digest; names: readonly string[] }[] = [];
    for (const entry of await readManifest(tar, file)) {
      const raw = await assemble(tar, file, entry, blobs);
      manifests.set(raw.digest, raw);
      images.push({ digest: raw.digest, names: entry.RepoTags ?? [] });
    }
    return {
      reader: readerOver(manifests, blobs, images, file),
      repository: REPOSITORY,
      images,
      [Symbol.asyncDispose]: () => tar[Symbol.asyncDispose](),
    };
  } catch (error) {
    await tar[Symbol.asyncDispose]();
    throw error;
  }
}

async function readManifest(
  tar: TarFile,
  file: string,
): Promise<z.infer<typeof manifestSchema>> {
  const bytes = await tar.document("manifest.json", MAX_MANIFEST);
  if (bytes === undefined) {
    throw new OciError(
      "MANIFEST_INVALID",
      `Cannot open docker archive ${file}: it has no manifest.json`,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new OciError("MANIFEST_INVALID", `Cannot read manifest.json of ${file}: it is not JSON`, {
      cause,
    });
  }
  const result = manifestSchema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new OciError(
    "MANIFEST_INVALID",
    `Cannot read manifest.json of ${file}: ${
      issue?.path.join(".") || "document"
    }: ${issue?.message}`,
  );
}

async function assemble(
  tar: TarFile,
  file: string,
  entry: z.infer<typeof manifestSchema>[number],
  blobs: Map<Digest, Source>,
): Promise<RawManifest> {
  const rawConfig = await tar.document(entry.Config, MAX_CONFIG_BYTES);
  if (rawConfig === undefined) throw absent(file, entry.Config);
  const { diff_ids: diffIds } = parseConfig(rawConfig).rootfs;
  const names = entry.Layers ?? [];
  if (names.length !== diffIds.length) {
    throw new OciError(
      "MANIFEST_INVALID",
      `Cannot open docker archive ${file}: it lists ${names.length} layers, config ${entry.Config} has ${diffIds.length}`,
    );
  }
  const layers = names.map((name, at): Descriptor => {
    const member = tar.member(name);
    if (member === undefined) throw absent(file, name);
    const descriptor = describe(member);
    if (descriptor.mediaType === MediaType.ociLayer && descriptor.digest !== diffIds[at]) {
      throw new OciError(
        "MANIFEST_INVALID",
        `Cannot open docker archive ${file}: layer ${name} has digest ${descriptor.digest}, its config says ${
          diffIds[at]
        }`,
      );
    }
    blobs.set(descriptor.digest, member.source);
    return descriptor;
  });
  const config = {
    mediaType: MediaType.ociConfig,
    digest: digestOf(rawConfig),
    size: rawConfig.byteLength,
  };
  blobs.set(config.digest, tar.member(entry.Config)!.source);
  const bytes = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers });
  return { mediaType: MediaType.ociManifest, digest: digestOf(bytes), bytes };
}

function describe({ digest, magic, source }: TarMember): Descriptor {
  const types = { gzip: MediaType.ociLayerGzip, zstd: MediaType.ociLayerZstd };
  const compression = compressionOf(magic);
  const mediaType = compression === undefined ? MediaType.ociLayer : types[compression];
  return { mediaType, digest, size: source.size };
}

function readerOver(
  manifests: ReadonlyMap<Digest, RawManifest>,
  blobs: ReadonlyMap<Digest, Source>,
  images: readonly { readonly digest: Digest; readonly names: readonly string[] }[],
  file: string,
): Reader {
  const find = (reference: string) => {
    const named = images.find(({ names }) => names.includes(reference))?.digest;
    return manifests.get(named ?? reference as Digest);
  };
  return {
    manifest: (_repository, reference) => Promise.resolve(find(reference)),
    stat: (_repository, reference) => {
      const raw = find(reference);
      return Promise.resolve(
        raw && { mediaType: raw.mediaType, digest: raw.digest, size: raw.bytes.byteLength },
      );
    },
    blob: (_repository, digest) => {
      const source = blobs.get(digest);
      return Promise.resolve(source && verifiedSource(source, digest, file));
    },
  };
}

function absent(file: string, name: string): OciError {
  return new OciError(
    "MANIFEST_INVALID",
    `Cannot open docker archive ${file}: it has no ${JSON.stringify(name.slice(0, 200))}`,
  );
}
