/** Brings back what the last build left: first what is known of its layers, then the layers themselves. */
import type { Context } from "../../registry/context.ts";
import { extractLayer } from "../../registry/layer/extract.ts";
import { FrameDigester } from "../../registry/layer/frame.ts";
import { type Digest, parseDigest } from "../../registry/oci/digest.ts";
import type { Source } from "../../registry/source.ts";
import { type Cache, EMPTY_CACHE_METADATA, type UncheckedLayer } from "../cache/cache.ts";
import { ExitCode, failAs } from "../error.ts";
import { compareBytes } from "../../registry/compare_bytes.ts";
import { writeText } from "../file/document.ts";
import type { GroupMember } from "../file/group_toml.ts";
import { formatLayerToml, isLayerName } from "../file/layer_toml.ts";
import { escapeId } from "../file/module.ts";
import { formatStoreToml } from "../file/store_toml.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { BuildpackLayers, CacheMetadata } from "../file/lifecycle_metadata.ts";
import { within } from "./export_directory.ts";
import { decideContents, decideMetadata } from "./restore_decide.ts";
import { copySboms, SBOM_LIMITS } from "./restore_sbom.ts";
import type { RestoredLayer, RestoreInput, RestoreResult } from "./restore_types.ts";

/** Layers written to disk at once. */
const CONCURRENCY = 4;

/**
 * Restores `store.toml`, layer TOML files without `[types]`, layer directories and SBOM files (RE-6..RE-21).
 * A cache layer that is gone or corrupt costs a warning, its TOML stays (RE-11).
 *
 * @throws {LifecycleError} 42 when the layers directory cannot be written.
 */
export async function restore(input: RestoreInput, ctx: Context): Promise<RestoreResult> {
  return await failAs(ExitCode.restore, ctx.signal, async () => {
    const { group, layers, cache } = input;
    for (const member of group) await restoreStore(member, input);
    if (input.skipLayers) {
      ctx.log.info("Skipping buildpack layer analysis");
      await Deno.remove(`${layers.outside}/sbom`, { recursive: true }).catch(ignoreAbsent);
      return { metadata: [], contents: [], written: [] };
    }
    const known = cache ? await cache.metadata() : EMPTY_CACHE_METADATA;
    if (cache && known.buildpacks.length === 0) ctx.log.debug("Layer cache not found");
    const shas = new Map<string, string>();
    for (const member of group) await restoreMetadata(member, input, known, shas, ctx);
    const written: RestoredLayer[] = [];
    const contents = cache ? await restoreContents(input, cache, known, shas, written, ctx) : [];
    if (input.capability.sboms ?? true) {
      if (cache) await restoreCacheSbom(cache, known, layers, ctx);
      await copySboms(group, layers);
    }
    return { metadata: [...shas.keys()], contents, written };
  });
}

function layersOf(
  buildpacks: readonly BuildpackLayers[],
  id: string,
): BuildpackLayers | undefined {
  return buildpacks.find(({ key }) => key === id); // RE-16: any version
}

function directoryOf(layers: Dir, member: GroupMember): Dir {
  const name = escapeId(member.id);
  return { inside: `${layers.inside}/${name}`, outside: `${layers.outside}/${name}` };
}

async function restoreStore(member: GroupMember, input: RestoreInput): Promise<void> {
  const store = layersOf(input.app.buildpacks, member.id)?.store;
  if (store === undefined) return;
  const directory = directoryOf(input.layers, member).outside;
  await writeText(`${directory}/store.toml`, formatStoreToml(store));
}

/** Writes the TOML files of one buildpack and notes the sha each came with (RE-8, RE-9). */
async function restoreMetadata(
  member: GroupMember,
  input: RestoreInput,
  known: CacheMetadata,
  shas: Map<string, string>,
  ctx: Context,
): Promise<void> {
  const app = layersOf(input.app.buildpacks, member.id);
  const cached = layersOf(known.buildpacks, member.id);
  const directory = directoryOf(input.layers, member).outside;
  for (const decision of decideMetadata(app, cached, input.capability)) {
    const id = `${member.id}:${decision.name}`;
    if (decision.kind === "skip") {
      ctx.log.debug(`Not restoring metadata for "${id}", ${decision.why}`);
      continue;
    }
    ctx.log.info(`Restoring metadata for "${id}" from ${decision.from}`);
    const { data, sha } = decision.layer;
    await writeText(
      `${directory}/${decision.name}.toml`,
      formatLayerToml({ metadata: data ?? undefined }),
    );
    shas.set(id, sha);
  }
}

/** Writes, removes or leaves the directory of each layer whose TOML is there (RE-10..RE-13). */
async function restoreContents(
  input: RestoreInput,
  cache: Cache,
  known: CacheMetadata,
  shas: ReadonlyMap<string, string>,
  written: RestoredLayer[],
  ctx: Context,
): Promise<string[]> {
  const jobs: (() => Promise<void>)[] = [];
  const restored: string[] = [];
  for (const member of input.group) {
    const cached = layersOf(known.buildpacks, member.id);
    const directory = directoryOf(input.layers, member);
    for (const name of await layerNames(directory.outside)) {
      const id = `${member.id}:${name}`;
      const layer = cached && Object.hasOwn(cached.layers, name) ? cached.layers[name] : undefined;
      const decision = decideContents(shas.get(id), layer);
      if (decision.kind === "leave") continue;
      if (decision.kind === "remove") {
        ctx.log.info(`Removing "${id}", ${decision.why}`);
        await removeLayer(directory.outside, name);
        continue;
      }
      restored.push(id);
      jobs.push(async () => {
        const layer = { id, name, sha: decision.sha, directory, framed: input.forLater };
        const done = await restoreLayer(cache, layer, ctx);
        if (done === undefined) restored.splice(restored.indexOf(id), 1);
        else if (done.frame !== undefined) {
          const { diffId, frame } = done;
          written.push({ id, diffId, frame: frame.digest(), directory: within(directory, name) });
        }
      });
    }
  }
  await runAll(jobs);
  return restored;
}

