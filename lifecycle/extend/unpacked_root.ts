/** The files of an image in a directory of ours, and commands whose root it is. */
import { join } from "node:path";
import type { Layer } from "../../registry/image.ts";
import { bringNames, prepareWholeChroot, whyNoChroot } from "../sandbox/chroot.ts";
import type { Entry } from "../sandbox/entry.ts";
import type { Probe } from "../sandbox/probe.ts";
import { prepareRoot, type RootSandbox, treeOwner } from "../sandbox/root.ts";
import { probeMachine, removeTrees } from "../sandbox/run.ts";
import { unpackLayers } from "../sandbox/unpack.ts";
import type { ExtendRoot, RootCommand } from "./root.ts";
import { NO_IMAGE } from "./snapshot.ts";

/** What {@linkcode openUnpackedRoot} starts from. */
export interface UnpackedRootOptions {
  /** The helper's executable. */
  readonly helper: string;
  /** The image's layers, the lowest first. */
  readonly layers: readonly Layer[];
  /** An existing private directory; one of ours is made in it and removed in the end. */
  readonly scratchDir: string;
  /** `none`: commands have no network. Default: the host's. */
  readonly network?: "host" | "none" | undefined;
  /** How it is entered. Default: as this machine allows. */
  readonly entry?: Entry | undefined;
  /** Stops unpacking. */
  readonly signal: AbortSignal;
}

/** The sandbox brings its own. */
const MACHINE_FILES = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

/**
 * Unpacks an image to be changed. Its commands run in namespaces, or behind chroot(2).
 *
 * @throws {Error} When this machine allows neither, or the layers cannot be unpacked.
 */
export async function openUnpackedRoot(
  options: UnpackedRootOptions,
): Promise<ExtendRoot & AsyncDisposable> {
  const { helper, layers, network, signal } = options;
  const { mode, owner } = options.entry ?? chooseWay(await probeMachine(helper));
  if (mode !== "namespaces" && network === "none") {
    throw new Error("commands cannot be run without a network here: that takes namespaces");
  }
  const place = await Deno.makeTempDir({ dir: options.scratchDir, prefix: "extend-" });
  const tree = join(place, "root");
  // What they have of their own lies in the place as well.
  const close = async () => await removeTrees(helper, [place]);
  const sandboxes = new Map<string, Promise<Pick<RootSandbox, "run">>>();
  try {
    await Deno.mkdir(tree);
    await Deno.chmod(tree, 0o755);
    await unpackLayers(layers, { helper, into: tree, owner, furnish: true, signal });
    if (mode !== "namespaces") await bringNames(tree);
  } catch (error) {
    await close();
    throw error;
  }
  const enter = (uid: number, gid: number) => {
    const key = `${uid}:${gid}`;
    let sandbox = sandboxes.get(key);
    if (sandbox === undefined) {
      const common = { helper, scratchDir: place, tree, uid, gid };
      sandbox = mode === "namespaces"
        ? prepareRoot({ ...common, owner, dirs: [], network, root: "in-tree" })
        : prepareWholeChroot(common);
      sandboxes.set(key, sandbox);
    }
    return sandbox;
  };
  return {
    root: tree,
    ignore: new Set([...NO_IMAGE, ...MACHINE_FILES]),
    realOwners: owner === "real",
    async run({ user, ...command }: RootCommand) {
      return await (await enter(user.uid, user.gid)).run(command);
    },
    [Symbol.asyncDispose]: close,
  };
}

function chooseWay(probe: Probe): Entry {
  const owner = treeOwner(probe);
  if (typeof owner === "string") return { mode: "namespaces", owner };
  const why = whyNoChroot(probe);
  if (why === undefined) return { mode: "chroot", owner: "real" };
  throw new Error(`commands cannot be run in an image here: ${owner.reason}, and ${why}`);
}
