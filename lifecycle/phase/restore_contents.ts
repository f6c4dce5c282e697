/** Which layers come back, and their contents: plain ones by the helper, side by side, the others one by one (RE-10 to RE-13). */
import type { Context } from "../../registry/context.ts";
import { compareBytes } from "../../registry/compare_bytes.ts";
import type { Cache } from "../cache/cache.ts";
import { isLayerName } from "../file/layer_toml.ts";
import type { GroupMember } from "../file/group_toml.ts";
import type { BuildpackLayers, CacheMetadata } from "../file/lifecycle_metadata.ts";
import { escapeId } from "../file/module.ts";
import { ignoreAbsent } from "../is_there.ts";
import type { Dir } from "../sandbox/executor.ts";
import { within } from "./export_directory.ts";
import { decideContents } from "./restore_decide.ts";
import type { LayerToRestore } from "./restore_layer.ts";
import { removeContents } from "./restore_remove.ts";
import { restoreTars } from "./restore_tars.ts";
import type { RestoredLayer, RestoreInput } from "./restore_types.ts";

/** Layers that the strict reader has under way at once. */
const CONCURRENCY = 4;

/**
 * Writes, removes or leaves the directory of each layer whose TOML is there.
 *
 * @param shas What each layer's metadata came with, by `<id>:<name>`.
 * @returns The layers whose contents are on disk, in order, and what is known of them when `forLater` is set.
 */
export async function restoreContents(
  input: RestoreInput,
  cache: Cache,
  known: CacheMetadata,
  shas: ReadonlyMap<string, string>,
  ctx: Context,
): Promise<{ readonly contents: readonly string[]; readonly written: readonly RestoredLayer[] }> {
  const wanted = await decideAll(input, known, shas, ctx);
  const restored = new Map<string, RestoredLayer | undefined>();
  for (const layer of await restoreTars(wanted, cache, input, ctx)) restored.set(layer.id, layer);
  const rest = wanted.filter(({ id }) => !restored.has(id));
  if (rest.length > 0) {
    const { restoreLayer } = await import("./restore_layer.ts");
    await runAll(rest.map((layer) => async () => {
      const { id, name } = layer;
      const done = await restoreLayer(cache, layer, input.forLater ?? false, ctx);
      if (done === undefined) return;
      const { diffId, frame } = done;
      const directory = within(layer.directory, name);
      restored.set(id, frame && { id, directory, diffId, frame });
    }));
  }
  const contents = wanted.map(({ id }) => id).filter((id) => restored.has(id));
  const written = contents.map((id) => restored.get(id)).filter((layer) => layer !== undefined);
  return { contents, written: input.forLater ? written : [] };
}

async function decideAll(
  input: RestoreInput,
  known: CacheMetadata,
  shas: ReadonlyMap<string, string>,
  ctx: Context,
): Promise<readonly LayerToRestore[]> {
  const wanted: LayerToRestore[] = [];
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
      wanted.push({ id, name, sha: decision.sha, directory });
    }
  }
  return wanted;
}

/** What is known of a buildpack, whatever its version (RE-16). */
export function layersOf(
  buildpacks: readonly BuildpackLayers[],
  id: string,
): BuildpackLayers | undefined {
  return buildpacks.find(({ key }) => key === id);
}

/** Where the layers of a buildpack lie. */
export function directoryOf(layers: Dir, member: GroupMember): Dir {
  const name = escapeId(member.id);
  return { inside: `${layers.inside}/${name}`, outside: `${layers.outside}/${name}` };
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
  for (const file of [name, `${name}.toml`, `${name}.sha`]) await removeContents(directory, file);
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
