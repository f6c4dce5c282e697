/** `wherry builder create --from`: other buildpacks in a builder that is there, for all its platforms. */
import type { Image } from "../../registry/image.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { formatPlatform } from "../../registry/oci/platform.ts";
import {
  type FoundModule,
  locateModule,
  withoutTwins,
} from "../../lifecycle/platform/package/locate.ts";
import { replaceModules } from "../../lifecycle/platform/package/replace_module.ts";
import { type Destination, refuseSeveral } from "../destination.ts";
import { UsageError } from "../exit.ts";
import { machinePlatform, refuseOther } from "../platform.ts";
import type { Session } from "../session.ts";
import { collectLabels } from "./labels.ts";
import type { BuilderFlags } from "./builder_flags.ts";
import { openPart } from "./part_image.ts";
import { moduleSources } from "./sources.ts";
import { parseTarget, platformsOf } from "./targets.ts";

/** Where layers wait until a builder has them. */
export const SCRATCH = "wherry-scratch/builder";

/**
 * The builder `name` with other buildpacks, for each platform it has, or that is asked for.
 *
 * @throws {UsageError} When it is not there, or not for one of them.
 */
export async function changeBuilder(
  session: Session,
  destination: Destination,
  name: string,
  flags: BuilderFlags,
  stack: AsyncDisposableStack,
): Promise<readonly Image[]> {
  if ((flags.buildpack ?? []).length === 0) {
    throw new UsageError("Cannot change a builder: want --buildpack NAME with what shall be in it");
  }
  for (
    const [flag, given] of [["--flatten", flags.flatten], ["--lifecycle", flags.lifecycle]] as const
  ) {
    if (given === undefined) continue;
    throw new UsageError(`Cannot use ${flag} with --from: it goes with --config`);
  }
  const asked = (flags.target ?? []).map(parseTarget);
  if (asked.length > 0) {
    const platforms = platformsOf(asked).map(({ platform }) => platform);
    refuseSeveral(destination, platforms.length);
    const images: Image[] = [];
    for (const platform of platforms) {
      const old = await openPart(session, name, { platform, policy: flags.pullPolicy, stack });
      refuseOther(name, old.config, formatPlatform(platform));
      images.push(await swapped(session, old, name, flags, stack));
    }
    return images;
  }
  let all: readonly Descriptor[] = [];
  const first = await openPart(session, name, {
    platform: machinePlatform(),
    policy: flags.pullPolicy,
    onIndex: (entries) => all = entries,
    stack,
  });
  const platforms = all.flatMap(({ platform }) =>
    platform === undefined || platform.os === "unknown" ? [] : [platform]
  );
  refuseSeveral(destination, platforms.length);
  if (platforms.length < 2) return [await swapped(session, first, name, flags, stack)];
  const images: Image[] = [];
  for (const platform of platforms) {
    const old = formatPlatform(first.config) === formatPlatform(platform)
      ? first
      : await openPart(session, name, { platform, policy: flags.pullPolicy, stack });
    images.push(await swapped(session, old, name, flags, stack));
  }
  return images;
}

async function swapped(
  session: Session,
  old: Image,
  name: string,
  flags: BuilderFlags,
  stack: AsyncDisposableStack,
): Promise<Image> {
  const { os, architecture, variant } = old.config;
  const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  const sources = await moduleSources(session, flags, { platform, stack });
  const modules: FoundModule[] = [];
  for (const one of flags.buildpack ?? []) {
    modules.push(...(await locateModule(one, sources)).modules);
  }
  const { image, changes } = await replaceModules({
    old,
    oldName: name,
    modules: withoutTwins(modules),
    labels: collectLabels(flags.label),
    place: { store: await session.store(), repository: SCRATCH },
  }, session.ctx);
  for (const line of changes) session.log.info(line);
  return image;
}
