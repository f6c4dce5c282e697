/** Which run image a phase takes, and what is known of its names (AN-2, EX-4, VAL-5). */
import { ExitCode, LifecycleError } from "../../lifecycle/error.ts";
import { readDocument } from "../../lifecycle/file/document.ts";
import type { RunImageNames } from "../../lifecycle/file/lifecycle_metadata.ts";
import { parseRunToml } from "../../lifecycle/file/run_toml.ts";
import { parseStackToml } from "../../lifecycle/file/stack_toml.ts";
import { resolveRunImage } from "../../lifecycle/phase/analyze_run_image.ts";
import { formatReference, parseReference } from "../../registry/oci/reference.ts";
import { badInputs, failing } from "./fail.ts";
import type { PhaseImages } from "./images.ts";
import type { PhaseRun } from "./phase_run.ts";

/**
 * The run images a builder knows: those of `run.toml`, before P0.12 the one of `stack.toml`.
 *
 * @throws {PhaseFailure} 3 when the file is malformed.
 */
export async function readRunNames(run: PhaseRun): Promise<readonly RunImageNames[]> {
  const { inputs, can, ctx, log } = run;
  return await failing("resolve inputs", ExitCode.arguments, ctx.signal, async () => {
    if (can.targets) {
      const found = await readDocument(inputs.runPath, parseRunToml);
      if (found === undefined) log.debug(`No run metadata found at path '${inputs.runPath}'`);
      return found?.images ?? [];
    }
    const found = await readDocument(inputs.stackPath, parseStackToml);
    if (found === undefined) log.info(`No stack metadata found at path '${inputs.stackPath}'`);
    return found?.runImage?.image ? [found.runImage] : [];
  });
}

/**
 * The run image as given, else the best of what is known.
 *
 * @throws {PhaseFailure} 3 when there is none, or none that can be read.
 */
export async function chooseRunImage(
  run: PhaseRun,
  known: readonly RunImageNames[],
  output: string,
  images: PhaseImages,
): Promise<string> {
  const { runImage } = run.inputs;
  if (runImage !== "") return runImage;
  const [first] = known;
  if (first === undefined) {
    throw badInputs(
      run.can.targets
        ? "-run-image is required when there is no run metadata available"
        : "missing run image metadata (-run-image)",
    );
  }
  try {
    return await resolveRunImage(first, parseReference(output).registry, {
      registryOf: (name) => parseReference(name).registry,
      readable: (name) => images.readable(name),
    });
  } catch (cause) {
    if (!(cause instanceof LifecycleError)) throw cause;
    throw badInputs(cause.message, { cause });
  }
}

/** Two spellings of one name are one name (RG-2). */
export function sameName(name: string): string {
  try {
    return formatReference(parseReference(name));
  } catch {
    return name;
  }
}
