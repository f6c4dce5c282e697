import { z } from "zod";
import { check } from "./document.ts";
import { bomJson } from "../sbom.ts";
import { goJson, parseJson } from "./json.ts";
import type { GroupMember } from "./group_toml.ts";
import type { BuildMetadata } from "./metadata_toml.ts";

/** Which launcher is in an image. */
export interface LauncherVersion {
  /** Of the lifecycle it came with. */
  readonly version: string;
  /** Where its source is. */
  readonly repository: string;
  /** Which source it is. */
  readonly commit: string;
}

/** Options of {@linkcode formatBuildLabel}. */
export interface BuildLabelOptions {
  /** The launcher of the image. */
  readonly launcher: LauncherVersion;
  /** Commands are arrays (P0.10); before, one string each. Default true. */
  readonly commandArray?: boolean | undefined;
  /** Also write the API of each buildpack, as the text of the spec shows and Go does not (D18). */
  readonly withApi?: boolean | undefined;
}

/** What `io.buildpacks.build.metadata` says to someone who inspects an image. */
export interface BuildLabel {
  /** Who took part; `api` is mostly empty. */
  readonly buildpacks: readonly GroupMember[];
  /** Image extensions. */
  readonly extensions: readonly GroupMember[];
  /** Ways to start the app. */
  readonly processes: readonly {
    readonly type: string;
    readonly command: readonly string[];
    readonly args: readonly string[];
    readonly direct: boolean;
    readonly workingDir: string;
    readonly buildpackId: string;
    readonly execEnv: readonly string[];
  }[];
  /** Process type that starts by default; empty: none, or not said. */
  readonly defaultProcessType: string;
  /** The launcher. */
  readonly launcher: LauncherVersion;
}

/** Writes the label `io.buildpacks.build.metadata` as Go does (LB-3). */
export function formatBuildLabel(metadata: BuildMetadata, options: BuildLabelOptions): string {
  const member = (one: GroupMember) => ({
    id: one.id,
    version: one.version,
    api: options.withApi ? one.api : undefined,
    homepage: one.homepage || undefined,
  });
  const { launcher, commandArray = true } = options;
  return goJson({
    bom: metadata.bom && metadata.bom.length > 0 ? metadata.bom.map(bomJson) : undefined,
    buildpacks: metadata.buildpacks.map(member),
    extensions: metadata.extensions.length > 0 ? metadata.extensions.map(member) : undefined,
    launcher: {
      version: launcher.version,
      source: { git: { repository: launcher.repository, commit: launcher.commit } },
    },
    processes: metadata.processes.map((one) => ({
      type: one.type,
      command: commandArray ? one.command : one.command[0] ?? "",
      args: one.args ?? null,
      direct: one.direct,
      buildpackID: one.buildpackId,
      "working-dir": one.workingDir || undefined,
      "exec-env": one.execEnv.length > 0 ? one.execEnv : undefined,
    })),
    "buildpack-default-process-type": metadata.defaultProcessType || undefined,
  });
}

const text = z.string().nullish().transform((seen) => seen ?? "");
const texts = z.array(z.string()).nullish().transform((seen) => seen ?? []);
const members = z.lazy(() =>
  z.array(z.object({ id: text, version: text, api: text, homepage: text }))
    .nullish().transform((seen) => seen ?? [])
);

const schema = z.lazy(() =>
  z.object({
    buildpacks: members,
    extensions: members,
    processes: z.array(z.object({
      type: text,
      // Before P0.10 one string.
      command: z.union([texts, z.string().transform((one) => [one])]),
      args: texts,
      direct: z.boolean().nullish().transform((seen) => seen ?? false),
      "working-dir": text,
      buildpackID: text,
      "exec-env": texts,
    })).nullish().transform((seen) => seen ?? []),
    launcher: z.object({
      version: text,
      source: z.object({ git: z.object({ repository: text, commit: text }).nullish() }).nullish(),
    }).nullish(),
    "buildpack-default-process-type": text,
  })
);

/**
 * Reads the label `io.buildpacks.build.metadata` of any platform API.
 *
 * @throws {FileError} When it is not JSON or has another shape.
 */
export function parseBuildLabel(
  source: string,
  file = "label io.buildpacks.build.metadata",
): BuildLabel {
  const parsed = check(schema, parseJson(source, file), file);
  return {
    buildpacks: parsed.buildpacks,
    extensions: parsed.extensions,
    processes: parsed.processes.map((one) => ({
      type: one.type,
      command: one.command,
      args: one.args,
      direct: one.direct,
      workingDir: one["working-dir"],
      buildpackId: one.buildpackID,
      execEnv: one["exec-env"],
    })),
    defaultProcessType: parsed["buildpack-default-process-type"],
    launcher: {
      version: parsed.launcher?.version ?? "",
      repository: parsed.launcher?.source?.git?.repository ?? "",
      commit: parsed.launcher?.source?.git?.commit ?? "",
    },
  };
}
