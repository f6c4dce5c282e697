/**
 * The interface everything speaks: a remote registry, the local store, an OCI layout folder, an archive,
 * memory. It is small so that each place can be whole; what only one place can do stays with that place.
 */
import type { Descriptor } from "./oci/descriptor.ts";
import type { Algorithm, Digest } from "./oci/digest.ts";
import type { TagExpectation } from "./expectation.ts";
import type { Row } from "./row.ts";
import type { Source } from "./source.ts";

/** A manifest as it travels: digests are of `bytes`, so they are kept beside any parsed value. */
export interface RawManifest {
  /** From the Content-Type header or the place's own record; equals the body's `mediaType` if it has one. */
  readonly mediaType: string;
  /** Of `bytes`. */
  readonly digest: Digest;
  /** The document. Not to be changed. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What every call takes last. */
export interface CallOptions {
  /** Ends the call early. */
  readonly signal?: AbortSignal | undefined;
}

/** How a manifest is read. */
export interface ManifestOptions extends CallOptions {
  /** Its config is read next: a registry that can sends both at once. Places on this machine need not look at it. */
  readonly withConfig?: boolean | undefined;
}

/** What may leave before others are answered. Places on this machine answer at once, and need not look at it. */
export interface RowOptions {
  /** Its request stands behind the others of this row, if it is short. */
  readonly row?: Row | undefined;
}

/** Reading. `undefined` is the normal answer for "not there"; all else that goes wrong is an OciError. */
export interface Reader {
  /** The place this one reads for, through mirrors: what is found here can most likely be mounted there. */
  readonly standsFor?: Reader | undefined;
  /** The manifest behind a tag or digest. By digest it is verified before it is returned. */
  manifest(
    repository: string,
    reference: string,
    options?: ManifestOptions,
  ): Promise<RawManifest | undefined>;
  /** As {@linkcode manifest} without its bytes: one HEAD on a registry. */
  stat(
    repository: string,
    reference: string,
    options?: CallOptions,
  ): Promise<Descriptor | undefined>;
  /** A blob's bytes; verified against `digest` and the size while they are read to the end. */
  blob(
    repository: string,
    digest: Digest,
    options?: CallOptions & {
      /** `false`: whoever gets the bytes verifies them, as every client of a server does. */
      readonly verify?: boolean | undefined;
    },
  ): Promise<Source | undefined>;
}

/** Writing. Each write is verified, atomic and idempotent. */
export interface Writer {
  /**
   * Stores `source` under `descriptor.digest`; nothing is sent when the place already holds it.
   *
   * @returns How it got there.
   * @throws {OciError} `DIGEST_INVALID` or `SIZE_INVALID` when the bytes are not what was promised.
   */
  pushBlob(
    repository: string,
    descriptor: Descriptor,
    source: Source,
    options?: PushOptions,
  ): Promise<"exists" | "mounted" | "uploaded">;
  /**
   * Stores a document whose children are all there, and lets each of `tags` name it.
   *
   * @throws {OciError} `MANIFEST_BLOB_UNKNOWN` with the missing digests in `detail`; `PRECONDITION_FAILED` when a tag
   * is not as expected.
   */
  pushManifest(
    repository: string,
    manifest: Omit<RawManifest, "digest">,
    options?: PushManifestOptions,
  ): Promise<Descriptor>;
  /** Starts an upload whose digest is not known yet. The caller commits or aborts it. */
  upload(repository: string, options?: CallOptions): Promise<BlobUpload>;
}

/** Options of {@linkcode Writer.pushManifest}. */
export interface PushManifestOptions extends CallOptions, RowOptions {
  /** Tags to set; without any the manifest is stored by digest alone. */
  readonly tags?: readonly string[] | undefined;
  /**
   * What has to hold of tags now for them to be set. Checked and set in one step that nobody comes between; then
   * all of them are set or none. A remote registry is asked tag by tag, and one that does not know how is asked
   * with HEAD right before.
   */
  readonly expect?: readonly TagExpectation[] | undefined;
  /** One try will do: nothing depends on it. */
  readonly once?: boolean | undefined;
  /** The digest to file it under when it is not sha256 (server only). */
  readonly digest?: Digest | undefined;
}

/** Options of {@linkcode Writer.pushBlob}. */
export interface PushOptions extends CallOptions, RowOptions {
  /** A repository of the same place that is known or likely to hold the blob: try to mount it. */
  readonly mountFrom?: string | undefined;
  /** Called as bytes leave. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
  /** Called when the request that most likely brings it has left, or none is needed; only by who asks over a wire. */
  readonly onLeft?: (() => void) | undefined;
  /** It was made this moment, so hardly anybody has it: send it without asking first. */
  readonly fresh?: boolean | undefined;
  /** A manifest that needs it is pushed next, to the same place: it need not be on the disk before that one is. */
  readonly manifestFollows?: boolean | undefined;
}

/** A blob on its way in. Nobody sees it before {@linkcode commit}. */
export interface BlobUpload {
  /** Names the upload among all of the place; unguessable. */
  readonly id: string;
  /** Bytes received so far. */
  readonly size: number;
  /** Appends `chunk`; the caller may reuse it when the promise resolves. */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Verifies, makes durable, publishes. Without `digest` it takes the sha256 it has computed.
   *
   * @throws {OciError} `DIGEST_INVALID` when the bytes hash to something else; the upload is gone then.
   */
  commit(digest?: Digest): Promise<Descriptor>;
  /**
   * Lets somebody else write all of the bytes, over the file at the path that `write` is given, and believes what that says of them:
   * for who has hashed them while writing. Commits, unless `write` returns `undefined`; then nothing was written. Absent where there
   * are no files. Nothing may have been written before.
   *
   * @throws {OciError} `SIZE_INVALID` when the file has another size; the upload is gone then.
   */
  writtenBy?(
    write: (path: string) => Promise<Written | undefined>,
  ): Promise<Descriptor | undefined>;
  /** Drops it. Idempotent. */
  abort(): Promise<void>;
}

/** What was written. */
export type Written = Pick<Descriptor, "digest" | "size">;

/** Taking away. `false` when it was not there. */
export interface Deleter {
  /** By tag: only the tag. By digest: the manifest and every tag that names it. */
  deleteManifest(repository: string, reference: string, options?: CallOptions): Promise<boolean>;
  /** From this repository; the bytes may live on in others. */
  deleteBlob(repository: string, digest: Digest, options?: CallOptions): Promise<boolean>;
}

/** Listing, in byte order of names. */
export interface Lister {
  /** Repositories after `after` (exclusive). */
  repositories(options?: ListOptions): AsyncIterable<string>;
  /** Tags of `repository` after `after`. An unknown repository throws NAME_UNKNOWN. */
  tags(repository: string, options?: ListOptions): AsyncIterable<string>;
  /** Manifests whose `subject` is `digest`, with artifactType and annotations. Unknown digests have none. */
  referrers(
    repository: string,
    digest: Digest,
    options?: CallOptions & { readonly artifactType?: string | undefined },
  ): Promise<readonly Descriptor[]>;
}

/** Options of a listing. */
export interface ListOptions extends CallOptions {
  /** Start behind this name. */
  readonly after?: string | undefined;
}

/** A place images live in. */
export interface Registry extends Reader, Writer, Deleter, Lister {
  /** For messages: `registry.example`, `oci:out`, `store`. */
  readonly name: string;
}

/** A place whose uploads survive between requests, which a server needs. */
export interface ResumableUploads {
  /** An upload by its id, or `undefined`. */
  resumeUpload(repository: string, id: string): Promise<BlobUpload | undefined>;
  /** Starts an upload that will be hashed with `algorithm` too. */
  upload(
    repository: string,
    options?: CallOptions & { readonly algorithm?: Algorithm | undefined },
  ): Promise<BlobUpload>;
}
