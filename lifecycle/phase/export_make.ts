/** Makes or finds the layers of a plan: nothing that is known already is compressed or kept again. */
import type { Context } from "../../registry/context.ts";
import type { Image, Layer } from "../../registry/image.ts";
import { type CompressPool, openCompressPool } from "../../registry/layer/compress_pool.ts";
import type { TreeEntry } from "../../registry/layer/entry.ts";
import { uploadLayer } from "../../registry/layer/write_layer.ts";
import { type Descriptor, descriptorSchema } from "../../registry/oci/descriptor.ts";
import { type Digest, isDigest } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { OciError } from "../../registry/oci/error.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import type { ArchivedLayer } from "../sandbox/archive.ts";
import { archiveLayer, isLarge } from "./archive.ts";
import type { LayerPlan } from "./export_plan.ts";
import { diffIdOf } from "./layer_notes.ts";
import type { CacheSpools } from "./export_spool.ts";
import type { ExportedLayer, LayerNotes, LayerStore } from "./export_types.ts";

/** A layer of the app image that is there now. */
export interface MadeLayer extends ExportedLayer {
  /** What asked for it. */
  readonly plan: LayerPlan;
  /** It, ready to be pushed. */
  readonly layer: Layer;
}

/** What {@linkcode makeLayers} works with. */
export interface MakeOptions {
  /** Its layers keep their blobs (EX-10). */
  readonly previous: Image | undefined;
  /** Takes new blobs. */
  readonly store: LayerStore;
  /** The repository they are filed under. */
  readonly repository: string;
  /** Whether a blob of this type fits the image's family of media types (CF-6). */
  readonly fits: (mediaType: string) => boolean;
  /** How new blobs travel. */
  readonly compression: "gzip" | "zstd";
  /** The sandbox helper's executable: makes layers faster. Without it all is done here. */
  readonly helper?: string | undefined;
  /** Layers that can be told to be untouched. */
  readonly notes?: LayerNotes | undefined;
  /** Gets the plain tars of new layers that are for the cache too. */
  readonly spools?: Pick<CacheSpools, "tee"> | undefined;
  /** Layers under way at once. */
  readonly concurrency: number;
  /** Called for each layer as soon as it is there. */
  readonly onMade: (layer: MadeLayer) => void;
  /** Called for each layer, in the order of the plans. */
  readonly onLayer: (layer: MadeLayer) => void;
}

/**
 * Makes all layers, a few at a time. After a failure the others are stopped and their uploads dropped.
 *
 * @returns In the order of `plans`.
 * @throws {LifecycleError} 62 when a layer without contents is not in the previous image (EX-7).
 */
export async function makeLayers(
  plans: readonly LayerPlan[],
  options: MakeOptions,
  ctx: Context,
): Promise<readonly MadeLayer[]> {
  using pool = openCompressPool();
  // One failure stops the others: a large layer would otherwise go on for minutes.
  const stop = new AbortController();
  const act: Context = {
    signal: AbortSignal.any([ctx.signal, stop.signal]),
    log: ctx.log,
    now: () => ctx.now(),
    meter: (label, total) => ctx.meter(label, total),
  };
  const made: (MadeLayer | undefined)[] = plans.map(() => undefined);
  let next = 0;
  let told = 0;
  const worker = async () => {
    while (next < plans.length) {
      const at = next++;
      try {
        const layer = await makeLayer(plans[at]!, options, pool, act);
        options.onMade(layer);
        made[at] = layer;
      } catch (error) {
        next = plans.length;
        stop.abort(error);
        throw error;
      }
      for (let done = made[told]; done !== undefined; done = made[++told]) options.onLayer(done);
    }
  };
  const workers = Math.max(1, Math.min(options.concurrency, plans.length));
  const ends = await Promise.allSettled(Array.from({ length: workers }, worker));
  ctx.signal.throwIfAborted();
  if (ends.some(({ status }) => status === "rejected")) throw stop.signal.reason;
  return made.filter((layer) => layer !== undefined);
}

