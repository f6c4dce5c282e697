/** What a cache says of its layers (CA-10), as a value. */
import type { BuildpackLayers } from "../phase/analyze_metadata.ts";

/** The document `io.buildpacks.lifecycle.cache.metadata`. */
export interface CacheMetadata {
  /** DiffID of the layer of cache SBOMs; empty when there is none. */
  readonly sbom: { readonly sha: string };
  /** One entry a detected buildpack, also without layers, in group order. */
  readonly buildpacks: readonly BuildpackLayers[];
}

/** A cache that knows nothing. */
export const EMPTY_CACHE_METADATA: CacheMetadata = { sbom: { sha: "" }, buildpacks: [] };
