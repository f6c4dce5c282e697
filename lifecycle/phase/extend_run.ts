import type { Context } from "../../registry/context.ts";
import type { CommandLine } from "../dockerfile/parse.ts";
import { type DockerfileState, environmentOf, shellOf, workDirOf } from "../extend/config.ts";
import { type ExtendRoot, findProgram, makeDirectoryIn } from "../extend/root.ts";
import { findUser, type ImageUser } from "../extend/users.ts";
import { StartError } from "../sandbox/executor.ts";
import type { ExtendInput } from "./extend_types.ts";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What commands are run with. */
export interface RunMeans extends Pick<ExtendInput, "output" | "passing"> {
  /** Its signal ends them. */
  readonly ctx: Pick<Context, "signal">;
}

/** Carries out a RUN; whoever it ran as owns what it made. */
export async function runCommand(
  command: CommandLine,
  state: DockerfileState,
  root: ExtendRoot,
  { ctx, output, passing }: RunMeans,
): Promise<ImageUser> {
  const { config } = state;
  const user = findUser(root.root, config.User ?? "");
  const given = environmentOf(state);
  const path = given["PATH"] ?? DEFAULT_PATH;
  const env = { PATH: path, HOME: user.home, ...passing, ...given };
  const cwd = workDirOf(config);
  const words = command.form === "exec" ? command.words : [...shellOf(config), command.script];
  const [word = "", ...args] = words;
  // One that is named and was never made.
  await makeDirectoryIn(root, cwd, user);
  try {
    const outcome = await root.run({
      program: await findProgram(root, word, path, cwd),
      args,
      cwd,
      env,
      user,
      signal: ctx.signal,
      onOutput: output,
    });
    if (outcome.code === 0 && outcome.signal === undefined) return user;
    const how = outcome.signal === undefined
      ? `the command exited with status ${outcome.code}`
      : `the command was killed by ${outcome.signal}`;
    // What apt-get and useradd say then names neither cause nor cure.
    const hint = root.realOwners
      ? ""
      : "; only one user can be had here, so what changes users or owners fails (not with --sub-ids, or when root builds)";
    throw new Error(`${how}${hint}`);
  } catch (cause) {
    if (cause instanceof StartError && cause.code === 125) {
      throw new Error(`commands cannot be run here: ${cause.message}`, { cause });
    }
    throw cause;
  }
}
