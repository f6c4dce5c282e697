/** Makes a builder image: directories, lifecycle, modules, order and run images on a build image (BI-1, BI-3). */
import type { Context } from "../../../registry/context.ts";
import type { Image, Layer } from "../../../registry/image.ts";
import type { TreeEntry } from "../../../registry/layer/entry.ts";
import { filesLayer } from "../../../registry/layer/fixed_layers.ts";
import { labelOf } from "../../../registry/oci/config.ts";
import { parsePlace } from "../../../registry/oci/reference.ts";
import { compareBytes } from "../../../registry/compare_bytes.ts";
import { LifecycleError } from "../../error.ts";
import type { BuilderDescriptor, BuilderEnv } from "../../file/builder_toml.ts";
import type { GroupElement, GroupOrder } from "../../file/module.ts";
import { formatOrderToml } from "../../file/order_toml.ts";
import { formatRunToml } from "../../file/run_toml.ts";
import { formatStackToml } from "../../file/stack_toml.ts";
import { formatSystemToml } from "../../file/system_toml.ts";
import {
  type ApiSets,
  assembleBuilder,
  BUILDER_LABELS,
  type BuilderInfo,
  type BuilderLayer,
  buildOwner,
  DIRECTORIES_LAYER,
} from "./builder.ts";
import { compareVersions } from "../module_version.ts";
import type { FoundModule } from "./locate.ts";
import { keyOf, type ModuleInfo, type PackagedModule } from "./module.ts";
import { type LayerPlace, layModules, type ModuleDir, planToLayers } from "./module_dir.ts";

/** The lifecycle that a builder gets. */
export interface BuilderLifecycle {
  /** For people. */
  readonly version: string;
  /** What it speaks. */
  readonly apis: ApiSets;
  /** What lies in `/cnb/lifecycle`, and the link `/lifecycle`. */
  readonly entries: () => Iterable<TreeEntry>;
}

/** What a builder is made from. */
export interface CreateBuilder {
  /** What was asked for. */
  readonly descriptor: BuilderDescriptor;
  /** The build image. */
  readonly base: Image;
  /** For messages. */
  readonly baseName: string;
  /** All modules. */
  readonly modules: readonly FoundModule[];
  /** The lifecycle. */
  readonly lifecycle: BuilderLifecycle;
  /** More labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** Modules of each list share a layer: `id@version`. */
  readonly flatten: readonly (readonly string[])[];
  /** Who makes it. */
  readonly createdBy: { readonly name: string; readonly version: string };
  /** Where new layers are kept. */
  readonly place: LayerPlace;
}

/**
 * Makes a builder. The same input makes the same bytes.
 *
 * @throws {LifecycleError} When the order names what is not there, an API is not spoken, or the base is no build image.
 */
export async function createBuilder(act: CreateBuilder, ctx: Context): Promise<Image> {
  const { descriptor, base, baseName, lifecycle } = act;
  const owner = buildOwner(base.config, baseName);
  if (owner.uid === 0) {
    throw new LifecycleError(
      1,
      `Cannot use ${baseName} as build image: CNB_USER_ID is 0, and buildpacks do not run as root`,
    );
  }
  const stackId = checkStack(descriptor, base, baseName);
  const infos = act.modules.map(({ info }) => info);
  for (const info of infos) checkApi(info, lifecycle);
  const order = settle(descriptor.order, infos, "buildpack", "order");
  const orderExtensions = settle(
    descriptor.orderExtensions,
    infos,
    "extension",
    "order-extensions",
  );
  const [{ group: pre }, { group: post }] = settle(
    [{ group: descriptor.system.pre }, { group: descriptor.system.post }],
    infos,
    "buildpack",
    "system",
  ) as [GroupOrder[number], GroupOrder[number]];
  const system = { pre, post };

  const modules = await layAll(act, ctx);
  const own = await planToLayers(
    [
      {
        id: "builder:directories",
        createdBy: DIRECTORIES_LAYER,
        entries: () => directories(owner),
      },
      { id: "builder:lifecycle", createdBy: "lifecycle", entries: lifecycle.entries },
      ...configFiles(descriptor, { order, orderExtensions, system }),
    ],
    act.place,
    ctx,
  );
  const [dirs, life, ...files] = own.map(({ layer, plan }): BuilderLayer => ({
    layer,
    createdBy: plan.createdBy,
  }));
  return assembleBuilder({
    base,
    layers: [dirs!, life!, ...moduleLayers(modules), ...files],
    info: {
      description: descriptor.description,
      createdBy: act.createdBy,
      lifecycle: { version: lifecycle.version, apis: lifecycle.apis },
      runImages: descriptor.runImages,
      stackId,
      modules,
      listed: infos,
      order,
      orderExtensions,
      system,
    },
    labels: act.labels,
  });
}

