/** What images of buildpacks need besides themselves, from their labels alone: a bundle has to hold it too. */
import type { Image } from "../../registry/image.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { METADATA_LABEL, parseLifecycleLabel } from "../file/lifecycle_metadata.ts";
import { BUILDER_LABELS, readBuilder } from "./package/builder.ts";

/** An image that another one needs. */
export interface NeededImage {
  /** The first of its names; the others are mirrors that hold the same. */
  readonly names: readonly string[];
  /** What for. */
  readonly role: "run";
}

/** Run images of a builder with their mirrors; the run image an app stands on, for a rebase. */
export function needsOf(image: Image, name: string): readonly NeededImage[] {
  if (labelOf(image.config, BUILDER_LABELS.metadata) !== undefined) {
    return readBuilder(image, name).runImages.map(({ image, mirrors }) => ({
      names: [image, ...mirrors],
      role: "run",
    }));
  }
  const label = labelOf(image.config, METADATA_LABEL);
  if (label === undefined) return [];
  const { runImage, stack } = parseLifecycleLabel(label);
  const known = runImage.image ? runImage : stack?.runImage;
  return known?.image ? [{ names: [known.image, ...known.mirrors ?? []], role: "run" }] : [];
}
