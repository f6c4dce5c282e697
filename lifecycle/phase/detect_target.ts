/** Whether a buildpack suits a run image (DT-9). */
import type { Distro, Target } from "../file/module.ts";
import type { RunTarget } from "./detect_types.ts";

/**
 * Whether any of `targets` suits the run image; none at all suits every one.
 *
 * @param buildDistro Stands in for the distribution of a run image that does not tell its own (DT-11).
 */
export function suitsRunImage(
  targets: readonly Target[],
  run: RunTarget,
  buildDistro?: Distro | undefined,
): boolean {
  return targets.length === 0 || targets.some((target) => suits(target, run, buildDistro));
}

/** One line that shows both sides, as Go prints them (DT-10). */
export function describeMismatch(targets: readonly Target[], run: RunTarget): string {
  const image = JSON.stringify({
    id: run.id || undefined,
    os: run.os,
    arch: run.arch,
    "arch-variant": run.variant || undefined,
    distro: run.distro,
  });
  const buildpack = JSON.stringify(targets.map((target) => ({
    os: target.os,
    arch: target.arch,
    "arch-variant": target.variant || undefined,
    distros: target.distros.length > 0 ? target.distros : undefined,
  })));
  return `unable to satisfy target os/arch constraints; run image: ${image}, ` +
    `buildpack: ${buildpack}`;
}

function suits(target: Target, run: RunTarget, buildDistro: Distro | undefined): boolean {
  if (!alike(target.os, run.os) || !alike(target.arch, run.arch)) return false;
  if (!alike(target.variant, run.variant)) return false;
  if (target.distros.length === 0) return true;
  const distro = run.distro ?? buildDistro;
  if (distro === undefined) return false;
  return target.distros.some((one) =>
    alike(one.name, distro.name) && alike(one.version, distro.version)
  );
}

function alike(a: string, b: string): boolean {
  return a === "" || b === "" || a === b;
}
