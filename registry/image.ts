/** An image as a value: what its documents say, and layers whose bytes are opened only when wanted. */
import { type ImageConfig, parseConfig } from "./oci/config.ts";
import { type Descriptor, embedded, type Platform } from "./oci/descriptor.ts";
import { type Digest, digestMade } from "./oci/digest.ts";
import { isOciError, OciError } from "./oci/error.ts";
import { familyType, isDockerType, isForeignLayerType, MediaType } from "./oci/media_type.ts";
import { type Index, type Manifest, parseDocument, rememberManifest } from "./oci/manifest.ts";
import { choosePlatform, formatPlatform } from "./oci/platform.ts";
import type { CallOptions, PushOptions, RawManifest, Reader, Registry } from "./registry.ts";
import { bytesSource, readAll, type Source } from "./source.ts";

/** Where content lies already, so that it can be mounted there instead of sent. */
export interface Origin {
  /** The very object: two places are the same when it is the same object. */
  readonly registry: Reader;
  /** The repository that holds it. */
  readonly repository: string;
}

/** One layer. Its bytes are read only when some place lacks them. */
export interface Layer {
  /** Of the plain tar. */
  readonly diffId: Digest;
  /** Of the blob as it travels. */
  readonly descriptor: Descriptor;
  /** Opens the blob; `undefined` where it lies is asked only then. */
  readonly blob: () => Promise<Source>;
  /** Where it is known to lie. */
  readonly origin?: Origin | undefined;
}

/** An image. Immutable; a change makes another one. */
export interface Image {
  /** The manifest as bytes, with its type and digest. */
  readonly raw: RawManifest;
  /** The manifest, parsed. */
  readonly manifest: Manifest;
  /** The config as bytes. */
  readonly rawConfig: Uint8Array<ArrayBuffer>;
  /** The config, parsed. */
  readonly config: ImageConfig;
  /** Oldest first; as many as `rootfs.diff_ids`. */
  readonly layers: readonly Layer[];
}

/** Config blobs of images are small; CNB labels make some of them large (C-GET-02). */
export const MAX_CONFIG_BYTES = 16 * 1024 * 1024;

/** Options of {@linkcode readImage}. */
export interface ReadImageOptions extends CallOptions {
  /** Told of each index on the way, outermost first, with what was chosen from it. */
  readonly onIndex?: ((raw: RawManifest, index: Index, chosen: Descriptor) => void) | undefined;
  /** Takes the place of {@linkcode choosePlatform}: for those who would rather see another platform than none. */
  readonly choose?:
    | ((entries: readonly Descriptor[], wanted: Platform) => Descriptor | undefined)
    | undefined;
}

/**
 * Reads an image from a place: two small documents, no layer.
 *
 * @param wanted Chooses from an index; ignored for a single image.
 * @returns `undefined` when the place has no such manifest.
 * @throws {OciError} When the documents contradict each other (AN-4 "corrupt") or no child fits.
 */
export async function readImage(
  registry: Reader,
  repository: string,
  reference: string,
  wanted: Platform,
  { onIndex, choose = choosePlatform, ...options }: ReadImageOptions = {},
): Promise<Image | undefined> {
  let raw = await registry.manifest(repository, reference, options);
  if (raw === undefined) return undefined;
  const at = `${repository}${reference.includes(":") ? "@" : ":"}${reference}`;
  let document = parseDocument(raw.bytes, raw.mediaType);
  for (let depth = 0; document.kind === "index"; depth++) {
    const child = choose(document.index.manifests, wanted);
    if (child === undefined || depth > MAX_INDEX_DEPTH) {
      const have = document.index.manifests.map((entry) => formatPlatform(entry.platform));
      throw new OciError(
        "MANIFEST_UNKNOWN",
        `Cannot choose an image of ${at} for ${formatPlatform(wanted)}: it has ${
          have.join(", ") || "none"
        }`,
      );
    }
    onIndex?.(raw, document.index, child);
    raw = await registry.manifest(repository, child.digest, options);
    if (raw === undefined) {
      throw new OciError(
        "MANIFEST_UNKNOWN",
        `Cannot read ${repository}@${child.digest}: its index names it, the registry lacks it`,
      );
    }
    document = parseDocument(raw.bytes, raw.mediaType);
  }
  const { manifest } = document;
  const own = embedded(manifest.config);
  const source = own === undefined
    ? await registry.blob(repository, manifest.config.digest, options)
    : bytesSource(own);
  if (source === undefined) {
    throw new OciError(
      "BLOB_UNKNOWN",
      `Cannot read config ${manifest.config.digest} of ${repository}: the registry lacks it`,
    );
  }
  const rawConfig = await readAll(source, MAX_CONFIG_BYTES);
  try {
    return assembleImage(raw, manifest, rawConfig, { registry, repository });
  } catch (cause) {
    const { mediaType } = manifest.config;
    if (mediaType === MediaType.ociConfig || mediaType === MediaType.dockerConfig) throw cause;
    throw new NoImageError(at, manifest.artifactType ?? mediaType, { cause });
  }
}

