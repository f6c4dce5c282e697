/** One layer of a cache, by the strict reader of tars: it takes every dialect, and says what is wrong with a damaged one. */
import { messageOf } from "../error.ts";
import type { Context } from "../../registry/context.ts";
import { extractLayer } from "../../registry/layer/extract.ts";
import { FrameDigester } from "../../registry/layer/frame.ts";
import { type Digest, parseDigest } from "../../registry/oci/digest.ts";
import type { Source } from "../../registry/source.ts";
import type { Cache, UncheckedLayer } from "../cache/cache.ts";
import type { Dir } from "../sandbox/executor.ts";
import { removeContents } from "./restore_remove.ts";
import { SBOM_LIMITS } from "./restore_sbom.ts";

/** What is to be on disk. */
export interface LayerToRestore {
  /** `<id>:<name>`. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** What metadata say its diffID is. */
  readonly sha: string;
  /** Of its buildpack. */
  readonly directory: Dir;
}

/** A layer whose contents are on disk now. */
export interface LayerOnDisk {
  /** Of its tar, verified. */
  readonly diffId: Digest;
  /** Of its tar, if it was wanted. */
  readonly frame: Digest | undefined;
}

/**
 * Restores one layer.
 *
 * @param framed Whether its frame is wanted.
 * @returns `undefined` when its contents could not be had; there are none then, and the reason was told.
 */
export async function restoreLayer(
  cache: Cache,
  layer: LayerToRestore,
  framed: boolean,
  ctx: Context,
): Promise<LayerOnDisk | undefined> {
  const { id, name, sha, directory } = layer;
  const skip = (error: unknown) => {
    ctx.signal.throwIfAborted();
    ctx.log.warn(`Skipping restore for layer ${id}: ${messageOf(error)}`);
    return undefined;
  };
  const frame = framed ? new FrameDigester() : undefined;
  let diffId: Digest;
  let unchecked: UncheckedLayer | undefined;
  try {
    diffId = parseDigest(sha);
    unchecked = await cache.unchecked?.(diffId);
  } catch (error) {
    return skip(error);
  }
  if (unchecked && await restoreInOnePass(unchecked, layer, diffId, frame, ctx)) {
    return { diffId, frame: frame?.digest() };
  }
  let tar: Source;
  try {
    tar = await cache.layer(diffId, ctx.signal);
  } catch (error) {
    return skip(error);
  }
  ctx.log.info(`Restoring data for "${id}" from cache`);
  try {
    const again = framed ? new FrameDigester() : undefined;
    await extractInto(layer, tar, undefined, again, ctx);
    return { diffId, frame: again?.digest() };
  } catch (error) {
    ctx.signal.throwIfAborted();
    if (!isBadArchive(error)) throw error;
    skip(error);
    await removeContents(directory.outside, name);
    return undefined;
  }
}

/**
 * Extracts what is hashed on the way, so that it is read once. Where it is not the layer, all that was extracted goes (CA-5), and
 * `false` sends the caller the long way: that one says what is wrong.
 */
async function restoreInOnePass(
  there: UncheckedLayer,
  layer: LayerToRestore,
  diffId: Digest,
  frame: FrameDigester | undefined,
  ctx: Context,
): Promise<boolean> {
  const { id, name, directory } = layer;
  try {
    await extractInto(layer, there.tar, diffId, frame, ctx);
    there.confirm();
    ctx.log.info(`Restoring data for "${id}" from cache`);
    return true;
  } catch (error) {
    // Also when the restore ends here: nobody may find what was not checked.
    await removeContents(directory.outside, name);
    ctx.signal.throwIfAborted();
    if (!isBadArchive(error)) throw error;
    return false;
  }
}

/** @param diffId What the tar has to be, if nobody has looked. */
async function extractInto(
  { name, directory }: LayerToRestore,
  tar: Source,
  diffId: Digest | undefined,
  frame: FrameDigester | undefined,
  { signal }: Context,
): Promise<void> {
  await Deno.mkdir(directory.outside, { recursive: true });
  // Only this layer: a cache that others can write may not reach further.
  await extractLayer(tar, {
    directories: { [directory.inside]: directory.outside },
    only: `${directory.inside}/${name}`,
    signal,
    frame,
    diffId,
  });
}

/** What {@linkcode extractLayer} says of an archive it does not take; all else is about our own disk. */
function isBadArchive(error: unknown): boolean {
  return error instanceof TypeError || error instanceof SyntaxError || error instanceof RangeError;
}

/** Restores the SBOMs of the cache. As for layers a lost or broken one is no reason to fail (RE-18). */
export async function restoreCacheSbom(
  cache: Cache,
  sha: string,
  layers: Dir,
  ctx: Context,
): Promise<void> {
  const directory = { inside: `${layers.inside}/sbom`, outside: `${layers.outside}/sbom` };
  ctx.log.info("Restoring data for SBOM from cache");
  try {
    const tar = await cache.layer(parseDigest(sha), ctx.signal);
    await Deno.mkdir(directory.outside, { recursive: true });
    await extractLayer(tar, {
      directories: { [directory.inside]: directory.outside },
      limits: SBOM_LIMITS,
      signal: ctx.signal,
    });
  } catch (error) {
    ctx.signal.throwIfAborted();
    ctx.log.warn(`Skipping restore for SBOM: ${messageOf(error)}`);
  }
}
