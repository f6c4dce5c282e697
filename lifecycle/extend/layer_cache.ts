/** Layers of instructions, kept in a directory: what was made once from the same is not made again (XT-4). */
import { join } from "node:path";
import { z } from "zod";
import type { Layer } from "../../registry/image.ts";
import type { TreeEntry } from "../../registry/layer/entry.ts";
import { writeLayer } from "../../registry/layer/write_layer.ts";
import { type Descriptor, descriptorSchema, digestSchema } from "../../registry/oci/descriptor.ts";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import { hashFile } from "../../registry/store/hash_file.ts";
import { fileSource } from "../../registry/source.ts";
import { writeText } from "../file/document.ts";
import { namesIn } from "../is_there.ts";

const recordSchema = z.object({
  made: z.number(),
  layer: z.object({ diffId: digestSchema, descriptor: descriptorSchema }).nullable(),
});

/** What an instruction made: a layer, or with `null` none because nothing changed. */
export type StepLayer = Layer | null;

/** Layers by the key of what they were made from. */
export interface LayerCache {
  /** `undefined` when it is not known, or older than allowed. */
  get(key: string): Promise<StepLayer | undefined>;
  /** Writes a layer and keeps it; `entries` without one entry make no layer. */
  put(key: string, entries: Iterable<TreeEntry>, signal: AbortSignal): Promise<StepLayer>;
}

/**
 * Opens a cache in `dir`, which is made when the first layer is written. One that is damaged is as if it were not
 * there: contents are named by their digest, and read back only when it is right.
 *
 * @param ttlMs How long a layer may be used.
 */
export function openLayerCache(dir: string, ttlMs: number, now: () => Date): LayerCache {
  const blobs = join(dir, "blobs");
  const toLayer = (diffId: Digest, descriptor: Descriptor): Layer => ({
    diffId,
    descriptor,
    blob: () => Promise.resolve(fileSource(blobPath(blobs, descriptor), descriptor.size)),
  });
  return {
    async get(key) {
      const record = await readRecord(join(dir, `${key}.json`));
      if (record === undefined) return undefined;
      const age = now().getTime() - record.made;
      if (age >= ttlMs || age < 0) return undefined;
      if (record.layer === null) return null;
      const { diffId, descriptor } = record.layer as {
        readonly diffId: Digest;
        readonly descriptor: Descriptor;
      };
      if (!await isWhole(blobPath(blobs, descriptor), descriptor)) return undefined;
      return toLayer(diffId, descriptor);
    },
    async put(key, entries, signal) {
      const iterator = entries[Symbol.iterator]();
      const first = iterator.next();
      let layer: StepLayer = null;
      if (!first.done) {
        await Deno.mkdir(blobs, { recursive: true });
        const waiting = join(blobs, `.part-${crypto.randomUUID()}`);
        try {
          const all = (function* () {
            yield first.value;
            yield* { [Symbol.iterator]: () => iterator };
          })();
          using file = await Deno.open(waiting, { createNew: true, write: true });
          const { diffId, descriptor } = await writeLayer(all, {
            async write(chunk) {
              for (let at = 0; at < chunk.byteLength;) at += await file.write(chunk.subarray(at));
            },
          }, { signal });
          await Deno.rename(waiting, blobPath(blobs, descriptor));
          layer = toLayer(diffId, descriptor);
        } catch (error) {
          await Deno.remove(waiting).catch(() => {});
          throw error;
        }
      }
      const record = {
        made: now().getTime(),
        layer: layer && { diffId: layer.diffId, descriptor: layer.descriptor },
      };
      await writeText(join(dir, `${key}.json`), JSON.stringify(record));
      return layer;
    },
  };
}

/** Removes what is older than `ttlMs`, and layers that nothing names any more. */
export async function pruneLayerCache(
  dir: string,
  ttlMs: number,
  now: () => Date,
): Promise<void> {
  const named = new Set<string>();
  for (const name of await namesIn(dir)) {
    if (!name.endsWith(".json")) continue;
    const record = await readRecord(join(dir, name));
    const age = record === undefined ? Infinity : now().getTime() - record.made;
    if (age >= ttlMs) await Deno.remove(join(dir, name)).catch(() => {});
    else if (record?.layer) named.add(record.layer.descriptor.digest.replace(":", "-"));
  }
  const blobs = join(dir, "blobs");
  for (const name of await namesIn(blobs)) {
    if (named.has(name)) continue;
    // One that is being written now, or was just now, belongs to another build.
    const info = await Deno.stat(join(blobs, name)).catch(() => undefined);
    const age = now().getTime() - (info?.mtime?.getTime() ?? 0);
    if (info !== undefined && age > HOUR_MS) await Deno.remove(join(blobs, name)).catch(() => {});
  }
}

const HOUR_MS = 3_600_000;

function blobPath(blobs: string, { digest }: Descriptor): string {
  return join(blobs, digest.replace(":", "-"));
}

async function readRecord(path: string): Promise<z.infer<typeof recordSchema> | undefined> {
  try {
    return recordSchema.parse(JSON.parse(await Deno.readTextFile(path)));
  } catch {
    return undefined;
  }
}

async function isWhole(path: string, { digest, size }: Descriptor): Promise<boolean> {
  try {
    if ((await Deno.stat(path)).size !== size) return false;
    return (await hashFile(path, digest))?.digest === digest;
  } catch {
    return false;
  }
}

/** A key of all that decides what comes out. */
export function cacheKey(parts: readonly unknown[]): string {
  return digestOf(new TextEncoder().encode(JSON.stringify(parts))).slice("sha256:".length);
}
