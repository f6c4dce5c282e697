/** `--builder`: pulls the image, unpacks it once, reads what is in it. */
import { join } from "node:path";
import type { BuilderRoot } from "../lifecycle/platform/builder_root.ts";
import { readBuildpacks, readExtensions } from "../lifecycle/platform/tree_modules.ts";
import type { OpenPackage } from "../lifecycle/platform/buildpack_directory.ts";
import { enterable, rootInUse } from "../lifecycle/platform/enter.ts";
import { openTree } from "../lifecycle/platform/trees.ts";
import { chooseEntry, type Entry, type Isolation } from "../lifecycle/sandbox/entry.ts";
import { probeMachine } from "../lifecycle/sandbox/probe_machine.ts";
import { copy } from "../registry/copy.ts";
import { type Image, readImage } from "../registry/image.ts";
import type { Platform } from "../registry/oci/descriptor.ts";
import { isOciError } from "../registry/oci/error.ts";
import { helperPath } from "./assets.ts";
import { alsoNotInStore, UsageError } from "./exit.ts";
import { refuseForeign } from "./foreign_arch.ts";
import { imagePlace, inStore, type Located, openForReading, type Writable } from "./places.ts";
import { platformOf, refuseOther } from "./platform.ts";
import type { Session } from "./session.ts";
import { type PullPolicy, readUnder } from "./pull_policy.ts";

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
  const image = await openImageToEnter(session, name, flags.pullPolicy, flags, stack);
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
 * An image whose layers will be read: one of a registry is brought into the store first, as `policy` says
 * (see {@linkcode readUnder}).
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
  const place = await imagePlace(session, name);
  const platform = platformOf(flags);
  const { signal } = session.ctx;
  const read = async ({ registry, repository, reference }: Located) =>
    await readImage(registry, repository, reference, platform, { signal });
  let image: Image | undefined;
  if (place.kind === "registry") {
    const { reference } = place;
    const local = await inStore(session, reference);
    ({ value: image } = await readUnder(
      session,
      reference,
      policy,
      flags.platform,
      async (from) => {
        if (from.registry !== local.registry) await bring(session, from, local, platform);
        return await read(local);
      },
    ).catch((cause) => {
      signal.throwIfAborted();
      throw policy === "if-not-present" && isOciError(cause)
        ? alsoNotInStore(cause, flags.platform)
        : cause;
    }));
    if (image === undefined) {
      throw new UsageError(
        `Cannot find ${local.name} in the store, and --pull-policy is never (see: wherry pull)`,
      );
    }
  } else {
    const located = await openForReading(session, place, stack);
    image = await read(located);
    if (image === undefined) {
      throw new UsageError(`Cannot find ${JSON.stringify(name)}: ${located.name} is not there`);
    }
  }
  refuseOther(name, image.config, flags.platform);
  return image;
}

async function bring(
  session: Session,
  from: Located,
  to: Writable,
  platform: Platform,
): Promise<void> {
  const { ctx } = session;
  const meter = ctx.meter(`Pulling ${to.name}`);
  try {
    await copy(from.registry, from.repository, from.reference, to.registry, to.repository, {
      signal: ctx.signal,
      named: from.name,
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
  return async (name, kind) => {
    const { moduleSources } = await import("./package/sources.ts");
    const { locateModule } = await import("../lifecycle/platform/package/locate.ts");
    const sources = await moduleSources(session, flags, { platform, stack });
    const { main, modules } = await locateModule(name, sources, kind);
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
    return {
      main,
      buildpacks: await readBuildpacks(tree.path),
      extensions: await readExtensions(tree.path),
    };
  };
}
