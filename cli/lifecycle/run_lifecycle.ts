/** The lifecycle itself, under the names other platforms call it by (2). */
import { matchApiVersion, PLATFORM_APIS, platformCapabilities } from "../../lifecycle/api.ts";
import { ExitCode } from "../../lifecycle/error.ts";
import type { Io } from "../io.ts";
import { VERSION } from "../version.ts";
import { messageOf, PhaseFailure } from "./fail.ts";
import { GoFlagError, GoHelpWanted, goUsage } from "./go_flags.ts";
import { flagsOf, readInputs } from "./inputs.ts";
import type { PhaseName } from "./inputs_table.ts";
import { phaseLog, readLevel } from "./phase_log.ts";
import type { PhaseRun } from "./phase_run.ts";

interface Entry {
  /** The sub-command. */
  readonly phase: PhaseName;
  /** The name of its executable. */
  readonly binary: string;
  readonly load: () => Promise<{ run(phase: PhaseRun): Promise<void> }>;
}

const PHASES: readonly Entry[] = [
  { phase: "analyze", binary: "analyzer", load: () => import("./analyzer.ts") },
  { phase: "detect", binary: "detector", load: () => import("./detector.ts") },
  { phase: "restore", binary: "restorer", load: () => import("./restorer.ts") },
  { phase: "build", binary: "builder", load: () => import("./builder.ts") },
  { phase: "export", binary: "exporter", load: () => import("./exporter.ts") },
  { phase: "create", binary: "creator", load: () => import("./creator.ts") },
  { phase: "rebase", binary: "rebaser", load: () => import("./rebaser.ts") },
  { phase: "extend", binary: "extender", load: () => import("./extender.ts") },
];

/**
 * The phase an executable of this name runs (CLI-1): the last part of the path, without what follows its last dot.
 *
 * @returns `undefined` for all other names.
 */
export function phaseOfBinary(argv0: string): PhaseName | undefined {
  const base = argv0.slice(argv0.lastIndexOf("/") + 1).replace(/\.[^.]*$/, "");
  return PHASES.find(({ binary }) => binary === base)?.phase;
}

/**
 * Runs `wherry lifecycle WORDS`: a phase and its flags, or `-version`.
 *
 * @returns The exit code; what went wrong was said.
 */
export async function runSubcommand(io: Io, words: readonly string[]): Promise<number> {
  const [word, ...rest] = words;
  const log = phaseLog(io.stdout, { level: "info", color: true, now: () => new Date() });
  if (word === "-version" || word === "--version") {
    log.info(VERSION);
    return ExitCode.success;
  }
  const entry = PHASES.find(({ phase, binary }) => phase === word || binary === word);
  if (entry === undefined) {
    const valid = PHASES.map(({ phase }) => phase).join(", ");
    log.error(
      word === undefined
        ? `failed to parse arguments: want a phase: ${valid}`
        : `failed to recognize phase: ${word}; valid phases: ${valid}`,
    );
    return ExitCode.arguments;
  }
  return await runPhase(io, entry.phase, rest);
}

/**
 * Runs one phase with the words behind its name.
 *
 * @returns The exit code; what went wrong was said, on stdout, as `ERROR: failed to ...` (LOG-5).
 * @throws The signal's reason when the process was told to end.
 */
export async function runPhase(
  io: Io,
  name: PhaseName,
  words: readonly string[],
): Promise<number> {
  const entry = PHASES.find(({ phase }) => phase === name)!;
  const now = () => new Date();
  let log = phaseLog(io.stdout, { level: "info", color: true, now });
  try {
    // Before any other input (VER-3).
    const platformApi = checkPlatformApi(io.env["CNB_PLATFORM_API"]);
    const { inputs, rest, wantsVersion } = readInputs(name, platformApi, words, {
      env: io.env,
      cwd: io.cwd,
      exists,
    });
    if (wantsVersion) {
      log.info(VERSION);
      return ExitCode.success;
    }
    log = phaseLog(io.stdout, { level: "info", color: !inputs.noColor, now });
    const level = readLevel(inputs.logLevel);
    if (level === undefined) {
      throw new PhaseFailure(ExitCode.failure, "parse log level", "invalid level");
    }
    log = phaseLog(io.stdout, { level, color: !inputs.noColor, now });
    for (const word of rest) {
      if (!word.startsWith("-")) continue;
      log.warn(
        `Warning: unconsumed flag-like positional arg: \n\t${word}\n\t This will not be interpreted as a flag.` +
          "\n\t Did you mean to put this before the first positional argument?",
      );
    }
    log.debug(`Starting ${entry.binary}...`);
    log.debug("Parsing inputs...");
    const meter = () => ({ add: () => {}, end: () => {} });
    const { run } = await entry.load();
    await run({
      name,
      io,
      inputs,
      words: rest,
      can: platformCapabilities(platformApi),
      log,
      ctx: { signal: io.signal, log, now, meter },
    });
    return ExitCode.success;
  } catch (error) {
    if (error instanceof GoHelpWanted || error instanceof GoFlagError) {
      // Go's `flag` talks to stderr, whatever the lifecycle does.
      if (error instanceof GoFlagError) io.stderr.write(`${error.message}\n`);
      io.stderr.write(goUsage("lifecycle", flagsOf(name, io.env["CNB_PLATFORM_API"] ?? "")));
      return error instanceof GoFlagError ? error.exitCode : ExitCode.success;
    }
    if (io.signal.aborted) throw io.signal.reason;
    const code = error instanceof Error && "exitCode" in error &&
        typeof error.exitCode === "number"
      ? error.exitCode
      : ExitCode.failure;
    log.error(messageOf(error));
    return code;
  }
}

/** @throws {PhaseFailure} 11 (VER-3). */
function checkPlatformApi(version: string | undefined): string {
  if (version === undefined || version.trim() === "") {
    throw new PhaseFailure(
      ExitCode.platformApi,
      "get platform API version; please set 'CNB_PLATFORM_API' to specify the desired platform API version",
    );
  }
  if (!/^v?(\d+)\.?(\d*)$/.test(version)) {
    throw new PhaseFailure(ExitCode.platformApi, `parse platform API '${version}'`);
  }
  const known = matchApiVersion(version, PLATFORM_APIS);
  if (known !== undefined) return known;
  throw new PhaseFailure(
    ExitCode.platformApi,
    "set platform API",
    `platform API version '${version}' is incompatible with the lifecycle`,
  );
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