/** An artifact was taken for an image: a signature, a chart, a bill of materials. */
export class NoImageError extends OciError {
  /** `at` is the name, `type` what it says it is. */
  constructor(at: string, type: string, options: ErrorOptions = {}) {
    super(
      "MANIFEST_INVALID",
      `Cannot use ${at} as an image: it is ${JSON.stringify(type)}`,
      options,
    );
  }
}

const MAX_INDEX_DEPTH = 8;

/** How configs are read and written. */
export interface ConfigCodec {
  /** Reads one; throws as {@linkcode parseConfig}. */
  readonly parse: (bytes: Uint8Array<ArrayBuffer>) => ImageConfig;
  /** The bytes of one. */
  readonly encode: (config: ImageConfig) => Uint8Array<ArrayBuffer>;
}

/** Everything is read, and written as JSON is. */
const PLAIN: ConfigCodec = { parse: (bytes) => parseConfig(bytes), encode: encodeJson };

/**
 * The image that documents describe, whose layers lie at `origin`.
 *
 * @throws {OciError} When the two contradict each other.
 */
export function assembleImage(
  raw: RawManifest,
  manifest: Manifest,
  rawConfig: Uint8Array<ArrayBuffer>,
  origin: Origin,
  { parse }: ConfigCodec = PLAIN,
): Image {
  if (rawConfig.byteLength !== manifest.config.size) {
    throw new OciError(
      "MANIFEST_INVALID",
      `Cannot use image ${raw.digest}: its config has ${rawConfig.byteLength} bytes, its manifest says ${manifest.config.size}`,
    );
  }
  const config = parse(rawConfig);
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) {
    throw new OciError(
      "MANIFEST_INVALID",
      `Cannot use image ${raw.digest}: its manifest has ${manifest.layers.length} layers, its config ${diffIds.length}`,
    );
  }
  const layers = manifest.layers.map((descriptor, at): Layer => ({
    diffId: diffIds[at]!,
    descriptor,
    blob: async () => {
      const blob = await origin.registry.blob(origin.repository, descriptor.digest);
      if (blob === undefined) {
        throw new OciError(
          "BLOB_UNKNOWN",
          `Cannot read layer ${descriptor.digest} of ${origin.repository}: the registry lacks it`,
        );
      }
      return blob;
    },
    origin,
  }));
  return { raw, manifest, rawConfig, config, layers };
}

/**
 * Makes an image of a config and layers, all of one family of media types.
 *
 * @param config Its `rootfs` is replaced by the layers' diffIDs.
 * @param base Keeps the base's manifest annotations out and its family in (CF-6, C-MT-05); OCI without one.
 * @param annotations Of the manifest; none by default.
 */
export function makeImage(
  config: ImageConfig,
  layers: readonly Layer[],
  base?: Image,
  annotations?: Readonly<Record<string, string>>,
  { encode }: ConfigCodec = PLAIN,
): Image {
  const docker = base !== undefined && isDockerType(base.raw.mediaType);
  const whole: ImageConfig = {
    ...config,
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
  };
  const rawConfig = encode(whole);
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: docker ? MediaType.dockerManifest : MediaType.ociManifest,
    config: {
      mediaType: docker ? MediaType.dockerConfig : MediaType.ociConfig,
      digest: digestMade(rawConfig),
      size: rawConfig.byteLength,
    },
    layers: layers.map((layer) => inFamily(layer.descriptor, docker)),
    ...(annotations === undefined ? {} : { annotations }),
  };
  const bytes = encodeJson(manifest);
  rememberManifest(bytes, manifest.mediaType!, manifest);
  return {
    raw: { mediaType: manifest.mediaType!, digest: digestMade(bytes), bytes },
    manifest,
    rawConfig,
    config: whole,
    layers: layers.map((layer, at) => {
      const descriptor = manifest.layers[at]!;
      return descriptor === layer.descriptor ? layer : { ...layer, descriptor };
    }),
  };
}

