/** Phases that are not there yet: they say so and fail. */
import { ExitCode } from "../../lifecycle/error.ts";
import { PhaseFailure } from "./fail.ts";
import type { PhaseRun } from "./phase_run.ts";

/** Refuses, with the exit code of the phase. */
export function run(_phase: PhaseRun): Promise<void> {
  return Promise.reject(
    new PhaseFailure(
      ExitCode.extend,
      "extend",
      "carrying out the Dockerfiles of image extensions is not supported yet",
    ),
  );
}
