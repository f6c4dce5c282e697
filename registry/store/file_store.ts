/** The store over files and one database; see `store.ts` for what it promises. */
import { resolve } from "node:path";
import { orAborted } from "../abort.ts";
import { soon } from "../layer/turn.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, type Digest, digestOfMade } from "../oci/digest.ts";
import { isOciError, OciError } from "../oci/error.ts";
import { childrenOf, type Document, parseDocument } from "../oci/manifest.ts";
import type {
  BlobUpload,
  CallOptions,
  ListOptions,
  PushManifestOptions,
  PushOptions,
  RawManifest,
} from "../registry.ts";
import type { Source } from "../source.ts";
import { Ballast } from "./ballast.ts";
import { BlobFiles, TEMPORARY_SHAPE } from "./blob_files.ts";
import { checkName, checkTagName, expectDigest } from "./checks.ts";
import { Contents } from "./contents.ts";
import { Database, loadSqlite, translate } from "./database.ts";
import { collectGarbage } from "./gc.ts";
import { previewGarbage } from "./gc_preview.ts";
import { Leases } from "./leases.ts";
import { OpenUploads } from "./open_uploads.ts";
import { claimDirectory, onReadOnlyMount } from "./open.ts";
import { releaseManifest } from "./release.ts";
import { Remembered } from "./remembered.ts";
import { type Child, Rows } from "./rows.ts";
import type {
  GcOptions,
  GcReport,
  Memo,
  Store,
  StoreOptions,
  StoreUploadOptions,
} from "./store.ts";
import { fillUpload, INLINE_BYTES, newUploadId } from "./upload.ts";
import { checkExpected, demand, type TagExpectation } from "../expectation.ts";

/** Shorter blobs are read anew when reading them was cut. */
const RESUMED_BYTES = 1024 * 1024;

/** The one implementation of {@linkcode Store}. */
export class FileStore implements Store {
  readonly name = "store";
  readonly dir: string;
  readonly files: BlobFiles;
  readonly memo: Memo;
  readonly #db: Database;
  readonly #rows: Rows;
  readonly #readOnly: boolean;
  readonly #contents: Contents;
  readonly #now: () => Date;
  readonly #remembered: Remembered;
  readonly #ballast: Ballast;
  /** So that a collector elsewhere knows of us. */
  readonly #leases: Leases;
  readonly #held = new Set<() => void>();
  readonly #uploads: OpenUploads;
  /** Small blobs that were taken and not written yet, by whom a manifest comes that needs them. */
  readonly #following = new Map<Digest, Promise<void>>();
  /** Long blobs on their way in: each is read once, however many images want it (C-DL-09). */
  readonly #pulls = new Map<Digest, Promise<void>>();

