/**
 * Unpacked images in the store: each is made once, in one step, and shared by every build until the collector takes
 * it. A tree is named by the chain of its layers' diffIDs, so images with the same layers have the same tree.
 */
import { dirname, join } from "node:path";
import type { Context } from "../../registry/context.ts";
import type { Image } from "../../registry/image.ts";
import { type Digest, digestOf, hexOf, isDigest } from "../../registry/oci/digest.ts";
import { removeTrees } from "../sandbox/trees.ts";
import { unpackLayers } from "../sandbox/unpack.ts";

/** Where trees are, and how they are made. */
export interface TreeOptions {
  /** The helper's executable. */
  readonly helper: string;
  /** The folder of all trees: `unpacked` of the store. Made when missing. */
  readonly dir: string;
  /** See {@linkcode UnpackOptions.owner}. */
  readonly owner: "self" | "real";
}

/** An unpacked image. It stays as it is until it is disposed; nobody writes to it. */
export interface Tree extends AsyncDisposable {
  /** The root file system, absolute. */
  readonly path: string;
  /** Whether it was made just now. */
  readonly fresh: boolean;
}

/** Layers, and the image they are of where there is one. */
export type TreeImage = Pick<Image, "layers"> & Partial<Pick<Image, "manifest">>;

/** Of the form of a tree: others are somebody else's, to be collected. */
const FORM = 1;
const LOCK_PAUSE_MS = 50;
/** By then the kernel has written everything back by itself. */
const SETTLED_MS = 5 * 60 * 1000;

/**
 * The unpacked form of `image`; layers are read only when it is not there. Safe for several processes at once, and
 * against being killed at any moment: a part is never taken for the whole.
 *
 * @throws {Error} When it cannot be made; nothing is left then.
 */
export async function openTree(
  image: TreeImage,
  options: TreeOptions,
  ctx: Context,
): Promise<Tree> {
  const { dir } = options;
  await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
  const name = `${options.owner}-${hexOf(chainOf(image))}`;
  const path = join(dir, name);
  const lockFile = join(dir, `${name}.lock`);
  for (let fresh = false;; await pause(fresh ? 0 : LOCK_PAUSE_MS, ctx.signal)) {
    const lock = tryLock(lockFile, "shared");
    if (lock !== undefined && await isWhole(path)) {
      await touch(path, ctx.now());
      return {
        path: join(path, "root"),
        fresh,
        [Symbol.asyncDispose]: () => Promise.resolve(lock.close()),
      };
    }
    lock?.close();
    using own = tryLock(lockFile, "exclusive");
    if (own === undefined) continue; // somebody makes it, or looks as we do
    if (!await isWhole(path)) {
      await makeTree(image, path, options, ctx);
      fresh = true;
    }
  }
}

/**
 * Waits until nobody else has `tree` to itself, and keeps it so until disposed: for builds that lie in the tree.
 */
export async function holdAlone(tree: Tree, signal: AbortSignal): Promise<Disposable> {
  for (;; await pause(LOCK_PAUSE_MS, signal)) {
    const lock = tryLock(`${dirname(tree.path)}.alone.lock`, "exclusive");
    if (lock !== undefined) return lock;
  }
}

async function makeTree(
  image: TreeImage,
  path: string,
  { helper, owner }: TreeOptions,
  ctx: Context,
): Promise<void> {
  const part = `${path}.part`;
  await removeTrees(helper, [part, path]);
  const into = join(part, "root");
  await Deno.mkdir(part, { mode: 0o700 });
  await Deno.mkdir(into, { mode: 0o755 });
  const size = image.layers.reduce((sum, layer) => sum + layer.descriptor.size, 0);
  const meter = ctx.meter("Unpacking", size);
  try {
    const { bytes, entries } = await unpackLayers(image.layers, {
      ...{ helper, into, owner, furnish: true, signal: ctx.signal },
      onProgress: (bytes) => meter.add(bytes),
    });
    const about: About = {
      ...{ form: FORM, image: image.manifest?.config.digest, bytes, entries, boot: await bootId() },
    };
    await Deno.writeTextFile(join(part, ABOUT), JSON.stringify(about));
    await Deno.rename(part, path);
  } catch (error) {
    await removeTrees(helper, [part]);
    // What the helper says names a file of the image; which disk is full is told here.
    if (!(error instanceof Error) || error.constructor !== Error) throw error;
    throw new Error(`Cannot unpack an image in ${dirname(path)}: ${error.message}`, {
      cause: error,
    });
  } finally {
    meter.end();
  }
}

const ABOUT = "about.json";
/** Says that the tree has been on the disk for long, so that it survives a power cut. */
const SETTLED = "settled";

