/**
 * A cache that is an image: layers in order of the buildpacks, SBOMs last, and a label that says which is which
 * (CA-6). Either lifecycle can go on with what the other left.
 */
import type { Log } from "../../registry/context.ts";
import { type Image, type Layer, makeImage, pushImage, readImage } from "../../registry/image.ts";
import { decompress } from "../../registry/layer/decompress.ts";
import type { ByteSink } from "../../registry/layer/write_layer.ts";
import { labelOf } from "../../registry/oci/config.ts";
import type { Descriptor, Platform } from "../../registry/oci/descriptor.ts";
import { type Digest, Digester } from "../../registry/oci/digest.ts";
import { isOciError } from "../../registry/oci/error.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import type { Registry } from "../../registry/registry.ts";
import { fileSource, type Source } from "../../registry/source.ts";
import {
  type CacheMetadata,
  formatCacheMetadata,
  parseCacheMetadata,
} from "../file/lifecycle_metadata.ts";
import { type Cache, type CacheDraft, CacheLayerError, EMPTY_CACHE_METADATA } from "./cache.ts";
import { DEFAULT_CREATED, formatTime } from "../phase/created.ts";

/** The label that holds the document. */
const LABEL = "io.buildpacks.lifecycle.cache.metadata";

/** What {@linkcode openImageCache} starts from. */
export interface ImageCacheOptions {
  /** Where the image is, or will be. */
  readonly place: {
    readonly registry: Registry;
    readonly repository: string;
    /** A tag; a digest can be read but not written. */
    readonly reference: string;
    /** For people. */
    readonly name: string;
  };
  /** What its config says it is for, and what is chosen from an index. */
  readonly platform: Platform;
  /** An existing private directory: layers are verified there before they are used. */
  readonly scratch: string;
  /** Delete the image that a new one replaces (CA-8, P<0.13). */
  readonly deleteOld: boolean;
  /** Told of an image that cannot be used. */
  readonly log: Log;
}

/**
 * Opens the cache image. One that is not there, or contradicts itself, is an empty cache (CA-9).
 *
 * @throws {OciError} When the registry refuses or cannot be reached.
 */
export async function openImageCache(
  options: ImageCacheOptions,
  signal?: AbortSignal,
): Promise<Cache> {
  const { registry, repository, reference, name } = options.place;
  let image: Image | undefined;
  try {
    image = await readImage(registry, repository, reference, options.platform, { signal });
  } catch (error) {
    if (
      !isOciError(error, "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "DIGEST_INVALID")
    ) {
      throw error;
    }
    options.log.info(`Ignoring cache image "${name}" because it was corrupt`);
    options.log.debug(error.message);
  }
  return new ImageCache(options, image);
}

class ImageCache implements Cache {
  readonly name: string;
  readonly #options: ImageCacheOptions;
  #image: Image | undefined;
  /** Verified plain tars, by diffID. */
  readonly #spooled = new Map<Digest, Promise<Source>>();
  #draft: ImageDraft | undefined;

  constructor(options: ImageCacheOptions, image: Image | undefined) {
    this.name = options.place.name;
    this.#options = options;
    this.#image = image;
  }

  metadata(): Promise<CacheMetadata> {
    const label = this.#image && labelOf(this.#image.config, LABEL);
    try {
      return Promise.resolve(label ? parseCacheMetadata(label) : EMPTY_CACHE_METADATA);
    } catch {
      return Promise.resolve(EMPTY_CACHE_METADATA); // CA-4
    }
  }

  async layer(diffId: Digest, signal?: AbortSignal): Promise<Source> {
    let source = this.#spooled.get(diffId);
    if (source === undefined) {
      source = this.#spool(diffId, signal);
      this.#spooled.set(diffId, source);
    }
    return await source;
  }

  /** Downloads a layer, checking blob and tar: a registry that others write to is not to be trusted (RG-9). */
  async #spool(diffId: Digest, signal: AbortSignal | undefined): Promise<Source> {
    const layer = this.#find(diffId);
    const path = `${this.#options.scratch}/${crypto.randomUUID()}.tar`;
    const digester = new Digester();
    let size = 0;
    try {
      using file = await Deno.open(path, { createNew: true, write: true });
      const blob = await layer.blob();
      for await (const chunk of decompress(await blob.open({ signal }))) {
        digester.update(chunk);
        size += chunk.byteLength;
        for (let rest = chunk; rest.byteLength > 0;) rest = rest.subarray(await file.write(rest));
      }
    } catch (cause) {
      signal?.throwIfAborted();
      await Deno.remove(path).catch(() => {});
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CacheLayerError(`failed to read cache layer with SHA '${diffId}': ${why}`, {
        cause,
      });
    }
    const found = digester.digest();
    if (found === diffId) return fileSource(path, size);
    await Deno.remove(path);
    throw new CacheLayerError(`expected layer contents to have SHA '${diffId}'; found '${found}'`);
  }

  #find(diffId: Digest): Layer {
    const layer = this.#image?.layers.find((one) => one.diffId === diffId);
    if (layer !== undefined) return layer;
    throw new CacheLayerError(`failed to find cache layer with SHA '${diffId}'`);
  }

  draft(): Promise<CacheDraft> {
    const { registry, repository, reference } = this.#options.place;
    if (reference.includes(":")) {
      throw new TypeError(`Cannot write cache ${this.name}: want a tag, not a digest`);
    }
    this.#draft = new ImageDraft({
      registry,
      repository,
      find: (diffId) => this.#find(diffId),
      commit: (layers, metadata) => this.#commit(layers, metadata),
    });
    return Promise.resolve(this.#draft);
  }

  async #commit(layers: readonly Layer[], metadata: CacheMetadata): Promise<void> {
    const { platform, place: { registry, repository, reference }, deleteOld, log } = this.#options;
    const created = formatTime(DEFAULT_CREATED);
    const config = {
      created,
      os: platform.os,
      architecture: platform.architecture,
      config: { Labels: { [LABEL]: formatCacheMetadata(metadata) } },
      rootfs: { type: "layers" as const, diff_ids: [] },
      history: layers.map(() => ({ created })),
    };
    const image = makeImage(config, layers);
    await pushImage(image, registry, repository, { tags: [reference] });
    const old = this.#image?.raw.digest;
    this.#image = image;
    if (!deleteOld || old === undefined || old === image.raw.digest) return;
    try {
      await registry.deleteManifest(repository, old);
    } catch (error) {
      log.debug(`Cannot delete old cache image ${old}: ${error}`); // many registries allow no deletion
    }
  }

  async close(): Promise<void> {
    await this.#draft?.abort();
  }
}

