/** The one way anything moves between places: save, push, pull, cache and bundle are all this. */
import { type Descriptor, embedded, type Platform } from "./oci/descriptor.ts";
import type { Digest } from "./oci/digest.ts";
import { isOciError, OciError } from "./oci/error.ts";
import { isForeignLayerType, isIndexType, isManifestType } from "./oci/media_type.ts";
import { childrenOf, type Document, parseDocument } from "./oci/manifest.ts";
import { choosePlatform, formatPlatform } from "./oci/platform.ts";
import type { CallOptions, RawManifest, Reader, Registry } from "./registry.ts";
import { bytesSource, type Source } from "./source.ts";

/** Options of {@linkcode copy}. */
export interface CopyOptions extends CallOptions {
  /** The source as people know it, for messages. Default: its repository and reference. */
  readonly named?: string | undefined;
  /** Names to give it there, set last. Default: the tag it was asked for by, or none for a digest. */
  readonly tags?: readonly string[] | undefined;
  /** Take one image out of an index instead of the whole index. */
  readonly platform?: Platform | undefined;
  /** Blobs under way at once. Default 6. */
  readonly concurrency?: number | undefined;
  /** Copy layers, too, whose type says that they are not to be distributed. Default: they stay where they are. */
  readonly foreign?: boolean | undefined;
  /** Called as bytes of a blob leave. */
  readonly onProgress?: ((blob: Descriptor, bytes: number) => void) | undefined;
  /** Called when a blob is there. */
  readonly onBlob?:
    | ((blob: Descriptor, how: "exists" | "mounted" | "uploaded") => void)
    | undefined;
}

/** What a copy did. */
export interface CopyResult {
  /** Of the manifest or index that was copied, byte for byte the same. */
  readonly descriptor: Descriptor;
  /** Blobs that were sent. */
  readonly uploaded: number;
  /** Bytes of those. */
  readonly uploadedBytes: number;
  /** Blobs the place already had, or took from another of its repositories. */
  readonly reused: number;
}

/** Deeper nesting is an attack, not an image (M-07). */
const MAX_DEPTH = 8;
/** More documents behind one name than any real index has (M-07). */
const MAX_DOCUMENTS = 10_000;

/**
 * Copies the image or index behind `reference` with everything it needs: blobs first, then manifests from the
 * leaves up, tags last (RG-10). What is there is not sent, what lies in another repository of the same place
 * is mounted, every byte stays as it is. It can be repeated after a failure and goes on where it was.
 *
 * @param reference A tag or a digest; it is resolved once (C-GET-05).
 * @throws {OciError} `MANIFEST_UNKNOWN` when it is not there or no image fits `platform`.
 */
export async function copy(
  from: Reader,
  fromRepository: string,
  reference: string,
  to: Registry,
  toRepository: string,
  options: CopyOptions = {},
): Promise<CopyResult> {
  const act = new Copy(from, fromRepository, to, toRepository, options);
  const tags = options.tags ?? (reference.includes(":") ? [] : [reference]);
  // Asked while the source is: on a long way each question costs, and what is there already needs no other.
  const before = act.behind(tags);
  before.catch(() => {}); // said when it is waited for
  const top = await act.choose(reference);
  const descriptor = await act.top(top, tags, await before);
  return { descriptor, ...act.counts };
}

class Copy {
  readonly counts = { uploaded: 0, uploadedBytes: 0, reused: 0 };
  readonly #from: Reader;
  readonly #fromRepository: string;
  readonly #to: Registry;
  readonly #toRepository: string;
  readonly #options: CopyOptions;
  /** Blobs that are there or on their way: an index names many of them twice. */
  readonly #blobs = new Map<Digest, Promise<void>>();
  readonly #documents = new Set<Digest>();

  constructor(
    from: Reader,
    fromRepository: string,
    to: Registry,
    toRepository: string,
    options: CopyOptions,
  ) {
    this.#from = from;
    this.#fromRepository = fromRepository;
    this.#to = to;
    this.#toRepository = toRepository;
    this.#options = options;
  }

