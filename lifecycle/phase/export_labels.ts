/** The labels of the app image as text, byte for byte as Go writes them (13.6). No I/O. */
import { formatBuildLabel, type LauncherVersion } from "../file/build_metadata_label.ts";
import type { BuildMetadata } from "../file/metadata_toml.ts";
import { formatLifecycleLabel, type LifecycleMetadata } from "../file/lifecycle_metadata.ts";
import { formatProjectLabel, type ProjectMetadata } from "../file/project_metadata_toml.ts";

/** Names of the labels the lifecycle sets. */
export const Label = {
  lifecycle: "io.buildpacks.lifecycle.metadata",
  build: "io.buildpacks.build.metadata",
  project: "io.buildpacks.project.metadata",
  execEnv: "io.buildpacks.exec-env",
} as const;

/** What {@linkcode composeLabels} is made of. */
export interface LabelParts {
  /** What the next build may reuse. */
  readonly metadata: LifecycleMetadata;
  /** What the build decided. */
  readonly build: BuildMetadata;
  /** Commands are arrays (P0.10). Default true. */
  readonly commandArray?: boolean | undefined;
  /** What the image carries. */
  readonly launcher: LauncherVersion;
  /** `project-metadata.toml`; absent when there is no such file. */
  readonly project?: ProjectMetadata | undefined;
  /** [P0.15]; absent below. */
  readonly execEnv?: string | undefined;
}

/**
 * All labels to set, in the order they are set: the lifecycle's, then the buildpacks' in their order, a later
 * one of a key winning (LB-1..LB-6).
 *
 * @param refused Told of each label of a buildpack that is left out: `io.buildpacks.` is the lifecycle's, and
 * a buildpack that could write there could make a rebase go wrong (LB-5).
 */
export function composeLabels(
  parts: LabelParts,
  refused: (key: string) => void,
): ReadonlyMap<string, string> {
  const labels = new Map<string, string>([
    [Label.lifecycle, formatLifecycleLabel(parts.metadata)],
    [Label.build, formatBuildLabel(parts.build, parts)],
    [Label.project, formatProjectLabel(parts.project ?? {})],
  ]);
  if (parts.execEnv) labels.set(Label.execEnv, parts.execEnv);
  for (const { key, value } of parts.build.labels) {
    if (key.startsWith("io.buildpacks.")) refused(key);
    else labels.set(key, value);
  }
  return labels;
}
