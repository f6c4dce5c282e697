/** The files of an image in a directory of ours, and commands in a sandbox whose root it is. */
import { join } from "node:path";
import type { Layer } from "../../registry/image.ts";
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
  /** Stops unpacking. */
  readonly signal: AbortSignal;
}

/** The sandbox brings its own. */
const MACHINE_FILES = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

/**
 * Unpacks an image to be changed.
 *
 * @throws {Error} When this machine allows no namespaces, or the layers cannot be unpacked.
 */
export async function openUnpackedRoot(
  options: UnpackedRootOptions,
): Promise<ExtendRoot & AsyncDisposable> {
  const { helper, layers, network, signal } = options;
  const owner = treeOwner(await probeMachine(helper));
  if (typeof owner !== "string") {
    throw new Error(`commands cannot be run in an image here: ${owner.reason}`);
  }
  const place = await Deno.makeTempDir({ dir: options.scratchDir, prefix: "extend-" });
  const tree = join(place, "root");
  const sandboxes = new Map<string, Promise<RootSandbox>>();
  const close = async () => {
    for (const sandbox of sandboxes.values()) {
      await sandbox.then((one) => one[Symbol.asyncDispose](), () => {});
    }
    await removeTrees(helper, [place]);
  };
  try {
    await Deno.mkdir(tree);
    await Deno.chmod(tree, 0o755);
    await unpackLayers(layers, { helper, into: tree, owner, furnish: true, signal });
  } catch (error) {
    await close();
    throw error;
  }
  const enter = (uid: number, gid: number) => {
    const key = `${uid}:${gid}`;
    let sandbox = sandboxes.get(key);
    if (sandbox === undefined) {
      sandbox = prepareRoot({
        ...{ helper, scratchDir: place, tree, owner, dirs: [], uid, gid, network },
        root: "in-tree",
      });
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