  /** The document behind `reference`, or the image for the platform inside it. */
  async choose(reference: string): Promise<RawManifest> {
    let raw = await this.#read(reference);
    const { platform } = this.#options;
    for (let depth = 0; platform !== undefined; depth++) {
      const document = parseDocument(raw.bytes, raw.mediaType);
      if (document.kind === "manifest") break;
      const child = choosePlatform(document.index.manifests, platform);
      if (child === undefined || depth >= MAX_DEPTH) {
        const have = document.index.manifests.map((entry) => formatPlatform(entry.platform));
        throw new OciError(
          "MANIFEST_UNKNOWN",
          `Cannot copy ${this.#options.named ?? `${this.#fromRepository}:${reference}`} for ${
            formatPlatform(platform)
          }: it has ${have.join(", ") || "none"}`,
        );
      }
      raw = await this.#read(child.digest);
    }
    return raw;
  }

  /** What `tags` name at the destination now, by tag. */
  async behind(tags: readonly string[]): Promise<ReadonlyMap<string, Descriptor>> {
    const found = new Map<string, Descriptor>();
    await Promise.all(tags.map(async (tag) => {
      const known = await this.#probe(tag);
      if (known !== undefined) found.set(tag, known);
    }));
    return found;
  }

  /** Copies the first document; `before` is what the tags named {@linkcode behind} them. */
  async top(
    raw: RawManifest,
    tags: readonly string[],
    before: ReadonlyMap<string, Descriptor>,
  ): Promise<Descriptor> {
    const known = [...before.values()].find(({ digest }) => digest === raw.digest);
    if (known === undefined) return await this.#document(raw, tags, 0);
    const wrong = tags.filter((tag) => before.get(tag)?.digest !== raw.digest);
    return wrong.length === 0 ? known : await this.#put(raw, wrong, 0);
  }

  /** Copies one document after all it needs. */
  async #document(raw: RawManifest, tags: readonly string[], depth: number): Promise<Descriptor> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    if (depth > MAX_DEPTH || this.#documents.size > MAX_DOCUMENTS) {
      throw new OciError(
        "MANIFEST_INVALID",
        `Cannot copy ${this.#fromRepository}@${raw.digest}: indexes nest deeper than ${MAX_DEPTH} or name more than ${MAX_DOCUMENTS} documents`,
      );
    }
    this.#documents.add(raw.digest);
    const document = parseDocument(raw.bytes, raw.mediaType);
    const known = await this.#probe(raw.digest);
    // A place takes a manifest only when its children are there, so its presence says they are.
    if (known === undefined) await this.#children(document, depth);
    if (known !== undefined && tags.length === 0) return known;
    return await this.#put(raw, tags, depth);
  }

  /** What the place turns out to lack is sent, once (C-PUT-03): it may have lost what it had a while ago. */
  async #put(raw: RawManifest, tags: readonly string[], depth: number): Promise<Descriptor> {
    const { signal } = this.#options;
    const push = () =>
      this.#to.pushManifest(
        this.#toRepository,
        { mediaType: raw.mediaType, bytes: raw.bytes },
        { signal, tags, ...(raw.digest.startsWith("sha256:") ? {} : { digest: raw.digest }) },
      );
    try {
      return await push();
    } catch (error) {
      if (!isOciError(error, "MANIFEST_BLOB_UNKNOWN")) throw error;
      const document = parseDocument(raw.bytes, raw.mediaType);
      const children = childrenOf(document);
      const said = JSON.stringify(error.detail ?? null);
      const named = children.filter(({ digest }) => said.includes(digest));
      for (const { digest } of named.length > 0 ? named : children) {
        this.#blobs.delete(digest);
        this.#documents.delete(digest);
      }
      await this.#children(document, depth);
      return await push();
    }
  }

