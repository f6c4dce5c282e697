/** What an image says of itself: labels of the lifecycle, its config and its manifest, as one value. */
import type { Image } from "../../registry/image.ts";
import { type ImageConfig, labelOf } from "../../registry/oci/config.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { formatPlatform } from "../../registry/oci/platform.ts";
import type { RawManifest } from "../../registry/registry.ts";
import { FileError } from "../error.ts";
import { type BuildLabel, parseBuildLabel } from "../file/build_metadata_label.ts";
import {
  type LifecycleMetadata,
  METADATA_LABEL,
  parseLifecycleLabel,
} from "../file/lifecycle_metadata.ts";
import { type LayerKind, layerOwners } from "../inspect/layer_owner.ts";
import { Label } from "../phase/export_labels.ts";
import { DEFAULT_CREATED, formatTime } from "../phase/created.ts";

/** One image, in the keys that pack's `inspect -o json` has, and more. */
export interface ImageInfo {
  /** Of the manifest. */
  readonly digest: string;
  /** The index the image was chosen from; absent for a single image. */
  readonly index?: IndexInfo | undefined;
  /** `linux/amd64`. */
  readonly platform: string;
  /** RFC 3339. */
  readonly created: string;
  /** Whether `created` is the date that builds write who should be the same tomorrow. */
  readonly reproducible: boolean;
  /** Bytes of all blobs, as they travel. */
  readonly size: number;
  /** Deprecated stack id, where the image still has one. */
  readonly stack: string;
  /** Whether a rebase is allowed and can be done. */
  readonly rebasable: boolean;
  /** Why not; empty when it is. */
  readonly rebasable_reason: string;
  /** The base it stands on. */
  readonly base_image: { readonly top_layer: string; readonly reference: string };
  /** The distribution of the base; empty texts where it has none. */
  readonly base_distro: { readonly name: string; readonly version: string };
  /** Names of the run image, mirrors included. */
  readonly run_images: readonly { readonly name: string }[];
  /** Who made it, in order. */
  readonly buildpacks: readonly {
    readonly id: string;
    readonly version: string;
    readonly homepage: string;
  }[];
  /** `null` without any, as pack has it. */
  readonly extensions: readonly { readonly id: string; readonly version: string }[] | null;
  /** What it can start. */
  readonly processes: readonly {
    readonly type: string;
    readonly shell: string;
    readonly command: string;
    readonly default: boolean;
    readonly args: readonly string[];
    readonly "working-dir": string;
    readonly buildpack: string;
  }[];
  /** Bottom to top. */
  readonly layers: readonly {
    readonly digest: string;
    readonly diff_id: string;
    readonly size: number;
    readonly created_by: string;
    readonly kind: LayerKind;
    readonly buildpack: string;
    readonly buildpack_version: string;
    readonly name: string;
  }[];
  /** Version of wherry or the lifecycle whose launcher is inside. */
  readonly launcher_version: string;
  /** DiffID of the layer with the bills of materials; empty when there is none. */
  readonly sbom_layer: string;
}

/** An index, and which of its images was looked at. */
export interface IndexInfo {
  /** Of the index. */
  readonly digest: string;
  /** Its type. */
  readonly media_type: string;
  /** Its images, without attestations. */
  readonly images: readonly { readonly platform: string; readonly digest: string }[];
}

/** Describes an index for {@linkcode ImageInfo.index}. */
export function describeIndex(raw: RawManifest, manifests: readonly Descriptor[]): IndexInfo {
  return {
    digest: raw.digest,
    media_type: raw.mediaType,
    images: manifests.filter(({ platform }) => platform?.os !== "unknown").map((
      { platform, digest },
    ) => ({ platform: formatPlatform(platform), digest })),
  };
}