/** The same blob under the layer type of the other family, where it has one. */
function inFamily(descriptor: Descriptor, docker: boolean): Descriptor {
  const mediaType = familyType(descriptor.mediaType, docker) ?? descriptor.mediaType;
  return mediaType === descriptor.mediaType ? descriptor : { ...descriptor, mediaType };
}

const TEXT = new TextEncoder();

/** JSON as bytes, keys in the order of the value. */
export function encodeJson(value: unknown): Uint8Array<ArrayBuffer> {
  return TEXT.encode(JSON.stringify(value));
}

/**
 * Puts an image into a place: blobs first, the config, the manifest, then its tags (RG-10). Nothing that is
 * there is sent again, and what lies in the same place is mounted.
 *
 * @returns How each layer got there, in order of the layers.
 */
export async function pushImage(
  image: Image,
  to: Registry,
  repository: string,
  options: PushImageOptions = {},
): Promise<readonly LayerMove[]> {
  const { signal, tags = [] } = options;
  const push = async () => {
    const moved = await pushContents(image, to, repository, options);
    await to.pushManifest(repository, image.raw, { signal, tags });
    return moved;
  };
  try {
    return await push();
  } catch (error) {
    // The place may have lost what it had a while ago, and knows it now (C-PUT-03).
    if (!isOciError(error, "MANIFEST_BLOB_UNKNOWN")) throw error;
    return await push();
  }
}

/** How a layer came to be in a place. */
export type LayerMove = "exists" | "mounted" | "uploaded" | "foreign";

/**
 * The first half of {@linkcode pushImage}: all that the manifest needs, not the manifest. For callers that give
 * an image several names and want to know which of them failed.
 */
export async function pushContents(
  image: Image,
  to: Registry,
  repository: string,
  options: Omit<PushImageOptions, "tags"> = {},
): Promise<readonly LayerMove[]> {
  const { signal, concurrency = 4, onLayer } = options;
  const moved: LayerMove[] = [];
  const queue = image.layers.map((layer, at) => ({ layer, at }));
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      signal?.throwIfAborted();
      const { layer, at } = next;
      moved[at] = await pushLayer(layer, to, repository, options);
      onLayer?.(layer, moved[at]);
    }
  };
  const done = await Promise.allSettled(Array.from({ length: concurrency }, async () => {
    try {
      await work();
    } catch (error) {
      queue.length = 0; // one failure is enough: let the others finish what they hold
      throw error;
    }
  }));
  for (const result of done) if (result.status === "rejected") throw result.reason;
  const { config } = image.manifest;
  await to.pushBlob(repository, config, bytesSource(image.rawConfig), { signal });
  return moved;
}

/** Options of {@linkcode pushImage}. */
export interface PushImageOptions extends CallOptions {
  /** Tags to set last; none leaves the image reachable by digest only. */
  readonly tags?: readonly string[] | undefined;
  /** Layers under way at once. Default 4. */
  readonly concurrency?: number | undefined;
  /** Called as bytes of a layer leave. */
  readonly onProgress?: ((layer: Layer, bytes: number) => void) | undefined;
  /** Called when a layer is there. */
  readonly onLayer?: ((layer: Layer, how: string) => void) | undefined;
}

/** Puts one layer into a place; nothing is sent that is there or can be mounted. */
export async function pushLayer(
  layer: Layer,
  to: Registry,
  repository: string,
  options: Omit<PushImageOptions, "tags"> & Pick<PushOptions, "row" | "onLeft"> = {},
): Promise<LayerMove> {
  const { origin } = layer;
  const sameplace = origin !== undefined && (origin.registry as unknown) === to;
  const foreign = isForeignLayerType(layer.descriptor.mediaType);
  if (foreign || sameplace && origin.repository === repository) {
    options.onLeft?.();
    return foreign ? "foreign" : "exists";
  }
  const neighbour = sameplace || (origin?.registry.standsFor as unknown) === to;
  let opened: Source | undefined;
  const lazy: Source = {
    size: layer.descriptor.size,
    open: async (how) => await (opened ??= await layer.blob()).open(how),
  };
  return await to.pushBlob(repository, layer.descriptor, lazy, {
    signal: options.signal,
    row: options.row,
    onLeft: options.onLeft,
    mountFrom: neighbour ? origin?.repository : undefined,
    onProgress: options.onProgress && ((bytes) => options.onProgress!(layer, bytes)),
  });
}