interface LayerToRestore {
  readonly id: string;
  readonly name: string;
  readonly sha: string;
  /** Of its buildpack. */
  readonly directory: Dir;
  /** Whether its frame is wanted. */
  readonly framed: boolean | undefined;
}

/** A layer whose contents are on disk now. */
interface LayerOnDisk {
  readonly diffId: Digest;
  readonly frame: FrameDigester | undefined;
}

/** Restores one layer; `undefined` when its contents could not be had, and then there are none. */
async function restoreLayer(
  cache: Cache,
  layer: LayerToRestore,
  ctx: Context,
): Promise<LayerOnDisk | undefined> {
  const { id, name, sha, directory } = layer;
  const skip = (error: unknown) => {
    ctx.signal.throwIfAborted();
    ctx.log.warn(`Skipping restore for layer ${id}: ${messageOf(error)}`);
    return undefined;
  };
  let diffId: Digest;
  let unchecked: UncheckedLayer | undefined;
  try {
    diffId = parseDigest(sha);
    unchecked = await cache.unchecked?.(diffId);
  } catch (error) {
    return skip(error);
  }
  const done = unchecked && await restoreInOnePass(unchecked, layer, diffId, ctx);
  if (done !== undefined) return done;
  let tar: Source;
  try {
    tar = await cache.layer(diffId, ctx.signal);
  } catch (error) {
    return skip(error);
  }
  ctx.log.info(`Restoring data for "${id}" from cache`);
  try {
    const frame = await extractInto(layer, tar, undefined, ctx);
    return { diffId, frame };
  } catch (error) {
    ctx.signal.throwIfAborted();
    if (!isBadArchive(error)) throw error;
    skip(error);
    await Deno.remove(`${directory.outside}/${name}`, { recursive: true }).catch(ignoreAbsent);
    return undefined;
  }
}

/**
 * Extracts what is hashed on the way, so that it is read once. Where it is not the layer, all that was extracted goes (CA-5), and
 * `undefined` sends the caller the long way: that one says what is wrong.
 */
async function restoreInOnePass(
  there: UncheckedLayer,
  layer: LayerToRestore,
  diffId: Digest,
  ctx: Context,
): Promise<LayerOnDisk | undefined> {
  const { id, name, directory } = layer;
  try {
    const frame = await extractInto(layer, there.tar, diffId, ctx);
    there.confirm();
    ctx.log.info(`Restoring data for "${id}" from cache`);
    return { diffId, frame };
  } catch (error) {
    // Also when the restore ends here: nobody may find what was not checked.
    await Deno.remove(`${directory.outside}/${name}`, { recursive: true }).catch(ignoreAbsent);
    ctx.signal.throwIfAborted();
    if (!isBadArchive(error)) throw error;
    return undefined;
  }
}

/** @param diffId What the tar has to be, if nobody has looked. */
async function extractInto(
  { name, directory, framed }: LayerToRestore,
  tar: Source,
  diffId: Digest | undefined,
  { signal }: Context,
): Promise<FrameDigester | undefined> {
  const frame = framed ? new FrameDigester() : undefined;
  await Deno.mkdir(directory.outside, { recursive: true });
  // Only this layer: a cache that others can write may not reach further.
  await extractLayer(tar, {
    directories: { [directory.inside]: directory.outside },
    only: `${directory.inside}/${name}`,
    signal,
    frame,
    diffId,
  });
  return frame;
}

/** What {@linkcode extractLayer} says of an archive it does not take; all else is about our own disk. */
function isBadArchive(error: unknown): boolean {
  return error instanceof TypeError || error instanceof SyntaxError || error instanceof RangeError;
}

/** As for layers a lost or broken SBOM is no reason to fail (RE-18). */
async function restoreCacheSbom(
  cache: Cache,
  known: CacheMetadata,
  layers: Dir,
  ctx: Context,
): Promise<void> {
  if (known.sbom.sha === "") return;
  const directory = { inside: `${layers.inside}/sbom`, outside: `${layers.outside}/sbom` };
  ctx.log.info("Restoring data for SBOM from cache");
  try {
    const tar = await cache.layer(parseDigest(known.sbom.sha), ctx.signal);
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

/** Names of the layers in a buildpack's directory, by their TOML files, in byte order. */
async function layerNames(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isFile } of Deno.readDir(directory)) {
      if (isFile && name.endsWith(".toml") && isLayerName(name.slice(0, -5))) {
        names.push(name.slice(0, -5));
      }
    }
  } catch (error) {
    ignoreAbsent(error);
  }
  return names.sort(compareBytes);
}

async function removeLayer(directory: string, name: string): Promise<void> {
  for (const file of [name, `${name}.toml`, `${name}.sha`]) {
    await Deno.remove(`${directory}/${file}`, { recursive: true }).catch(ignoreAbsent);
  }
}

/** Runs jobs a few at a time; after a failure none is started, and those under way end first. */
async function runAll(jobs: readonly (() => Promise<void>)[]): Promise<void> {
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      try {
        await job();
      } catch (error) {
        queue.length = 0;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: CONCURRENCY }, worker));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function ignoreAbsent(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
