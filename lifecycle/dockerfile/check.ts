/** What the Dockerfile of an image extension must be (GE-3 to GE-5). */
import { FileError } from "../error.ts";
import type { Dockerfile, Stage } from "./parse.ts";

/** The base an extension gets. */
const BASE = "${base_image}";

const RECOMMENDED: readonly string[] = [
  "FROM",
  "ADD",
  "ARG",
  "COPY",
  "ENV",
  "LABEL",
  "RUN",
  "SHELL",
  "USER",
  "WORKDIR",
];

/** What a `run.Dockerfile` does. */
export interface RunDockerfile {
  /** The new base; empty when it keeps the one it gets. */
  readonly base: string;
  /** It changes the image. */
  readonly extend: boolean;
  /** For people. */
  readonly warnings: readonly string[];
}

/**
 * Checks a `build.Dockerfile` (GE-3).
 *
 * @returns Warnings (GE-5).
 * @throws {FileError} When it cannot extend the build image.
 */
export function checkBuildDockerfile(dockerfile: Dockerfile, file: string): readonly string[] {
  const name = "build.Dockerfile";
  refuseStages(dockerfile, name, file);
  const warnings = warningsOf(dockerfile.stages, name);
  const { metaArgs } = dockerfile;
  if (metaArgs.length !== 1 || metaArgs[0]!.name !== "base_image") {
    throw new FileError(file, `${name} did not start with required ARG command`);
  }
  const stage = onlyStage(dockerfile, name, file);
  if (stage.image !== BASE) {
    throw new FileError(file, `${name} did not contain required FROM ${BASE} command`);
  }
  return warnings;
}

/**
 * Checks a `run.Dockerfile` (GE-4).
 *
 * @throws {FileError} When it has several stages or none.
 */
export function checkRunDockerfile(dockerfile: Dockerfile, file: string): RunDockerfile {
  const name = "run.Dockerfile";
  refuseStages(dockerfile, name, file);
  const stage = onlyStage(dockerfile, name, file);
  return {
    base: stage.image === BASE ? "" : stage.image,
    extend: stage.steps.length > 0,
    warnings: warningsOf(dockerfile.stages, name),
  };
}

function refuseStages({ stages }: Dockerfile, name: string, file: string): void {
  if (stages.length > 1) {
    throw new FileError(file, `${name} is not permitted to use multistage build`);
  }
}

function onlyStage({ stages }: Dockerfile, name: string, file: string): Stage {
  const [stage] = stages;
  if (stage === undefined) throw new FileError(file, `${name} should have at least one stage`);
  return stage;
}

function warningsOf(stages: readonly Stage[], name: string): readonly string[] {
  return stages.flatMap(({ steps }) => steps)
    .filter(({ act }) => !RECOMMENDED.includes(act.name))
    .map(({ act, line }) => `${name} command ${act.name} on line ${line} is not recommended`);
}