interface About {
  readonly form: number;
  /** The config's digest: while the store has it, the tree is wanted. Absent for layers without an image. */
  readonly image?: Digest | undefined;
  readonly bytes: number;
  readonly entries: number;
  /** Of the kernel that wrote it. */
  readonly boot: string;
}

async function readAbout(path: string): Promise<About | undefined> {
  try {
    const value = JSON.parse(await Deno.readTextFile(join(path, ABOUT))) as Partial<About>;
    const good = value.form === FORM && (value.image === undefined || isDigest(value.image)) &&
      typeof value.bytes === "number" && typeof value.boot === "string";
    return good ? value as About : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether a tree is there with all its bytes. Syncing hundreds of megabytes would double the time it takes to make
 * one; instead one that is younger than the kernel's own writing back is not trusted after a reboot.
 */
async function isWhole(path: string): Promise<boolean> {
  const about = await readAbout(path);
  if (about === undefined) return false;
  if (about.boot === await bootId()) return true;
  return await Deno.stat(join(path, SETTLED)).then(() => true, () => false);
}

/** Notes that a tree is in use, for the collector, and that it has settled. */
async function touch(path: string, now: Date): Promise<void> {
  const made = await Deno.stat(join(path, ABOUT));
  await Deno.utime(path, now, now).catch(() => {});
  if (now.getTime() - (made.mtime?.getTime() ?? now.getTime()) < SETTLED_MS) return;
  await Deno.writeTextFile(join(path, SETTLED), "").catch(() => {});
}

async function bootId(): Promise<string> {
  return await Deno.readTextFile("/proc/sys/kernel/random/boot_id").then(
    (text) => text.trim(),
    () => "",
  );
}

/** The name of a stack of layers, as the image specification has it (ChainID). */
export function chainOf({ layers }: TreeImage): Digest {
  const encoder = new TextEncoder();
  return layers.map((layer) => layer.diffId as Digest).reduce(
    (chain, diffId) => digestOf(encoder.encode(`${chain} ${diffId}`)),
  );
}

/** What a collection took. */
export interface CollectedTrees {
  /** Trees. */
  readonly trees: number;
  /** Bytes of their files. */
  readonly bytes: number;
}

/**
 * Removes trees nobody uses: of images that `isKept` does not know (by digest of the config) and that were not
 * used for `graceMs`; also parts that killed processes left.
 */
export async function collectTrees(options: {
  readonly helper: string;
  readonly dir: string;
  readonly isKept: (config: Digest) => Promise<boolean>;
  readonly graceMs: number;
  readonly now: Date;
}): Promise<CollectedTrees> {
  const { helper, dir, isKept, graceMs, now } = options;
  let trees = 0;
  let bytes = 0;
  const names = await Array.fromAsync(Deno.readDir(dir)).catch(() => []);
  for (const { name } of names) {
    if (!name.endsWith(".lock")) continue;
    const path = join(dir, name.slice(0, -".lock".length));
    using lock = tryLock(join(dir, name), "exclusive");
    if (lock === undefined) continue; // in use, or being made
    const about = await readAbout(path);
    const used = (await Deno.stat(path).catch(() => undefined))?.mtime?.getTime() ?? 0;
    const young = used > now.getTime() - graceMs;
    if (
      about !== undefined && (young || (about.image !== undefined && await isKept(about.image)))
    ) {
      await removeTrees(helper, [`${path}.part`]);
      continue;
    }
    await removeTrees(helper, [`${path}.part`, path]);
    await Deno.remove(join(dir, name)).catch(() => {});
    if (about === undefined) continue;
    trees++;
    bytes += about.bytes;
  }
  return { trees, bytes };
}

interface Lock extends Disposable {
  close(): void;
}

/** Takes a lock if it is free. The file may be one that a collector has just removed: then it counts as taken. */
function tryLock(path: string, kind: "shared" | "exclusive"): Lock | undefined {
  const file = Deno.openSync(path, { create: true, read: true, write: true, mode: 0o600 });
  try {
    if (file.tryLockSync(kind === "exclusive") && isAt(path, file)) return lockOf(file);
  } catch (error) {
    file.close();
    throw error;
  }
  file.close();
  return undefined;
}

function isAt(path: string, file: Deno.FsFile): boolean {
  try {
    return Deno.statSync(path).ino === file.statSync().ino;
  } catch {
    return false;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise((resolve) => setTimeout(resolve, ms));
}

function lockOf(file: Deno.FsFile): Lock {
  let open = true;
  const close = () => {
    if (open) file.close();
    open = false;
  };
  return { close, [Symbol.dispose]: close };
}