interface DraftParts {
  readonly registry: Registry;
  readonly repository: string;
  readonly find: (diffId: Digest) => Layer;
  readonly commit: (layers: readonly Layer[], metadata: CacheMetadata) => Promise<void>;
}

class ImageDraft implements CacheDraft {
  readonly #parts: DraftParts;
  /** By diffID, in order: none is listed twice (CA-11). */
  readonly #layers = new Map<Digest, Layer>();
  #ended = false;

  constructor(parts: DraftParts) {
    this.#parts = parts;
  }

  async keep(diffId: Digest, signal?: AbortSignal): Promise<void> {
    this.#check();
    const layer = this.#parts.find(diffId);
    const { registry, repository } = this.#parts;
    if (await registry.blob(repository, layer.descriptor.digest, { signal }) === undefined) {
      throw new CacheLayerError(`failed to find cache layer with SHA '${diffId}'`);
    }
    this.#layers.set(diffId, layer);
  }

  async add(
    write: (sink: ByteSink, compression: "none" | "gzip") => Promise<Digest>,
  ): Promise<Digest> {
    this.#check();
    const { registry, repository } = this.#parts;
    const upload = await registry.upload(repository);
    let diffId: Digest;
    let stored: Descriptor;
    try {
      diffId = await write({ write: (chunk) => upload.write(chunk) }, "gzip");
      stored = await upload.commit();
    } catch (error) {
      await upload.abort();
      throw error;
    }
    if (!this.#layers.has(diffId)) {
      this.#layers.set(diffId, layerAt(registry, repository, diffId, stored));
    }
    return diffId;
  }

  async commit(metadata: CacheMetadata): Promise<void> {
    this.#check();
    if (this.#layers.size === 0) {
      // An image without layers is refused by some registries (CA-7).
      await this.add(async (sink) => {
        const empty = new Uint8Array(1024);
        await sink.write(empty);
        return new Digester().update(empty).digest();
      });
    }
    this.#ended = true;
    await this.#parts.commit([...this.#layers.values()], metadata);
  }

  abort(): Promise<void> {
    this.#ended = true; // blobs without a manifest are the registry's to collect
    return Promise.resolve();
  }

  #check(): void {
    if (this.#ended) throw new TypeError("Cannot change cache: it is committed or aborted already");
  }
}

function layerAt(
  registry: Registry,
  repository: string,
  diffId: Digest,
  { digest, size }: Descriptor,
): Layer {
  const gzip = digest !== diffId;
  return {
    diffId,
    descriptor: {
      mediaType: gzip ? MediaType.ociLayerGzip : MediaType.ociLayer,
      digest,
      size,
    },
    blob: async () => {
      const blob = await registry.blob(repository, digest);
      if (blob === undefined) throw new CacheLayerError(`failed to find cache layer ${digest}`);
      return blob;
    },
    origin: { registry, repository },
  };
}