async function makeLayer(
  plan: LayerPlan,
  options: MakeOptions,
  pool: CompressPool,
  ctx: Context,
): Promise<MadeLayer> {
  ctx.signal.throwIfAborted();
  const { previous, store, repository } = options;
  const fromPrevious = (diffId: string) =>
    plan.candidates.includes(diffId)
      ? previous?.layers.findLast((layer) =>
        layer.diffId === diffId && options.fits(layer.descriptor.mediaType)
      )
      : undefined;
  if (plan.entries === undefined) {
    const sha = plan.candidates[0] ?? "";
    const layer = fromPrevious(sha);
    if (layer === undefined) {
      throw new LifecycleError(
        ExitCode.export,
        `cannot reuse '${plan.id}': previous image has no layer ${sha} that fits this run image`,
      );
    }
    return { plan, id: plan.id, diffId: layer.diffId, layer, how: "reused" };
  }
  // What this layer was when it was last made here, for whatever image: worth reading it once to see.
  // Not for slices of apps: of another app they are never the same.
  const memory = plan.field === "app" ? undefined : `export/last/${plan.id}`;
  const last = memory && await store.memo.get(memory);
  let found: Digest | undefined;
  if (plan.candidates.length > 0 || last !== undefined) {
    const diffId = found = await diffIdOf({ ...plan, entries: plan.entries }, options, ctx);
    const before = fromPrevious(diffId);
    if (before) return { plan, id: plan.id, diffId, layer: before, how: "reused" };
    const known = await recall(diffId, options);
    if (known) {
      const layer = storedLayer(diffId, known, store, repository);
      return { plan, id: plan.id, diffId, layer, how: "known" };
    }
  }
  const { diffId, descriptor } = await writeNew(plan, plan.entries, found, options, pool, ctx);
  if (memory) await store.memo.set(memory, diffId);
  // This very process has just hashed the bytes, and whoever they are sent to hashes them: once more helps nobody.
  const layer = storedLayer(diffId, descriptor, store, repository, { verify: false });
  // Only now its diffID is known: an equal slice of the previous image keeps its blob (EX-10).
  const before = fromPrevious(diffId);
  if (before) return { plan, id: plan.id, diffId, layer: before, how: "reused" };
  await store.memo.set(madeKey(options, diffId), JSON.stringify(descriptor));
  await store.rememberLayer(diffId, descriptor);
  return { plan, id: plan.id, diffId, layer, how: "added" };
}

/** One pass: walk, tar, diffID, cache, compress, digest, store. */
async function writeNew(
  plan: LayerPlan,
  entries: () => Iterable<TreeEntry>,
  found: Digest | undefined,
  options: MakeOptions,
  pool: CompressPool,
  ctx: Context,
): Promise<{ readonly diffId: Digest; readonly descriptor: Descriptor }> {
  const { store, repository, compression } = options;
  const meter = ctx.meter(plan.id);
  const upload = await store.upload(repository, { signal: ctx.signal, resumable: false });
  const onProgress = (bytes: number) => meter.add(bytes);
  try {
    let tee = await options.spools?.tee(plan, found);
    const { helper } = options;
    if (compression === "gzip" && helper && upload.writtenBy && isLarge(entries())) {
      let made: ArchivedLayer | undefined;
      const descriptor = await upload.writtenBy(async (blob) => {
        const files = { blob, spool: tee?.path, onProgress };
        made = await archiveLayer(helper, { ...plan, entries }, files, ctx);
        return made;
      });
      if (made !== undefined && descriptor !== undefined) {
        tee?.end(made.diffId);
        return {
          diffId: made.diffId,
          descriptor: { ...descriptor, mediaType: MediaType.ociLayerGzip },
        };
      }
      tee = await options.spools?.tee(plan, found); // there may be something in the other's
    }
    const written = await uploadLayer(entries(), upload, {
      compression,
      pool,
      signal: ctx.signal,
      onProgress,
      tee: tee?.write,
    });
    tee?.end(written.diffId);
    return written;
  } catch (error) {
    await upload.abort();
    throw error;
  } finally {
    meter.end();
  }
}

/**
 * Blobs are recalled only when this very code made them: another compressor's blob of the same diffID would
 * give the image another digest on this machine than on others.
 */
function madeKey({ compression, helper }: MakeOptions, diffId: Digest): string {
  return `export/made/2/${compression}${helper === undefined ? "" : "/helper"}/${diffId}`;
}

async function recall(diffId: Digest, options: MakeOptions): Promise<Descriptor | undefined> {
  const { store, repository } = options;
  const text = await store.memo.get(madeKey(options, diffId));
  if (text === undefined) return undefined;
  const parsed = descriptorSchema.safeParse(parseJson(text));
  if (!parsed.success || !isDigest(parsed.data.digest)) return undefined;
  return await store.adopt(repository, parsed.data.digest) ? parsed.data : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a memo is only a memo
  }
}

function storedLayer(
  diffId: Digest,
  descriptor: Descriptor,
  store: LayerStore,
  repository: string,
  options: { readonly verify?: boolean } = {},
): Layer {
  return {
    diffId,
    descriptor,
    blob: async () => {
      const blob = await store.blob(repository, descriptor.digest, options);
      if (blob !== undefined) return blob;
      throw new OciError(
        "BLOB_UNKNOWN",
        `Cannot read layer ${descriptor.digest}: it left ${store.name}`,
      );
    },
    origin: { registry: store, repository },
  };
}
