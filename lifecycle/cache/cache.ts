/**
 * What a build leaves behind for the next one: layers with `cache = true` and a document that says which.
 * A directory or an image.
 */
import type { ByteSink } from "../../registry/layer/write_layer.ts";
import type { FileMark } from "../../registry/layer/unchanged.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import type { Source } from "../../registry/source.ts";
import type { CacheMetadata } from "../file/lifecycle_metadata.ts";

/** A cache that knows nothing. */
export const EMPTY_CACHE_METADATA: CacheMetadata = { sbom: { sha: "" }, buildpacks: [] };

/** A place that keeps cache layers between builds. */
export interface Cache {
  /** For messages. */
  readonly name: string;
  /** What the last commit wrote; empty when there is none or it cannot be decoded (CA-4). */
  metadata(): Promise<CacheMetadata>;
  /**
   * Opens the plain tar of a committed layer, after checking the whole of it (CA-5). A layer is checked
   * at most once while the cache is open.
   *
   * @throws {CacheLayerError} When it is absent or its bytes are not `diffId`.
   */
  layer(diffId: Digest, signal?: AbortSignal): Promise<Source>;
  /**
   * As {@linkcode layer}, not checked yet: the caller hashes what it reads, and trusts none of it before `confirm`. Absent where
   * layers are checked on their way here.
   *
   * @throws {CacheLayerError} When it is absent.
   */
  unchecked?(diffId: Digest): Promise<UncheckedLayer>;
  /** Layers that were found right here, with what tells another process that they still are. Absent where there is no such thing. */
  readonly marks?: ReadonlyMap<Digest, FileMark> | undefined;
  /**
   * Believes layers that another process found right, as long as nobody has touched them. At worst a damaged one is kept, and found at
   * the next restore: what is restored is always hashed.
   */
  believe?(marks: ReadonlyMap<Digest, FileMark>): void;
  /**
   * Starts the next content of the cache; readers keep seeing the old one until it is committed. Waits
   * while another build holds a draft of the same cache.
   */
  draft(signal?: AbortSignal): Promise<CacheDraft>;
  /**
   * Starts a layer that a later draft may take, without waiting for anybody. Absent where layers are not kept as
   * plain tars. The caller drops what no draft took.
   */
  spool?(): Promise<SpooledLayer>;
  /** Drops a draft that is still open. Idempotent. */
  close(): Promise<void>;
}

/** A committed layer that may be damaged. */
export interface UncheckedLayer {
  /** What lies there. */
  readonly tar: Source;
  /** Says that all of it was read and is the layer: it is not checked again while the cache is open. */
  confirm(): void;
}

/** A plain tar that is nearly in the cache. */
export interface SpooledLayer {
  /** The file; whoever makes the layer may write it there, instead of giving it to `write`. */
  readonly path?: string | undefined;
  /** Appends `chunk`. */
  write(chunk: Uint8Array): void;
  /** Takes it away again. Idempotent, harmless after a draft took it. */
  drop(): Promise<void>;
}

/** The content a cache will have; exactly one of `commit` and `abort` ends it. A layer that is neither kept nor added is gone after the commit. */
export interface CacheDraft {
  /**
   * Takes a committed layer over without copying it.
   *
   * @throws {CacheLayerError} When it is absent or its bytes are not `diffId` (CA-5).
   */
  keep(diffId: Digest, signal?: AbortSignal): Promise<void>;
  /**
   * Adds the tar that `write` writes, compressed as it is told to, under the diffID it returns; one that is there
   * already is dropped again. Nothing stays behind when `write` throws.
   */
  add(
    write: (sink: ByteSink, compression: "none" | "gzip") => Promise<Digest>,
  ): Promise<Digest>;
  /** Adds a layer of this cache's `spool` whose bytes are `diffId`; it is there exactly where `spool` is. */
  take?(layer: SpooledLayer, diffId: Digest): Promise<void>;
  /** Makes the draft the content, in one step (CA-3). Nothing may be added afterwards. */
  commit(metadata: CacheMetadata): Promise<void>;
  /** Drops the draft. Idempotent, harmless after a commit. */
  abort(): Promise<void>;
}

/** A cache layer that cannot be used: the build goes on without it (RE-11). */
export class CacheLayerError extends Error {
  override readonly name = "CacheLayerError";
}