  async #children(document: Document, depth: number): Promise<void> {
    if (document.kind === "manifest") {
      const { config, layers } = document.manifest;
      // The short one first: behind the long ones its round trips would be all that is left to do.
      await this.#moveAll([
        config,
        ...layers.filter(({ mediaType }) =>
          this.#options.foreign || !isForeignLayerType(mediaType)
        ),
      ]);
      return;
    }
    for (const child of document.index.manifests) {
      if (isIndexType(child.mediaType) || isManifestType(child.mediaType)) {
        if (!this.#documents.has(child.digest)) {
          await this.#document(await this.#read(child.digest), [], depth + 1);
        }
      } else await this.#moveAll([child]);
    }
  }

  async #moveAll(blobs: readonly Descriptor[]): Promise<void> {
    const queue = [...blobs];
    const work = async () => {
      for (let blob = queue.shift(); blob !== undefined; blob = queue.shift()) {
        const { digest } = blob;
        let moving = this.#blobs.get(digest);
        if (moving === undefined) this.#blobs.set(digest, moving = this.#move(blob));
        try {
          await moving;
        } catch (error) {
          queue.length = 0; // one failure is enough; the others finish what they hold
          throw error;
        }
      }
    };
    const width = Math.max(1, this.#options.concurrency ?? 6);
    const done = await Promise.allSettled(Array.from({ length: width }, work));
    for (const result of done) if (result.status === "rejected") throw result.reason;
  }

  async #move(blob: Descriptor): Promise<void> {
    const { signal, onProgress, onBlob } = this.#options;
    signal?.throwIfAborted();
    const samePlace = (this.#from as unknown) === this.#to;
    const neighbour = samePlace || (this.#from.standsFor as unknown) === this.#to;
    const how = samePlace && this.#fromRepository === this.#toRepository
      ? "exists"
      : await this.#to.pushBlob(this.#toRepository, blob, this.#source(blob), {
        signal,
        mountFrom: neighbour ? this.#fromRepository : undefined,
        onProgress: onProgress && ((bytes) => onProgress(blob, bytes)),
      });
    if (how === "uploaded") {
      this.counts.uploaded++;
      this.counts.uploadedBytes += blob.size;
    } else this.counts.reused++;
    onBlob?.(blob, how);
  }

  /** The blob, asked for only when its bytes are needed. */
  #source(blob: Descriptor): Source {
    let asked: Promise<Source | undefined> | undefined;
    const own = embedded(blob);
    if (own !== undefined) return bytesSource(own);
    return {
      size: blob.size,
      open: async (options) => {
        asked ??= this.#from.blob(this.#fromRepository, blob.digest, {
          signal: this.#options.signal,
        });
        const source = await asked;
        if (source === undefined) {
          throw new OciError(
            "BLOB_UNKNOWN",
            `Cannot copy blob ${blob.digest} of ${this.#fromRepository}: the place lacks it`,
          );
        }
        return await source.open(options);
      },
    };
  }

  /**
   * Whether the destination has it. Some deny what they do not have (C-GET-06), and some cannot read a tag that they
   * were killed while setting: then it is sent, which says more and mends the tag.
   */
  async #probe(reference: string): Promise<Descriptor | undefined> {
    const { signal } = this.#options;
    try {
      return await this.#to.stat(this.#toRepository, reference, { signal });
    } catch (error) {
      if (isOciError(error) && (error.code === "DENIED" || error.status === 500)) return undefined;
      throw error;
    }
  }

  async #read(reference: string): Promise<RawManifest> {
    const raw = await this.#from.manifest(this.#fromRepository, reference, {
      signal: this.#options.signal,
    });
    if (raw !== undefined) return raw;
    throw new OciError(
      "MANIFEST_UNKNOWN",
      `Cannot find ${
        this.#options.named ??
          `${this.#fromRepository}${reference.includes(":") ? "@" : ":"}${reference}`
      }: it is not there`,
    );
  }
}
