/** Blobs on their way into a store: small ones wait in memory, others in a file below `ingest/`. */
import { Buffer } from "node:buffer";
import { type Algorithm, algorithmOf, type Digest, Digester, digestOf } from "../oci/digest.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { OciError } from "../oci/error.ts";
import type { BlobUpload, PushOptions, Written } from "../registry.ts";
import type { Source } from "../source.ts";
import type { BlobFiles, IngestKind } from "./blob_files.ts";
import { translate } from "./database.ts";

/** Content up to this size lies in the metadata and has no file of its own (ST-10). */
export const INLINE_BYTES = 64 * 1024;

/** What an upload needs of its store. */
export interface UploadHost {
  /** Where bytes wait. */
  readonly files: BlobFiles;
  /** Records a verified blob and makes it durable; `publish` moves its file into place, `bytes` is it inline. */
  record(
    repository: string,
    blob: { readonly digest: Digest; readonly size: number },
    how: { readonly bytes: Uint8Array } | { readonly publish: () => void },
  ): Promise<void>;
  /** The upload opened its file: the host closes the file of another one when there are too many. */
  opened(upload: FileUpload): void;
  /** The upload ended, well or not. */
  ended(upload: FileUpload): void;
}

/** One upload. One caller at a time: a second one is refused, since their bytes would mix. */
export class FileUpload implements BlobUpload {
  readonly id: string;
  readonly repository: string;
  readonly #host: UploadHost;
  readonly #kind: IngestKind;
  #digester: Digester;
  #algorithm: Algorithm;
  #size = 0;
  #inline: Uint8Array[] = [];
  /** Bytes are in the ingest file; it may be closed between calls. */
  #spilled = false;
  #file: Deno.FsFile | undefined;
  #busy = false;
  #ended = false;
  /** The bytes are not the blob's: nobody shall go on with them. */
  #wrong = false;

  constructor(
    host: UploadHost,
    id: string,
    kind: IngestKind,
    repository: string,
    algorithm: Algorithm = "sha256",
  ) {
    this.#host = host;
    this.id = id;
    this.#kind = kind;
    this.repository = repository;
    this.#algorithm = algorithm;
    this.#digester = new Digester(algorithm);
  }

  get size(): number {
    return this.#size;
  }

