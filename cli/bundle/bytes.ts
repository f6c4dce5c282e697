/** The bytes of a bundle: brought into the store, each once, and opened from there. */
import { bytesSource, type Source } from "../../registry/source.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import type { Store } from "../../registry/store/store.ts";
import { UsageError } from "../exit.ts";
import type { Session } from "../session.ts";
import type { Taken } from "./content.ts";

/** Where blobs wait in the store: a creation that was broken off goes on with them. */
export const SCRATCH = "wherry-scratch/bundle";

/** A manifest or index that was read already. */
export function documentOf(
  taken: readonly Taken[],
  digest: Descriptor["digest"],
): Source | undefined {
  for (const { closure } of taken) {
    const raw = closure.documents.get(digest);
    if (raw !== undefined) return bytesSource(raw.bytes);
  }
  return undefined;
}

/** A blob that is in the store. */
export async function blobOf(store: Store, digest: Descriptor["digest"]): Promise<Source> {
  const source = await store.content(digest);
  if (source !== undefined) return source;
  throw new Error(`Cannot write ${digest}: it left the store`);
}

/** Brings blobs into the store, each once; what is there is not asked for. */
export async function fetchAll(
  session: Session,
  taken: readonly Taken[],
  wanted: ReadonlySet<string>,
  store: Store,
): Promise<void> {
  const { signal } = session.ctx;
  const queue = [
    ...new Map(
      taken.flatMap(({ from, closure }) =>
        [...closure.blobs.values()].filter(({ digest }) => wanted.has(digest))
          .map((blob) => [blob.digest, { blob, from }] as const)
      ),
    ).values(),
  ];
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { blob, from } = next;
      signal.throwIfAborted();
      if (await store.adopt(SCRATCH, blob.digest)) continue;
      const meter = session.ctx.meter(`Fetching ${blob.digest.slice(7, 19)}`, blob.size);
      try {
        const source = await from.registry.blob(from.repository, blob.digest, { signal });
        if (source === undefined) {
          throw new UsageError(`Cannot bundle ${from.name}: it lacks blob ${blob.digest}`);
        }
        await store.pushBlob(SCRATCH, blob, source, {
          signal,
          onProgress: (bytes) => meter.add(bytes),
        });
      } finally {
        meter.end();
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: 4 }, async () => {
    try {
      await work();
    } catch (error) {
      queue.length = 0;
      throw error;
    }
  }));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}
