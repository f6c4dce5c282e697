/** What every phase is given, and the steps all of them begin with. */
import type { PlatformCapabilities } from "../../lifecycle/api.ts";
import { ExitCode } from "../../lifecycle/error.ts";
import { type Analyzed, parseAnalyzedToml } from "../../lifecycle/file/analyzed_toml.ts";
import { readDocument } from "../../lifecycle/file/document.ts";
import { type Group, parseGroupToml } from "../../lifecycle/file/group_toml.ts";
import { buildpackCapabilities } from "../../lifecycle/api.ts";
import { moduleName } from "../../lifecycle/file/module.ts";
import type { RunTarget } from "../../lifecycle/phase/detect_types.ts";
import type { Context } from "../../registry/context.ts";
import type { Io } from "../io.ts";
import { badArguments, badInputs, failing, PhaseFailure } from "./fail.ts";
import { type PhaseImages, readName } from "./images.ts";
import type { Inputs } from "./inputs.ts";
import type { PhaseName } from "./inputs_table.ts";
import type { PhaseLog } from "./phase_log.ts";
import { becomeUser, homeOf, type Ids } from "./privileges.ts";

/** One run of a phase. */
export interface PhaseRun {
  /** Which one. */
  readonly name: PhaseName;
  /** The process. */
  readonly io: Io;
  /** What the platform gave. */
  readonly inputs: Inputs;
  /** Words behind the flags. */
  readonly words: readonly string[];
  /** What the platform API turns on. */
  readonly can: PlatformCapabilities;
  /** For people, on stdout. */
  readonly log: PhaseLog;
  /** For everything below. */
  readonly ctx: Context;
}

/**
 * The only positional argument (VAL-1, VAL-2).
 *
 * @throws {PhaseFailure} 3.
 */
export function onlyWord(run: PhaseRun): string {
  const { words } = run;
  if (words.length !== 1) {
    throw badArguments(`received ${words.length} arguments, but expected 1`);
  }
  return words[0]!;
}

/**
 * No positional argument (VAL-1).
 *
 * @throws {PhaseFailure} 3.
 */
export function noWords(run: PhaseRun): void {
  if (run.words.length > 0) throw badArguments("received unexpected arguments");
}

/**
 * Refuses what takes a daemon.
 *
 * @throws {PhaseFailure} 1.
 */
export function refuseDaemon(run: PhaseRun): void {
  if (!run.inputs.useDaemon) return;
  throw new PhaseFailure(
    ExitCode.failure,
    "initialize docker client",
    "-daemon is not supported: wherry knows registries and OCI layouts",
  );
}

/**
 * Refuses layouts unless the platform asked for experiments (VER-6).
 *
 * @throws {PhaseFailure} 1.
 */
export function guardLayout(run: PhaseRun): void {
  if (run.inputs.useLayout) guardExperimental(run, "export to OCI layout format");
}

/** @throws {PhaseFailure} 1 when experiments are not allowed. */
export function guardExperimental(run: PhaseRun, feature: string): void {
  const { experimentalMode } = run.inputs;
  if (experimentalMode === "quiet" || experimentalMode === "silent") return;
  const line = `Platform requested experimental feature '${feature}'`;
  if (experimentalMode !== "error") {
    run.log.warn(line);
    return;
  }
  run.log.error(line);
  throw new PhaseFailure(
    ExitCode.failure,
    `use ${feature}`,
    "experimental features are disabled by CNB_EXPERIMENTAL_MODE=error",
  );
}

/** One more means "as it is" to the kernel. */
const MAX_ID = 2 ** 32 - 2;

/** Who owns what buildpacks make: as given, root as Go has it when root runs us, else who runs us. */
export function idsOf(run: PhaseRun): Ids {
  const { uid, gid } = run.inputs;
  const { user } = run.io;
  for (const [what, id] of [["user", uid], ["group", gid]] as const) {
    if (id !== undefined && !(id >= 0 && id <= MAX_ID)) {
      throw badInputs(`Cannot run as ${what} ${id}: want 0 to ${MAX_ID}`);
    }
  }
  const known = uid !== undefined || gid !== undefined || user.uid === 0;
  return known ? { uid: uid ?? 0, gid: gid ?? 0 } : user;
}

