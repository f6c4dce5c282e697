/** Layers of image extensions, as they come into the app image: between the run image and the buildpacks (13.2). */
import type { Context } from "../../registry/context.ts";
import type { Layer } from "../../registry/image.ts";
import { rewriteLayer } from "../../registry/layer/rewrite.ts";
import { uploadTar } from "../../registry/layer/write_layer.ts";
import { OciError } from "../../registry/oci/error.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import type { LayerStore } from "./export_types.ts";
import type { ExtendedImage } from "./extended_image.ts";
import type { RunImage } from "./analyze_types.ts";

/** A layer of an extension, ready to be pushed. */
export interface MadeExtensionLayer {
  /** It. */
  readonly layer: Layer;
  /** For the history. */
  readonly createdBy: string;
}

/**
 * Brings the layers of extensions into `store`, rewritten so that the same content makes the same layer (TA-8).
 *
 * @throws {LifecycleError} 62 when they stand on another image than `run`: applied to this one they would mean
 * something else.
 */
export async function makeExtensionLayers(
  extended: ExtendedImage,
  run: RunImage,
  options: {
    readonly store: LayerStore;
    readonly repository: string;
    readonly compression: "gzip" | "zstd";
  },
  ctx: Context,
): Promise<readonly MadeExtensionLayer[]> {
  const { store, repository, compression } = options;
  run.image.layers.forEach(({ diffId }, at) => {
    if (extended.base[at] === diffId) return;
    throw new LifecycleError(
      ExitCode.export,
      `Cannot use the extended run image: it stands on ${extended.base[at] ?? "fewer layers"}, ` +
        `run image ${run.reference} has ${diffId} there`,
    );
  });
  const made: MadeExtensionLayer[] = [];
  for (const [at, { createdBy, open, diffId: before }] of extended.layers.entries()) {
    const { signal } = ctx;
    const meter = ctx.meter(`extension layer ${at + 1}`);
    const upload = await store.upload(repository, { signal, resumable: false });
    try {
      const source = await open();
      const tar = rewriteLayer(await source.open({ signal }), { signal });
      const { diffId, descriptor } = await uploadTar(tar, upload, {
        compression,
        signal,
        onProgress: (bytes) => meter.add(bytes),
      });
      ctx.log.debug(`Layer ${before} of an extension is ${diffId} in the image`);
      await store.rememberLayer(diffId, descriptor);
      const blob = async () => {
        const found = await store.blob(repository, descriptor.digest, { verify: false });
        if (found !== undefined) return found;
        throw new OciError(
          "BLOB_UNKNOWN",
          `Cannot read layer ${descriptor.digest}: it left ${store.name}`,
        );
      };
      const origin = { registry: store, repository };
      made.push({ layer: { diffId, descriptor, blob, origin }, createdBy });
    } catch (error) {
      await upload.abort();
      throw error;
    } finally {
      meter.end();
    }
  }
  return made;
}
