/** The whole environment of one executable of a buildpack, in the order of ENV-2 to ENV-5. */
import type { Capabilities } from "../api.ts";
import type { Distro } from "../file/module.ts";
import type { Dir } from "../sandbox/executor.ts";
import { type Env, modifyEnv, toRecord, withUserVariables } from "./env.ts";
import { readEnvFiles } from "./read.ts";

/** What the run image is, as far as it is known; empty: unknown. */
export interface EnvTarget {
  /** `linux`, ... */
  readonly os: string;
  /** `amd64`, ... */
  readonly arch: string;
  /** `v8`, ... */
  readonly variant: string;
  /** Absent when the image does not say. */
  readonly distro?: Distro | undefined;
}

/** What goes into an environment beside what is inherited. */
export interface EnvSources {
  /** What the buildpack's and the platform's versions turn on. */
  readonly can: Capabilities;
  /** The buildpack or extension. */
  readonly descriptor: { readonly clearEnv: boolean };
  /** Fixed variables of every version: `CNB_BUILDPACK_DIR` or `CNB_EXTENSION_DIR`, ... (ENV-5). */
  readonly fixed: Readonly<Record<string, string>>;
  /** `<platform>`. */
  readonly platformDir: Dir;
  /** `<build-config>`. */
  readonly buildConfigDir?: Dir | undefined;
  /** The run image. */
  readonly target: EnvTarget;
  /** Distribution of the build image. */
  readonly buildDistro?: Distro | undefined;
  /** `CNB_EXEC_ENV`. */
  readonly execEnv: string;
  /** More fixed variables that both sides know from B0.8 on, e.g. `CNB_LAYERS_DIR` (ENV-5). */
  readonly inputs: Readonly<Record<string, string>>;
}

/**
 * The environment of an executable: `env`, then what the user gave (unless the buildpack clears it),
 * then what the operator gave, then the fixed variables.
 *
 * @throws {FileError} When a variable's file cannot be read or carried.
 */
export function buildpackEnv(env: Env, sources: EnvSources): Record<string, string> {
  const { can, descriptor, platformDir, buildConfigDir } = sources;
  let out = env;
  if (!descriptor.clearEnv) {
    out = withUserVariables(out, readEnvFiles(`${platformDir.inside}/env`, [platformDir]));
  }
  if (buildConfigDir && can.platform.buildConfig) {
    const files = readEnvFiles(`${buildConfigDir.inside}/env`, [buildConfigDir]);
    out = modifyEnv(out, files, "default");
  }
  const fixed: Record<string, string> = { ...sources.fixed };
  if (can.buildpack.inputVariables) {
    Object.assign(fixed, { CNB_PLATFORM_DIR: platformDir.inside }, sources.inputs);
  }
  if (can.buildpack.targets) {
    Object.assign(fixed, targetVariables(sources.target, sources.buildDistro));
  }
  if (can.execEnv && sources.execEnv !== "") fixed.CNB_EXEC_ENV = sources.execEnv;
  return Object.assign(toRecord(out), fixed);
}

/**
 * `CNB_TARGET_*` (ENV-5). A run image that does not tell its distribution is taken to be like the
 * build image (ENV-6).
 */
export function targetVariables(
  target: EnvTarget,
  buildDistro: Distro | undefined,
): Record<string, string> {
  const distro = target.distro ?? buildDistro;
  const variables: Record<string, string> = {
    CNB_TARGET_OS: target.os || "linux",
    CNB_TARGET_ARCH: target.arch || (Deno.build.arch === "aarch64" ? "arm64" : "amd64"),
  };
  if (target.variant !== "") variables.CNB_TARGET_ARCH_VARIANT = target.variant;
  if (distro?.name) variables.CNB_TARGET_DISTRO_NAME = distro.name;
  if (distro?.version) variables.CNB_TARGET_DISTRO_VERSION = distro.version;
  return variables;
}
