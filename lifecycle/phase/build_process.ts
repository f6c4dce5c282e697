/** Processes of all buildpacks together: pure rules (BU-7). */
import { compareBytes } from "../../registry/compare_bytes.ts";
import type { Process } from "../file/launch_toml.ts";

/** The processes so far. */
export interface Processes {
  /** By type. */
  readonly byType: ReadonlyMap<string, Process>;
  /** Type of the default process; empty: none. */
  readonly defaultType: string;
}

/** Before the first buildpack. */
export const NO_PROCESSES: Processes = { byType: new Map(), defaultType: "" };

/**
 * Adds the processes of one `launch.toml`: later ones replace earlier ones of their type; the last
 * default wins; redefining the default without saying so unsets it.
 *
 * @returns The processes, and a warning when a default was lost and no later one in the file took over.
 */
export function addProcesses(
  before: Processes,
  added: readonly Process[],
): { readonly processes: Processes; readonly warning: string | undefined } {
  const byType = new Map(before.byType);
  let defaultType = before.defaultType;
  let warning: string | undefined;
  for (const process of added) {
    if (process.default) {
      defaultType = process.type;
      warning = undefined;
    } else if (process.type === defaultType) {
      defaultType = "";
      warning = `redefining the following default process type with a process not marked as ` +
        `default: ${process.type}`;
    }
    byType.set(process.type, process);
  }
  return { processes: { byType, defaultType }, warning };
}

/** All processes sorted by the bytes of their types; none is marked as default (MDT-3). */
export function listProcesses(processes: Processes): readonly Process[] {
  return [...processes.byType.values()]
    .map((process) => ({ ...process, default: false }))
    .sort((a, b) => compareBytes(a.type, b.type));
}

/** `process` for platforms that know commands of one word: the rest goes in front of its arguments (MDT-2). */
export function withOneCommand(process: Process): Process {
  const [first, ...rest] = process.command;
  if (first === undefined) return process;
  return { ...process, command: [first], args: [...rest, ...process.args ?? []] };
}
