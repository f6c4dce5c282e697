/** Whether a command line is for the lifecycle, which reads its own words. Apart from `run.ts`, whose library it does without. */
import { calledAs } from "./assets.ts";
import type { Io } from "./io.ts";

/**
 * The lifecycle reads its own command line, in Go's way: as `analyzer` and the like by the name we were called by, and
 * behind the word `lifecycle`.
 *
 * @returns What runs the phase and gives the exit code, or `undefined` when another command is asked for.
 */
export async function lifecyclePhase(io: Io): Promise<(() => Promise<number>) | undefined> {
  const called = calledAs();
  const asPhase =
    /(^|\/)(analyzer|detector|restorer|builder|exporter|creator|rebaser|extender)(\.|$)/;
  if (!asPhase.test(called) && io.args[0] !== "lifecycle") return undefined;
  const { phaseOfBinary, runPhase, runSubcommand } = await import("./lifecycle/run_lifecycle.ts");
  const phase = phaseOfBinary(called);
  if (phase !== undefined) return () => runPhase(io, phase, io.args);
  if (/^--?h(elp)?$/.test(io.args[1] ?? "")) return undefined;
  return io.args[0] === "lifecycle" ? () => runSubcommand(io, io.args.slice(1)) : undefined;
}
