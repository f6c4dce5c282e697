/** Which module made a layer of a builder or of a package: they have labels of their own. */
import type { Image } from "../../registry/image.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { BUILDER_LABELS, DIRECTORIES_LAYER } from "../platform/package/builder.ts";
import { insideOf, keyOf, LAYERS_LABEL, readLayersLabel } from "../platform/package/module.ts";
import type { LayerOwner } from "./layer_owner.ts";

/** The owner of each layer, bottom to top; `undefined` for an image that is neither builder nor package. */
export function moduleOwners(image: Image): readonly LayerOwner[] | undefined {
  const { config, layers } = image;
  const isBuilder = labelOf(config, BUILDER_LABELS.metadata) !== undefined;
  const labels = (["buildpack", "extension"] as const)
    .map((kind) => [kind, labelOf(config, LAYERS_LABEL[kind])] as const);
  if (!isBuilder && labels.every(([, label]) => label === undefined)) return undefined;
  const modules = labels.flatMap(([kind, label]) => {
    try {
      return readLayersLabel(kind, label, layers, "image");
    } catch {
      return []; // somebody else's under our name: its layers are nobody's
    }
  });
  const history = (config.history ?? []).filter((one) => one.empty_layer !== true);
  const words = layers.map((_, at) =>
    history.length === layers.length ? history[at]?.created_by ?? "" : ""
  );
  const base = isBuilder ? words.indexOf(DIRECTORIES_LAYER) : -1;
  return layers.map(({ diffId }, at) => {
    const held = modules.filter(({ layer }) => layer.diffId === diffId).map(({ info }) => info);
    const [only] = held;
    if (only !== undefined && held.length === 1) {
      const { id, version } = only;
      return { kind: "buildpack", buildpack: id, version, name: "", dir: insideOf(only) };
    }
    // A flattened layer holds several.
    if (only !== undefined) {
      return { kind: "buildpack", buildpack: held.map(keyOf).join(", "), version: "", name: "" };
    }
    if (at < base) return { kind: "build-image", buildpack: "", version: "", name: "" };
    const kind = isBuilder ? "builder" : "unknown";
    return { kind, buildpack: "", version: "", name: base < 0 ? "" : words[at]! };
  });
}
