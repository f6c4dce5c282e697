/** What building is given and what it leaves behind. */
import type { GroupMember } from "../file/group_toml.ts";
import type { LayerFile } from "../file/layer_toml.ts";
import type { BuildMetadata } from "../file/metadata_toml.ts";
import type { Plan } from "../file/plan_toml.ts";
import type { BuildpackInput } from "./detect_types.ts";

/** What building is given. */
export interface BuildInput extends BuildpackInput {
  /** `group.toml`: who is run, in this order. */
  readonly group: readonly GroupMember[];
  /** Image extensions that took part; named in `metadata.toml` only. */
  readonly extensions?: readonly GroupMember[] | undefined;
  /** `plan.toml`. */
  readonly plan: Plan;
  /** Called with what executables print, in order of arrival. The bytes belong to the callee. */
  readonly output: (chunk: Uint8Array, stream: "stdout" | "stderr") => void;
}

/** A layer as a buildpack left it. */
export interface BuiltLayer {
  /** Its name. */
  readonly name: string;
  /** Its `<layer>.toml`. */
  readonly file: LayerFile;
  /** Whether its directory is there. */
  readonly hasDirectory: boolean;
}

/** What building left behind. */
export interface BuildResult {
  /** What was written to `<layers>/config/metadata.toml`. */
  readonly metadata: BuildMetadata;
  /** For each buildpack its layers, sorted by the bytes of their names. */
  readonly layers: ReadonlyMap<string, readonly BuiltLayer[]>;
}
