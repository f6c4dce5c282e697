import { handedOn } from "../handed_on.ts";
import type { BlobUpload, CallOptions, Registry, ResumableUploads } from "../registry.ts";
import type { Algorithm, Digest } from "../oci/digest.ts";
import type { Descriptor } from "../oci/descriptor.ts";

/**
 * A place that keeps its uploads between requests as long as this object lives: what a layout or a proxy needs
 * to be served. The store and memory can do it themselves.
 */
export function resumable(registry: Registry): Registry & ResumableUploads {
  const uploads = new Map<string, { readonly repository: string; readonly upload: BlobUpload }>();
  return {
    ...handedOn(registry),
    async upload(
      repository: string,
      options: CallOptions & { readonly algorithm?: Algorithm | undefined } = {},
    ): Promise<BlobUpload> {
      const upload = await registry.upload(repository, options);
      const kept = forgetting(upload, () => uploads.delete(upload.id));
      uploads.set(upload.id, { repository, upload: kept });
      const oldest = uploads.values().next().value;
      if (uploads.size > MAX_UPLOADS) await oldest?.upload.abort();
      return kept;
    },
    resumeUpload(repository: string, id: string): Promise<BlobUpload | undefined> {
      const found = uploads.get(id);
      return Promise.resolve(found?.repository === repository ? found.upload : undefined);
    },
  };
}

/** Each may hold a file open. */
const MAX_UPLOADS = 256;

/** The same upload, which says when it is over. */
function forgetting(upload: BlobUpload, over: () => void): BlobUpload {
  return {
    id: upload.id,
    get size(): number {
      return upload.size;
    },
    write: (chunk) => upload.write(chunk),
    async commit(digest?: Digest): Promise<Descriptor> {
      try {
        return await upload.commit(digest);
      } finally {
        over();
      }
    },
    async abort(): Promise<void> {
      over();
      await upload.abort();
    },
  };
}
