/** `wherry build --platform A,B`: an image for each, one after the other, and an index of them that gets the names. */
import { join } from "node:path";
import type { Image } from "../registry/image.ts";
import type { Platform } from "../registry/oci/descriptor.ts";
import { digestOf, hexOf } from "../registry/oci/digest.ts";
import { formatPlatform } from "../registry/oci/platform.ts";
import { buildOne, type Built, describeBuild } from "./build_one.ts";
import { SCRATCH } from "./build_target.ts";
import { helperPath } from "./assets.ts";
import type { BuildFlags } from "./build_flags.ts";
import { type Destination, readDestination, refuseSeveral } from "./destination.ts";
import { UsageError } from "./exit.ts";
import { refuseForeign } from "./foreign_arch.ts";
import { wayIn } from "./open_builder.ts";
import { indexOf } from "./image_index.ts";
import type { Session } from "./session.ts";
import { count } from "./ui/count.ts";
import { writeArchive } from "./write_archive.ts";

/**
 * Builds them all. No name points to anything new before every image is where it belongs; when one cannot be built, its
 * error is that of the command and nothing was named.
 */
export async function buildPlatforms(
  session: Session,
  destination: Destination,
  flags: BuildFlags,
  platforms: readonly Platform[],
  started: number,
): Promise<void> {
  const { io, log, ctx } = session;
  refuseSeveral(destination, platforms.length);
  const { name, place } = destination;
  // An archive is written in one piece, so the index is made in the store first. Its name there is that of the file, for the cache.
  const archive = place.kind === "oci-archive" ? place : undefined;
  const made = archive === undefined
    ? destination
    : await readDestination(session, scratchName(session.path(archive.path)), {});
  await refuseEarly(session, flags, platforms);
  const store = await session.store();
  await using _lease = await store.lease(); // images without a name must last until the index has one
  const all: (Built & { readonly platform: string })[] = [];
  for (const platform of platforms.map(formatPlatform)) {
    const part = platform.replaceAll("/", "-");
    const below = (key: "reportOutputDir" | "sbomOutputDir") =>
      flags[key] === undefined ? {} : { [key]: join(flags[key], part) };
    log.info(`Building for ${platform}`);
    try {
      const own = { ...flags, platform, ...below("reportOutputDir"), ...below("sbomOutputDir") };
      const built = await buildOne(session, made, own, part);
      all.push({ ...built, platform });
    } catch (error) {
      if (!(error instanceof UsageError)) {
        log.warn(`The build for ${platform} ended: ${name} is what it was before`);
      }
      throw error;
    }
  }
  const { target } = all[0]!;
  const images: Image[] = all.map(({ outcome }) => outcome.image);
  const index = indexOf(images);
  const { digest } = index;
  for (const { repository, tag } of target.destinations) {
    await target.registry.pushManifest(repository, index, {
      signal: ctx.signal,
      tags: tag === undefined ? [] : [tag],
    });
  }
  const shown = archive === undefined ? target.name : name;
  if (archive !== undefined) {
    const { repository, tag = "latest" } = target.destinations[0]!;
    await writeArchive(session, archive, images);
    await store.deleteManifest(repository, tag);
  }
  log.info(`Successfully built index ${shown} of ${count(images.length, "image")}`);
  if (flags.output !== "json") {
    io.stdout.write(`${archive === undefined ? target.repositoryName : name}@${digest}\n`);
    return;
  }
  const ms = performance.now() - started;
  const about = {
    name: shown,
    tags: archive === undefined ? target.destinations.map((one) => one.name) : [shown],
    digest,
    manifest_size: index.bytes.byteLength,
    platforms: all.map(({ platform, target, outcome }) => {
      const { name: _, milliseconds: __, ...image } = describeBuild(target, outcome, 0);
      return { platform, ...image };
    }),
    milliseconds: Math.round(ms),
  };
  io.stdout.write(JSON.stringify(about, null, 2) + "\n");
}

function scratchName(file: string): string {
  return `store:${SCRATCH}/${hexOf(digestOf(new TextEncoder().encode(file))).slice(0, 16)}`;
}

/** What cannot be entered in the end is not begun. */
async function refuseEarly(
  { ctx }: Session,
  { builder, isolation }: BuildFlags,
  platforms: readonly Platform[],
): Promise<void> {
  if (builder === undefined || isolation === "in-place") return;
  const entry = await wayIn(helperPath(), isolation);
  for (const platform of platforms) await refuseForeign(builder, platform, entry, ctx.signal);
}
