/** `--builder`: pulls the image, unpacks it once, reads what is in it. */
import { join } from "node:path";
import type { BuilderRoot } from "../lifecycle/platform/builder_root.ts";
import { readBuildpacks } from "../lifecycle/platform/builder_root.ts";
import type { OpenPackage } from "../lifecycle/platform/buildpack_source.ts";
import { locateModule } from "../lifecycle/platform/package/locate.ts";
import { enterable, rootInUse } from "../lifecycle/platform/enter.ts";
import { openTree } from "../lifecycle/platform/trees.ts";
import { chooseEntry, type Entry, type Isolation } from "../lifecycle/sandbox/entry.ts";
import { probeMachine } from "../lifecycle/sandbox/run.ts";
import { copy } from "../registry/copy.ts";
import { type Image, readImage } from "../registry/image.ts";
import type { Platform } from "../registry/oci/descriptor.ts";
import { familiarName, HUB, type Place, type Reference } from "../registry/oci/reference.ts";
import { isLayoutArchive } from "../registry/store/oci_archive.ts";
import { helperPath } from "./assets.ts";
import { alsoNotInStore, UsageError } from "./exit.ts";
import { refuseForeign } from "./foreign_arch.ts";
import { moduleSources } from "./package/sources.ts";
import { fromRegistry, inStore, openForReading, readPlace } from "./places.ts";
import { platformOf, refuseOther } from "./platform.ts";
import type { Session } from "./session.ts";
import { isAt, type PullPolicy, withStoreHint } from "./pull_policy.ts";

/** Flags of a builder. */
export interface BuilderFlags {
  readonly isolation: string;
  readonly platform?: string;
  readonly builder?: string;
  readonly pullPolicy?: PullPolicy;
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
  stack: AsyncDisposableStack,
): Promise<BuilderRoot> {
  const { ctx } = session;
  const helper = helperPath();
  const entry = await wayIn(helper, flags.isolation);
  const policy = flags.pullPolicy ?? "always";
  const image = await openImageToEnter(session, name, policy, flags, stack);
  await refuseForeign(name, image.config, entry, ctx.signal);
  const dir = join((await session.store()).dir, "unpacked");
  const root = await enterable({ image, name, entry, helper, dir }, stack, ctx);
  return flags.disableSystemBuildpacks ? { ...root, system: undefined } : root;
}

/**
 * How images are entered on this machine.
 *
 * @throws {UsageError} When there is no way, or not the one that was asked for.
 */
export async function wayIn(helper: string, isolation: string): Promise<Entry> {
  const probe = await probeMachine(helper);
  try {
    const inUse = await rootInUse();
    return chooseEntry(probe, isolation as Exclude<Isolation, "in-place">, { inUse });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

/**
 * An image whose layers will be read: one of a registry is brought into the store first, as `policy` says. Nobody having
 * said one, what the store has will do, and that is told.
 *
 * @throws {UsageError} When it is not there, or not for the platform that was asked for.
 */
export async function openImageToEnter(
  session: Session,
  name: string,
  policy: PullPolicy | undefined,
  flags: { readonly platform?: string },
  stack: AsyncDisposableStack,
): Promise<Image> {
  const place = await placeOf(session, name);
  const platform = platformOf(flags);
  const { signal } = session.ctx;
  if (place.kind === "registry") {
    await withStoreHint(
      session,
      [place.reference],
      policy ?? "if-not-present",
      () => pull(session, place.reference, policy, flags),
    );
  }
  const located = place.kind === "registry"
    ? await inStore(session, place.reference)
    : await openForReading(session, place, stack);
  const { registry, repository, reference } = located;
  const image = await readImage(registry, repository, reference, platform, { signal });
  if (image === undefined) {
    throw new UsageError(`Cannot find ${JSON.stringify(name)}: ${located.name} is not there`);
  }
  refuseOther(name, image.config, flags.platform);
  return image;
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
  policy: PullPolicy | undefined,
  flags: { readonly platform?: string },
): Promise<void> {
  const platform = platformOf(flags);
  const to = await inStore(session, reference);
  const { signal } = session.ctx;
  if (policy !== "always" && await isAt(to, flags.platform)) {
    // A bare name is that of a build here; one with a host may have moved on there.
    if (policy === undefined && reference.registry !== HUB) {
      session.log.info(
        `${familiarName(reference)} is the store's; want --pull-policy always to ask its registry`,
      );
    }
    return;
  }
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
      named: from.name,
      platform,
      tags: to.reference.includes(":") ? [] : [to.reference],
      onProgress: (_, bytes) => meter.add(bytes),
    });
  } catch (cause) {
    signal.throwIfAborted();
    if (policy === "always") throw cause;
    throw alsoNotInStore(cause, flags.platform);
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
      policy: flags.pullPolicy,
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
    const dir = join((await session.store()).dir, "unpacked");
    // They are only ever mounted or copied, so it does not matter whose they are.
    const options = { helper: helperPath(), dir, owner: "self" } as const;
    const tree = stack.use(await openTree({ layers }, options, session.ctx));
    return { main, buildpacks: await readBuildpacks(tree.path) };
  };
}
