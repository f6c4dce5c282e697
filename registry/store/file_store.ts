/** The store over files and one database; see `store.ts` for what it promises. */
import { resolve } from "node:path";
import { orAborted } from "../abort.ts";
import { soon } from "../layer/turn.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Algorithm, algorithmOf, type Digest, digestOf, digestOfMade } from "../oci/digest.ts";
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
import { bytesSource, fileSource, readAll, type Source } from "../source.ts";
import { Ballast } from "./ballast.ts";
import { BlobFiles, TEMPORARY_SHAPE } from "./blob_files.ts";
import { checkName, checkTagName, expectDigest } from "./checks.ts";
import { Database, loadSqlite, type Row, translate } from "./database.ts";
import { collectGarbage } from "./gc.ts";
import { previewGarbage } from "./gc_preview.ts";
import { Leases, TOUCH_MS } from "./leases.ts";
import { claimDirectory, onReadOnlyMount } from "./open.ts";
import { Quarantine } from "./quarantine.ts";
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
import {
  FileUpload,
  fillUpload,
  INLINE_BYTES,
  isUploadId,
  newUploadId,
  type UploadHost,
} from "./upload.ts";
import { verifiedSource } from "./verified.ts";
import { checkExpected, demand, type TagExpectation } from "../expectation.ts";

/** Upload files kept open between requests. */
const MAX_OPEN = 64;
/** Uploads known at once; the oldest is dropped then. */
const MAX_UPLOADS = 4096;
/** Shorter blobs are read anew when reading them was cut. */
const RESUMED_BYTES = 1024 * 1024;

