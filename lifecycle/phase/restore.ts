/** Brings back what the last build left: first what is known of its layers, then the layers themselves. */
import type { Context } from "../../registry/context.ts";
import { EMPTY_CACHE_METADATA } from "../cache/cache.ts";
import { ExitCode, failAs } from "../error.ts";
import { writeText } from "../file/document.ts";
import type { GroupMember } from "../file/group_toml.ts";
import { formatLayerToml } from "../file/layer_toml.ts";
import { formatStoreToml } from "../file/store_toml.ts";
import type { CacheMetadata } from "../file/lifecycle_metadata.ts";
import { directoryOf, layersOf, restoreContents } from "./restore_contents.ts";
import { decideMetadata } from "./restore_decide.ts";
import { copySboms } from "./restore_sbom.ts";
import type { RestoreInput, RestoreResult } from "./restore_types.ts";
import { removeContents } from "./restore_remove.ts";

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
      await removeContents(layers.outside, "sbom");
      return { metadata: [], contents: [], written: [] };
    }
    const known = cache ? await cache.metadata() : EMPTY_CACHE_METADATA;
    if (cache && known.buildpacks.length === 0) ctx.log.debug("Layer cache not found");
    const shas = new Map<string, string>();
    for (const member of group) await restoreMetadata(member, input, known, shas, ctx);
    const { contents, written } = cache
      ? await restoreContents(input, cache, known, shas, ctx)
      : { contents: [], written: [] };
    if (input.capability.sboms ?? true) {
      if (cache && known.sbom.sha !== "") {
        const { restoreCacheSbom } = await import("./restore_layer.ts");
        await restoreCacheSbom(cache, known.sbom.sha, layers, ctx);
      }
      await copySboms(group, layers);
    }
    return { metadata: [...shas.keys()], contents, written };
  });
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
