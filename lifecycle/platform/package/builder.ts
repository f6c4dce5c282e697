/** Builder images: what their labels say, and how one is put together (21.2). No I/O. */
import { z } from "zod";
import { compareBytes } from "../../../registry/compare_bytes.ts";
import { type Image, type Layer, makeImage } from "../../../registry/image.ts";
import { envOf, type History, type ImageConfig, labelOf } from "../../../registry/oci/config.ts";
import { LifecycleError } from "../../error.ts";
import { goJson } from "../../file/json.ts";
import type { RunImageNames } from "../../file/lifecycle_metadata.ts";
import type { GroupElement, GroupOrder } from "../../file/module.ts";
import {
  keyOf,
  LAYERS_LABEL,
  layersLabel,
  type ModuleInfo,
  orderJson,
  orderLabelSchema,
  type PackagedModule,
  readLabel,
  readLayersLabel,
} from "./module.ts";
import { DEFAULT_CREATED, formatTime } from "../../phase/created.ts";

/** What the history of a builder calls its first layer: below it is the build image. */
export const DIRECTORIES_LAYER = "directories";

/** Names of the labels of a builder (BI-2). */
export const BUILDER_LABELS = {
  metadata: "io.buildpacks.builder.metadata",
  order: "io.buildpacks.buildpack.order",
  orderExtensions: "io.buildpacks.buildpack.order-extensions",
  system: "io.buildpacks.buildpack.system",
  stackId: "io.buildpacks.stack.id",
  mixins: "io.buildpacks.stack.mixins",
} as const;

/** API versions a lifecycle speaks. */
export interface ApiSets {
  /** Of buildpacks. */
  readonly buildpack: ApiSet;
  /** Of platforms. */
  readonly platform: ApiSet;
}

/** One family of versions, oldest first. */
export interface ApiSet {
  /** Still spoken, with a warning. */
  readonly deprecated: readonly string[];
  /** Spoken. */
  readonly supported: readonly string[];
}

/** Everything the labels of a builder say. */
export interface BuilderInfo {
  /** For people. */
  readonly description: string;
  /** Who made it. */
  readonly createdBy: { readonly name: string; readonly version: string };
  /** The lifecycle inside. */
  readonly lifecycle: { readonly version: string; readonly apis: ApiSets };
  /** Run images, best first. */
  readonly runImages: readonly RunImageNames[];
  /** Deprecated stack; empty for none. */
  readonly stackId: string;
  /** Its mixins. */
  readonly mixins: readonly string[];
  /** Modules with their layers. */
  readonly modules: readonly PackagedModule[];
  /** Which of them are named for people, in the order of the label. */
  readonly listed: readonly { readonly id: string; readonly version: string }[];
  /** Groups of buildpacks. */
  readonly order: GroupOrder;
  /** Groups of extensions. */
  readonly orderExtensions: GroupOrder;
  /** Around every group. */
  readonly system: {
    readonly pre: readonly GroupElement[];
    readonly post: readonly GroupElement[];
  };
  /** Build user. */
  readonly owner: { readonly uid: number; readonly gid: number };
}

const text = z.string().nullish().transform((value) => value ?? "");
const texts = z.array(z.string()).nullish().transform((value): readonly string[] => value ?? []);
const named = z.object({ image: text, mirrors: texts });
const apiSet = z.object({ deprecated: texts, supported: texts }).nullish()
  .transform((value) => value ?? { deprecated: [], supported: [] });
const metadataSchema = z.object({
  description: text,
  buildpacks: z.array(z.object({ id: text, version: text })).nullish(),
  stack: z.object({ runImage: named.nullish() }).nullish(),
  images: z.array(named).nullish(),
  lifecycle: z.object({
    version: text,
    api: z.object({ buildpack: text, platform: text }).nullish(),
    apis: z.object({ buildpack: apiSet, platform: apiSet }).nullish(),
  }).nullish(),
  createdBy: z.object({ name: text, version: text }).nullish(),
});
const elements = z.array(
  z.object({ id: text, version: text, optional: z.boolean().nullish() }).transform((one) => ({
    id: one.id,
    version: one.version,
    optional: one.optional ?? false,
    execEnv: [],
  })),
).nullish().transform((value): readonly GroupElement[] => value ?? []);
const side = z.object({ buildpacks: elements }).nullish().transform((value) =>
  value?.buildpacks ?? []
);
const systemSchema = z.object({ pre: side, post: side });

