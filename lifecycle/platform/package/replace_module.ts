/** Another version of a buildpack in a builder: one layer and the labels change, all else stays what it is. */
import type { Context } from "../../../registry/context.ts";
import { type Image, type Layer, makeImage } from "../../../registry/image.ts";
import { compareBytes } from "../../../registry/compare_bytes.ts";
import { LifecycleError } from "../../error.ts";
import type { GroupElement, GroupOrder } from "../../file/module.ts";
import { type BuilderInfo, builderLabels, historyOf, readBuilder } from "./builder.ts";
import { ORDER_LAYER, orderFile } from "./create_builder.ts";
import type { FoundModule } from "./locate.ts";
import { keyOf, type ModuleInfo, type PackagedModule } from "./module.ts";
import { type LayerPlace, layModules, type ModuleDir, planToLayers } from "./module_dir.ts";
import { DEFAULT_CREATED, formatTime } from "../../phase/created.ts";

/** What is to be changed. */
export interface ReplaceModules {
  /** The builder. */
  readonly old: Image;
  /** For messages. */
  readonly oldName: string;
  /** What it shall hold: each takes the place of those with its id, or comes besides. */
  readonly modules: readonly FoundModule[];
  /** More labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** Where new layers are kept. */
  readonly place: LayerPlace;
}

/** What became of it. */
export interface Replaced {
  /** The new builder. */
  readonly image: Image;
  /** A line for each change. */
  readonly changes: readonly string[];
}

/**
 * Replaces modules. Layers of what is replaced are taken away, not covered.
 *
 * @throws {LifecycleError} When a module shares its layer with others, or there is nothing in the builder to replace.
 */
export async function replaceModules(act: ReplaceModules, ctx: Context): Promise<Replaced> {
  const { old, oldName, place } = act;
  const info = readBuilder(old, oldName);
  const fresh = act.modules.map((one) => one.info);
  if (!fresh.some((one) => info.modules.some(({ info: has }) => sameId(has, one)))) {
    throw new LifecycleError(
      1,
      `Cannot change ${oldName}: it has no ${fresh.map(({ id }) => id).join(", ")}, only ${
        info.modules.map((one) => keyOf(one.info)).join(", ") || "no modules"
      }`,
    );
  }
  const gone = info.modules.filter((one) => fresh.some((module) => sameId(one.info, module)));
  const stay = info.modules.filter((one) => !gone.includes(one));
  for (const one of gone) {
    const shared = stay.find(({ layer }) => layer.diffId === one.layer.diffId);
    if (shared === undefined) continue;
    throw new LifecycleError(
      1,
      `Cannot replace ${keyOf(one.info)} of ${oldName}: its layer holds ${
        keyOf(shared.info)
      } too (the builder is flattened)`,
    );
  }
  const dirs = act.modules.filter((one): one is ModuleDir => "dirs" in one);
  const laid = [
    ...await layModules(dirs.map((one) => [one]), place, ctx),
    ...act.modules.filter((one): one is PackagedModule => "layer" in one),
  ];
  const modules = [...stay, ...laid].sort((a, b) =>
    compareBytes(a.info.kind, b.info.kind) || compareBytes(keyOf(a.info), keyOf(b.info))
  );
  const renew = (order: GroupOrder) => renewOrder(order, gone, fresh);
  const [{ group: pre }, { group: post }] = renew([
    { group: info.system.pre },
    { group: info.system.post },
  ]) as [GroupOrder[number], GroupOrder[number]];
  const next: BuilderInfo = {
    ...info,
    modules,
    order: renew(info.order),
    orderExtensions: renew(info.orderExtensions),
    system: { pre, post },
  };
  // A composite of the builder may name an old version inside of its own layer: that cannot be changed here.
  for (const { info: has } of stay) checkStillThere(has, gone, fresh, oldName);
  const stack = exchange(old, gone, laid);
  if (JSON.stringify(next.order) !== JSON.stringify(info.order)) {
    await renewOrderFile(stack, next, place, ctx);
  }
  const { config } = old;
  const image = makeImage(
    {
      ...config,
      history: stack.map(({ history }) => history),
      config: {
        ...config.config,
        Labels: Object.fromEntries(
          Object.entries({ ...config.config.Labels, ...act.labels, ...builderLabels(next) })
            .sort(([a], [b]) => compareBytes(a, b)),
        ),
      },
    },
    stack.map(({ layer }) => layer),
    old,
  );
  const kept = image.layers.filter((layer) =>
    old.layers.some((one) => one.diffId === layer.diffId)
  );
  return {
    image,
    changes: [
      ...fresh.map((module) => {
        const before = gone.filter((one) => sameId(one.info, module)).map((one) =>
          one.info.version
        );
        return before.length === 0
          ? `Added ${keyOf(module)}`
          : `Replaced ${module.id} ${before.join(", ")} with ${module.version}`;
      }),
      `${kept.length} of ${image.layers.length} layers are those of ${oldName}`,
    ],
  };
}

