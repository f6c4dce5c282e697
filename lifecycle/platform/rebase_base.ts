/** The image that others are put on: read once, however many there are. */
import type { Context } from "../../registry/context.ts";
import { waitFor } from "../../registry/client/retry.ts";
import { TransportError } from "../../registry/client/transport_error.ts";
import { type Image, readImage } from "../../registry/image.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { OciError } from "../../registry/oci/error.ts";
import { isIndexType } from "../../registry/oci/media_type.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import { bytesSource } from "../../registry/source.ts";
import type { RawManifest, Reader } from "../../registry/registry.ts";

/** How a base is opened. */
export interface OpenBaseOptions {
  /**
   * Its config is wanted at any rate: where there is nothing to choose, it comes while others wait for that of the app. A
   * fleet that has nothing to do is better off without.
   */
  readonly early?: boolean | undefined;
  /** Its config, if an earlier command read it. */
  readonly known?: ((digest: Digest) => Promise<Uint8Array<ArrayBuffer> | undefined>) | undefined;
  /** Pauses; replaced in tests. */
  readonly wait?: ((ms: number, signal: AbortSignal | undefined) => Promise<void>) | undefined;
}

/** Where a base lies. */
export interface BasePlace {
  /** The place. */
  readonly registry: Reader;
  /** The repository in it. */
  readonly repository: string;
  /** Tag or digest. */
  readonly reference: string;
  /** The image's name as its users know it: what an app's label is compared with. */
  readonly name: string;
  /** The name without tag and digest: goes before `@sha256:...` in the label. */
  readonly repositoryName: string;
  /** Names it is known by besides: where it was copied from. */
  readonly alsoKnownAs?: readonly string[] | undefined;
}

/** A new base, opened: its digest does not change any more, whatever its tag does. */
export interface NewBase {
  /** Where it lies. */
  readonly place: BasePlace;
  /** Of the document its name led to: an image's or an index's. */
  readonly digest: Digest;
  /** The image for a platform; the same object each time. An index without one throws. */
  image(platform: Platform): Promise<Image>;
}

/** The pauses between tries to open a base (RB-3), in milliseconds. */
const PAUSES: readonly number[] = [100, 200, 500, 1000, 2000];
/** Answers that another try would not change (RB-3). */
const FINAL: readonly number[] = [400, 401, 403, 405, 429];

/**
 * Opens a base. What cannot be read is tried six times, unless the registry's answer was a plain refusal: a run image
 * that was pushed this minute may not be everywhere yet (RB-3).
 *
 * @throws {OciError} When it is not there, cannot be read, or has no layer.
 */
export async function openBase(
  place: BasePlace,
  ctx: Pick<Context, "signal" | "log">,
  { early = false, known, wait = waitFor }: OpenBaseOptions = {},
): Promise<NewBase> {
  const { signal } = ctx;
  const raw = await persistently(
    async () => {
      const found = await place.registry.manifest(place.repository, place.reference, {
        signal,
        withConfig: early,
      });
      if (found === undefined) throw notFound(place);
      return found;
    },
    ctx,
    wait,
  );
  const images = new Map<string, Promise<Image>>();
  const fixed = remembering(place.registry, place.reference, raw, known);
  const only = isIndexType(raw.mediaType) ? undefined : ANY;
  const read = (platform: Platform) => readBase(fixed, place, raw.digest, platform, signal);
  // Once: nobody may be left that wants it, when it is tried again.
  const ahead = early && only !== undefined ? read(only) : undefined;
  ahead?.catch(() => {});
  const image = (platform: Platform) => {
    const { os, architecture, variant = "" } = only ?? platform;
    const key = `${os}/${architecture}/${variant}`;
    let image = images.get(key);
    if (image === undefined) {
      const again = () => persistently(() => read(platform), ctx, wait);
      images.set(key, image = ahead === undefined ? again() : ahead.catch(again));
    }
    return image;
  };
  return { place, digest: raw.digest, image };
}

/** A single image is taken for what it is. */
const ANY: Platform = { os: "", architecture: "" };

async function readBase(
  registry: Reader,
  place: BasePlace,
  digest: Digest,
  platform: Platform,
  signal: AbortSignal,
): Promise<Image> {
  const image = await readImage(registry, place.repository, digest, platform, { signal });
  if (image === undefined) throw notFound(place);
  if (image.layers.length === 0) {
    throw new LifecycleError(
      ExitCode.failure,
      `Cannot use ${place.name} as a base: it has no layer`,
    );
  }
  // Its layers lie where the place is, not in the reader that remembers a manifest.
  const origin = { registry: place.registry, repository: place.repository };
  return { ...image, layers: image.layers.map((layer) => ({ ...layer, origin })) };
}

/** The same place; the manifest that was read already is not asked for again. */
function remembering(
  registry: Reader,
  reference: string,
  raw: RawManifest,
  known: OpenBaseOptions["known"],
): Reader {
  return {
    manifest: async (repository, wanted, options) =>
      wanted === raw.digest || wanted === reference
        ? raw
        : await registry.manifest(repository, wanted, options),
    stat: (repository, wanted, options) => registry.stat(repository, wanted, options),
    blob: async (repository, digest, options) => {
      const bytes = await known?.(digest);
      return bytes === undefined
        ? await registry.blob(repository, digest, options)
        : bytesSource(bytes);
    },
  };
}

/** Tries as often as RB-3 says. */
export async function persistently<T>(
  act: () => Promise<T>,
  { signal, log }: Pick<Context, "signal" | "log">,
  wait: (ms: number, signal: AbortSignal | undefined) => Promise<void> = waitFor,
): Promise<T> {
  for (let at = 0;; at++) {
    try {
      return await act();
    } catch (error) {
      signal.throwIfAborted();
      const pause = PAUSES[at];
      // Where nobody listens, the client has tried long enough.
      const final = error instanceof OciError &&
        (FINAL.includes(error.status) || error.cause instanceof TransportError);
      if (pause === undefined || final) throw error;
      log.debug(`${error instanceof Error ? error.message : error}; again in ${pause} ms`);
      await wait(pause, signal);
    }
  }
}

/** Exit 1, as the lifecycle has it (RB-2). */
function notFound({ name }: BasePlace): OciError {
  const message = `Cannot find run image ${JSON.stringify(name)}: it is not there`;
  return Object.assign(new OciError("MANIFEST_UNKNOWN", message), { exitCode: 1 });
}
