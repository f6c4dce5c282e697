/** The files of an image that commands may change: an overlay over its unpacked form, else a copy. */
import { join } from "node:path";
import type { Layer } from "../../registry/image.ts";
import { openAttributeLook, openExactLook } from "../../registry/layer/libc.ts";
import { bringNames, prepareWholeChroot, whyNoChroot } from "../sandbox/chroot.ts";
import type { Entry } from "../sandbox/entry.ts";
import { type HeldTree, holdTree } from "../sandbox/held.ts";
import type { Probe } from "../sandbox/probe.ts";
import { prepareRoot, type RootSandbox, treeOwner } from "../sandbox/root.ts";
import { probeMachine } from "../sandbox/probe_machine.ts";
import { removeTrees } from "../sandbox/trees.ts";
import { unpackLayers } from "../sandbox/unpack.ts";
import { watch } from "./changes.ts";
import { compareOverlay, lookAtOverlay, type OverlayLook } from "./overlay_look.ts";
import { type ExtendRoot, type RootCommand, watchWhole } from "./root.ts";
import { NO_IMAGE } from "./snapshot.ts";

/** What {@linkcode openUnpackedRoot} starts from. */
export interface UnpackedRootOptions {
  /** The helper's executable. */
  readonly helper: string;
  /** The image's layers, the lowest first: what a copy is made of. */
  readonly layers: readonly Layer[];
  /** Its unpacked form, which stays as it is and is there as long as the root; unpacked now if need be. */
  readonly openTree: (owner: Entry["owner"]) => Promise<string>;
  /** An existing private directory; one of ours is made in it and removed in the end. */
  readonly scratchDir: string;
  /** `none`: commands have no network. Default: the host's. */
  readonly network?: "host" | "none" | undefined;
  /** How it is entered. Default: as this machine allows. */
  readonly entry?: Entry | undefined;
  /** Makes a copy where an overlay would do. For tests and comparisons. Default false. */
  readonly copy?: boolean | undefined;
  /** Stops unpacking. */
  readonly signal: AbortSignal;
}

/** The sandbox brings its own. */
const MACHINE_FILES = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

/** A root that was opened for one build. Disposing removes it with all that was changed. */
export interface UnpackedRoot extends ExtendRoot, AsyncDisposable {
  /** Where it is an overlay: the one that {@linkcode prepareRoot} needs to enter it. */
  readonly held?: HeldTree | undefined;
}

/**
 * Opens an image to be changed. Its commands run in namespaces, or behind chroot(2).
 *
 * @throws {Error} When this machine allows neither, or the layers cannot be unpacked.
 */
export async function openUnpackedRoot(options: UnpackedRootOptions): Promise<UnpackedRoot> {
  const { helper, network } = options;
  const entry = options.entry ?? chooseWay(await probeMachine(helper));
  if (entry.mode !== "namespaces" && network === "none") {
    throw new Error("commands cannot be run without a network here: that takes namespaces");
  }
  const place = await Deno.makeTempDir({ dir: options.scratchDir, prefix: "extend-" });
  await using undo = new AsyncDisposableStack();
  // What they have of their own lies in the place as well.
  undo.defer(() => removeTrees(helper, [place]));
  const site = { options, entry, place };
  const root = await openOverlay(site, undo) ?? await openCopy(site);
  const kept = undo.move();
  return { ...root, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

interface Site {
  readonly options: UnpackedRootOptions;
  readonly entry: Entry;
  /** A private directory. */
  readonly place: string;
}

const IGNORED: ReadonlySet<string> = new Set([...NO_IMAGE, ...MACHINE_FILES]);

/** `undefined` where none can be had, for whatever reason: a copy does as well. */
async function openOverlay(
  site: Site,
  stack: AsyncDisposableStack,
): Promise<Omit<UnpackedRoot, keyof AsyncDisposable> | undefined> {
  const { options, entry, place } = site;
  if (options.copy || entry.mode !== "namespaces" || !canLook()) return undefined;
  const tree = await options.openTree(entry.owner);
  const dir = join(place, "overlay");
  await Deno.mkdir(dir);
  const user = entry.owner === "self";
  const hold = () => holdTree({ helper: options.helper, tree, dir, user });
  const held = await hold().catch(() => undefined);
  if (held === undefined) return undefined;
  stack.use(held);
  // The holder's mark of a file that came from below; there is nobody else whose files could be in the upper directory.
  const copied = user ? openAttributeLook("user.overlay.origin") : undefined;
  if (copied !== undefined) stack.use(copied);
  const scope = { root: held.root, ignore: IGNORED };
  return {
    ...scope,
    ...watch<OverlayLook>({
      take: (signal) => lookAtOverlay(held, tree, IGNORED, signal),
      compare: (before, after, same) =>
        compareOverlay(before, after, { tree, ignore: IGNORED }, same),
      outside: (path) => `${held.upper}${path}`,
      pristine: () => Promise.resolve(tree),
      isOld: (path, was, is) =>
        (was.dev === is.dev && was.ino === is.ino) ||
        (copied?.has(`${held.upper}${path}`) ?? false),
      capabilities: entry.owner === "real",
    }),
    held,
    realOwners: entry.owner === "real",
    run: commandsIn(site, held.root, held),
  };
}

/** Whether the C library is there, which alone tells when a file was changed. */
function canLook(): boolean {
  using look = openExactLook();
  return look !== undefined;
}

async function openCopy(site: Site): Promise<Omit<UnpackedRoot, keyof AsyncDisposable>> {
  const { options: { helper, layers, signal, openTree }, entry: { mode, owner }, place } = site;
  const tree = join(place, "root");
  await Deno.mkdir(tree);
  await Deno.chmod(tree, 0o755);
  await unpackLayers(layers, { helper, into: tree, owner, furnish: true, signal });
  if (mode !== "namespaces") await bringNames(tree);
  const scope = { root: tree, ignore: IGNORED };
  const realOwners = owner === "real";
  return {
    ...scope,
    ...watchWhole(scope, realOwners, () => openTree(owner)),
    realOwners,
    run: commandsIn(site, tree),
  };
}

/** Runs commands in there; the walls are made once for each user. */
function commandsIn(
  { options: { helper, network }, entry: { mode, owner }, place }: Site,
  tree: string,
  held?: HeldTree,
): ExtendRoot["run"] {
  const sandboxes = new Map<string, Promise<Pick<RootSandbox, "run">>>();
  const enter = (uid: number, gid: number) => {
    const key = `${uid}:${gid}`;
    let sandbox = sandboxes.get(key);
    if (sandbox === undefined) {
      const common = { helper, scratchDir: place, tree, uid, gid };
      sandbox = mode === "namespaces"
        ? prepareRoot({ ...common, held, owner, dirs: [], network, root: "in-tree" })
        : prepareWholeChroot(common);
      sandboxes.set(key, sandbox);
    }
    return sandbox;
  };
  return async ({ user, ...command }: RootCommand) =>
    await (await enter(user.uid, user.gid)).run(command);
}

function chooseWay(probe: Probe): Entry {
  const owner = treeOwner(probe);
  if (typeof owner === "string") return { mode: "namespaces", owner };
  const why = whyNoChroot(probe);
  if (why === undefined) return { mode: "chroot", owner: "real" };
  throw new Error(`commands cannot be run in an image here: ${owner.reason}, and ${why}`);
}
