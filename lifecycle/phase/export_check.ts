/** The image is checked against itself before anybody can pull it. */
import type { Image } from "../../registry/image.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { algorithmOf, digestOf } from "../../registry/oci/digest.ts";
import { isDockerType } from "../../registry/oci/media_type.ts";
import { ExitCode, LifecycleError } from "../error.ts";

/**
 * Makes sure that manifest, config, layers and history of `image` agree, and that it stands on `base`.
 *
 * @throws {LifecycleError} 62 with the first contradiction: a fault in wherry, never in the input.
 */
export function checkImage(image: Image, base: Image): void {
  for (const what of contradictions(image, base)) throw contradiction(what);
}

/**
 * All that manifest, config, layers and history of `image` say against each other, and against `base` under it.
 *
 * @param below How many of its layers are the base's, for one that is not at hand.
 */
export function* contradictions(
  image: Image,
  base?: Image,
  below: number = base?.layers.length ?? 0,
): Generator<string> {
  const { manifest, config, layers } = image;
  const diffIds = config.rootfs.diff_ids;
  const history = (config.history ?? []).filter((entry) => entry.empty_layer !== true);
  if (manifest.layers.length !== layers.length) {
    yield `${layers.length} layers, ${manifest.layers.length} in the manifest`;
  }
  if (diffIds.length !== layers.length) {
    yield `${layers.length} layers, ${diffIds.length} in the config`;
  }
  if (history.length !== layers.length) {
    yield `${layers.length} layers, ${history.length} in the history`;
  }
  for (const [at, layer] of layers.entries()) {
    const listed = manifest.layers[at]!;
    if (layer.diffId !== diffIds[at]) yield `layer ${at} is not ${diffIds[at]}`;
    if (!same(layer.descriptor, listed)) yield `layer ${at} is not ${say(listed)}`;
    const under = base?.layers[at];
    if (under === undefined) continue;
    if (under.diffId !== layer.diffId) yield `layer ${at} is not the base's ${under.diffId}`;
    // Its media type may have been brought into the family of the others (CF-6).
    const { digest, size } = under.descriptor;
    if (layer.descriptor.digest !== digest || layer.descriptor.size !== size) {
      yield `layer ${at} is not the base's ${say(under.descriptor)}`;
    }
  }
  if (layers.length < below) yield "it lacks layers of its base";
  if (digestOf(image.rawConfig, algorithmOf(manifest.config.digest)) !== manifest.config.digest) {
    yield `its config is not ${manifest.config.digest}`;
  }
  if (image.rawConfig.byteLength !== manifest.config.size) {
    yield `its config is not of ${manifest.config.size} bytes`;
  }
  if (digestOf(image.raw.bytes, algorithmOf(image.raw.digest)) !== image.raw.digest) {
    yield `its manifest is not ${image.raw.digest}`;
  }
  const family = isDockerType(image.raw.mediaType);
  // One family in one image (CF-6), as far as it is ours: a base may have been mixed before.
  const odd = [manifest.config, ...manifest.layers.slice(below)]
    .find(({ mediaType }) => isDockerType(mediaType) !== family);
  if (odd) yield `${odd.mediaType} in a ${image.raw.mediaType}`;
}

function same(a: Descriptor, b: Descriptor): boolean {
  return a.digest === b.digest && a.size === b.size && a.mediaType === b.mediaType;
}

function say({ digest, size, mediaType }: Descriptor): string {
  return `${digest} of ${size} bytes as ${mediaType}`;
}

function contradiction(what: string): LifecycleError {
  return new LifecycleError(ExitCode.export, `Cannot export image: it contradicts itself: ${what}`);
}