/**
 * Reads a builder, pack's as well as ours.
 *
 * @param name For messages.
 * @throws {LifecycleError} When it is none.
 */
export function readBuilder(image: Image, name: string): BuilderInfo {
  const { config, layers } = image;
  const label = labelOf(config, BUILDER_LABELS.metadata);
  if (label === undefined) {
    throw new LifecycleError(
      1,
      `Cannot use ${name}: it is no builder, it has no label ${BUILDER_LABELS.metadata}`,
    );
  }
  const meta = readLabel(metadataSchema, label, BUILDER_LABELS.metadata, name);
  const order = (key: string): GroupOrder => {
    const value = labelOf(config, key);
    return value ? readLabel(orderLabelSchema, value, key, name) : [];
  };
  const system = labelOf(config, BUILDER_LABELS.system);
  const mixins = labelOf(config, BUILDER_LABELS.mixins);
  const old = meta.lifecycle?.api;
  const apis = meta.lifecycle?.apis ?? {
    buildpack: { deprecated: [], supported: old?.buildpack ? [old.buildpack] : [] },
    platform: { deprecated: [], supported: old?.platform ? [old.platform] : [] },
  };
  const runImage = meta.stack?.runImage;
  return {
    description: meta.description,
    createdBy: meta.createdBy ?? { name: "", version: "" },
    lifecycle: { version: meta.lifecycle?.version ?? "", apis },
    runImages: meta.images && meta.images.length > 0
      ? meta.images
      : runImage?.image
      ? [runImage]
      : [],
    stackId: labelOf(config, BUILDER_LABELS.stackId) ?? "",
    mixins: mixins ? readLabel(texts, mixins, BUILDER_LABELS.mixins, name) : [],
    modules: (["buildpack", "extension"] as const).flatMap((kind) =>
      readLayersLabel(kind, labelOf(config, LAYERS_LABEL[kind]), layers, name)
    ),
    listed: meta.buildpacks ?? [],
    order: order(BUILDER_LABELS.order),
    orderExtensions: order(BUILDER_LABELS.orderExtensions),
    system: system ? readLabel(systemSchema, system, BUILDER_LABELS.system, name) : {
      pre: [],
      post: [],
    },
    owner: buildOwner(config, name),
  };
}

/**
 * The build user of a build image: `CNB_USER_ID` and `CNB_GROUP_ID` (IM-1).
 *
 * @throws {LifecycleError} When it says none.
 */
export function buildOwner(
  config: ImageConfig,
  name: string,
): { readonly uid: number; readonly gid: number } {
  const id = (variable: string): number => {
    const value = envOf(config, variable);
    if (value !== undefined && /^\d{1,9}$/.test(value)) return Number(value);
    throw new LifecycleError(
      1,
      `Cannot use ${name} as build image: ${variable} is ${
        value === undefined ? "not set" : JSON.stringify(value)
      } in its environment, want a number`,
    );
  };
  return { uid: id("CNB_USER_ID"), gid: id("CNB_GROUP_ID") };
}

/** A layer that is put on the base, with what its history says. */
export interface BuilderLayer {
  /** The layer. */
  readonly layer: Layer;
  /** `created_by`. */
  readonly createdBy: string;
}

