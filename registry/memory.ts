/** A place in memory: for tests, and for `serve --ephemeral`. */
import type { Descriptor } from "./oci/descriptor.ts";
import { type Algorithm, algorithmOf, type Digest, digestOf, parseDigest } from "./oci/digest.ts";
import { OciError } from "./oci/error.ts";
import { childrenOf, parseDocument } from "./oci/manifest.ts";
import { isForeignLayerType, isIndexType, isManifestType } from "./oci/media_type.ts";
import { isRepositoryName, isTag } from "./oci/reference.ts";
import { checkExpected, demand } from "./expectation.ts";
import { referrerOf } from "./referrer.ts";
import type {
  BlobUpload,
  CallOptions,
  RawManifest,
  Registry,
  ResumableUploads,
} from "./registry.ts";
import { bytesSource, readAll } from "./source.ts";

interface Repository {
  readonly blobs: Map<Digest, Uint8Array<ArrayBuffer>>;
  readonly manifests: Map<Digest, RawManifest>;
  readonly tags: Map<string, Digest>;
}

/** A place whose uploads survive between requests, in memory. */
export type MemoryRegistry = Registry & ResumableUploads & {
  /** A repository that holds `digest`, for mounts that name none. */
  locate(digest: Digest): Promise<string | undefined>;
};

/** Makes an empty place in memory. Everything in it is gone with the object. */
export function memoryRegistry(name = "memory"): MemoryRegistry {
  return new Memory(name);
}

/** Of those that nobody ends the oldest go. */
const MAX_UPLOADS = 4096;

class Memory implements MemoryRegistry {
  readonly name: string;
  readonly #repositories = new Map<string, Repository>();
  readonly #uploads = new Map<string, MemoryUpload>();

  constructor(name: string) {
    this.name = name;
  }

  // deno-lint-ignore require-await
  async manifest(repository: string, reference: string): Promise<RawManifest | undefined> {
    const here = this.#repositories.get(repository);
    const digest = reference.includes(":") ? parseDigest(reference) : here?.tags.get(reference);
    return digest && here?.manifests.get(digest);
  }

  async stat(repository: string, reference: string): Promise<Descriptor | undefined> {
    const found = await this.manifest(repository, reference);
    return found && describe(found);
  }

  // deno-lint-ignore require-await
  async blob(repository: string, digest: Digest): ReturnType<Registry["blob"]> {
    const bytes = this.#repositories.get(repository)?.blobs.get(digest);
    return bytes && bytesSource(bytes);
  }

