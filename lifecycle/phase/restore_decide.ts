/**
 * What of the last build comes back, decided from three documents alone: the label of the previous image,
 * the cache's metadata and the platform API. The whole of table 8.4 is here; nothing is read or written.
 */
import { compareBytes } from "../../registry/compare_bytes.ts";
import { isLayerName } from "../file/layer_toml.ts";
import type { BuildpackLayers, LayerMetadata } from "../file/lifecycle_metadata.ts";
import type { RestoreCapability } from "./restore_types.ts";

/** What happens to a layer's TOML. */
export type MetadataDecision =
  & { readonly name: string }
  & (
    | {
      readonly kind: "restore";
      /** Whose metadata it gets. */
      readonly from: "app image" | "cache";
      /** The layer as that side knows it. */
      readonly layer: LayerMetadata;
    }
    | { readonly kind: "skip"; readonly why: string }
  );

/** What happens to a layer's contents. */
export type ContentsDecision =
  | { readonly kind: "restore"; readonly sha: string }
  | { readonly kind: "remove"; readonly why: "wrong sha" | "not in cache" }
  | { readonly kind: "leave" };

/**
 * Decides about the TOML files of one buildpack (RE-8, RE-9). At most one decision per layer restores; a
 * cache layer wins over a launch layer of its name.
 *
 * @param app What the previous image says of this buildpack, if anything.
 * @param cache What the cache says of it; without a cache nothing (RE-13).
 * @returns In byte order of layer names.
 */
export function decideMetadata(
  app: BuildpackLayers | undefined,
  cache: BuildpackLayers | undefined,
  capability: RestoreCapability,
): readonly MetadataDecision[] {
  const names = new Set([
    ...Object.keys(app?.layers ?? {}),
    ...Object.keys(cache?.layers ?? {}),
  ]);
  return [...names].sort(compareBytes).map((name) =>
    decideOne(name, own(app, name), own(cache, name), capability)
  );
}

function decideOne(
  name: string,
  app: LayerMetadata | undefined,
  cache: LayerMetadata | undefined,
  capability: RestoreCapability,
): MetadataDecision {
  if (!isLayerName(name)) return { name, kind: "skip", why: "its name cannot be a layer's" };
  if (cache?.cache === true) {
    const blocked = cache.launch && (app !== undefined || !capability.launchMetadataFromCache);
    if (!blocked) return { name, kind: "restore", from: "cache", layer: cache };
  }
  if (app === undefined) return { name, kind: "skip", why: "only the app image may bring it" };
  if (!app.launch) return { name, kind: "skip", why: "marked as launch=false" };
  if (app.build && !app.cache) {
    return { name, kind: "skip", why: "marked as build=true, cache=false" };
  }
  if (app.cache && cache?.cache !== true) return { name, kind: "skip", why: "not in cache" };
  return { name, kind: "restore", from: "app image", layer: app };
}

/**
 * Decides about the directory of one layer whose TOML is there (RE-10, RE-12).
 *
 * @param remembered The sha that came with the TOML; absent when this restore did not write it.
 * @param cache What the cache says of the layer.
 */
export function decideContents(
  remembered: string | undefined,
  cache: LayerMetadata | undefined,
): ContentsDecision {
  if (cache?.cache !== true) return { kind: "leave" };
  if (remembered !== cache.sha) return { kind: "remove", why: "wrong sha" };
  return { kind: "restore", sha: cache.sha };
}

function own(side: BuildpackLayers | undefined, name: string): LayerMetadata | undefined {
  return side !== undefined && Object.hasOwn(side.layers, name) ? side.layers[name] : undefined;
}