function sameId(a: ModuleInfo, b: ModuleInfo): boolean {
  return a.kind === b.kind && a.id === b.id;
}

function renewOrder(
  order: GroupOrder,
  gone: readonly PackagedModule[],
  fresh: readonly ModuleInfo[],
): GroupOrder {
  return order.map(({ group }) => ({
    group: group.map((element): GroupElement => {
      const leaves = gone.some(({ info }) =>
        info.id === element.id && info.version === element.version
      );
      const [first] = fresh.filter(({ id }) => id === element.id);
      return leaves && first !== undefined ? { ...element, version: first.version } : element;
    }),
  }));
}

function checkStillThere(
  has: ModuleInfo,
  gone: readonly PackagedModule[],
  fresh: readonly ModuleInfo[],
  oldName: string,
): void {
  for (const { id, version, optional } of has.order.flatMap(({ group }) => group)) {
    const leaves = gone.some(({ info }) => info.id === id && info.version === version);
    if (optional || !leaves || fresh.some((one) => one.id === id && one.version === version)) {
      continue;
    }
    throw new LifecycleError(
      1,
      `Cannot replace ${id}@${version} of ${oldName}: ${
        keyOf(has)
      } names that version; want a ${has.id} with the new one too (--buildpack)`,
    );
  }
}

interface Storey {
  layer: Layer;
  history: NonNullable<Image["config"]["history"]>[number];
}

/** Layers with their history; a new one where the old one of its id was, others above the last old module. */
function exchange(
  old: Image,
  gone: readonly PackagedModule[],
  laid: readonly PackagedModule[],
): Storey[] {
  const created = formatTime(DEFAULT_CREATED);
  const history = historyOf(old);
  const stack: Storey[] = [];
  const put = new Set<string>();
  const add = (one: PackagedModule) => {
    if (put.has(one.layer.diffId)) return;
    put.add(one.layer.diffId);
    const names = laid.filter(({ layer }) => layer.diffId === one.layer.diffId)
      .map(({ info }) => `${info.kind} ${keyOf(info)}`);
    stack.push({ layer: one.layer, history: { created, created_by: names.join(", ") } });
  };
  for (const [at, layer] of old.layers.entries()) {
    const leaving = gone.filter((one) => one.layer.diffId === layer.diffId);
    if (leaving.length === 0) {
      stack.push({ layer, history: history[at]! });
      continue;
    }
    for (const one of laid) if (leaving.some(({ info }) => sameId(info, one.info))) add(one);
  }
  const last = stack.findLastIndex(({ layer }) => put.has(layer.diffId));
  const above = stack.splice(last + 1);
  for (const one of laid) add(one);
  stack.push(...above);
  return stack;
}

/** `order.toml` names versions, so it changes with them. */
async function renewOrderFile(
  stack: Storey[],
  next: BuilderInfo,
  place: LayerPlace,
  ctx: Context,
): Promise<void> {
  const plan = orderFile(next.order, next.orderExtensions);
  const [made] = await planToLayers([plan], place, ctx);
  const created = formatTime(DEFAULT_CREATED);
  const storey = { layer: made!.layer, history: { created, created_by: ORDER_LAYER } };
  const at = stack.findLastIndex(({ history }) => history.created_by === ORDER_LAYER);
  // A builder that others made does not say which layer it is: the new one covers it.
  if (at < 0) stack.push(storey);
  else stack[at] = storey;
}
