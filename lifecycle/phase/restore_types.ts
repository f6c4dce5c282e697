/** Input and result of the restore phase. */
import type { TreeLooks } from "../../registry/layer/unchanged.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import type { PlatformCapabilities } from "../api.ts";
import type { Cache } from "../cache/cache.ts";
import type { GroupMember } from "../file/group_toml.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { LifecycleMetadata } from "../file/lifecycle_metadata.ts";

/** What the platform API turns on in this phase (RE-9, RE-17); SBOMs unless it says otherwise. */
export type RestoreCapability =
  & Pick<PlatformCapabilities, "launchMetadataFromCache">
  & Partial<Pick<PlatformCapabilities, "sboms">>;

/** What restore starts from. */
export interface RestoreInput {
  /** The buildpacks that detected, in order. */
  readonly group: readonly GroupMember[];
  /** What the previous image knows; empty without one. */
  readonly app: LifecycleMetadata;
  /** What the cache keeps; absent for none (RE-13). */
  readonly cache?: Cache | undefined;
  /** Where layers go. */
  readonly layers: Dir;
  /** Only `store.toml` (RE-7). */
  readonly skipLayers?: boolean | undefined;
  /** By platform API. */
  readonly capability: RestoreCapability;
  /** Whether `written` is wanted: it costs a little. */
  readonly forLater?: boolean | undefined;
  /** The sandbox helper's executable: restores faster. Without it all is done here. */
  readonly helper?: string | undefined;
  /** Whether `written` is to say what the kernel knows of files: for when nobody but `owner` is given them afterwards. */
  readonly looks?: boolean | undefined;
  /** Who is to have what is restored. What the helper restores is theirs at once, all else is left to the caller; absent for us. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

/** What restore did, by `<id>:<name>` in order. */
export interface RestoreResult {
  /** Layers whose TOML was written. */
  readonly metadata: readonly string[];
  /** Layers whose contents were written. */
  readonly contents: readonly string[];
  /** The same, with what tells later whether they were touched. */
  readonly written: readonly RestoredLayer[];
}

/** A layer whose contents were written. */
export interface RestoredLayer {
  /** `<id>:<name>`. */
  readonly id: string;
  /** Where it lies. */
  readonly directory: Dir;
  /** Of its tar, verified. */
  readonly diffId: Digest;
  /** Of its tar without the bodies of files. */
  readonly frame: Digest;
  /** What the kernel said of its files as soon as each was written. */
  readonly looks?: TreeLooks | undefined;
}