  // deno-lint-ignore require-await
  async locate(digest: Digest): Promise<string | undefined> {
    for (const [name, { blobs }] of this.#repositories) if (blobs.has(digest)) return name;
    return undefined;
  }

  async pushBlob(
    ...[repository, { digest, size }, source, options = {}]: Parameters<Registry["pushBlob"]>
  ): ReturnType<Registry["pushBlob"]> {
    const here = this.#make(repository);
    const { mountFrom, onProgress, signal } = options;
    signal?.throwIfAborted();
    if (here.blobs.has(digest)) return "exists";
    const there = mountFrom && this.#repositories.get(mountFrom)?.blobs.get(digest);
    if (there) {
      here.blobs.set(digest, there);
      return "mounted";
    }
    const bytes = await readAll({ size, open: () => source.open({ signal }) }, size).catch(
      (cause) => {
        if (!(cause instanceof RangeError)) throw cause;
        throw new OciError(
          "SIZE_INVALID",
          `Cannot store blob ${digest}: it has more than ${size} bytes`,
          {
            cause,
          },
        );
      },
    );
    if (bytes.byteLength !== size) {
      const seen = `it has ${bytes.byteLength} bytes, want ${size}`;
      throw new OciError("SIZE_INVALID", `Cannot store blob ${digest}: ${seen}`);
    }
    onProgress?.(size);
    check(bytes, digest);
    here.blobs.set(digest, bytes);
    return "uploaded";
  }

  async upload(
    repository: string,
    _options?: CallOptions & { readonly algorithm?: Algorithm | undefined },
  ): Promise<BlobUpload> {
    const here = this.#make(repository);
    const id = crypto.randomUUID();
    const upload = new MemoryUpload(
      id,
      repository,
      (digest, bytes) => here.blobs.set(digest, bytes),
      () => this.#uploads.delete(id),
    );
    const [oldest] = this.#uploads.values();
    if (this.#uploads.size >= MAX_UPLOADS) await oldest?.abort();
    this.#uploads.set(id, upload);
    return upload;
  }

  // deno-lint-ignore require-await
  async resumeUpload(repository: string, id: string): Promise<BlobUpload | undefined> {
    const upload = this.#uploads.get(id);
    return upload?.repository === repository ? upload : undefined;
  }

  // deno-lint-ignore require-await
  async pushManifest(
    ...[repository, { mediaType, bytes }, options = {}]: Parameters<Registry["pushManifest"]>
  ): Promise<Descriptor> {
    const document = parseDocument(bytes, mediaType);
    const { tags = [], expect = [], digest = digestOf(bytes) } = options;
    checkExpected(expect, tags);
    check(bytes, digest);
    for (const tag of tags) {
      if (!isTag(tag)) {
        throw new OciError("MANIFEST_INVALID", `Cannot set tag ${JSON.stringify(tag)}`);
      }
    }
    const here = this.#make(repository);
    const missing = childrenOf(document).filter((child) => {
      const manifestLike = isIndexType(child.mediaType) || isManifestType(child.mediaType);
      if (document.kind === "index" && manifestLike) return !here.manifests.has(child.digest);
      return !here.blobs.has(child.digest) && !here.manifests.has(child.digest) &&
        !(document.kind === "manifest" && isForeignLayerType(child.mediaType));
    });
    if (missing.length > 0) {
      throw new OciError(
        "MANIFEST_BLOB_UNKNOWN",
        `Cannot store manifest in ${repository}: ${missing[0]!.digest} is not there`,
        { detail: missing.map(({ digest }) => ({ digest })) },
      );
    }
    demand(expect, repository, digest, (tag) => here.tags.get(tag));
    const raw = { mediaType: document.mediaType, digest, bytes: bytes.slice() };
    here.manifests.set(digest, raw);
    for (const tag of tags) here.tags.set(tag, digest);
    return describe(raw);
  }

  // deno-lint-ignore require-await
  async deleteManifest(repository: string, reference: string): Promise<boolean> {
    const here = this.#repositories.get(repository);
    if (here === undefined) return false;
    if (!reference.includes(":")) return here.tags.delete(reference);
    const digest = parseDigest(reference);
    for (const [tag, named] of here.tags) if (named === digest) here.tags.delete(tag);
    return here.manifests.delete(digest);
  }

  // deno-lint-ignore require-await
  async deleteBlob(repository: string, digest: Digest): Promise<boolean> {
    return this.#repositories.get(repository)?.blobs.delete(digest) ?? false;
  }

  async *repositories({ after = "" }: { readonly after?: string | undefined } = {}) {
    const held = [...this.#repositories].filter(([, { manifests }]) => manifests.size > 0);
    yield* sorted(held.map(([name]) => name), after);
  }

  async *tags(repository: string, { after = "" }: { readonly after?: string | undefined } = {}) {
    const here = this.#repositories.get(repository);
    if (here === undefined) {
      throw new OciError(
        "NAME_UNKNOWN",
        `Cannot list tags of ${repository}: it is not in ${this.name}`,
      );
    }
    yield* sorted([...here.tags.keys()], after);
  }

  // deno-lint-ignore require-await
  async referrers(
    repository: string,
    digest: Digest,
    { artifactType }: { readonly artifactType?: string | undefined } = {},
  ): Promise<readonly Descriptor[]> {
    return [...this.#repositories.get(repository)?.manifests.values() ?? []]
      .map((raw) => referrerOf(parseDocument(raw.bytes, raw.mediaType), describe(raw)))
      .filter((said) => said?.subject === digest)
      .map((said) => said!.descriptor)
      .filter((found) => artifactType === undefined || found.artifactType === artifactType);
  }

  #make(name: string): Repository {
    let here = this.#repositories.get(name);
    if (here === undefined) {
      if (!isRepositoryName(name)) {
        throw new OciError("NAME_INVALID", `Cannot store in ${JSON.stringify(name.slice(0, 300))}`);
      }
      here = { blobs: new Map(), manifests: new Map(), tags: new Map() };
      this.#repositories.set(name, here);
    }
    return here;
  }
}

class MemoryUpload implements BlobUpload {
  readonly id: string;
  readonly repository: string;
  size = 0;
  #chunks: Uint8Array[] | undefined = [];
  readonly #publish: (digest: Digest, bytes: Uint8Array<ArrayBuffer>) => void;
  readonly #end: () => void;

  constructor(
    id: string,
    repository: string,
    publish: (digest: Digest, bytes: Uint8Array<ArrayBuffer>) => void,
    end: () => void,
  ) {
    this.id = id;
    this.repository = repository;
    this.#publish = publish;
    this.#end = end;
  }

  // deno-lint-ignore require-await
  async write(chunk: Uint8Array): Promise<void> {
    this.#alive().push(chunk.slice());
    this.size += chunk.byteLength;
  }

  async commit(digest?: Digest): Promise<Descriptor> {
    const bytes = new Uint8Array(await new Blob(this.#alive() as BlobPart[]).arrayBuffer());
    await this.abort();
    const named = digest ?? digestOf(bytes);
    check(bytes, named);
    this.#publish(named, bytes);
    return { mediaType: "application/octet-stream", digest: named, size: bytes.byteLength };
  }

  // deno-lint-ignore require-await
  async abort(): Promise<void> {
    this.#chunks = undefined;
    this.#end();
  }

  #alive(): Uint8Array[] {
    if (this.#chunks !== undefined) return this.#chunks;
    throw new OciError("BLOB_UPLOAD_UNKNOWN", `Cannot go on with upload ${this.id}: it has ended`);
  }
}

function describe({ mediaType, digest, bytes }: RawManifest): Descriptor {
  return { mediaType, digest, size: bytes.byteLength };
}

function check(bytes: Uint8Array, digest: Digest): void {
  const seen = digestOf(bytes, algorithmOf(digest));
  if (seen === digest) return;
  throw new OciError("DIGEST_INVALID", `Cannot store ${digest}: its bytes have digest ${seen}`);
}

/** Names are ASCII, so code units are bytes. */
function sorted(names: readonly string[], after: string): string[] {
  return names.filter((name) => name > after).sort((a, b) => (a < b ? -1 : 1));
}
