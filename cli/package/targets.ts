/** `--target`, and the platforms that targets come to. */
import type { Target } from "../../lifecycle/file/module.ts";
import { treesOf } from "../../lifecycle/platform/platform_tree.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import { UsageError } from "../exit.ts";
import { machinePlatform } from "../platform.ts";

/** One platform to package for. */
export interface WantedPlatform {
  /** For the image. */
  readonly platform: Platform;
  /** Directories of a multi-platform tree that may hold it, the most special first: `linux/arm64/v8`. */
  readonly trees: readonly string[];
}

/**
 * Reads `[os][/arch][/variant]:[distro@version@version];[distro@version]`, as pack writes a target.
 *
 * @throws {UsageError} For anything else.
 */
export function parseTarget(text: string): Target {
  const [system = "", distros = "", ...more] = text.split(":");
  const [os = "", arch = "", variant = "", ...rest] = system.split("/");
  const words = [os, arch, variant];
  const bad = words.some((word) => !/^[\w.-]*$/.test(word)) || more.length + rest.length > 0 ||
    system === "";
  if (bad) {
    throw new UsageError(
      `Cannot use --target ${
        JSON.stringify(text)
      }: want OS[/ARCH[/VARIANT]][:DISTRO@VERSION;DISTRO@VERSION], for example linux/arm64`,
    );
  }
  return {
    os,
    arch,
    variant,
    distros: distros.split(";").filter((part) => part !== "").flatMap((part) => {
      const [name = "", ...versions] = part.split("@");
      return versions.length === 0
        ? [{ name, version: "" }]
        : versions.map((version) => ({ name, version }));
    }),
  };
}

/** The platforms of `targets`, each once; without any, this machine's. What a target leaves open is this machine's. */
export function platformsOf(targets: readonly Target[]): readonly WantedPlatform[] {
  const here = machinePlatform();
  const wanted = new Map<string, WantedPlatform>();
  for (const target of targets.length === 0 ? [EMPTY] : targets) {
    const os = target.os || here.os;
    const architecture = target.arch || here.architecture;
    const { variant } = target;
    const key = [os, architecture, variant].join("/");
    if (wanted.has(key)) continue;
    const platform = { os, architecture, ...(variant ? { variant } : {}) };
    wanted.set(key, { platform, trees: treesOf(platform, target.distros) });
  }
  return [...wanted.values()];
}

const EMPTY: Target = { os: "", arch: "", variant: "", distros: [] };
