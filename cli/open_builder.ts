/** `--builder`: pulls the image, unpacks it once, reads what is in it. */
import { join } from "node:path";
import type { BuilderRoot } from "../lifecycle/platform/builder_root.ts";
import { readBuilderRoot, readBuildpacks } from "../lifecycle/platform/builder_root.ts";
import type { OpenPackage } from "../lifecycle/platform/buildpack_source.ts";
import { locateModule } from "../lifecycle/platform/package/locate.ts";
import { openTree, type TreeOptions } from "../lifecycle/platform/trees.ts";
import { treeOwner } from "../lifecycle/sandbox/root.ts";
import { probeMachine } from "../lifecycle/sandbox/run.ts";
import { copy } from "../registry/copy.ts";
import { type Image, readImage } from "../registry/image.ts";
import type { Platform } from "../registry/oci/descriptor.ts";
import { familiarName, type Place, type Reference } from "../registry/oci/reference.ts";
import { isLayoutArchive } from "../registry/store/oci_archive.ts";
import { helperPath } from "./assets.ts";
import { UsageError } from "./exit.ts";
import { moduleSources } from "./package/sources.ts";
import { fromRegistry, inStore, openForReading, readPlace } from "./places.ts";
import type { Session } from "./session.ts";

/** Flags of a builder. */
export interface BuilderFlags {
  readonly builder?: string;
  readonly pullPolicy?: string;
  readonly buildpackRegistry?: string;
  readonly disableSystemBuildpacks?: boolean;
}

/**
 * Makes the builder ready to be entered. It stays until `stack` is disposed.
 *
 * @throws {UsageError} When it is not there, or this machine cannot enter it.
 */
export async function openBuilder(
  session: Session,
  name: string,
  flags: BuilderFlags,
  platform: Platform,
  stack: AsyncDisposableStack,
): Promise<BuilderRoot> {
  const { ctx } = session;
  const trees = await treeOptions(session);
  const image = await openImageToEnter(
    session,
    name,
    flags.pullPolicy ?? "always",
    platform,
    stack,
  );
  const started = performance.now();
  const tree = stack.use(await openTree(image, trees, ctx));
  if (tree.fresh) ctx.log.info(`Unpacked ${name} in ${Math.round(performance.now() - started)} ms`);
  const root = await readBuilderRoot(image, name, { path: tree.path, owner: trees.owner });
  return flags.disableSystemBuildpacks ? { ...root, system: undefined } : root;
}

/** How images are unpacked for this machine, below the store. */
export async function treeOptions(session: Session): Promise<TreeOptions> {
  const helper = helperPath();
  const owner = treeOwner(await probeMachine(helper));
  if (typeof owner !== "string") {
    throw new UsageError(
      `Cannot enter an image here: ${owner.reason}; want user namespaces, or root with SYS_ADMIN, or run wherry inside the builder image`,
    );
  }
  return { helper, dir: join((await session.store()).dir, "unpacked"), owner };
}

/**
 * An image whose layers will be read: one of a registry is brought into the store first, as `policy` says.
 *
 * @throws {UsageError} When it is not there.
 */
export async function openImageToEnter(
  session: Session,
  name: string,
  policy: string,
  platform: Platform,
  stack: AsyncDisposableStack,
): Promise<Image> {
  const place = await placeOf(session, name);
  const { signal } = session.ctx;
  if (place.kind === "registry") await pull(session, place.reference, policy, platform);
  const located = place.kind === "registry"
    ? await inStore(session, place.reference)
    : await openForReading(session, place, stack);
  const { registry, repository, reference } = located;
  const image = await readImage(registry, repository, reference, platform, { signal });
  if (image !== undefined) return image;
  throw new UsageError(`Cannot find ${JSON.stringify(name)}: ${located.name} is not there`);
}

/** A path that ends in `.tar` and is there is an archive, of whichever of the two kinds. */
async function placeOf(session: Session, name: string): Promise<Place> {
  if (name.endsWith(".tar") && !/^[a-z-]+:/.test(name)) {
    const path = session.path(name);
    const stat = await Deno.stat(path).catch(() => undefined);
    if (stat?.isFile) {
      const kind = await isLayoutArchive(path) ? "oci-archive" : "docker-archive";
      return readPlace(`${kind}:${path}`);
    }
  }
  return readPlace(name);
}

async function pull(
  session: Session,
  reference: Reference,
  policy: string,
  platform: Platform,
): Promise<void> {
  const to = await inStore(session, reference);
  const { signal } = session.ctx;
  const there = await to.registry.stat(to.repository, to.reference);
  if (there !== undefined && policy !== "always") return;
  if (policy === "never") {
    throw new UsageError(
      `Cannot find ${
        familiarName(reference)
      } in the store, and --pull-policy is never (see: wherry pull)`,
    );
  }
  const from = await fromRegistry(session, reference);
  const meter = session.ctx.meter(`Pulling ${familiarName(reference)}`);
  try {
    await copy(from.registry, from.repository, from.reference, to.registry, to.repository, {
      signal,
      platform,
      tags: to.reference.includes(":") ? [] : [to.reference],
      onProgress: (_, bytes) => meter.add(bytes),
    });
  } finally {
    meter.end();
  }
}

/** Packages for `--buildpack`: their layers are unpacked as a builder's are. */
export function packageOpener(
  session: Session,
  flags: BuilderFlags,
  platform: Platform,
  stack: AsyncDisposableStack,
): OpenPackage {
  return async (name) => {
    const sources = await moduleSources(session, {
      cwd: session.io.cwd,
      platform,
      policy: (flags.pullPolicy ?? "always") as "always",
      index: flags.buildpackRegistry,
      stack,
    });
    const { main, modules } = await locateModule(name, sources);
    const layers = [
      ...new Map(
        modules.flatMap((one) => "layer" in one ? [one.layer] : []).map((layer) => [
          layer.diffId,
          layer,
        ]),
      ).values(),
    ];
    const trees = await treeOptions(session);
    const tree = stack.use(await openTree({ layers }, trees, session.ctx));
    return { main, buildpacks: await readBuildpacks(tree.path) };
  };
}
