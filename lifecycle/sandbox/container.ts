/**
 * Buildpacks in the container we stand in, as a lifecycle of a builder image runs them: its walls are the platform's
 * business. No view, no Landlock: the directories are the real ones and HOME is the image's. The helper still
 * gives a clean start (no descriptors, no capabilities, no_new_privs, a system call filter) and leaves no process.
 */
import type { Command, Executor, Outcome } from "./executor.ts";
import { runBehind, runPlain, tryWalls } from "./run.ts";

/** What {@linkcode openContainer} starts from. */
export interface ContainerOptions {
  /** The helper's executable; absent when it cannot be had. */
  readonly helper?: string | undefined;
  /** An existing private directory. */
  readonly scratch: string;
}

/**
 * Decides by trying: through the helper, or as plain child processes where the machine refuses what the helper
 * does. `describe` says which.
 */
export async function openContainer(options: ContainerOptions): Promise<Executor> {
  const { helper, scratch } = options;
  const reason = helper === undefined ? "there is no sandbox helper" : await tryHelper(
    helper,
    `${scratch}/status-0`,
  );
  let runs = 0;
  if (helper === undefined || reason !== undefined) {
    return {
      describe: `in this container, as plain processes: ${reason}`,
      leavesProcesses: true,
      run: (command: Command): Promise<Outcome> => runPlain(command),
    };
  }
  return {
    describe: "in this container (no_new_privs, seccomp)",
    run: (command: Command): Promise<Outcome> =>
      runBehind(helper, [], command, `${scratch}/status-${++runs}`),
  };
}

/** Why the helper cannot be used, or `undefined`. */
async function tryHelper(helper: string, status: string): Promise<string | undefined> {
  try {
    return await tryWalls(helper, [], status);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
