/** Images of the other processor: whether this machine can start what is in them, and what it takes if not. */
import { chooseEntry, type Entry } from "../lifecycle/sandbox/entry.ts";
import { whyNotForeign } from "../lifecycle/sandbox/foreign.ts";
import { ExitCode } from "../lifecycle/error.ts";
import type { Probe } from "../lifecycle/sandbox/probe.ts";
import type { Platform } from "../registry/oci/descriptor.ts";
import { formatPlatform } from "../registry/oci/platform.ts";
import { type Arch, helperPath, launcherBytes } from "./assets.ts";
import { UsageError } from "./exit.ts";
import { machinePlatform } from "./platform.ts";

const ADVICE = "want qemu-user-static and binfmt_misc " +
  "(Debian: apt-get install qemu-user-static binfmt-support)";

/** Why programs of `arch` do not start behind the walls; undefined when they do. */
async function whyNotArch(
  arch: Arch,
  entry: Entry,
  signal: AbortSignal,
): Promise<string | undefined> {
  // The launcher, asked without an environment, says that it was not told the platform API.
  const program = { bytes: launcherBytes(arch), code: ExitCode.platformApi };
  const why = await whyNotForeign(program, { entry, helper: helperPath(), signal });
  return why && `${why}; ${ADVICE}`;
}

/**
 * Refuses to enter an image that this machine cannot run.
 *
 * @throws {UsageError} With what to install.
 */
export async function refuseForeign(
  name: string,
  platform: Platform,
  entry: Entry,
  signal: AbortSignal,
): Promise<void> {
  const { os, architecture } = platform;
  const here = machinePlatform();
  if (os !== here.os || architecture === here.architecture) return;
  if (architecture !== "amd64" && architecture !== "arm64") return;
  const why = await whyNotArch(architecture, entry, signal);
  if (why === undefined) return;
  throw new UsageError(
    `Cannot enter ${name} for ${formatPlatform(platform)}: this machine is ${
      formatPlatform(here)
    }, and ${why}`,
  );
}

/** The other processor than this machine's, and whether its images can be entered; for `wherry doctor`. */
export async function otherArch(
  probe: Probe,
  inUse: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly arch: Arch; readonly starts: boolean; readonly why: string | null }> {
  const arch = machinePlatform().architecture === "amd64" ? "arm64" : "amd64";
  let why: string | undefined;
  try {
    const entry = chooseEntry(probe, "auto", { inUse });
    why = await whyNotArch(arch, entry, signal);
  } catch (error) {
    why = (error as Error).message;
  }
  return { arch, starts: why === undefined, why: why ?? null };
}