  private constructor(
    dir: string,
    db: Database,
    leases: Leases,
    options: StoreOptions,
  ) {
    this.dir = dir;
    this.files = options.temporary ? new BlobFiles(dir, TEMPORARY_SHAPE) : new BlobFiles(dir);
    if (options.temporary) db.neverSync();
    this.#db = db;
    this.#rows = new Rows(db, () => this.#time());
    this.#leases = leases;
    this.#ballast = new Ballast(dir);
    this.#readOnly = options.readOnly ?? false;
    this.#now = options.now ?? (() => new Date());
    this.#contents = new Contents({
      ...{ dir, db, rows: this.#rows, files: this.files, readOnly: this.#readOnly },
      verify: options.verifyReads ?? true,
      now: () => this.#time(),
    });
    this.#uploads = new OpenUploads(this.files, (...args) => this.#record(...args));
    this.#remembered = new Remembered(db, this.#readOnly, () => this.#time());
    this.memo = this.#remembered;
  }

  /** Opens the store in `path`. */
  static async open(path: string, options: StoreOptions): Promise<FileStore> {
    const dir = resolve(path);
    const readOnly = options.readOnly ?? (options.orReadOnly === true && onReadOnlyMount(dir));
    await claimDirectory(dir, {
      create: !readOnly && options.create !== false,
      foreignOwner: options.foreignOwner ?? false,
    });
    await loadSqlite();
    if (readOnly) {
      return new FileStore(dir, new Database(dir, true), new Leases(dir), {
        ...options,
        readOnly,
      });
    }
    return await new Ballast(dir).spend(async () => {
      const db = new Database(dir, false);
      const leases = new Leases(dir);
      try {
        const store = new FileStore(dir, db, leases, options);
        await leases.open(store.#time());
        db.barrier();
        await store.files.purge(store.#time());
        return store;
      } catch (error) {
        leases.close();
        await db.close();
        throw error;
      }
    });
  }

  async manifest(
    repository: string,
    reference: string,
    _options: CallOptions = {},
  ): Promise<RawManifest | undefined> {
    const row = this.#rows.manifest(repository, reference, "c.bytes");
    if (row === undefined) return undefined;
    const bytes = await this.#contents.document(row, repository);
    if (bytes === undefined) return undefined;
    return { mediaType: String(row["media_type"]), digest: row["digest"] as Digest, bytes };
  }

  async stat(
    repository: string,
    reference: string,
    _options: CallOptions = {},
  ): Promise<Descriptor | undefined> {
    const row = this.#rows.manifest(repository, reference, "length(c.bytes) AS inline");
    if (row === undefined) return undefined;
    const digest = row["digest"] as Digest;
    if ((row["inline"] ?? this.files.sizeOf(digest)) !== row["size"]) return undefined;
    await this.#contents.touch(row);
    return { mediaType: String(row["media_type"]), digest, size: Number(row["size"]) };
  }

  async blob(
    repository: string,
    digest: Digest,
    options: CallOptions & { readonly verify?: boolean | undefined } = {},
  ): Promise<Source | undefined> {
    const row = this.#rows.blob(repository, digest);
    return row && await this.#contents.source(row, options.verify);
  }

  async content(digest: Digest): Promise<Source | undefined> {
    const row = this.#rows.content(digest);
    return row && await this.#contents.source(row);
  }

  // deno-lint-ignore require-await
  async locate(digest: Digest): Promise<string | undefined> {
    return this.#rows.holderOf(digest);
  }

  async adopt(repository: string, digest: Digest): Promise<boolean> {
    checkName(repository);
    const row = this.#rows.content(digest);
    if (row === undefined || !this.#contents.isPresent(row)) return false;
    const adopted = this.#db.write(() => {
      // Looked up again: a collector may have been here since.
      const again = this.#rows.content(digest);
      if (again === undefined || !this.#contents.isPresent(again)) return false;
      this.#rows.touch(Number(again["id"]));
      this.#rows.addMember(repository, Number(again["id"]));
      return true;
    });
    if (adopted) await this.#settle([{ digest, filed: row["bytes"] === null }]);
    await this.#db.durable();
    return adopted;
  }

  async pushBlob(
    repository: string,
    descriptor: Descriptor,
    source: Source,
    options: PushOptions = {},
  ): Promise<"exists" | "mounted" | "uploaded"> {
    checkName(repository);
    options.signal?.throwIfAborted();
    const { digest, size } = descriptor;
    const { bytes } = source;
    if (options.fresh && bytes?.byteLength === size && size <= INLINE_BYTES) {
      this.#mayWrite();
      expectDigest("blob", repository, bytes, digest);
      const recorded = this.#recordInline(repository, descriptor, bytes);
      options.onProgress?.(size);
      if (options.manifestFollows) this.#follow(digest, recorded);
      else {
        await recorded;
        await this.#db.durable();
      }
      return "uploaded";
    }
    const here = await this.blob(repository, digest);
    if (here?.size === size) {
      await this.#settle([{ digest, filed: size > INLINE_BYTES }]);
      await this.#db.durable();
      return "exists";
    }
    // The caller is this machine's user and may see all of the store: bytes that are here are not read again.
    const elsewhere = this.#rows.content(digest);
    if (elsewhere?.["size"] === size && await this.adopt(repository, digest)) return "mounted";
    if (size < RESUMED_BYTES) {
      this.#mayWrite();
      const upload = this.#uploads.begin(repository, algorithmOf(digest));
      await fillUpload(upload, descriptor, source, options);
      return "uploaded";
    }
    const other = this.#pulls.get(digest);
    if (other !== undefined) {
      await orAborted(other.catch(() => {}), options.signal);
      return await this.pushBlob(repository, descriptor, source, options);
    }
    const pull = this.#pull(repository, descriptor, source, options);
    this.#pulls.set(digest, pull);
    try {
      await pull;
    } finally {
      this.#pulls.delete(digest);
    }
    return "uploaded";
  }

  /** The manifest is written after it, in the same transaction or a later one: nobody has to wait before that. */
  #follow(digest: Digest, recorded: Promise<void>): void {
    this.#following.set(digest, recorded);
    const forget = () => {
      if (this.#following.get(digest) === recorded) this.#following.delete(digest);
    };
    // A failure is kept for the manifest, which fails in the same batch.
    recorded.then(forget, () => soon(forget));
  }

  /** Goes on with what an earlier try left of a long blob; if that was something else, begins anew. */
  async #pull(
    repository: string,
    descriptor: Descriptor,
    source: Source,
    options: PushOptions,
  ): Promise<void> {
    this.#mayWrite();
    const { digest } = descriptor;
    const algorithm = algorithmOf(digest);
    const upload = await this.#uploads.takeUpPull(repository, digest, algorithm) ??
      this.#uploads.begin(repository, algorithm);
    const resumed = upload.size > 0;
    try {
      await fillUpload(upload, descriptor, source, options);
    } catch (error) {
      if (!resumed || !isOciError(error, "DIGEST_INVALID", "SIZE_INVALID")) throw error;
      await this.#pull(repository, descriptor, source, options);
    }
  }

  async upload(
    repository: string,
    options: StoreUploadOptions = {},
  ): Promise<BlobUpload> {
    checkName(repository);
    this.#mayWrite();
    return options.resumable === false
      ? this.#uploads.begin(repository, options.algorithm)
      : await this.#uploads.beginResumable(repository, options.algorithm);
  }

  async resumeUpload(repository: string, id: string): Promise<BlobUpload | undefined> {
    return await this.#uploads.resume(repository, id);
  }

  async #record(
    repository: string,
    { digest, size }: { readonly digest: Digest; readonly size: number },
    how: { readonly bytes: Uint8Array } | { readonly publish: () => void },
  ): Promise<void> {
    if ("bytes" in how) await this.#recordInline(repository, { digest, size }, how.bytes);
    else {
      this.#db.write(() => {
        // Publishing inside the transaction keeps the collector, which unlinks inside one, from our file (ST-04).
        how.publish();
        this.#rows.addMember(repository, this.#rows.addContent(digest, size, null));
      });
      await this.files.settle(digest);
    }
    await this.#db.durable();
  }

  async #recordInline(
    repository: string,
    { digest, size }: { readonly digest: Digest; readonly size: number },
    bytes: Uint8Array,
  ): Promise<void> {
    await this.#db.together(() => this.#rows.addSmallBlob(repository, digest, size, bytes));
  }

  async pushManifest(
    repository: string,
    manifest: Omit<RawManifest, "digest">,
    options: PushManifestOptions = {},
  ): Promise<Descriptor> {
    checkName(repository);
    const { tags = [], expect = [], signal } = options;
    tags.forEach(checkTagName);
    checkExpected(expect, tags);
    signal?.throwIfAborted();
    this.#mayWrite();
    const { bytes } = manifest;
    const document = parseDocument(bytes, manifest.mediaType);
    if (options.digest !== undefined) expectDigest("manifest", repository, bytes, options.digest);
    const digest = options.digest ?? digestOfMade(bytes, "sha256");
    const descriptor = { mediaType: document.mediaType, digest, size: bytes.byteLength };
    const large = await this.#fileLarge(bytes, digest);
    let children: readonly Child[];
    try {
      children = await this.#putManifest(
        repository,
        document,
        descriptor,
        large === undefined ? bytes : null,
        { tags, expect },
        large?.publish,
      );
    } catch (error) {
      await large?.discard();
      // What it needs may have failed before it: that is why, then.
      for (const child of childrenOf(document)) await this.#following.get(child.digest);
      throw error;
    }
    // Who published a blob may have died, or failed, before its name was on the disk.
    await this.#settle([...children, { digest, filed: large !== undefined }]);
    await this.#db.durable();
    return descriptor;
  }

  #putManifest(
    repository: string,
    document: Document,
    descriptor: Descriptor,
    inline: Uint8Array | null,
    { tags, expect }: {
      readonly tags: readonly string[];
      readonly expect: readonly TagExpectation[];
    },
    publish: (() => void) | undefined,
  ): Promise<readonly Child[]> {
    const act = () => {
      // As a rule it is where it is expected, which is quicker to see than where it is.
      const unsure = expect.filter(({ tag, is }) =>
        typeof is === "string" || !this.#rows.isTagged(repository, tag, is)
      );
      demand(unsure, repository, descriptor.digest, (tag) => this.#rows.tagged(repository, tag));
      const sizeOf = (digest: Digest) => this.files.sizeOf(digest);
      const children = this.#rows.childrenOf(repository, document, sizeOf);
      publish?.();
      this.#rows.addManifest(repository, document, descriptor, inline, children, tags);
      return children;
    };
    // A file is published once, so its transaction is its own.
    return publish === undefined
      ? this.#db.together(act)
      : new Promise((resolve) => resolve(this.#db.write(act)));
  }

  async #settle(contents: readonly { readonly digest: Digest; readonly filed: boolean }[]) {
    const filed = contents.filter((content) => content.filed).map(({ digest }) => digest);
    if (filed.length > 0) await this.files.settle(...filed);
  }

  /** Manifests too large for the metadata go the way of blobs. */
  async #fileLarge(
    bytes: Uint8Array,
    digest: Digest,
  ): Promise<{ readonly publish: () => void; discard(): Promise<void> } | undefined> {
    if (bytes.byteLength <= INLINE_BYTES) return undefined;
    const id = newUploadId("manifest");
    const file = await this.files.ingest(id, "push");
    try {
      for (let at = 0; at < bytes.byteLength;) at += await file.write(bytes.subarray(at));
    } catch (cause) {
      file.close();
      await this.files.discard(id, "push");
      throw translate(cause, `store manifest ${digest}`);
    }
    const publish = await this.files.seal(id, "push", file, digest);
    return { publish, discard: () => this.files.discard(id, "push") };
  }

  async deleteManifest(
    repository: string,
    reference: string,
    _options: CallOptions = {},
  ): Promise<boolean> {
    const id = this.#rows.repository(repository);
    if (id === undefined) return false;
    const deleted = this.#db.write(() => this.#rows.removeManifest(id, reference));
    await this.#db.durable();
    return deleted;
  }

  async deleteBlob(
    repository: string,
    digest: Digest,
    _options: CallOptions = {},
  ): Promise<boolean> {
    const deleted = this.#db.write(() => this.#rows.removeMember(repository, digest));
    await this.#db.durable();
    return deleted;
  }

  repositories(options: ListOptions = {}): AsyncIterable<string> {
    return this.#rows.repositories(options);
  }

  tags(repository: string, options: ListOptions = {}): AsyncIterable<string> {
    return this.#rows.tags(repository, options);
  }

  // deno-lint-ignore require-await
  async referrers(
    repository: string,
    digest: Digest,
    options: CallOptions & { readonly artifactType?: string | undefined } = {},
  ): Promise<readonly Descriptor[]> {
    return this.#rows.referrers(repository, digest, options);
  }

  // deno-lint-ignore require-await
  async rememberLayer(diffId: Digest, descriptor: Descriptor): Promise<void> {
    this.#remembered.addLayer(diffId, descriptor);
  }

  async findLayer(diffId: Digest): Promise<readonly Descriptor[]> {
    return (await this.findLayerAnywhere(diffId)).filter(({ digest, size }) => {
      const row = this.#rows.content(digest);
      return row !== undefined && row["size"] === size && this.#contents.isPresent(row);
    });
  }

  // deno-lint-ignore require-await
  async findLayerAnywhere(diffId: Digest): Promise<readonly Descriptor[]> {
    return this.#remembered.layers(diffId);
  }

  // deno-lint-ignore require-await
  async rememberLocation(digest: Digest, host: string, repository: string): Promise<void> {
    this.#remembered.addLocation(digest, host, repository);
  }

  // deno-lint-ignore require-await
  async findLocations(digest: Digest, host: string): Promise<readonly string[]> {
    return this.#remembered.locations(digest, host);
  }

  // deno-lint-ignore require-await
  async forgetLocation(digest: Digest, host: string, repository: string): Promise<void> {
    this.#remembered.removeLocation(digest, host, repository);
  }

  async gc(options: GcOptions = {}): Promise<GcReport> {
    if (options.dryRun) {
      return await previewGarbage(this.#db, this.files, this.#leases, this.#time(), options);
    }
    this.#mayWrite();
    return await this.#ballast.spend(() =>
      collectGarbage(this.#db, this.files, this.#leases, this.#time(), options)
    );
  }

  async release(repository: string, reference: string): Promise<GcReport | undefined> {
    this.#mayWrite();
    const id = this.#rows.repository(repository);
    if (id === undefined) return undefined;
    const now = this.#time();
    return await releaseManifest(
      this.#db,
      this.files,
      this.#leases,
      this.#ballast,
      now,
      id,
      reference,
    );
  }

  async lease(): Promise<AsyncDisposable> {
    if (this.#readOnly) return { [Symbol.asyncDispose]: () => Promise.resolve() }; // nobody collects here
    const giveBack = await this.#leases.take(this.#time());
    this.#held.add(giveBack);
    this.#db.barrier();
    return {
      [Symbol.asyncDispose]: () => {
        this.#held.delete(giveBack);
        giveBack();
        return Promise.resolve();
      },
    };
  }

  /** Drops uploads that live in memory, closes every file. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#uploads.park();
    await this.#db.close();
    for (const giveBack of this.#held) giveBack();
    this.#held.clear();
    this.#leases.close();
    if (!this.#readOnly && this.files.any()) await this.#ballast.take();
  }

  #mayWrite(): void {
    if (this.#readOnly) {
      throw new OciError("UNSUPPORTED", `Cannot write to store ${this.dir}: it is read-only`);
    }
  }

  #time(): number {
    return this.#now().getTime();
  }
}
