/** Restored layers that nobody touched are not read again when they are exported. */
import type { Context } from "../../registry/context.ts";
import { type WalkOptions, walkTree } from "../../registry/layer/tree.ts";
import { isAsNoted, isUnchanged, noteTree, type TreeNote } from "../../registry/layer/unchanged.ts";
import { hashLayer } from "../../registry/layer/write_layer.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { archiveLayer, isLarge, type LayerToArchive, lookAtLayer } from "./archive.ts";
import type { LayerNotes } from "./export_types.ts";
import type { RestoredLayer } from "./restore_types.ts";

/**
 * Notes the layers of a restore. For when nothing but us has run since it began, and nothing else runs until this has settled: a
 * process that detection left behind would go unseen.
 *
 * @param walk As export will have it.
 */
export async function noteLayers(
  restored: readonly RestoredLayer[],
  walk: WalkOptions,
  ctx: Context,
): Promise<LayerNotes> {
  const notes = new Map<string, TreeNote>();
  for (const { id, diffId, frame, looks, directory } of restored) {
    ctx.signal.throwIfAborted();
    try {
      const entries = () => walkTree(directory, walk);
      const note = await noteTree({ diffId, frame, looks, outside: directory.outside, entries });
      if (note !== undefined) notes.set(id, note);
    } catch (error) {
      // Export walks it again, and says what is wrong with it.
      ctx.log.debug(`Not noting layer '${id}': ${error instanceof Error ? error.message : error}`);
    }
  }
  return notes;
}

/**
 * The diffID of a layer: from its note when it was not touched, else by reading it.
 *
 * @param helper The sandbox helper's executable, if any.
 */
export async function diffIdOf(
  layer: LayerToArchive,
  { notes, helper }: {
    readonly notes?: LayerNotes | undefined;
    readonly helper?: string | undefined;
  },
  ctx: Context,
): Promise<Digest> {
  const { id, entries } = layer;
  const note = notes?.get(id);
  const large = helper !== undefined && isLarge(entries()) ? helper : undefined;
  if (note !== undefined) {
    const seen = large === undefined ? undefined : await lookAtLayer(large, layer, ctx);
    if (seen ? isAsNoted(note, seen) : isUnchanged(note, entries())) {
      ctx.log.debug(`Layer '${id}' was not touched`);
      return note.diffId;
    }
  }
  const archived = large === undefined ? undefined : await archiveLayer(large, layer, {}, ctx);
  return (archived ?? await hashLayer(entries(), { signal: ctx.signal })).diffId;
}
