/** Runs one `bin/detect` and reads the plan it wrote. */
import type { Context } from "../../registry/context.ts";
import type { Capabilities } from "../api.ts";
import { buildEnv } from "../env/env.ts";
import { buildpackEnv } from "../env/buildpack.ts";
import { type BuildPlan, EMPTY_BUILD_PLAN, parseBuildPlan } from "../file/build_plan.ts";
import { readContained } from "../file/contained.ts";
import { type Dir, type Outcome, StartError } from "../sandbox/executor.ts";
import { makeDirFor, makeFileFor } from "./build_files.ts";
import type { Buildpack, BuildpackInput, Detection, Extension, Module } from "./detect_types.ts";

/** More than this of one buildpack's output is not kept, in bytes. */
const MAX_OUTPUT = 16 * 1024 * 1024;

/** How a `bin/detect` ended, and what it wants. */
export interface DetectRun {
  /** How it ended. */
  readonly detection: Detection;
  /** What it wrote; empty unless it passed. */
  readonly plan: BuildPlan;
}

/**
 * Runs `bin/detect` of `module` (DT-14, DT-15). What goes wrong with it is in the result, not thrown. An
 * extension without one passes with its `detect/plan.toml` (DT-16, EXT-3).
 *
 * @throws {FileError} When a variable of the user or the operator cannot be read.
 * @throws The signal's reason when the signal was aborted.
 */
export async function runDetect(
  module: Module,
  can: Capabilities,
  input: BuildpackInput,
  ctx: Context,
): Promise<DetectRun> {
  const { kind, descriptor, dir } = module;
  if (kind === "extension" && await isAbsent(`${dir.outside}/bin/detect`)) {
    return readPlan(module, `${dir.inside}/detect/plan.toml`, dir, new Uint8Array());
  }
  const planDir = `detect-${crypto.randomUUID()}`;
  const outside = `${input.tempDir.outside}/${planDir}`;
  const inside = `${input.tempDir.inside}/${planDir}`;
  const planPath = `${inside}/plan.toml`;
  const output = collector();
  try {
    makeDirFor(outside, input.owner);
    makeFileFor(`${outside}/plan.toml`, "", input.owner);
    const env = buildpackEnv(buildEnv(input.env), {
      can,
      descriptor,
      fixed: { [kind === "buildpack" ? "CNB_BUILDPACK_DIR" : "CNB_EXTENSION_DIR"]: dir.inside },
      platformDir: input.platformDir,
      buildConfigDir: input.buildConfigDir,
      target: input.target,
      buildDistro: input.buildDistro,
      execEnv: input.execEnv,
      inputs: { CNB_BUILD_PLAN_PATH: planPath },
    });
    let outcome: Outcome;
    try {
      outcome = await input.executor.run({
        program: `${dir.inside}/bin/detect`,
        args: [input.platformDir.inside, planPath],
        cwd: input.appDir.inside,
        env,
        signal: ctx.signal,
        onOutput: output.add,
      });
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      return failed(descriptor, -1, output.bytes(), error.message);
    }
    if (outcome.signal !== undefined) {
      return failed(descriptor, -1, output.bytes(), `killed by ${outcome.signal}`);
    }
    if (outcome.code !== 0) return failed(descriptor, outcome.code, output.bytes(), "");
    return readPlan(module, planPath, { inside, outside }, output.bytes());
  } finally {
    try {
      Deno.removeSync(outside, { recursive: true });
    } catch {
      // It goes with the directory it is in.
    }
  }
}

/** What was written, if it can be used; of nothing, a plan of nothing. */
function readPlan(
  { kind, descriptor }: Module,
  path: string,
  within: Dir,
  output: Uint8Array,
): DetectRun {
  try {
    const text = readContained(path, [within]);
    const plan = text === undefined ? EMPTY_BUILD_PLAN : parseBuildPlan(text, path);
    if (kind === "extension" && [plan, ...plan.or].some(({ requires }) => requires.length > 0)) {
      // It could not use what it gets: its Dockerfiles are carried out before any buildpack runs (BPL-3).
      const why = `extension ${descriptor.id} outputs "requires" which is not allowed`;
      return failed(descriptor, -1, output, why);
    }
    return { detection: detection(descriptor, "pass", 0, output, ""), plan };
  } catch (error) {
    return failed(descriptor, -1, output, error instanceof Error ? error.message : String(error));
  }
}

async function isAbsent(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

type Descriptor = (Buildpack | Extension)["descriptor"];

/** The result of one that was not run. */
export function notRun(
  descriptor: Descriptor,
  verdict: "error" | "skip",
  error: string,
): DetectRun {
  const empty = new Uint8Array();
  return {
    detection: detection(descriptor, verdict, -1, empty, error),
    plan: EMPTY_BUILD_PLAN,
  };
}

function failed(
  descriptor: Descriptor,
  code: number,
  output: Uint8Array,
  error: string,
): DetectRun {
  const verdict = code === 100 ? "fail" : "error";
  return { detection: detection(descriptor, verdict, code, output, error), plan: EMPTY_BUILD_PLAN };
}

function detection(
  descriptor: Descriptor,
  verdict: Detection["verdict"],
  code: number,
  output: Uint8Array,
  error: string,
): Detection {
  return { id: descriptor.id, version: descriptor.version, verdict, code, output, error };
}

/** Keeps output in order of arrival. */
function collector(): { add: (chunk: Uint8Array) => void; bytes: () => Uint8Array } {
  const chunks: Uint8Array[] = [];
  let size = 0;
  return {
    add(chunk) {
      const room = MAX_OUTPUT - size;
      if (room <= 0) return;
      chunks.push(chunk.subarray(0, room));
      size += Math.min(chunk.length, room);
    },
    bytes() {
      const all = new Uint8Array(size);
      let at = 0;
      for (const chunk of chunks) {
        all.set(chunk, at);
        at += chunk.length;
      }
      return all;
    },
  };
}
