/** Writes what the next build finds: the layers with `cache = true` and their SBOMs (12). */
import { messageOf } from "../error.ts";
import type { Context } from "../../registry/context.ts";
import { type WalkOptions, walkTree } from "../../registry/layer/tree.ts";
import { writeLayer } from "../../registry/layer/write_layer.ts";
import { type Digest, isDigest } from "../../registry/oci/digest.ts";
import { type Cache, type CacheDraft, CacheLayerError } from "../cache/cache.ts";
import type { BuildpackLayers, LayerMetadata } from "../file/lifecycle_metadata.ts";
import type { Dir } from "../sandbox/executor.ts";
import { archiveLayer, isLarge, type LayerToArchive } from "./archive.ts";
import { decideCached } from "./export_decide.ts";
import type { CacheSpools } from "./export_spool.ts";
import type { LayerNotes } from "./export_types.ts";
import { diffIdOf } from "./layer_notes.ts";
import { hasDirectory, within } from "./export_directory.ts";
import { type BuildpackOnDisk, ownModes } from "./export_plan.ts";

/** What {@linkcode exportCache} works on. */
export interface CacheParts {
  /** What the buildpacks left. */
  readonly buildpacks: readonly BuildpackOnDisk[];
  /** The layers directory. */
  readonly layers: Dir;
  /** How layers are walked: owner and parents as for the image, so that diffIDs agree. */
  readonly walk: WalkOptions;
  /** Keep SBOMs too (P0.8). Default true. */
  readonly sboms?: boolean | undefined;
  /** DiffIDs that are known from the image, by `<id>:<name>`: those layers are not hashed again. */
  readonly known: ReadonlyMap<string, Digest>;
  /** Layers that can be told to be untouched. */
  readonly notes?: LayerNotes | undefined;
  /** The sandbox helper's executable: reads layers faster. */
  readonly helper?: string | undefined;
  /** Tars that were written while the image was made. */
  readonly spools?: Pick<CacheSpools, "get"> | undefined;
}

/**
 * Replaces the content of `cache`, in one step at the end. What is in it unchanged is kept, not written again
 * (CA-3); one that turned out damaged is written anew (CA-5).
 *
 * @throws When the cache cannot be written; it has its old content then. For the caller that is a warning.
 */
export async function exportCache(cache: Cache, parts: CacheParts, ctx: Context): Promise<void> {
  const before = await cache.metadata();
  const draft = await cache.draft(ctx.signal);
  try {
    const buildpacks: BuildpackLayers[] = [];
    for (const { member, layers } of parts.buildpacks) {
      const known = before.buildpacks.find(({ key }) => key === member.id)?.layers ?? {};
      const cached: Record<string, LayerMetadata> = {};
      for (const { name, file, directory, hasDirectory } of layers) {
        const id = `${member.id}:${name}`;
        const decision = decideCached(file.types, hasDirectory);
        if (decision === "warn") {
          ctx.log.warn(`Failed to cache layer '${id}' because it has no contents`);
        }
        if (decision !== "cache") continue;
        let sha: Digest;
        try {
          sha = await keepOrAdd(cache, draft, {
            id,
            entries: () => walkTree(directory, parts.walk),
            tree: directory,
            before: Object.hasOwn(known, name) ? known[name]?.sha : undefined,
            known: parts.known.get(id),
            notes: parts.notes,
            helper: parts.helper,
            spooled: parts.spools?.get(id),
          }, ctx);
        } catch (error) {
          ctx.signal.throwIfAborted();
          ctx.log.warn(`Failed to cache layer '${id}': ${messageOf(error)}`);
          continue;
        }
        cached[name] = { sha, data: file.metadata ?? null, ...file.types };
      }
      buildpacks.push({ key: member.id, version: member.version, layers: cached });
    }
    const sboms = within(parts.layers, "sbom/cache");
    const hasSboms = (parts.sboms ?? true) && hasDirectory(parts.layers, "sbom/cache");
    const sbom = !hasSboms ? "" : await keepOrAdd(cache, draft, {
      id: "buildpacksio/lifecycle:cache.sbom",
      entries: () => ownModes(walkTree(sboms, parts.walk), parts.walk),
      before: before.sbom.sha,
      known: undefined,
      notes: undefined,
      helper: undefined,
      spooled: undefined,
    }, ctx);
    await draft.commit({ sbom: { sha: sbom }, buildpacks });
  } catch (error) {
    await draft.abort();
    throw error;
  }
}

interface CachedLayer extends LayerToArchive {
  /** What the cache holds under this name. */
  readonly before: string | undefined;
  /** What it is now, if that is known. */
  readonly known: Digest | undefined;
  readonly notes: LayerNotes | undefined;
  readonly helper: string | undefined;
  readonly spooled: ReturnType<CacheSpools["get"]>;
}

async function keepOrAdd(
  cache: Cache,
  draft: CacheDraft,
  layer: CachedLayer,
  ctx: Context,
): Promise<Digest> {
  const { id, entries, before, known } = layer;
  const { signal, log } = ctx;
  if (before !== undefined && isDigest(before)) {
    const now = known ?? await diffIdOf(layer, layer, ctx);
    if (now === before) {
      try {
        await draft.keep(before, signal);
        log.info(`Reusing cache layer '${id}'`);
        return before;
      } catch (error) {
        if (!(error instanceof CacheLayerError)) throw error;
        log.warn(`Skipping reuse for layer ${id}: ${error.message}`);
      }
    }
  }
  if (layer.spooled !== undefined && draft.take !== undefined) {
    const { layer: spool, diffId } = layer.spooled;
    signal.throwIfAborted();
    try {
      await draft.take(spool, diffId);
      log.info(`Adding cache layer '${id}'`);
      return diffId;
    } catch (error) {
      log.debug(`Layer '${id}' is read once more for the cache: ${messageOf(error)}`);
    }
  }
  const diffId = await archived(cache, draft, layer, ctx) ??
    await draft.add(async (sink, compression) => {
      const written = await writeLayer(entries(), sink, { compression, signal });
      return written.diffId;
    });
  log.info(`Adding cache layer '${id}'`);
  return diffId;
}

/** Adds what the helper makes of the layer; `undefined` when it is for others. */
async function archived(
  cache: Cache,
  draft: CacheDraft,
  layer: CachedLayer,
  ctx: Context,
): Promise<Digest | undefined> {
  const { helper, entries } = layer;
  if (helper === undefined || !cache.spool || !draft.take || !isLarge(entries())) return undefined;
  const spool = await cache.spool();
  try {
    const made = spool.path === undefined
      ? undefined
      : await archiveLayer(helper, layer, { spool: spool.path }, ctx);
    if (made !== undefined) await draft.take(spool, made.diffId);
    return made?.diffId;
  } finally {
    await spool.drop();
  }
}
