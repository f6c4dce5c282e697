/** Gives the image its names: blobs, config, manifest, then one tag after the other (SV-1). */
import type { Context } from "../../registry/context.ts";
import { type Image, type Layer, pushContents, pushLayer } from "../../registry/image.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import type { Registry } from "../../registry/registry.ts";
import { bytesSource } from "../../registry/source.ts";
import { ExitCode, LifecycleError, messageOf } from "../error.ts";
import type { Destination } from "./export_types.ts";

/** Layers under way to one repository at once. */
const CONCURRENCY = 4;

/**
 * Layers on their way to a repository while others are still being made. What fails is told by
 * {@linkcode done}; disposing stops what is under way and waits for its end.
 */
export interface EarlyPush extends AsyncDisposable {
  /** The repository. */
  readonly repository: string;
  /** Sends a layer as soon as there is a free slot; each content once. */
  add(layer: Layer): void;
  /** Resolves when all that was added is there; rejects with the first failure, in order of adding. */
  done(): Promise<void>;
}

/** Starts to push to `repository`. Nobody can pull anything of it before a manifest is there. */
export function startPush(to: Registry, repository: string, ctx: Context): EarlyPush {
  const stop = new AbortController();
  const signal = AbortSignal.any([ctx.signal, stop.signal]);
  const moves = new Map<Digest, Promise<unknown>>();
  const meter = ctx.meter(`Saving ${repository}`);
  const waiting: (() => void)[] = [];
  let free = CONCURRENCY;
  const push = async (layer: Layer) => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else free--;
    try {
      signal.throwIfAborted();
      await pushLayer(layer, to, repository, {
        signal,
        onProgress: (_layer, bytes) => meter.add(bytes),
      });
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
  return {
    repository,
    add(layer) {
      const { digest } = layer.descriptor;
      if (moves.has(digest)) return;
      const move = push(layer);
      move.catch(() => {}); // told by done()
      moves.set(digest, move);
    },
    async done() {
      for (const move of moves.values()) await move;
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new DOMException("the export ended", "AbortError"));
      await Promise.allSettled(moves.values());
      meter.end();
    },
  };
}

/**
 * Pushes `image` to all of `destinations`, in order. One that fails does not stop the others; no tag moves
 * before everything it needs is there.
 *
 * @param early Has, or will have, all layers of the image in its repository.
 * @throws {LifecycleError} 62 when any failed, after all were tried.
 */
export async function pushToAll(
  image: Image,
  to: Registry,
  destinations: readonly Destination[],
  early: EarlyPush,
  ctx: Context,
): Promise<void> {
  const { log, signal } = ctx;
  const [first] = destinations;
  log.info(`Saving ${first === undefined ? image.raw.digest : labelOf(first)}...`);
  const failures = new Map<Destination, unknown>();
  /** What came of the blobs of each repository; they are sent once for all its tags. */
  const contents = new Map<string, Promise<unknown>>();
  for (const destination of destinations) {
    const { repository, tag } = destination;
    try {
      let content = contents.get(repository);
      if (content === undefined) {
        content = repository === early.repository
          ? finishEarly(image, to, early, signal)
          : pushContents(image, to, repository, { signal });
        contents.set(repository, content);
      }
      await content;
      await to.pushManifest(repository, image.raw, {
        signal,
        tags: tag === undefined ? [] : [tag],
      });
    } catch (error) {
      signal.throwIfAborted();
      failures.set(destination, error);
    }
  }
  // The whole digest, as the Go lifecycle says it for a registry: scripts take it from here (LOG-7).
  log.info(`*** Images (${image.raw.digest}):`);
  for (const destination of destinations) {
    const error = failures.get(destination);
    const end = error === undefined ? "" : ` - ${messageOf(error)}`;
    log.info(`      ${labelOf(destination)}${end}`);
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

/** One of several platforms' images has no name of its own: that is the index's, once all are there. */
function labelOf({ name, tag }: Destination): string {
  return tag === undefined ? `${name} (by its digest alone)` : name;
}

async function finishEarly(
  image: Image,
  to: Registry,
  early: EarlyPush,
  signal: AbortSignal,
): Promise<void> {
  await early.done();
  const { config } = image.manifest;
  await to.pushBlob(early.repository, config, bytesSource(image.rawConfig), { signal });
}
