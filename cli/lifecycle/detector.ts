/** `detector`: which buildpacks take part (6). */
import { ExitCode } from "../../lifecycle/error.ts";
import { type Analyzed, formatAnalyzedToml } from "../../lifecycle/file/analyzed_toml.ts";
import { readDocument, writeText } from "../../lifecycle/file/document.ts";
import { parseRunToml } from "../../lifecycle/file/run_toml.ts";
import { parseOrderToml } from "../../lifecycle/file/order_toml.ts";
import { formatPlanToml } from "../../lifecycle/file/plan_toml.ts";
import { parseSystemToml } from "../../lifecycle/file/system_toml.ts";
import { detect } from "../../lifecycle/phase/detect.ts";
import {
  type BuildpackInput,
  DetectError,
  type DetectResult,
} from "../../lifecycle/phase/detect_types.ts";
import { generate } from "../../lifecycle/phase/generate.ts";
import { EMPTY_METADATA } from "../../lifecycle/phase/analyze_types.ts";
import { readDistro } from "../../lifecycle/platform/distro.ts";
import { openContainer } from "../../lifecycle/sandbox/container.ts";
import { helperIfAny } from "../assets.ts";
import { buildpacksDir, extensionsDir } from "./buildpacks_dir.ts";
import { badInputs, failing, PhaseFailure } from "./fail.ts";
import {
  guardExperimental,
  noWords,
  type PhaseRun,
  readAnalyzed,
  targetOf,
  tempDir,
} from "./phase_run.ts";
import { refuseRoot } from "./privileges.ts";
import { sameName } from "./run_names.ts";

/** Runs the phase. */
export async function run(phase: PhaseRun): Promise<void> {
  noWords(phase);
  phase.log.debug("Ensuring privileges...");
  refuseRoot("detect", phase.io.user);
  phase.log.debug("Executing command...");
  await using temp = await tempDir();
  const analyzed = await failing(
    "initialize detector",
    ExitCode.failure,
    phase.ctx.signal,
    () => phase.can.extensions ? readAnalyzed(phase) : undefined,
  );
  const input = await buildpackInput(phase, analyzed, temp.path, phase.io.env);
  const result = await detectGroup(phase, input);
  if (result.group.extensions.length > 0) await generateFiles(phase, analyzed, input, result);
}

/**
 * Runs the extensions that take part, and writes what they made of `analyzed.toml` and `plan.toml` (GE-8).
 *
 * @throws {PhaseFailure} 12, 91 or 92.
 */
async function generateFiles(
  phase: PhaseRun,
  analyzed: Analyzed | undefined,
  input: BuildpackInput,
  { group, plan }: DetectResult,
): Promise<void> {
  const { inputs, ctx, log } = phase;
  // Of P0.12 also where stacks were still in force: Go reads it whatever the version.
  const runNames = await failing(
    "initialize generator",
    ExitCode.failure,
    ctx.signal,
    async () => (await readDocument(inputs.runPath, parseRunToml))?.images ?? [],
  );
  // Go's word for this failure, too.
  await failing("build", ExitCode.generate, ctx.signal, async () => {
    const result = await log.timed("Generator", () =>
      generate({
        ...input,
        extensions: group.extensions,
        plan,
        generatedDir: { inside: inputs.generatedDir, outside: inputs.generatedDir },
        runImage: analyzed?.runImage,
        runNames,
        normalize: sameName,
        output: (chunk) => log.output(chunk),
      }, ctx));
    const before = analyzed ??
      { previousReference: "", buildReference: "", metadata: EMPTY_METADATA };
    const after = { ...before, runImage: result.runImage };
    await writeText(inputs.analyzedPath, formatAnalyzedToml(after));
    await writeText(inputs.planPath, formatPlanToml(result.plan));
  });
}

/**
 * What detect and build have in common: the real directories, and only the variables of ENV-1 of `env`.
 *
 * @param scratch An existing private directory.
 * @throws {PhaseFailure} 3 for an execution environment that cannot be one (IN-1).
 */
export async function buildpackInput(
  phase: PhaseRun,
  analyzed: Analyzed | undefined,
  scratch: string,
  env: Readonly<Record<string, string>>,
): Promise<BuildpackInput> {
  const { inputs, can, log } = phase;
  if (inputs.execEnv.includes("/")) {
    throw badInputs(`CNB_EXEC_ENV is ${JSON.stringify(inputs.execEnv)}: "/" is reserved`);
  }
  const executor = await openContainer({ helper: helperIfAny(), scratch });
  log.debug(`Buildpacks run ${executor.describe}`);
  const real = (path: string) => ({ inside: path, outside: path });
  return {
    platformApi: can.platformApi,
    store: buildpacksDir(inputs.buildpacksDir),
    extensionStore: extensionsDir(inputs.extensionsDir),
    executor,
    appDir: real(inputs.appDir),
    layersDir: real(inputs.layersDir),
    platformDir: real(inputs.platformDir),
    buildConfigDir: real(inputs.buildConfigDir),
    tempDir: real(scratch),
    env,
    execEnv: inputs.execEnv,
    target: targetOf(analyzed),
    buildDistro: await readDistro("/etc/os-release"),
  };
}

/**
 * Detects, and writes `group.toml` and `plan.toml`.
 *
 * @throws {PhaseFailure} 1, 12, 20, 21 or 22.
 */
export async function detectGroup(phase: PhaseRun, input: BuildpackInput): Promise<DetectResult> {
  const { inputs, can, ctx, log } = phase;
  const { order, system } = await failing(
    "initialize detector",
    ExitCode.failure,
    ctx.signal,
    async () => {
      const order = await readDocument(inputs.orderPath, parseOrderToml);
      if (order === undefined) {
        throw new Error(`reading order: open ${inputs.orderPath}: no such file or directory`);
      }
      return {
        order,
        system: can.system ? await readDocument(inputs.systemPath, parseSystemToml) : undefined,
      };
    },
  );
  for (const warning of order.warnings ?? []) log.warn(warning);
  if (order.orderExtensions.length > 0 && !can.stableExtensions) {
    guardExperimental(phase, "Dockerfiles");
  }
  return await failing(
    "detect",
    ExitCode.detect,
    ctx.signal,
    () =>
      log.timed("Detector", () =>
        detect({
          ...input,
          order,
          system,
          groupPath: inputs.groupPath,
          planPath: inputs.planPath,
        }, ctx)).catch((error) => explain(phase, error)),
  );
}

/** The lines people know for an app that nobody wanted (DT-24). */
function explain({ log }: PhaseRun, error: unknown): never {
  if (!(error instanceof DetectError)) throw error;
  log.error("No buildpack groups passed detection.");
  if (error.exitCode !== ExitCode.noGroup) {
    const erred = error.tree.filter(({ verdict }) => verdict === "error");
    const why = [...new Set(erred.map(({ reason }) => reason))].join("; ");
    throw new PhaseFailure(error.exitCode, "detect", `buildpack(s) failed with err: ${why}`);
  }
  log.error("Please check that you are running against the correct path.");
  throw new PhaseFailure(error.exitCode, "detect", "no buildpacks participating");
}
