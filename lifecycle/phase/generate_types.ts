/** What generating is given and what it finds. */
import type { Analyzed } from "../file/analyzed_toml.ts";
import type { GroupMember } from "../file/group_toml.ts";
import type { RunImageNames } from "../file/lifecycle_metadata.ts";
import type { Plan } from "../file/plan_toml.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { BuildpackInput } from "./detect_types.ts";

/** Which image a Dockerfile changes. */
export type ExtendKind = "build" | "run";

/** What generating is given. */
export interface GenerateInput extends BuildpackInput {
  /** Image extensions that take part, in order. */
  readonly extensions: readonly GroupMember[];
  /** `plan.toml`. */
  readonly plan: Plan;
  /** `<generated>`. */
  readonly generatedDir: Dir;
  /** `[run-image]` of `analyzed.toml`. */
  readonly runImage: Analyzed["runImage"];
  /** `run.toml`: a new base that is not in it is told of. */
  readonly runNames: readonly RunImageNames[];
  /** Two spellings of one name are one (RG-2). Default: as they are. */
  readonly normalize?: ((name: string) => string) | undefined;
  /** Called with what executables print. The bytes belong to the callee. */
  readonly output: (chunk: Uint8Array, stream: "stdout" | "stderr") => void;
}

/** What generating found. */
export interface GenerateResult {
  /** What is left for buildpacks (GE-1). */
  readonly plan: Plan;
  /** `[run-image]` of `analyzed.toml`, as it is now (GE-7). */
  readonly runImage: Analyzed["runImage"];
  /** The images that have a Dockerfile to be carried out, those that only switch the base left out. */
  readonly extend: { readonly build: boolean; readonly run: boolean };
}
