/** `--sub-ids`: wherry once more, as root of a user namespace with the ids that this machine lends its user. */
import { probeMachine } from "../lifecycle/sandbox/probe_machine.ts";
import { runWithSubIds } from "../lifecycle/sandbox/run.ts";
import { findSubIds } from "../lifecycle/sandbox/subids.ts";
import { helperPath, ownCommand } from "./assets.ts";
import { UsageError } from "./exit.ts";
import { Interrupted, type Io } from "./io.ts";

/**
 * Runs the same command line in there; its exit code is ours.
 *
 * @throws {UsageError} When the machine lends nothing, with what would help.
 */
export async function againWithSubIds(io: Io): Promise<number> {
  const helper = helperPath();
  const { noNewPrivs, userns, gid } = await probeMachine(helper);
  const refused = userns.stage === "clone" ? { reason: "user namespaces are refused" } : undefined;
  const path = io.env["PATH"] ?? "";
  const found = refused ?? await findSubIds({ uid: io.user.uid, gid, path, noNewPrivs });
  if ("reason" in found) throw new UsageError(`Cannot use --sub-ids: ${found.reason}`);
  const { program, args } = ownCommand();
  return await runWithSubIds(helper, found, {
    program,
    // In there it would be root's, who has no use for it.
    args: [...args, ...io.args.filter((word) => word !== "--sub-ids")],
    env: io.env,
    signal: io.signal,
    abort: () => io.signal.reason instanceof Interrupted ? io.signal.reason.signal : "SIGTERM",
  });
}
