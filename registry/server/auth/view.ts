/** A place as one caller sees it. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";
import type { Descriptor } from "../../oci/descriptor.ts";
import { holds, type UnmetDetail } from "../../expectation.ts";
import type { Digest } from "../../oci/digest.ts";
import { isOciError, OciError } from "../../oci/error.ts";
import type { BlobUpload, Registry, ResumableUploads } from "../../registry.ts";
import type { Allowed } from "./authority.ts";

type Place = Registry & ResumableUploads;

/**
 * `registry` with what the caller may not read left out of it, whichever way a handler asks: lists lack it, and a
 * mount from it finds nothing. Its uploads can be gone on with by their owner only: the id that a client
 * sees carries a MAC over owner and repository, so this holds across restarts without any table. Who may only make
 * tags, or only move them, is held to that in the moment a tag is set.
 *
 * @param key 32 secret bytes of the server.
 */
export function viewOf(registry: Place, allowed: Allowed, key: Uint8Array): Place {
  const { mayRead, owner, tagsMustBe } = allowed;
  const sees = (repository: string) => mayRead === "all" || mayRead(repository);
  const sealOf = (repository: string, id: string) =>
    createHmac("sha256", key).update(JSON.stringify(["upload", owner, repository, id])).digest(
      "hex",
    ).slice(0, 32);
  return {
    name: registry.name,
    manifest: (...args) => registry.manifest(...args),
    stat: (...args) => registry.stat(...args),
    blob: (repository, ...rest) =>
      sees(repository) ? registry.blob(repository, ...rest) : Promise.resolve(undefined),
    pushBlob: (...args) => registry.pushBlob(...args),
    async pushManifest(repository, manifest, options = {}): Promise<Descriptor> {
      if (tagsMustBe === undefined) {
        return await registry.pushManifest(repository, manifest, options);
      }
      const { tags = [], expect = [] } = options;
      const more = tags.map((tag) => ({ tag, is: tagsMustBe }));
      try {
        return await registry.pushManifest(repository, manifest, {
          ...options,
          expect: [...expect, ...more],
        });
      } catch (error) {
        throw isOciError(error, "PRECONDITION_FAILED") ? refused(error, allowed) : error;
      }
    },
    deleteManifest: (...args) => registry.deleteManifest(...args),
    deleteBlob: (...args) => registry.deleteBlob(...args),
    async *repositories(...args) {
      for await (const name of registry.repositories(...args)) if (sees(name)) yield name;
    },
    tags: (...args) => registry.tags(...args),
    referrers: (...args) => registry.referrers(...args),
    async upload(repository, ...rest): Promise<BlobUpload> {
      const upload = await registry.upload(repository, ...rest);
      return named(upload, `${upload.id}.${sealOf(repository, upload.id)}`);
    },
    async resumeUpload(repository, id): Promise<BlobUpload | undefined> {
      const dot = id.lastIndexOf(".");
      const inner = id.slice(0, Math.max(0, dot));
      const seal = Buffer.from(id.slice(dot + 1));
      const right = Buffer.from(sealOf(repository, inner));
      if (seal.length !== right.length || !timingSafeEqual(seal, right)) return undefined;
      const upload = await registry.resumeUpload(repository, inner);
      return upload && named(upload, id);
    },
  };
}

/** A tag is not what it must be for this caller: no right. What the caller itself wanted of it stays what it is. */
function refused(error: OciError, { tagsMustBe, user }: Allowed): OciError {
  const { tag, digest } = error.detail as UnmetDetail;
  if (tagsMustBe === undefined || holds(tagsMustBe, digest ?? undefined)) return error;
  const act = tagsMustBe === "absent" ? "move" : "make";
  const who = user === undefined ? "somebody unknown" : JSON.stringify(user.slice(0, 100));
  return new OciError("DENIED", `Cannot ${act} tag ${tag}: ${who} has no right to`, {
    cause: error,
  });
}

/** The same upload under another name. */
function named(upload: BlobUpload, id: string): BlobUpload {
  return {
    id,
    get size(): number {
      return upload.size;
    },
    write: (chunk) => upload.write(chunk),
    commit: (digest?: Digest): Promise<Descriptor> => upload.commit(digest),
    abort: () => upload.abort(),
  };
}
