/** What `wherry run` does. */
import { join } from "node:path";
import { chooseEntry } from "../lifecycle/sandbox/entry.ts";
import { probeMachine } from "../lifecycle/sandbox/run.ts";
import { runImage } from "../lifecycle/platform/run_image.ts";
import { openTree } from "../lifecycle/platform/trees.ts";
import { helperPath } from "./assets.ts";
import { readEnvFlags } from "./build_env.ts";
import type { RunFlags } from "./command/run.ts";
import { UsageError } from "./exit.ts";
import { Interrupted, type Io } from "./io.ts";
import { openImageToEnter } from "./open_builder.ts";
import { Session } from "./session.ts";
import { platformOf, volumesOf } from "./site_request.ts";

/** Starts the image; its exit code is ours. */
export async function runCommand(
  io: Io,
  name: string,
  args: readonly string[],
  flags: RunFlags,
): Promise<number> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const { ctx } = session;
  const store = await session.store();
  stack.use(await store.lease());
  const image = await openImageToEnter(session, name, flags.pullPolicy, platformOf(flags), stack);
  const helper = helperPath();
  const { owner } = await entered(helper);
  const tree = stack.use(
    await openTree(image, { helper, owner, dir: join(store.dir, "unpacked") }, ctx),
  );
  const scratchDir = await Deno.makeTempDir({ dir: join(store.dir, "unpacked"), prefix: "run-" });
  stack.defer(() => Deno.remove(scratchDir).catch(() => {}));
  const outcome = await runImage(
    {
      config: image.config,
      tree: tree.path,
      owner,
      helper,
      scratchDir,
      args: args.length > 0 ? args : undefined,
      entrypoint: flags.entrypoint,
      env: await readEnvFlags(io, flags),
      user: flags.user,
      workdir: flags.workdir,
      volumes: await volumesOf(session, flags.volume ?? [], []),
      network: flags.network as "host" | "none" | undefined,
      endWith: () => io.signal.reason instanceof Interrupted ? io.signal.reason.signal : "SIGTERM",
    },
    ctx,
    (chunk, stream) => io[stream].write(chunk),
  );
  return outcome.code;
}

async function entered(helper: string): Promise<{ readonly owner: "self" | "real" }> {
  try {
    return chooseEntry(await probeMachine(helper), "namespaces", { inUse: [] });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
