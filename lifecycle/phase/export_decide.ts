/** Where each launch layer of the new image comes from, decided from values (EX-6, EX-7). */
import type { LayerTypes } from "../file/layer_toml.ts";
import type { LayerMetadata } from "../file/lifecycle_metadata.ts";

/** What export does for a layer. */
export type LaunchDecision =
  /** It is no launch layer. */
  | { readonly kind: "none" }
  /** Its directory becomes the layer; when its diffID is `candidate` the previous image's blob serves. */
  | { readonly kind: "make"; readonly candidate: string | undefined }
  /** There is no directory: the previous image's layer stays. */
  | { readonly kind: "reuse"; readonly sha: string }
  /** The buildpack broke the rules; `why` is for people. */
  | { readonly kind: "fail"; readonly why: string };

/**
 * Decides about one layer whose TOML is there.
 *
 * @param id `<buildpack id>:<layer name>`, for messages.
 * @param previous What the previous image says of the layer of this buildpack and name.
 */
export function decideLaunch(
  id: string,
  types: LayerTypes,
  hasDirectory: boolean,
  previous: LayerMetadata | undefined,
): LaunchDecision {
  if (!types.launch) return { kind: "none" };
  const sha = previous?.sha || undefined;
  if (hasDirectory) return { kind: "make", candidate: sha };
  if (types.cache) {
    return { kind: "fail", why: `layer '${id}' is cache=true but has no contents` };
  }
  if (sha === undefined) {
    return {
      kind: "fail",
      why: `cannot reuse '${id}', previous image has no metadata for layer '${id}'`,
    };
  }
  return { kind: "reuse", sha };
}

/** Decides about the directory cache's copy of one layer (8.4, last column). */
export function decideCached(types: LayerTypes, hasDirectory: boolean): "none" | "warn" | "cache" {
  if (!types.cache) return "none";
  return hasDirectory ? "cache" : "warn";
}