/** The one implementation of {@linkcode Store}. */
export class FileStore implements Store, UploadHost {
  readonly name = "store";
  readonly dir: string;
  readonly files: BlobFiles;
  readonly memo: Memo;
  readonly #db: Database;
  readonly #rows: Rows;
  readonly #readOnly: boolean;
  readonly #verify: boolean;
  readonly #now: () => Date;
  readonly #remembered: Remembered;
  readonly #ballast: Ballast;
  /** So that a collector elsewhere knows of us. */
  readonly #leases: Leases;
  readonly #held = new Set<() => void>();
  readonly #uploads = new Map<string, FileUpload>();
  readonly #open = new Set<FileUpload>();
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
    this.#verify = options.verifyReads ?? true;
    this.#now = options.now ?? (() => new Date());
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
    await this.#touch(row);
    const digest = row["digest"] as Digest;
    const inline = row["bytes"] as Uint8Array<ArrayBuffer> | null;
    let bytes: Uint8Array<ArrayBuffer>;
    if (inline !== null) bytes = inline;
    else {
      const size = this.files.sizeOf(digest);
      if (size === undefined) return undefined;
      bytes = await readAll(fileSource(this.files.path(digest), size), size);
    }
    if (this.#verify && digestOf(bytes, algorithmOf(digest)) !== digest) {
      throw new OciError(
        "DIGEST_INVALID",
        `Cannot read manifest ${digest} of ${repository}: its bytes have changed on the disk`,
      );
    }
    return { mediaType: String(row["media_type"]), digest, bytes };
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
    await this.#touch(row);
    return { mediaType: String(row["media_type"]), digest, size: Number(row["size"]) };
  }

  async blob(
    repository: string,
    digest: Digest,
    options: CallOptions & { readonly verify?: boolean | undefined } = {},
  ): Promise<Source | undefined> {
    const row = this.#rows.blob(repository, digest);
    return row && await this.#source(row, options.verify);
  }

  async content(digest: Digest): Promise<Source | undefined> {
    const row = this.#rows.content(digest);
    return row && await this.#source(row);
  }

  // deno-lint-ignore require-await
  async locate(digest: Digest): Promise<string | undefined> {
    return this.#rows.holderOf(digest);
  }

  async adopt(repository: string, digest: Digest): Promise<boolean> {
    checkName(repository);
    const row = this.#rows.content(digest);
    if (row === undefined || !this.#present(row)) return false;
    const adopted = this.#db.write(() => {
      // Looked up again: a collector may have been here since.
      const again = this.#rows.content(digest);
      if (again === undefined || !this.#present(again)) return false;
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
      const upload = this.#newUpload(repository, "push", algorithmOf(digest));
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
    const pull = new FileUpload(this, digest.replace(":", "-"), "pull", repository, algorithm);
    const upload = await pull.takeUp() ? pull : this.#newUpload(repository, "push", algorithm); // another process is at it
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
    if (options.resumable === false) {
      return this.#newUpload(repository, "push", options.algorithm);
    }
    const upload = this.#newUpload(repository, "upload", options.algorithm);
    const oldest = this.#uploads.values().next().value;
    if (this.#uploads.size >= MAX_UPLOADS) await oldest?.abort();
    this.#uploads.set(upload.id, upload);
    return upload;
  }

  async resumeUpload(repository: string, id: string): Promise<BlobUpload | undefined> {
    if (!isUploadId(id, repository)) return undefined;
    const known = this.#uploads.get(id);
    if (known !== undefined) return known;
    const upload = new FileUpload(this, id, "upload", repository);
    if (!await upload.takeUp()) return undefined;
    const faster = this.#uploads.get(id);
    if (faster !== undefined) {
      this.#open.delete(upload);
      upload.park();
      return faster;
    }
    this.#uploads.set(id, upload);
    return upload;
  }

  #newUpload(repository: string, kind: "upload" | "push", algorithm?: Algorithm): FileUpload {
    this.#mayWrite();
    return new FileUpload(this, newUploadId(repository), kind, repository, algorithm);
  }

  async record(
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

  opened(upload: FileUpload): void {
    this.#open.delete(upload);
    this.#open.add(upload);
    for (const oldest of this.#open) {
      if (this.#open.size <= MAX_OPEN) break;
      this.#open.delete(oldest);
      oldest.park();
    }
  }

  ended(upload: FileUpload): void {
    this.#uploads.delete(upload.id);
    this.#open.delete(upload);
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
      return row !== undefined && row["size"] === size && this.#present(row);
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
    for (const upload of this.#open) upload.park();
    this.#open.clear();
    this.#uploads.clear();
    await this.#db.close();
    for (const giveBack of this.#held) giveBack();
    this.#held.clear();
    this.#leases.close();
    if (!this.#readOnly && this.files.any()) await this.#ballast.take();
  }

  async #source(row: Row, verify = true): Promise<Source | undefined> {
    if (!this.#present(row)) return undefined;
    await this.#touch(row);
    const digest = row["digest"] as Digest;
    const bytes = row["bytes"] as Uint8Array | null;
    const source = bytes === null
      ? fileSource(this.files.path(digest), Number(row["size"]))
      : bytesSource(bytes);
    if (!this.#verify || !verify) return source;
    const seen = bytes === null && !this.#readOnly ? this.files.stamp(digest) : undefined;
    return verifiedSource(source, digest, this.dir, () => {
      if (seen !== undefined) this.#putAside(digest, seen);
    });
  }

  /** What was found to be wrong is as good as absent from now on, so that a push or a pull brings it back. */
  #putAside(digest: Digest, seen: string): void {
    try {
      this.#db.write(() => {
        // Whoever publishes does so inside a transaction: this is still the file that was read, or a better one.
        if (this.files.stamp(digest) !== seen) return;
        new Quarantine(this.dir).moveSync(this.files.path(digest));
      });
    } catch { /* the reader hears of the wrong bytes; fsck can do the rest */ }
  }

  /** A row whose file is gone or cut short says nothing: the blob is not there. */
  #present(row: Row): boolean {
    return row["bytes"] !== null || this.files.sizeOf(row["digest"] as Digest) === row["size"];
  }

  /** Before anybody is told of it: then no collector takes it in between. Many of one moment share a transaction. */
  async #touch(row: Row): Promise<void> {
    const now = this.#time();
    if (this.#readOnly || now - Number(row["touched"]) < TOUCH_MS) return;
    try {
      await this.#db.together(() => this.#rows.touch(Number(row["id"])));
    } catch { /* a full disk must not keep anyone from reading */ }
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