/** What a builder is put together from. */
export interface BuilderParts {
  /** The build image. */
  readonly base: Image;
  /** What goes on it, bottom to top. */
  readonly layers: readonly BuilderLayer[];
  /** What its labels shall say. */
  readonly info: Omit<BuilderInfo, "owner" | "mixins">;
  /** More labels; they never change those of wherry. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Puts a builder together. The same parts make the same bytes. */
export function assembleBuilder({ base, layers, info, labels }: BuilderParts): Image {
  const created = formatTime(DEFAULT_CREATED);
  const all = {
    ...base.config.config.Labels,
    ...labels,
    ...builderLabels(info),
  };
  const config: ImageConfig = {
    ...base.config,
    created,
    config: {
      ...base.config.config,
      WorkingDir: "/layers",
      Labels: Object.fromEntries(Object.entries(all).sort(([a], [b]) => compareBytes(a, b))),
    },
    history: [
      ...historyOf(base),
      ...layers.map(({ createdBy }) => ({ created, created_by: createdBy })),
    ],
  };
  return makeImage(config, [...base.layers, ...layers.map(({ layer }) => layer)], base);
}

/** One entry a layer; blank ones where the base's history does not fit its layers. */
export function historyOf(image: Image): readonly History[] {
  const entries = (image.config.history ?? []).filter((entry) => entry.empty_layer !== true);
  if (entries.length === image.layers.length) return entries;
  return image.layers.map(() => ({ created: formatTime(DEFAULT_CREATED) }));
}

/** The labels that `info` makes, without those that stay the base's. */
export function builderLabels(info: Omit<BuilderInfo, "owner" | "mixins">): Record<string, string> {
  const of = (kind: ModuleInfo["kind"]) => info.modules.filter((one) => one.info.kind === kind);
  const extensions = of("extension");
  const { system } = info;
  return {
    [BUILDER_LABELS.metadata]: metadataLabel(info),
    [LAYERS_LABEL.buildpack]: layersLabel(of("buildpack")),
    [BUILDER_LABELS.order]: goJson(orderJson(info.order)),
    ...(extensions.length > 0 ? { [LAYERS_LABEL.extension]: layersLabel(extensions) } : {}),
    ...(info.orderExtensions.length > 0
      ? { [BUILDER_LABELS.orderExtensions]: goJson(orderJson(info.orderExtensions)) }
      : {}),
    ...(system.pre.length + system.post.length > 0
      ? { [BUILDER_LABELS.system]: goJson(systemJson(system)) }
      : {}),
    ...(info.stackId === "" ? {} : { [BUILDER_LABELS.stackId]: info.stackId }),
  };
}

function systemJson({ pre, post }: BuilderInfo["system"]): unknown {
  const side = (group: readonly GroupElement[]) =>
    group.length === 0 ? undefined : { buildpacks: orderJson([{ group }])[0]!["group"] };
  return { pre: side(pre), post: side(post) };
}

function metadataLabel(info: Omit<BuilderInfo, "owner" | "mixins">): string {
  const listed = (kind: ModuleInfo["kind"]) =>
    info.modules.filter((one) => one.info.kind === kind)
      .map(({ info: { id, version, homepage, name } }) => ({
        id,
        version,
        homepage: homepage || undefined,
        name: name || undefined,
      }))
      .sort((a, b) => compareBytes(keyOf(a), keyOf(b)));
  const names = ({ image, mirrors }: RunImageNames) => ({
    image,
    mirrors: mirrors.length === 0 ? null : mirrors,
  });
  const [first] = info.runImages;
  const { apis, version } = info.lifecycle;
  const extensions = listed("extension");
  return goJson({
    description: info.description,
    buildpacks: listed("buildpack"),
    extensions: extensions.length > 0 ? extensions : undefined,
    stack: { runImage: first ? names(first) : { image: "", mirrors: null } },
    images: info.runImages.map(names),
    lifecycle: {
      version,
      // What readers of before `apis` look at: the oldest buildpack and the newest platform version.
      api: {
        buildpack: apis.buildpack.supported[0],
        platform: apis.platform.supported.at(-1),
      },
      apis: {
        buildpack: { deprecated: apis.buildpack.deprecated, supported: apis.buildpack.supported },
        platform: { deprecated: apis.platform.deprecated, supported: apis.platform.supported },
      },
    },
    createdBy: info.createdBy,
  });
}
