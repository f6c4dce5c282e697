/** Input and result of the restore phase. */
import type { Cache } from "../cache/cache.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { LifecycleMetadata } from "./analyze_metadata.ts";

/** A member of the group that takes part in a build. */
export interface GroupMember {
  /** Its id, with slashes. */
  readonly id: string;
  /** Its version. */
  readonly version: string;
  /** Its buildpack API. */
  readonly api: string;
  /** Its home page. */
  readonly homepage?: string | undefined;
}

/** What the platform API turns on in this phase; from the version table. */
export interface RestoreCapability {
  /** [P0.14] a launch layer that only the cache knows gets its metadata from there (RE-9). */
  readonly launchMetadataFromCache: boolean;
}

/** What restore starts from. */
export interface RestoreInput {
  /** The buildpacks that detected, in order. */
  readonly group: readonly GroupMember[];
  /** What the previous image knows; empty without one. */
  readonly app: LifecycleMetadata;
  /** What the cache keeps; absent for none (RE-13). Stays open: the caller closes it. */
  readonly cache?: Cache | undefined;
  /** Where layers go. */
  readonly layers: Dir;
  /** Only `store.toml` (RE-7). */
  readonly skipLayers?: boolean | undefined;
  /** By platform API. */
  readonly capability: RestoreCapability;
}

/** What restore did, by `<id>:<name>` in order. */
export interface RestoreResult {
  /** Layers whose TOML was written. */
  readonly metadata: readonly string[];
  /** Layers whose contents were written. */
  readonly contents: readonly string[];
}