/** Reads what there is; an image that no buildpack made has empty lists. */
export function describeImage(image: Image, index?: IndexInfo): ImageInfo {
  const { config } = image;
  const metadata = readMetadata(config);
  const build = readBuild(config);
  const entry = config.config.Entrypoint?.[0]?.replace(/^\/cnb\/process\//, "");
  const history = (config.history ?? []).filter((one) => one.empty_layer !== true);
  const paired = history.length === image.layers.length;
  const run = metadata?.runImage;
  const old = metadata?.stack?.runImage;
  const names = run?.image ? run : old;
  const owners = layerOwners(image, metadata);
  const obstacle = rebaseObstacle(image, metadata);
  const created = config.created ?? "";
  return {
    digest: image.raw.digest,
    ...(index === undefined ? {} : { index }),
    platform: formatPlatform(config),
    created,
    reproducible: created === formatTime(DEFAULT_CREATED),
    size: image.layers.reduce(
      (sum, { descriptor }) => sum + descriptor.size,
      image.rawConfig.byteLength,
    ),
    stack: labelOf(config, "io.buildpacks.stack.id") ?? "",
    rebasable: obstacle === "",
    rebasable_reason: obstacle,
    base_image: { top_layer: run?.topLayer ?? "", reference: run?.reference ?? "" },
    base_distro: {
      name: labelOf(config, "io.buildpacks.base.distro.name") ??
        labelOf(config, "io.buildpacks.stack.distro.name") ?? "",
      version: labelOf(config, "io.buildpacks.base.distro.version") ??
        labelOf(config, "io.buildpacks.stack.distro.version") ?? "",
    },
    run_images: [names?.image, ...(names?.mirrors ?? [])].filter((name) => name).map((name) => ({
      name: name!,
    })),
    buildpacks: build.buildpacks.map(moduleInfo),
    extensions: build.extensions.length > 0 ? build.extensions.map(moduleInfo) : null,
    processes: build.processes.map((one) => {
      const [command = "", ...args] = one.command;
      const fallback = build.defaultProcessType;
      return {
        type: one.type,
        shell: one.direct ? "" : "bash",
        command,
        default: one.type === (entry !== undefined && !entry.startsWith("/") ? entry : fallback),
        args: [...args, ...one.args],
        "working-dir": one.workingDir || config.config.WorkingDir || "",
        buildpack: one.buildpackId,
      };
    }),
    layers: image.layers.map(({ descriptor, diffId }, at) => ({
      digest: descriptor.digest,
      diff_id: diffId,
      size: descriptor.size,
      created_by: paired ? history[at]?.created_by ?? "" : "",
      kind: owners[at]!.kind,
      buildpack: owners[at]!.buildpack,
      buildpack_version: owners[at]!.version,
      name: owners[at]!.name,
    })),
    launcher_version: build.launcher.version,
    sbom_layer: metadata?.sbom?.sha ?? "",
  };
}

function moduleInfo(
  { id, version, homepage }: { id: string; version: string; homepage: string },
): { readonly id: string; readonly version: string; readonly homepage: string } {
  return { id, version, homepage };
}

/** Why a rebase cannot be done whatever the new base is; empty when nothing speaks against it (RB-1, RB-5, RB-7). */
function rebaseObstacle(image: Image, metadata: LifecycleMetadata | undefined): string {
  if (labelOf(image.config, METADATA_LABEL) === undefined) {
    return `no label ${METADATA_LABEL}: no buildpacks made it`;
  }
  if (metadata === undefined) return `its label ${METADATA_LABEL} cannot be read`;
  if (labelOf(image.config, "io.buildpacks.rebasable") === "false") {
    return "its label io.buildpacks.rebasable is false";
  }
  const { topLayer } = metadata.runImage;
  if (topLayer === "") return "it stands on no run image";
  const there = image.layers.some(({ diffId }) => diffId === topLayer);
  return there ? "" : "the last layer of its run image is not in it";
}

/** The metadata label; `undefined` without one, and for somebody else's under our name. */
export function readMetadata(config: ImageConfig): LifecycleMetadata | undefined {
  const label = labelOf(config, METADATA_LABEL);
  return label === undefined ? undefined : readable(() => parseLifecycleLabel(label));
}

function readBuild(config: ImageConfig): BuildLabel {
  const label = labelOf(config, Label.build) ?? "{}";
  // Somebody else's label: there is nothing to show, and nothing depends on it.
  return readable(() => parseBuildLabel(label)) ?? parseBuildLabel("{}");
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FileError) return undefined;
    throw error;
  }
}
