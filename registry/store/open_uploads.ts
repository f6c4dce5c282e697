import type { Algorithm, Digest } from "../oci/digest.ts";
import type { BlobFiles } from "./blob_files.ts";
import { FileUpload, isUploadId, newUploadId, type UploadHost } from "./upload.ts";

/** Upload files kept open between requests. */
const MAX_OPEN = 64;
/** Uploads known at once; the oldest is dropped then. */
const MAX_UPLOADS = 4096;

/** Uploads of one store in this process: those that somebody may go on with by their id, and those with a file open. */
export class OpenUploads implements UploadHost {
  readonly files: BlobFiles;
  readonly record: UploadHost["record"];
  readonly #resumable = new Map<string, FileUpload>();
  readonly #open = new Set<FileUpload>();

  /** Bytes wait in `files`; `record` is told of blobs that are verified. */
  constructor(files: BlobFiles, record: UploadHost["record"]) {
    this.files = files;
    this.record = record;
  }

  /** One that ends with the call that makes it. */
  begin(repository: string, algorithm?: Algorithm): FileUpload {
    return new FileUpload(this, newUploadId(repository), "push", repository, algorithm);
  }

  /** One that {@linkcode resume} finds again; the oldest is dropped when there are too many. */
  async beginResumable(repository: string, algorithm?: Algorithm): Promise<FileUpload> {
    const upload = new FileUpload(this, newUploadId(repository), "upload", repository, algorithm);
    const oldest = this.#resumable.values().next().value;
    if (this.#resumable.size >= MAX_UPLOADS) await oldest?.abort();
    this.#resumable.set(upload.id, upload);
    return upload;
  }

  /** An upload by its id, also one of a process that is gone. */
  async resume(repository: string, id: string): Promise<FileUpload | undefined> {
    if (!isUploadId(id, repository)) return undefined;
    const known = this.#resumable.get(id);
    if (known !== undefined) return known;
    const upload = new FileUpload(this, id, "upload", repository);
    if (!await upload.takeUp()) return undefined;
    const faster = this.#resumable.get(id);
    if (faster !== undefined) {
      this.#open.delete(upload);
      upload.park();
      return faster;
    }
    this.#resumable.set(id, upload);
    return upload;
  }

  /** The one upload of a long blob, with what an earlier try left of it; `undefined` when another process is at it. */
  async takeUpPull(
    repository: string,
    digest: Digest,
    algorithm: Algorithm,
  ): Promise<FileUpload | undefined> {
    const pull = new FileUpload(this, digest.replace(":", "-"), "pull", repository, algorithm);
    return await pull.takeUp() ? pull : undefined;
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
    this.#resumable.delete(upload.id);
    this.#open.delete(upload);
  }

  /** Closes their files; what waits in them can be gone on with. Idempotent. */
  park(): void {
    for (const upload of this.#open) upload.park();
    this.#open.clear();
    this.#resumable.clear();
  }
}
