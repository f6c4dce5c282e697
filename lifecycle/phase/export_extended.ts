/** Layers of image extensions, as they come into the app image: between the run image and the buildpacks (13.2). */
import type { Context } from "../../registry/context.ts";
import type { Layer } from "../../registry/image.ts";
import { decompress } from "../../registry/layer/decompress.ts";
import { rewriteLayer } from "../../registry/layer/rewrite.ts";
import { uploadTar } from "../../registry/layer/write_layer.ts";
import { type Digest, Digester } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { OciError } from "../../registry/oci/error.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import type { LayerStore } from "./export_types.ts";
import type { ExtendedImage, ExtensionLayer } from "./extended_image.ts";
import type { RunImage } from "./analyze_types.ts";

/** A layer of an extension, ready to be pushed. */
export interface MadeExtensionLayer {
  /** It. */
  readonly layer: Layer;
  /** For the history. */
  readonly createdBy: string;
}

/**
 * Brings the layers of extensions into `store`, rewritten so that the same content makes the same layer (TA-8). Where
 * that would change nothing they are copied: compressing them again would be nearly all of the work.
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
  for (const [at, extension] of extended.layers.entries()) {
    const { createdBy } = extension;
    const meter = ctx.meter(`extension layer ${at + 1}`);
    const onProgress = (bytes: number) => meter.add(bytes);
    try {
      const { diffId, descriptor } = await isNormal(extension, compression, ctx.signal)
        ? await copyLayer(extension, store, repository, ctx.signal, onProgress)
        : await remakeLayer(extension, store, repository, compression, ctx.signal, onProgress);
      ctx.log.debug(`Layer ${extension.diffId} of an extension is ${diffId} in the image`);
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
    } finally {
      meter.end();
    }
  }
  return made;
}

/** Whether the layer is what it would be made into; says that only of one whose diffID is right. */
async function isNormal(
  { own, descriptor: { mediaType }, diffId, open }: ExtensionLayer,
  compression: "gzip" | "zstd",
  signal: AbortSignal,
): Promise<boolean> {
  if (mediaType !== (compression === "gzip" ? MediaType.ociLayerGzip : MediaType.ociLayerZstd)) {
    return false;
  }
  if (own) return true;
  const before = new Digester();
  const after = new Digester();
  const source = await open();
  const packed = await source.open({ signal });
  const tar = ReadableStream.from((async function* () {
    for await (const chunk of decompress(packed, { signal })) {
      before.update(chunk);
      yield chunk;
    }
  })());
  for await (const chunk of rewriteLayer(tar, { signal })) after.update(chunk);
  return before.digest() === diffId && after.digest() === diffId;
}

type Made = Pick<Layer, "diffId" | "descriptor">;

async function copyLayer(
  { diffId, descriptor, open }: ExtensionLayer,
  store: LayerStore,
  repository: string,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<Made> {
  const { mediaType, digest, size } = descriptor;
  await store.pushBlob(repository, descriptor, await open(), { signal, onProgress });
  return { diffId: diffId as Digest, descriptor: { mediaType, digest, size } };
}

async function remakeLayer(
  { open }: ExtensionLayer,
  store: LayerStore,
  repository: string,
  compression: "gzip" | "zstd",
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<Made> {
  const upload = await store.upload(repository, { signal, resumable: false });
  try {
    const source = await open();
    const tar = rewriteLayer(await source.open({ signal }), { signal });
    return await uploadTar(tar, upload, { compression, signal, onProgress });
  } catch (error) {
    await upload.abort();
    throw error;
  }
}