/** Becomes the user of the inputs, once all credentials are known (PRIV-2, PRIV-3). */
export async function dropPrivileges(run: PhaseRun, directories: readonly string[]): Promise<void> {
  run.log.debug("Ensuring privileges...");
  await becomeUser(idsOf(run), run.io.user, directories, run.ctx.signal);
  run.log.debug("Executing command...");
}

/** Images of the phase: in layouts with `-layout`, else in registries. `names` are all it may use, `written` those it writes. */
export async function openImages(
  run: PhaseRun,
  names: readonly string[],
  written: readonly string[],
): Promise<PhaseImages> {
  for (const name of names) if (name !== "") readName(name);
  if (run.inputs.useLayout) {
    const { openLayouts } = await import("./layout_images.ts");
    return openLayouts(run.inputs.layoutDir);
  }
  return await openRegistryImages(run, names, written);
}

/** Images in registries, whatever the mode: cache images live there. */
export async function openRegistryImages(
  run: PhaseRun,
  names: readonly string[],
  written: readonly string[],
): Promise<PhaseImages> {
  const { io, log, ctx, inputs } = run;
  return await failing(
    "resolve keychain",
    ExitCode.failure,
    ctx.signal,
    async () => {
      // A client of registries is half of the program, and three phases of five mostly do without.
      const { openRegistries } = await import("./registry_images.ts");
      return await openRegistries({ io, log, insecure: inputs.insecureRegistries, names, written });
    },
  );
}

/** A private directory for the length of a phase. */
export async function tempDir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "wherry-" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }).catch(() => {}),
  };
}

/**
 * Reads `group.toml` and checks the API of every member (VER-4).
 *
 * @throws {PhaseFailure} `exitCode` when it cannot be read, 12 for an API we do not speak.
 */
export async function readGroup(run: PhaseRun, exitCode: number): Promise<Group> {
  const { groupPath } = run.inputs;
  return await failing("read buildpack group", exitCode, run.ctx.signal, async () => {
    const group = await readDocument(groupPath, parseGroupToml);
    if (group === undefined) throw new Error(`open ${groupPath}: no such file`);
    for (const member of [...group.group, ...group.extensions]) {
      buildpackCapabilities(member.api, moduleName(member));
    }
    return group;
  });
}

/**
 * Reads `analyzed.toml` (ANT-2).
 *
 * @returns `undefined`, after a warning, when there is none.
 */
export async function readAnalyzed(run: PhaseRun): Promise<Analyzed | undefined> {
  const { analyzedPath } = run.inputs;
  const analyzed = await readDocument(analyzedPath, parseAnalyzedToml);
  if (analyzed === undefined) run.log.warn(`No analyzed metadata found at path '${analyzedPath}'`);
  return analyzed;
}

/** What buildpacks are told the run image is. */
export function targetOf(analyzed: Analyzed | undefined): RunTarget {
  const { id = "", os = "", arch = "", variant = "", distro } = analyzed?.runImage?.target ?? {};
  return { id, os, arch, variant, ...(distro ? { distro } : {}) };
}

/**
 * HOME and USER of who buildpacks run as (PRIV-4).
 *
 * @throws {PhaseFailure} 1 when this machine does not know the user.
 */
export async function userEnv(phase: PhaseRun): Promise<Readonly<Record<string, string>>> {
  const { uid } = idsOf(phase);
  return await failing(
    `set environment for user ${uid}`,
    ExitCode.failure,
    phase.ctx.signal,
    async () => {
      const found = homeOf(await Deno.readTextFile("/etc/passwd"), uid);
      if (found === undefined) throw new Error(`user: unknown userid ${uid}`);
      return { ...found };
    },
  );
}
