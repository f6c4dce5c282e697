import { badInputs } from "./fail.ts";
import type { PhaseRun } from "./phase_run.ts";

/**
 * `-image` as `-run-image` (VAL-6).
 *
 * @throws {PhaseFailure} 3 when both are given.
 */
export function withOldRunImage(phase: PhaseRun): PhaseRun {
  const { inputs, io } = phase;
  if (inputs.oldRunImage === "") return phase;
  if (inputs.runImage !== (io.env["CNB_RUN_IMAGE"] ?? "")) {
    throw badInputs("supply only one of -run-image or (deprecated) -image");
  }
  return { ...phase, inputs: { ...inputs, runImage: inputs.oldRunImage } };
}
