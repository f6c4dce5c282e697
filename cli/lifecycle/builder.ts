/** `builder`: runs the buildpacks that take part (10). */
import { ExitCode } from "../../lifecycle/error.ts";
import { readDocument } from "../../lifecycle/file/document.ts";
import type { Group } from "../../lifecycle/file/group_toml.ts";
import { parsePlanToml, type Plan } from "../../lifecycle/file/plan_toml.ts";
import { build } from "../../lifecycle/phase/build.ts";
import type { BuildResult } from "../../lifecycle/phase/build_types.ts";
import type { BuildpackInput } from "../../lifecycle/phase/detect_types.ts";
import { buildpackInput } from "./detector.ts";
import { failing } from "./fail.ts";
import { noWords, type PhaseRun, readAnalyzed, readGroup, tempDir } from "./phase_run.ts";
import { refuseRoot } from "./privileges.ts";

/** Runs the phase. */
export async function run(phase: PhaseRun): Promise<void> {
  const { inputs, ctx } = phase;
  noWords(phase);
  phase.log.debug("Ensuring privileges...");
  refuseRoot("build", phase.io.user);
  phase.log.debug("Executing command...");
  const group = await readGroup(phase, ExitCode.failure);
  const { plan, analyzed } = await failing(
    "read build inputs",
    ExitCode.failure,
    ctx.signal,
    async () => {
      const plan = await readDocument(inputs.planPath, parsePlanToml);
      if (plan === undefined) throw new Error(`open ${inputs.planPath}: no such file or directory`);
      return { plan, analyzed: phase.can.targets ? await readAnalyzed(phase) : undefined };
    },
  );
  await using temp = await tempDir();
  await buildGroup(
    phase,
    await buildpackInput(phase, analyzed, temp.path, phase.io.env),
    group,
    plan,
  );
}

/**
 * Builds, and writes `metadata.toml`.
 *
 * @throws {PhaseFailure} 12, 51 or 52.
 */
export async function buildGroup(
  phase: PhaseRun,
  input: BuildpackInput,
  group: Group,
  plan: Plan,
): Promise<BuildResult> {
  const { ctx, log } = phase;
  return await failing("build", ExitCode.build, ctx.signal, () =>
    log.timed("Builder", () =>
      build({
        ...input,
        group: group.group,
        extensions: group.extensions,
        plan,
        output: (chunk) => log.output(chunk),
      }, ctx)));
}
