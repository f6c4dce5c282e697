import assert from "node:assert/strict";
import { type Image, makeImage } from "../../registry/image.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { LifecycleError } from "../error.ts";
import { checkImage } from "./export_check.ts";
import { runImage } from "./export_testing.ts";

const other = digestOf(new Uint8Array([1]));

function exported(): { readonly base: Image; readonly image: Image } {
  const base = runImage();
  const layer = { ...base.layers[0]!, diffId: other };
  const history = [{ created_by: "base" }, { created_by: "empty", empty_layer: true }, {
    created_by: "mine",
  }];
  return { base, image: makeImage({ ...base.config, history }, [base.layers[0]!, layer], base) };
}

Deno.test("an image that agrees with itself and its base passes", () => {
  const { base, image } = exported();
  checkImage(image, base);
});

const BROKEN: readonly (readonly [string, (image: Image) => Image])[] = [
  ["a layer less in the manifest", (image) => ({
    ...image,
    manifest: { ...image.manifest, layers: image.manifest.layers.slice(1) },
  })],
  ["a layer less", (image) => ({ ...image, layers: image.layers.slice(1) })],
  ["a diffID less in the config", (image) => ({
    ...image,
    config: {
      ...image.config,
      rootfs: { type: "layers", diff_ids: image.config.rootfs.diff_ids.slice(1) },
    },
  })],
  ["history less", (image) => ({
    ...image,
    config: { ...image.config, history: image.config.history?.slice(1) },
  })],
  ["layers turned round", (image) => ({ ...image, layers: image.layers.toReversed() })],
  ["another size", (image) => ({
    ...image,
    layers: image.layers.map((layer) => ({
      ...layer,
      descriptor: { ...layer.descriptor, size: layer.descriptor.size + 1 },
    })),
  })],
  ["another media type in the manifest", (image) => ({
    ...image,
    manifest: {
      ...image.manifest,
      layers: image.manifest.layers.map((one) => ({ ...one, mediaType: MediaType.ociLayer })),
    },
  })],
  ["a type of Docker's among OCI's", (image) => {
    const typed = <T extends { readonly mediaType: string }>(one: T) => ({
      ...one,
      mediaType: MediaType.dockerLayerGzip,
    });
    return {
      ...image,
      layers: image.layers.map((layer, at) =>
        at === 0 ? layer : { ...layer, descriptor: typed(layer.descriptor) }
      ),
      manifest: {
        ...image.manifest,
        layers: image.manifest.layers.map((one, at) => at === 0 ? one : typed(one)),
      },
    };
  }],
  ["another config", (image) => ({ ...image, rawConfig: new Uint8Array([123, 125]) })],
  ["another manifest", (image) => ({ ...image, raw: { ...image.raw, digest: other } })],
];

for (const [why, change] of BROKEN) {
  Deno.test(`a contradiction is found before the push: ${why}`, () => {
    const { base, image } = exported();
    assert.throws(
      () => checkImage(change(image), base),
      (error) => error instanceof LifecycleError && error.exitCode === 62,
    );
  });
}

Deno.test("an image that does not stand on its base is found", () => {
  const { base, image } = exported();
  const [bottom] = base.layers;
  const { descriptor } = bottom!;
  for (
    const changed of [
      { diffId: other },
      { descriptor: { ...descriptor, digest: other } },
      { descriptor: { ...descriptor, size: descriptor.size + 1 } },
    ]
  ) {
    const wrong = { ...base, layers: [{ ...bottom!, ...changed }] };
    assert.throws(() => checkImage(image, wrong), /the base's/, JSON.stringify(changed));
  }
});
