import type { PullPolicy } from "./pull_policy.ts";
import type { SiteFlags } from "./site_flags.ts";

/** The flags of `wherry build`, as commander hands them over. */
export interface BuildFlags extends SiteFlags {
  readonly runImage?: string;
  readonly publish?: boolean;
  readonly tag?: readonly string[];
  readonly defaultProcess?: string;
  readonly previousImage?: string;
  readonly cache?: readonly string[];
  readonly cacheImage?: string;
  readonly clearCache?: boolean;
  readonly keepSandbox?: boolean;
  readonly subIds?: boolean;
  readonly shell?: boolean;
  readonly creationTime?: string;
  readonly reportOutputDir?: string;
  readonly sbomOutputDir?: string;
  readonly sbomReferrer?: boolean;
  readonly pullPolicy?: PullPolicy;
  readonly from?: readonly string[];
  readonly output: string;
}
