/** From a builder image to a root that can be entered, whatever this machine allows. */
import { join } from "node:path";
import type { Context } from "../../registry/context.ts";
import type { Image } from "../../registry/image.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import type { Entry } from "../sandbox/entry.ts";
import { bringNames } from "../sandbox/chroot.ts";
import { unpackLayers } from "../sandbox/unpack.ts";
import { type BuilderRoot, buildUser, readBuilderRoot } from "./builder_root.ts";
import { clearPlaces, journalOf } from "./place_inside.ts";
import { chainOf, holdAlone, openTree } from "./trees.ts";

/** What {@linkcode enterable} starts from. */
export interface EnterRequest {
  /** The builder. */
  readonly image: Image;
  /** For messages. */
  readonly name: string;
  /** How it will be entered. */
  readonly entry: Entry;
  /** The helper's executable. */
  readonly helper: string;
  /** The folder of all trees: `unpacked` of the store. */
  readonly dir: string;
}

/**
 * Unpacks the builder where that is not done yet, and reads it. It stays until `stack` is disposed; with `chroot` nobody
 * else builds in it meanwhile.
 *
 * @throws {LifecycleError} When it cannot be used.
 * @throws {Error} When it cannot be unpacked.
 */
export async function enterable(
  request: EnterRequest,
  stack: AsyncDisposableStack,
  ctx: Context,
): Promise<BuilderRoot> {
  const { image, name, entry, helper, dir } = request;
  buildUser(image, name);
  const started = performance.now();
  const unpacked = (how: string) => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    ctx.log.info(`Unpacked ${name}${how} in ${seconds} s`);
  };
  if (entry.mode === "takeover") {
    if (await takeOver(request, ctx)) unpacked(" over this container");
    await clearPlaces(journalOf("/"), helper);
    return await readBuilderRoot(image, name, "/", entry);
  }
  const tree = stack.use(await openTree(image, { helper, dir, owner: entry.owner }, ctx));
  if (tree.fresh) unpacked("");
  if (entry.mode === "chroot") {
    stack.use(await holdAlone(tree, ctx.signal));
    await clearPlaces(journalOf(tree.path), helper);
    await bringNames(tree.path);
  }
  return await readBuilderRoot(image, name, tree.path, entry);
}

/** What engines and wherry itself put into an empty container. */
const EMPTY = new Set([
  ...[".dockerenv", "dev", "proc", "sys", "etc", "run", "tmp", "var", "root", "wherry", "builds"],
  ...["kaniko", "busybox", "cache", "workspace", "layers", "platform", "tekton", "home"],
]);

/**
 * What lies in `/` that a takeover would destroy. Marks of engines prove nothing: machines are made of container
 * images, and keep them. So a root counts as expendable only when it holds no system at all, or what an earlier
 * takeover put there.
 */
export async function rootInUse(root = "/"): Promise<readonly string[]> {
  if (await Deno.stat(join(root, TAKEN)).then(() => true, () => false)) return [];
  const names = (await Array.fromAsync(Deno.readDir(root), ({ name }) => name)).sort();
  const us = Deno.execPath();
  const used = names.filter((name) => !EMPTY.has(name) && us !== `/${name}`);
  for (const file of ["etc/passwd", "etc/os-release", "etc/init.d", "var/lib"]) {
    if (await Deno.lstat(join(root, file)).then(() => true, () => false)) used.push(file);
  }
  return used;
}

/** Says which builder this container has become, or was about to: what ended in the middle can be done again. */
const TAKEN = "/cnb/.wherry-takeover";

async function takeOver({ image, name, helper }: EnterRequest, ctx: Context): Promise<boolean> {
  const chain = chainOf(image);
  const before = await Deno.readTextFile(TAKEN).catch(() => undefined);
  if (before === chain) return false;
  const begun = `begun: ${chain}`;
  const used = before === undefined
    ? await rootInUse()
    : before === begun
    ? []
    : ["another builder"];
  if (used.length > 0) {
    // Asked before, and asked again by the one who acts: nothing here could be undone.
    throw new LifecycleError(
      ExitCode.arguments,
      `Cannot take over this container: / has ${used.slice(0, 5).join(", ")}`,
    );
  }
  const size = image.layers.reduce((sum, layer) => sum + layer.descriptor.size, 0);
  const meter = ctx.meter("Unpacking", size);
  await Deno.mkdir("/cnb", { recursive: true });
  await Deno.writeTextFile(TAKEN, begun);
  try {
    await unpackLayers(image.layers, {
      helper,
      into: "/",
      owner: "real",
      over: true,
      furnish: true,
      signal: ctx.signal,
      onProgress: (bytes) => meter.add(bytes),
    });
  } catch (error) {
    // As for the trees of a store: what the helper says names a file of the image only.
    if (!(error instanceof Error) || error.constructor !== Error) throw error;
    throw new Error(`Cannot unpack ${name} over this container: ${error.message}`, {
      cause: error,
    });
  } finally {
    meter.end();
  }
  await Deno.writeTextFile(TAKEN, chain);
  return true;
}