  /** Takes up an upload, or begins or goes on with a pull, that an earlier process left: its bytes are hashed again. */
  async takeUp(): Promise<boolean> {
    const { files } = this.#host;
    const found = this.#kind === "pull"
      ? await files.openPull(this.id)
      : await files.reopen(this.id);
    if (found === undefined) return false;
    this.#file = found.file;
    this.#spilled = true;
    this.#size = found.size;
    this.#digester = await this.#rehash(this.#algorithm);
    this.#host.opened(this);
    return true;
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.#alone(async () => {
      if (!this.#spilled && this.#size + chunk.byteLength <= INLINE_BYTES) {
        this.#inline.push(chunk.slice());
      } else {
        const file = await this.#open();
        try {
          for (const waiting of this.#inline) await writeAll(file, waiting);
          this.#inline = [];
          // The disk is another processor's work: hash meanwhile.
          const writing = writeAll(file, chunk);
          writing.catch(() => {});
          this.#digester.update(chunk);
          await writing;
          this.#size += chunk.byteLength;
          return;
        } catch (cause) {
          this.#wrong = true; // a full disk shall get its room back
          await this.#end(); // half a chunk may be on the disk: nothing after it can be right
          throw translate(cause, `store blob of ${this.repository}`);
        }
      }
      this.#digester.update(chunk);
      this.#size += chunk.byteLength;
    });
  }

  async commit(digest?: Digest): Promise<Descriptor> {
    return await this.#alone(async () => {
      try {
        const wanted = digest === undefined ? "sha256" : algorithmOf(digest);
        const digester = wanted === this.#algorithm ? this.#digester : await this.#rehash(wanted);
        const seen = digester.digest();
        if (digest !== undefined && seen !== digest) {
          this.#wrong = true;
          throw new OciError(
            "DIGEST_INVALID",
            `Cannot store blob in ${this.repository}: its bytes have digest ${seen}, want ${digest}`,
          );
        }
        return await this.#publish({ digest: seen, size: this.#size });
      } finally {
        await this.#end();
      }
    });
  }

  /** Ends the upload: its bytes are `blob`. */
  async #publish(blob: Written): Promise<Descriptor> {
    try {
      if (this.#spilled) {
        const file = await this.#open();
        this.#file = undefined; // seal closes it
        const publish = await this.#host.files.seal(this.id, this.#kind, file, blob.digest);
        await this.#host.record(this.repository, blob, { publish });
      } else {
        await this.#host.record(this.repository, blob, { bytes: Buffer.concat(this.#inline) });
      }
      this.#spilled = false;
      return { mediaType: "application/octet-stream", ...blob };
    } finally {
      await this.#end();
    }
  }

  async writtenBy(
    write: (path: string) => Promise<Written | undefined>,
  ): Promise<Descriptor | undefined> {
    return await this.#alone(async () => {
      if (this.#size > 0) throw new TypeError("Cannot let another write an upload: it has begun");
      const file = await this.#open();
      let written: Written | undefined;
      try {
        written = await write(this.#host.files.ingestPath(this.id, this.#kind));
        if (written === undefined) {
          await file.truncate();
          return undefined;
        }
        const { size } = await file.stat();
        if (size !== written.size) {
          throw new OciError(
            "SIZE_INVALID",
            `Cannot store blob ${written.digest}: it has ${size} bytes, want ${written.size}`,
          );
        }
      } catch (error) {
        await this.#end();
        throw error;
      }
      const { digest, size } = written; // it may say more than that
      this.#size = size;
      return await this.#publish({ digest, size });
    });
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    await this.#end();
  }

  /** What was written is not what was promised: {@linkcode abort} leaves nothing of a pull, then. */
  spoil(): void {
    this.#wrong = true;
  }

  /** Closes the file until the next call, unless one is under way. */
  park(): void {
    if (this.#busy || this.#kind !== "upload") return;
    this.#file?.close();
    this.#file = undefined;
  }

  async #end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#host.ended(this);
    if (!this.#busy) await this.#leave(); // else whoever is at work does it
  }

  async #open(): Promise<Deno.FsFile> {
    if (this.#file !== undefined) return this.#file;
    if (this.#spilled) {
      const found = await this.#host.files.reopen(this.id);
      if (found === undefined || found.size !== this.#size) {
        found?.file.close();
        throw new OciError(
          "BLOB_UPLOAD_UNKNOWN",
          `Cannot go on with upload ${this.id}: it is gone`,
        );
      }
      this.#file = found.file;
    } else {
      this.#file = await this.#host.files.ingest(this.id, this.#kind);
      this.#spilled = true;
    }
    this.#host.opened(this);
    return this.#file;
  }

  async #rehash(algorithm: Algorithm): Promise<Digester> {
    const digester = new Digester(algorithm);
    for (const chunk of this.#inline) digester.update(chunk);
    if (!this.#spilled) return digester;
    const file = await this.#open();
    await file.seek(0, Deno.SeekMode.Start);
    const buffer = new Uint8Array(1024 * 1024);
    for (let got = await file.read(buffer); got !== null; got = await file.read(buffer)) {
      digester.update(buffer.subarray(0, got));
    }
    return digester;
  }

  async #alone<T>(act: () => Promise<T>): Promise<T> {
    if (this.#ended) {
      throw new OciError(
        "BLOB_UPLOAD_UNKNOWN",
        `Cannot go on with upload ${this.id}: it has ended`,
      );
    }
    if (this.#busy) {
      throw new OciError(
        "BLOB_UPLOAD_INVALID",
        `Cannot write to upload ${this.id}: another request is writing to it`,
      );
    }
    this.#busy = true;
    try {
      return await act();
    } finally {
      this.#busy = false;
      // Ended from outside while we worked: nothing may be left behind.
      if (this.#ended) await this.#leave();
    }
  }

  async #leave(): Promise<void> {
    this.#inline = [];
    this.#file?.close();
    this.#file = undefined;
    const goesOn = this.#kind === "pull" && !this.#wrong && this.#size > 0;
    if (this.#spilled && !goesOn) await this.#host.files.discard(this.id, this.#kind);
  }
}

/**
 * Reads `source` into `upload`, behind what it has already, and publishes it as `descriptor`; the upload is over either way.
 *
 * @throws {OciError} `SIZE_INVALID`, `DIGEST_INVALID`.
 */
export async function fillUpload(
  upload: FileUpload,
  { digest, size }: Descriptor,
  source: Source,
  { signal, onProgress }: PushOptions,
): Promise<void> {
  try {
    const offset = Math.min(upload.size, size);
    if (offset > 0) onProgress?.(offset);
    for await (const chunk of await source.open({ offset, signal, reuse: true, verify: false })) {
      signal?.throwIfAborted();
      await upload.write(chunk);
      if (upload.size > size) break;
      onProgress?.(chunk.byteLength);
    }
    if (upload.size !== size) {
      upload.spoil();
      const seen = upload.size > size ? "more" : String(upload.size);
      throw new OciError(
        "SIZE_INVALID",
        `Cannot store blob ${digest} in ${upload.repository}: it has ${seen} bytes, want ${size}`,
      );
    }
    await upload.commit(digest);
  } finally {
    await upload.abort();
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) at += await file.write(bytes.subarray(at));
}

/** A new id: unguessable, and good for `repository` only. */
export function newUploadId(repository: string): string {
  return crypto.getRandomValues(new Uint8Array(16)).toHex() + "-" + repositoryMark(repository);
}

/** Whether `id` is an id that {@linkcode newUploadId} gave out for `repository`. */
export function isUploadId(id: string, repository: string): boolean {
  return /^[0-9a-f]{32}-[0-9a-f]{8}$/.test(id) && id.endsWith(`-${repositoryMark(repository)}`);
}

function repositoryMark(repository: string): string {
  return digestOf(new TextEncoder().encode(repository)).slice(7, 15);
}
