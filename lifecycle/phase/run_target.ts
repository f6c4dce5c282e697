import { type ImageConfig, labelOf } from "../../registry/oci/config.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import type { AnalyzedTarget } from "../file/analyzed_toml.ts";

/**
 * What a base runs on, from its config (AN-6).
 *
 * @throws {LifecycleError} 32 when it does not say its operating system.
 */
export function runTarget(config: ImageConfig, name: string): AnalyzedTarget {
  if (config.os === "") {
    throw new LifecycleError(
      ExitCode.analyze,
      `failed to find OS in run image config: "${name}" says none`,
    );
  }
  const distro = {
    name: labelOf(config, "io.buildpacks.base.distro.name") ?? "",
    version: labelOf(config, "io.buildpacks.base.distro.version") ?? "",
  };
  return {
    id: labelOf(config, "io.buildpacks.base.id") ?? "",
    os: config.os,
    arch: config.architecture,
    variant: config.variant ?? "",
    ...(distro.name !== "" || distro.version !== "" ? { distro } : {}),
  };
}