/** One entry a layer, buildpacks before extensions, each sorted. */
function moduleLayers(modules: readonly PackagedModule[]): readonly BuilderLayer[] {
  const layers = new Map<string, { layer: Layer; names: string[] }>();
  for (const { info, layer } of modules) {
    const known = layers.get(layer.diffId) ?? { layer, names: [] };
    known.names.push(`${info.kind} ${keyOf(info)}`);
    layers.set(layer.diffId, known);
  }
  return [...layers.values()].map(({ layer, names }) => ({ layer, createdBy: names.join(", ") }));
}

async function layAll(act: CreateBuilder, ctx: Context): Promise<readonly PackagedModule[]> {
  const sorted = [...act.modules].sort((a, b) =>
    compareBytes(a.info.kind, b.info.kind) || compareBytes(keyOf(a.info), keyOf(b.info))
  );
  const dirs = sorted.filter((one): one is ModuleDir => "dirs" in one);
  const groups: ModuleDir[][] = [];
  for (const wanted of act.flatten) {
    const group = wanted.map((key) => {
      const found = dirs.find(({ info }) => keyOf(info) === key);
      if (found !== undefined) return found;
      throw new LifecycleError(
        3,
        `Cannot flatten ${key}: the builder has ${
          sorted.map(({ info }) => keyOf(info)).join(", ")
        }`,
      );
    });
    groups.push(group);
  }
  const flat = new Set(groups.flat());
  for (const dir of dirs) if (!flat.has(dir)) groups.push([dir]);
  const laid = await layModules(groups, act.place, ctx);
  const all = [...laid, ...sorted.filter((one): one is PackagedModule => "layer" in one)];
  return sorted.map(({ info }) => all.find((one) => one.info === info)!);
}

function checkApi({ kind, api, ...module }: ModuleInfo, { apis, version }: BuilderLifecycle): void {
  const known = [...apis.buildpack.deprecated, ...apis.buildpack.supported];
  if (known.includes(api)) return;
  throw new LifecycleError(
    12,
    `Cannot use ${kind} ${keyOf(module)}: its API is ${
      JSON.stringify(api)
    }, and lifecycle ${version} speaks ${known.join(", ")}`,
  );
}

function checkStack(descriptor: BuilderDescriptor, base: Image, baseName: string): string {
  const has = labelOf(base.config, BUILDER_LABELS.stackId) ?? "";
  const { stackId } = descriptor;
  if (stackId !== "" && has !== "" && stackId !== has) {
    throw new LifecycleError(
      1,
      `Cannot make a builder of stack ${JSON.stringify(stackId)}: build image ${baseName} has ${
        JSON.stringify(has)
      }`,
    );
  }
  return stackId || has;
}

