/** The local store: one directory that holds every image, and remembers what need not be done twice. */
import type { Descriptor } from "../oci/descriptor.ts";
import type { Algorithm, Digest } from "../oci/digest.ts";
import type { BlobUpload, CallOptions, Registry, ResumableUploads } from "../registry.ts";
import type { Source } from "../source.ts";
import { FileStore } from "./file_store.ts";

/** Options of {@linkcode openStore}. */
export interface StoreOptions {
  /** Open for reading only: nothing in the directory is written, so it may lie on a read-only mount. */
  readonly readOnly?: boolean | undefined;
  /** Open for reading only, instead of failing, when it lies on a read-only mount (ST-06). Default false. */
  readonly orReadOnly?: boolean | undefined;
  /** Make the directory when it is absent. Default true (false when `readOnly`). */
  readonly create?: boolean | undefined;
  /** Take a directory that another user owns (ST-07). Default false. */
  readonly foreignOwner?: boolean | undefined;
  /** Hash blobs again whenever they are read from the start to the end. Default true. */
  readonly verifyReads?: boolean | undefined;
  /** It ends with this process and nobody else opens it: nothing is synced to the disk. Default false. */
  readonly temporary?: boolean | undefined;
  /** The clock. */
  readonly now?: (() => Date) | undefined;
}

/** Small facts a caller wants to keep between runs, like the fingerprint of a tree and its diffID. */
export interface Memo {
  /** What was set last, unless it was pushed out by newer facts. */
  get(key: string): Promise<string | undefined>;
  /** Keeps `value` (at most 64 KiB). Losing it must never matter: it is not synced. */
  set(key: string, value: string): Promise<void>;
}

/** Options of {@linkcode Store.gc}. */
export interface GcOptions extends CallOptions {
  /**
   * What was pushed, mounted or looked at later than this many milliseconds ago stays. Default one hour;
   * while another process writes to the store never less than that, and never what a living lease covers.
   */
  readonly graceMs?: number | undefined;
  /** Keep manifests that no tag, index or subject leads to. Default false. */
  readonly keepUntagged?: boolean | undefined;
  /** Only say what would go. Default false. */
  readonly dryRun?: boolean | undefined;
}

/** Options of {@linkcode Store.upload}. */
export interface StoreUploadOptions extends CallOptions {
  /** Hash with this one too; default sha256. */
  readonly algorithm?: Algorithm | undefined;
  /**
   * Whether a later request or process may go on with it. Default true; false for what ends with this process:
   * then the collector takes what a crash left without waiting a day.
   */
  readonly resumable?: boolean | undefined;
}

/** What a collection took away. */
export interface GcReport {
  /** Manifests no name led to. */
  readonly manifests: number;
  /** Blobs removed from the disk. */
  readonly blobs: number;
  /** Bytes of those blobs. */
  readonly bytes: number;
  /** Uploads that were left behind. */
  readonly uploads: number;
}

/**
 * A local store. Safe for several processes at once and against being killed at any moment: what a promise
 * resolved for is on the disk, what is not complete is not visible. Close it with `await using`.
 */
export interface Store extends Registry, ResumableUploads, AsyncDisposable {
  /** Where it lies, absolute. */
  readonly dir: string;
  /** Starts an upload that will be hashed with `algorithm` too. */
  upload(repository: string, options?: StoreUploadOptions): Promise<BlobUpload>;
  /**
   * As `Reader.blob`. With `verify: false` the bytes are not hashed as they are read: for whoever has just written
   * them and gives them to someone who hashes them.
   */
  blob(
    repository: string,
    digest: Digest,
    options?: CallOptions & { readonly verify?: boolean | undefined },
  ): Promise<Source | undefined>;
  /** Content of any repository, by digest; for local callers, who may see everything. */
  content(digest: Digest): Promise<Source | undefined>;
  /** A repository that holds `digest`, for mounts that name none. */
  locate(digest: Digest): Promise<string | undefined>;
  /** Makes content that is anywhere in the store visible in `repository`; `false` when there is none. */
  adopt(repository: string, digest: Digest): Promise<boolean>;
  /** Remembers that `descriptor` is the layer `diffId`, compressed. Not synced; losing it costs time only. */
  rememberLayer(diffId: Digest, descriptor: Descriptor): Promise<void>;
  /** The blobs known for `diffId` whose bytes are in the store, newest first. */
  findLayer(diffId: Digest): Promise<readonly Descriptor[]>;
  /** As {@linkcode findLayer}, also those whose bytes are not here (but in a registry, perhaps). */
  findLayerAnywhere(diffId: Digest): Promise<readonly Descriptor[]>;
  /** Remembers that a repository of the registry `host` holds `digest`. Not synced. */
  rememberLocation(digest: Digest, host: string, repository: string): Promise<void>;
  /** Repositories of `host` seen to hold `digest`, newest first: candidates for a mount. */
  findLocations(digest: Digest, host: string): Promise<readonly string[]>;
  /** Takes back {@linkcode rememberLocation}: it was not there. */
  forgetLocation(digest: Digest, host: string, repository: string): Promise<void>;
  /** Facts to keep between runs, bounded to the newest 100,000. */
  readonly memo: Memo;
  /**
   * Until it is disposed, or its process ends, no collector takes what is pushed, mounted or looked at from now on,
   * however long that takes. For builds, pulls and pushes: what they look at first they may need an hour later.
   * Also what others touch meanwhile stays.
   */
  lease(): Promise<AsyncDisposable>;
  /**
   * Deletes a manifest as {@linkcode deleteManifest} does, and frees at once what it alone needed. What a living
   * lease covers stays for the next collection; so does what was touched within the hour while another process
   * writes to the store.
   *
   * @returns What was freed, or `undefined` when there was no such manifest.
   */
  release(repository: string, reference: string): Promise<GcReport | undefined>;
  /** Takes away what nothing leads to; safe while others push and pull. */
  gc(options?: GcOptions): Promise<GcReport>;
}

/**
 * Opens the store in `dir`, making it when it is absent.
 *
 * @throws {OciError} `DENIED` when another user owns it (ST-07), `UNAVAILABLE` when it cannot be used, saying
 * why: no space, not writable, not a store, damaged.
 */
export async function openStore(dir: string, options: StoreOptions = {}): Promise<Store> {
  return await FileStore.open(dir, options);
}
