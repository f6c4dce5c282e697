/** What an image says of itself: labels of the lifecycle, its config and its manifest, as one value. */
import { z } from "zod";
import type { Image } from "../../registry/image.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { formatPlatform } from "../../registry/oci/platform.ts";
import { parseLifecycleLabel } from "../file/lifecycle_metadata.ts";
import { METADATA_LABEL } from "../phase/analyze.ts";

/** One image, in the keys that pack's `inspect -o json` has, and more. */
export interface ImageInfo {
  /** Of the manifest. */
  readonly digest: string;
  /** `linux/amd64`. */
  readonly platform: string;
  /** RFC 3339. */
  readonly created: string;
  /** Bytes of all blobs, as they travel. */
  readonly size: number;
  /** Deprecated stack id, where the image still has one. */
  readonly stack: string;
  /** Whether a rebase is allowed. */
  readonly rebasable: boolean;
  /** The base it stands on. */
  readonly base_image: { readonly top_layer: string; readonly reference: string };
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
  }[];
  /** Bottom to top. */
  readonly layers: readonly {
    readonly digest: string;
    readonly diff_id: string;
    readonly size: number;
    readonly created_by: string;
  }[];
  /** Version of wherry or the lifecycle whose launcher is inside. */
  readonly launcher_version: string;
}

const text = z.string().nullish().transform((value) => value ?? "");
const moduleSchema = z.object({ id: text, version: text, homepage: text });
const buildSchema = z.object({
  buildpacks: z.array(moduleSchema).nullish(),
  extensions: z.array(moduleSchema).nullish(),
  launcher: z.object({ version: text }).nullish(),
  "buildpack-default-process-type": text,
  processes: z.array(z.object({
    type: text,
    command: z.union([z.string(), z.array(z.string())]),
    args: z.array(z.string()).nullish(),
    direct: z.boolean().default(false),
    "working-dir": text,
  })).nullish(),
});

/** Reads what there is; an image that no buildpack made has empty lists. */
export function describeImage(image: Image): ImageInfo {
  const { config } = image;
  const label = labelOf(config, METADATA_LABEL);
  const metadata = label === undefined ? undefined : parseLifecycleLabel(label);
  const build = readBuildLabel(labelOf(config, "io.buildpacks.build.metadata"));
  const fallback = build["buildpack-default-process-type"];
  const entry = config.config.Entrypoint?.[0]?.replace(/^\/cnb\/process\//, "");
  const history = (config.history ?? []).filter((one) => one.empty_layer !== true);
  const paired = history.length === image.layers.length;
  const run = metadata?.runImage;
  return {
    digest: image.raw.digest,
    platform: formatPlatform(config),
    created: config.created ?? "",
    size: image.layers.reduce(
      (sum, { descriptor }) => sum + descriptor.size,
      image.rawConfig.byteLength,
    ),
    stack: labelOf(config, "io.buildpacks.stack.id") ?? "",
    rebasable: labelOf(config, "io.buildpacks.rebasable") !== "false" &&
      (run?.topLayer ?? "") !== "",
    base_image: { top_layer: run?.topLayer ?? "", reference: run?.reference ?? "" },
    run_images: [run?.image, ...(run?.mirrors ?? [])].filter((name) => name).map((name) => ({
      name: name!,
    })),
    buildpacks: build.buildpacks ?? [],
    extensions: build.extensions?.length ? build.extensions : null,
    processes: (build.processes ?? []).map((one) => {
      const [command = "", ...args] = typeof one.command === "string" ? [one.command] : one.command;
      return {
        type: one.type,
        shell: one.direct ? "" : "bash",
        command,
        default: one.type === (entry !== undefined && !entry.startsWith("/") ? entry : fallback),
        args: [...args, ...(one.args ?? [])],
        "working-dir": one["working-dir"] || config.config.WorkingDir || "",
      };
    }),
    layers: image.layers.map(({ descriptor, diffId }, at) => ({
      digest: descriptor.digest,
      diff_id: diffId,
      size: descriptor.size,
      created_by: paired ? history[at]?.created_by ?? "" : "",
    })),
    launcher_version: build.launcher?.version ?? "",
  };
}

function readBuildLabel(label: string | undefined): z.infer<typeof buildSchema> {
  const empty = buildSchema.parse({});
  if (label === undefined) return empty;
  try {
    return buildSchema.parse(JSON.parse(label));
  } catch {
    return empty; // somebody else's label: there is nothing to show, and nothing depends on it
  }
}