/** An order with every version filled in: the only one there is, or the newest. */
function settle(
  order: GroupOrder,
  modules: readonly ModuleInfo[],
  kind: ModuleInfo["kind"],
  key: string,
): GroupOrder {
  return order.map(({ group }) => ({
    group: group.map((element): GroupElement => {
      const same = modules.filter((one) => one.kind === kind && one.id === element.id);
      const found = element.version === ""
        ? same.sort((a, b) => compareVersions(a.version, b.version)).at(-1)
        : same.find(({ version }) => version === element.version);
      if (found !== undefined) return { ...element, version: found.version };
      const wanted = element.version === "" ? element.id : keyOf(element);
      const have = (same.length > 0 ? same : modules.filter((one) => one.kind === kind))
        .map((one) => keyOf(one)).join(", ");
      throw new LifecycleError(
        1,
        `Cannot make a builder: ${key} names ${wanted}, and the builder has ${
          have || `no ${kind}`
        }`,
      );
    }),
  }));
}

const ROOT = { uid: 0, gid: 0 };

function directory(name: string, owner: { readonly uid: number; readonly gid: number }): TreeEntry {
  return { ...owner, name, type: "directory", mode: 0o755, size: 0 };
}

/** Directories of a builder; the two that builds write to belong to the build user. */
function directories(owner: { readonly uid: number; readonly gid: number }): readonly TreeEntry[] {
  return [
    directory("/cnb", ROOT),
    directory("/cnb/build-config", ROOT),
    directory("/cnb/build-config/env", ROOT),
    directory("/cnb/buildpacks", ROOT),
    directory("/cnb/extensions", ROOT),
    directory("/layers", owner),
    directory("/platform", ROOT),
    directory("/platform/env", ROOT),
    directory("/workspace", owner),
  ];
}

function configFiles(
  descriptor: BuilderDescriptor,
  { order, orderExtensions, system }: Pick<BuilderInfo, "order" | "orderExtensions" | "system">,
) {
  const { buildImage, runImages } = descriptor;
  // A path of this machine has no meaning for whoever gets the builder, and would change its digest.
  const named = buildImage !== "" && parsePlace(buildImage).kind === "registry" ? buildImage : "";
  const text = (content: string) => new TextEncoder().encode(content);
  const one = (name: string, content: string) => ({
    id: `builder:${name}`,
    createdBy: name,
    entries: () => filesLayer(new Map([[`/cnb/${name}`, text(content)]]), { owner: ROOT }),
  });
  const env = envFiles(descriptor.env);
  return [
    orderFile(order, orderExtensions),
    ...(system.pre.length + system.post.length > 0
      ? [one("system.toml", formatSystemToml(system))]
      : []),
    ...(runImages.length > 0
      ? [one("stack.toml", formatStackToml({ runImage: runImages[0], buildImage: named }))]
      : []),
    ...(runImages.length > 0 ? [one("run.toml", formatRunToml({ images: runImages }))] : []),
    ...(env.size > 0
      ? [{
        id: "builder:build-config",
        createdBy: "build-config",
        entries: () =>
          filesLayer(new Map([...env].map(([name, value]) => [name, text(value)])), {
            owner: ROOT,
          }),
      }]
      : []),
  ];
}

/** `order.toml` as a layer of a builder. */
export function orderFile(order: GroupOrder, orderExtensions: GroupOrder) {
  const bytes = new TextEncoder().encode(formatOrderToml({ order, orderExtensions }));
  return {
    id: "builder:order.toml",
    createdBy: ORDER_LAYER,
    entries: () => filesLayer(new Map([["/cnb/order.toml", bytes]]), { owner: ROOT }),
  };
}

/** What the history of a builder calls the layer with its order. */
export const ORDER_LAYER = "order.toml";

/** `/cnb/build-config/env/<NAME>.<suffix>`, and the delimiter beside it. */
function envFiles(env: readonly BuilderEnv[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const { name, value, suffix, delim } of env) {
    const file = `/cnb/build-config/env/${name}${suffix === "" ? "" : `.${suffix}`}`;
    files.set(file, value);
    if (delim !== "") files.set(`/cnb/build-config/env/${name}.delim`, delim);
  }
  return files;
}
