/** A shell for a person, where a buildpack failed: behind the same walls, with the environment it had. */
import type { Context } from "../../registry/context.ts";
import { type Command, type Executor, StartError } from "../sandbox/executor.ts";

/** What the shell is given beside what the buildpack had. */
export interface ShellOptions {
  /** Of the person's terminal, such as `TERM`. The buildpack's own variables win. */
  readonly env: Readonly<Record<string, string>>;
}

const SHELLS = ["/bin/bash", "/usr/bin/bash", "/bin/sh"];

/**
 * Runs `act` with an executor that is `executor`; when it fails, opens a shell in the place of the last command that
 * failed, else of the last one. What `act` throws is thrown when the person leaves the shell.
 *
 * @param when `at once`: as soon as a command fails, while its temporary files are there. `in the end`: only when `act`
 * fails, because a command that fails means nothing by itself, as in detection.
 */
export async function lookInto<T>(
  executor: Executor,
  options: ShellOptions | undefined,
  when: "at once" | "in the end",
  ctx: Context,
  act: (executor: Executor) => Promise<T>,
): Promise<T> {
  if (options === undefined) return await act(executor);
  let [last, failed]: (Command | undefined)[] = [];
  let opened = false;
  const watched: Executor = {
    ...executor,
    async run(command) {
      last = command;
      const outcome = await executor.run(command);
      if (outcome.code === 0) return outcome;
      failed = command;
      if (when === "at once") {
        opened = true;
        await openShell(executor, command, options, ctx);
      }
      return outcome;
    },
  };
  try {
    return await act(watched);
  } catch (error) {
    const command = failed ?? last;
    if (!opened && !ctx.signal.aborted && command !== undefined) {
      ctx.log.error((error as Error).message);
      await openShell(executor, command, options, ctx);
    }
    throw error;
  }
}

async function openShell(
  executor: Executor,
  { program, args, cwd, env }: Command,
  options: ShellOptions,
  ctx: Context,
): Promise<void> {
  ctx.log.warn(
    `Failed: ${
      [program, ...args].join(" ")
    }; a shell in its place, which ends the build when you leave it`,
  );
  for (const shell of SHELLS) {
    try {
      await executor.run({
        program: shell,
        args: ["-i"],
        cwd,
        env: { ...options.env, ...env },
        input: "terminal",
        signal: ctx.signal,
        onOutput: () => {},
      });
      return;
    } catch (error) {
      if (error instanceof StartError && error.code === 127) continue;
      if (!(error instanceof StartError)) throw error;
      ctx.log.warn(`Cannot open a shell: ${error.message}`);
      return;
    }
  }
  ctx.log.warn(`Cannot open a shell: want one of ${SHELLS.join(", ")} in the builder`);
}
