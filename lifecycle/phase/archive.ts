/**
 * Layers by the helper: it walks, reads, hashes and compresses on all processors, and the bytes never come here. It makes the tar that
 * `writeLayer` makes, and leaves to that all that is odd. Its blobs are its own: another compressor, so another digest.
 */
import type { Context } from "../../registry/context.ts";
import { COMPRESS_BLOCK } from "../../registry/layer/compress_block.ts";
import type { TreeEntry } from "../../registry/layer/entry.ts";
import type { SeenTree } from "../../registry/layer/unchanged.ts";
import { BLOCK, padded } from "../../registry/layer/tar_format.ts";
import { messageOf } from "../error.ts";
import type { Dir } from "../sandbox/executor.ts";
import {
  type ArchivedLayer,
  type ArchiveOptions,
  archiveWith,
  lookWith,
} from "../sandbox/archive.ts";

/** A layer that is to be made. */
export interface LayerToArchive {
  /** For logs. */
  readonly id: string;
  /** Its entries, anew at each call. */
  readonly entries: () => Iterable<TreeEntry>;
  /** Where all entries but those of the directories above it come from, when that is one directory. */
  readonly tree?: Dir | undefined;
}

/**
 * Makes a layer, when it {@linkcode isLarge}.
 *
 * @returns `undefined` when it is for `writeLayer`; anything may be in the files then.
 * @throws The signal's reason.
 */
export async function archiveLayer(
  helper: string,
  layer: LayerToArchive,
  options: Omit<ArchiveOptions, "signal">,
  { log, signal }: Pick<Context, "log" | "signal">,
): Promise<ArchivedLayer | undefined> {
  try {
    const made = await archiveWith(helper, wordsOf(layer), { ...options, signal });
    if (!("why" in made)) return made;
    log.debug(`Layer '${layer.id}' is made the long way: ${made.why}`);
  } catch (error) {
    signal.throwIfAborted();
    log.debug(`Layer '${layer.id}' is made the long way: ${messageOf(error)}`);
  }
  return undefined;
}

/**
 * Looks at a layer without reading its files.
 *
 * @returns `undefined` when it is for the walk in TypeScript.
 * @throws The signal's reason.
 */
export async function lookAtLayer(
  helper: string,
  layer: LayerToArchive,
  { log, signal }: Pick<Context, "log" | "signal">,
): Promise<SeenTree | undefined> {
  try {
    const seen = await lookWith(helper, wordsOf(layer), signal);
    if (!("why" in seen)) return seen;
    log.debug(`Layer '${layer.id}' is looked at the long way: ${seen.why}`);
  } catch (error) {
    signal.throwIfAborted();
    log.debug(`Layer '${layer.id}' is looked at the long way: ${messageOf(error)}`);
  }
  return undefined;
}

/**
 * Whether the tar has more than a block; to start the helper for one would take longer. Decided by what is in the layer and nothing
 * else, so the same layer is always made by the same.
 */
export function isLarge(entries: Iterable<TreeEntry>): boolean {
  let size = 2 * BLOCK;
  for (const entry of entries) {
    size += BLOCK + padded(entry.size);
    if (size > COMPRESS_BLOCK) return true;
  }
  return false;
}

/** The layer as `archive.c` wants to be told of it. */
export function* wordsOf(
  { entries, tree }: LayerToArchive,
): Generator<readonly (string | number)[]> {
  for (const entry of entries()) {
    const { name, uid, gid } = entry;
    if (name === tree?.inside) {
      yield ["t", tree.outside, name, uid, gid];
      return;
    }
    const mode = entry.mode.toString(8);
    if (entry.pax !== undefined || name.includes("\0")) throw new Error("records");
    if (entry.type === "directory") yield ["d", name, mode, uid, gid];
    else if (entry.type === "symlink") yield ["l", name, mode, uid, gid, entry.linkName ?? ""];
    else if (entry.type === "file" && entry.body && !(entry.body instanceof Uint8Array)) {
      const { path, dev, ino } = entry.body;
      yield ["f", name, mode, uid, gid, entry.size, dev, ino, path];
    } else throw new Error(entry.type);
  }
}
