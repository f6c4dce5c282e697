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

/** One line that shows both sides: Go's words, where Go goes on in two JSON documents (DT-10). */
export function describeMismatch(targets: readonly Target[], run: RunTarget): string {
  const image = [platformWords(run), distroWords(run.distro)].filter(Boolean).join(" with ");
  const wanted = targets.map((target) => {
    const distros = target.distros.map(distroWords).join(" or ");
    return [platformWords(target), distros].filter(Boolean).join(" with ");
  });
  return `unable to satisfy target os/arch constraints; run image: ${image}, ` +
    `buildpack: ${wanted.join("; ")}`;
}

/** `linux/arm64/v8`; `any` stands for what is not said. */
function platformWords({ os, arch, variant }: Pick<Target, "os" | "arch" | "variant">): string {
  return [os || "any", arch || "any", variant].filter(Boolean).join("/");
}

function distroWords(distro: Distro | undefined): string {
  return distro === undefined ? "" : [distro.name, distro.version].filter(Boolean).join(" ");
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
