/** Gives the image its names: blobs, config, manifest, then one tag after the other (SV-1). */
import type { Context } from "../../registry/context.ts";
import { type Image, pushContents } from "../../registry/image.ts";
import { hexOf } from "../../registry/oci/digest.ts";
import type { Registry } from "../../registry/registry.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import type { Destination } from "./export_types.ts";

/**
 * Pushes `image` to all of `destinations`, in order. One that fails does not stop the others; no tag moves
 * before everything it needs is there.
 *
 * @throws {LifecycleError} 62 when any failed, after all were tried.
 */
export async function pushToAll(
  image: Image,
  to: Registry,
  destinations: readonly Destination[],
  ctx: Context,
): Promise<void> {
  const { log, signal } = ctx;
  log.info(`Saving ${destinations[0]?.name ?? image.raw.digest}...`);
  const failures = new Map<Destination, unknown>();
  /** What came of the blobs of each repository; they are sent once for all its tags. */
  const contents = new Map<string, Promise<unknown>>();
  for (const destination of destinations) {
    const { repository, tag } = destination;
    try {
      let content = contents.get(repository);
      if (content === undefined) {
        content = push(image, to, repository, ctx);
        contents.set(repository, content);
      }
      await content;
      await to.pushManifest(repository, image.raw, { signal, tags: [tag] });
    } catch (error) {
      signal.throwIfAborted();
      failures.set(destination, error);
    }
  }
  log.info(`*** Images (sha256:${hexOf(image.raw.digest).slice(0, 12)}):`);
  for (const destination of destinations) {
    const error = failures.get(destination);
    const end = error === undefined ? "" : ` - ${messageOf(error)}`;
    log.info(`      ${destination.name}${end}`);
  }
  const failed = [...failures];
  if (failed.length === 0) return;
  throw new LifecycleError(
    ExitCode.export,
    `failed to write image to the following tags: ${
      failed.map(([{ name }, error]) => `[${name}: ${messageOf(error)}]`).join(",")
    }`,
    { cause: failed[0]?.[1] },
  );
}

/** Layers and config; the manifest comes with each tag. */
async function push(image: Image, to: Registry, repository: string, ctx: Context): Promise<void> {
  const meter = ctx.meter(`Saving ${repository}`);
  try {
    await pushContents(image, to, repository, {
      signal: ctx.signal,
      onProgress: (_layer, bytes) => meter.add(bytes),
    });
  } finally {
    meter.end();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
