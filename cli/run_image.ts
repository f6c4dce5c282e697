/** What `wherry run` does. */
import { join } from "node:path";
import { openWorkDir, type WorkDir } from "../lifecycle/platform/work_dir.ts";
import { bringNames } from "../lifecycle/sandbox/chroot.ts";
import type { Entry } from "../lifecycle/sandbox/entry.ts";
import { removeTrees } from "../lifecycle/sandbox/trees.ts";
import { unpackLayers } from "../lifecycle/sandbox/unpack.ts";
import type { Context } from "../registry/context.ts";
import type { Image } from "../registry/image.ts";
import { HUB } from "../registry/oci/reference.ts";
import { runImage } from "../lifecycle/platform/run_image.ts";
import { openTree } from "../lifecycle/platform/trees.ts";
import { helperPath } from "./assets.ts";
import { readEnvFlags } from "./build_env.ts";
import type { CommonFlags } from "./common.ts";
import { refuseForeign } from "./foreign_arch.ts";
import { Interrupted, type Io } from "./io.ts";
import { openImageToEnter, wayIn } from "./open_builder.ts";
import { imagePlace, inStore } from "./places.ts";
import { isAt, type PullPolicy } from "./pull_policy.ts";
import { Session } from "./session.ts";
import { volumesOf } from "./site_words.ts";

/** Flags of `wherry run`. */
export interface RunFlags extends CommonFlags {
  readonly entrypoint?: string;
  readonly env?: readonly string[];
  readonly envFile?: readonly string[];
  readonly user?: string;
  readonly workdir?: string;
  readonly volume?: readonly string[];
  readonly network?: string;
  readonly isolation: string;
  readonly platform?: string;
  readonly pullPolicy?: PullPolicy;
}

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
  const policy = flags.pullPolicy ?? "if-not-present";
  if (flags.pullPolicy === undefined) await tellOfStore(session, name, flags.platform);
  const image = await openImageToEnter(session, name, policy, flags, stack);
  const helper = helperPath();
  const entry = await wayIn(helper, flags.isolation);
  await refuseForeign(name, image.config, entry, ctx.signal);
  const work = stack.use(
    await openWorkDir(join(store.dir, "work"), (paths) => removeTrees(helper, paths)),
  );
  const tree = await treeFor(image, entry, join(store.dir, "unpacked"), work, helper, stack, ctx);
  const outcome = await runImage(
    {
      config: image.config,
      tree,
      entry,
      helper,
      scratchDir: work.temp,
      args: args.length > 0 ? args : undefined,
      entrypoint: flags.entrypoint,
      env: await readEnvFlags(io, flags),
      user: flags.user,
      workdir: flags.workdir,
      volumes: await volumesOf(session, flags.volume ?? [], []),
      network: flags.network as "host" | "none" | undefined,
      stdin: io.stdin !== undefined,
      endWith: () => io.signal.reason instanceof Interrupted ? io.signal.reason.signal : "SIGTERM",
    },
    ctx,
    (chunk, stream) => io[stream].write(chunk),
  );
  return outcome.code;
}

/** Nobody having said a policy, what the store has is started. A bare name is that of a build here; one with a host may have moved on there. */
async function tellOfStore(session: Session, name: string, asked?: string): Promise<void> {
  const place = await imagePlace(session, name);
  if (place.kind !== "registry" || place.reference.registry === HUB) return;
  const local = await inStore(session, place.reference);
  if (!await isAt(local, asked)) return;
  session.log.info(`${local.name} is the store's; want --pull-policy always to ask its registry`);
}

/** The shared tree, or one of this run's own where what it writes could not be kept apart. */
async function treeFor(
  image: Image,
  entry: Entry,
  dir: string,
  work: WorkDir,
  helper: string,
  stack: AsyncDisposableStack,
  ctx: Context,
): Promise<string> {
  const { owner, mode } = entry;
  if (mode === "namespaces") {
    return stack.use(await openTree(image, { helper, owner, dir }, ctx)).path;
  }
  const into = join(work.path, "root");
  await Deno.mkdir(into, { mode: 0o755 });
  await unpackLayers(image.layers, { helper, into, owner, furnish: true, signal: ctx.signal });
  await bringNames(into);
  return into;
}
