/** The labels of the app image as text, byte for byte as Go writes them (13.6). No I/O. */
import type { BuildMetadata } from "../file/metadata_toml.ts";
import { formatLifecycleLabel, type LifecycleMetadata } from "../file/lifecycle_metadata.ts";
import { goJson, goMap } from "../file/json.ts";
import type { Launcher } from "./export_types.ts";

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
  /** What the image carries. */
  readonly launcher: Pick<Launcher, "version" | "repository" | "commit">;
  /** `[source]` of `project-metadata.toml`; absent when there is no such file. */
  readonly projectSource?: Readonly<Record<string, unknown>> | undefined;
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
    [Label.build, formatBuildLabel(parts.build, parts.launcher)],
    [Label.project, formatProjectLabel(parts.projectSource)],
  ]);
  if (parts.execEnv) labels.set(Label.execEnv, parts.execEnv);
  for (const { key, value } of parts.build.labels) {
    if (key.startsWith("io.buildpacks.")) refused(key);
    else labels.set(key, value);
  }
  return labels;
}

/** `io.buildpacks.build.metadata` (LB-3). */
export function formatBuildLabel(
  build: BuildMetadata,
  launcher: LabelParts["launcher"],
): string {
  const members = (list: BuildMetadata["buildpacks"]) =>
    list.map(({ id, version, homepage }) => ({ id, version, homepage: homepage || undefined }));
  const processes = build.processes.map((process) => ({
    type: process.type,
    command: process.command,
    args: process.args ?? null,
    direct: process.direct,
    "working-dir": process.workingDir || undefined,
    buildpackID: process.buildpackId,
    "exec-env": process.execEnv.length > 0 ? process.execEnv : undefined,
  }));
  return goJson({
    buildpacks: members(build.buildpacks),
    extensions: build.extensions.length > 0 ? members(build.extensions) : undefined,
    launcher: {
      version: launcher.version,
      source: {
        git: { repository: launcher.repository ?? "", commit: launcher.commit ?? "" },
      },
    },
    processes: processes.length > 0 ? processes : null, // Go's empty list
    "buildpack-default-process-type": build.defaultProcessType || undefined,
  });
}

/** `io.buildpacks.project.metadata` (PMD-1, LB-4). */
export function formatProjectLabel(
  source: Readonly<Record<string, unknown>> | undefined,
): string {
  if (source === undefined) return "{}";
  return goJson({
    source: {
      type: source["type"] || undefined,
      version: goMap(source["version"]),
      metadata: goMap(source["metadata"]),
    },
  });
}
