import type { CommonFlags } from "../common.ts";
import type { PullPolicy } from "../pull_policy.ts";

/** Flags of `wherry builder create`. */
export interface BuilderFlags extends CommonFlags {
  readonly config?: string;
  readonly from?: string;
  readonly buildpack?: readonly string[];
  readonly publish?: boolean;
  readonly tag?: readonly string[];
  readonly label?: readonly string[];
  readonly target?: readonly string[];
  readonly flatten?: readonly string[];
  readonly lifecycle?: readonly string[];
  readonly appendImageNameSuffix?: boolean;
  readonly pullPolicy?: PullPolicy;
  readonly buildpackRegistry?: string;
  readonly output: string;
}
