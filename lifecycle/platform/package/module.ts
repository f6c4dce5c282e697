/** A buildpack or image extension as packages and builders carry it: what the labels say of it, and its layer. */
import { z } from "zod";
import type { Layer } from "../../../registry/image.ts";
import { isDigest } from "../../../registry/oci/digest.ts";
import { LifecycleError } from "../../error.ts";
import { goJson } from "../../file/json.ts";
import { escapeId, type GroupOrder, type Target } from "../../file/module.ts";

/** The two kinds of module. */
export type ModuleKind = "buildpack" | "extension";

/** What labels tell of one module, in their own words. */
export interface ModuleInfo {
  /** Which label it stands in. */
  readonly kind: ModuleKind;
  /** Buildpack API. */
  readonly api: string;
  /** Its id. */
  readonly id: string;
  /** Its version. */
  readonly version: string;
  /** Name for people; empty for none. */
  readonly name: string;
  /** Where to read about it; empty for none. */
  readonly homepage: string;
  /** What it runs on; none: not said. */
  readonly targets: readonly Target[];
  /** Deprecated forerunner of targets. */
  readonly stacks: readonly { readonly id: string; readonly mixins: readonly string[] }[];
  /** Of a composite; empty for one with executables. */
  readonly order: GroupOrder;
}

/** A module with the layer that holds it; a flattened package has several in one layer. */
export interface PackagedModule {
  /** What it is. */
  readonly info: ModuleInfo;
  /** Holds {@linkcode insideOf} the module, and perhaps other modules. */
  readonly layer: Layer;
}

/** Labels by kind of module (BI-2, BP-2). */
export const LAYERS_LABEL = {
  buildpack: "io.buildpacks.buildpack.layers",
  extension: "io.buildpacks.extension.layers",
} as const satisfies Record<ModuleKind, string>;

/** Where modules of a kind lie in an image. */
export const MODULES_DIR = {
  buildpack: "/cnb/buildpacks",
  extension: "/cnb/extensions",
} as const satisfies Record<ModuleKind, string>;

/** Where the module lies in an image: `/cnb/buildpacks/<escaped id>/<version>`. */
export function insideOf(info: Pick<ModuleInfo, "kind" | "id" | "version">): string {
  return `${MODULES_DIR[info.kind]}/${escapeId(info.id)}/${info.version}`;
}

/** A target as labels write it: what is empty is left out. */
function targetJson({ os, arch, variant, distros }: Target): Record<string, unknown> {
  return {
    os: os || undefined,
    arch: arch || undefined,
    variant: variant || undefined,
    distros: distros.length === 0 ? undefined : distros.map(({ name, version }) => ({
      name,
      version: version || undefined,
    })),
  };
}

/** An order as labels write it. */
export function orderJson(order: GroupOrder): readonly Record<string, unknown>[] {
  return order.map(({ group }) => ({
    group: group.map(({ id, version, optional }) => ({
      id,
      version: version || undefined,
      optional: optional || undefined,
    })),
  }));
}

/** The label that says which layer holds which module: id to version to facts, sorted (BI-2). */
export function layersLabel(modules: readonly PackagedModule[]): string {
  const ids = new Map<string, Map<string, unknown>>();
  for (const { info, layer } of modules) {
    const versions = ids.get(info.id) ?? new Map<string, unknown>();
    ids.set(info.id, versions);
    versions.set(info.version, {
      api: info.api,
      stacks: info.stacks.length === 0 ? undefined : info.stacks.map(({ id, mixins }) => ({
        id,
        mixins: mixins.length === 0 ? undefined : mixins,
      })),
      targets: info.targets.length === 0 ? undefined : info.targets.map(targetJson),
      order: info.order.length === 0 ? undefined : orderJson(info.order),
      layerDiffID: layer.diffId,
      homepage: info.homepage || undefined,
      name: info.name || undefined,
    });
  }
  return goJson(ids);
}

const text = z.string().nullish().transform((value) => value ?? "");
const list = <T extends z.ZodType>(of: T) =>
  z.array(of).nullish().transform((value): readonly z.output<T>[] => value ?? []);

/** `[{group:[{id,version,optional}]}]` of a label. */
export const orderLabelSchema: z.ZodType<GroupOrder> = list(z.object({
  group: list(
    z.object({ id: text, version: text, optional: z.boolean().nullish() })
      .transform(({ id, version, optional }) => ({
        id,
        version,
        optional: optional ?? false,
        execEnv: [],
      })),
  ),
}));

const layersSchema = z.record(
  z.string(),
  z.record(
    z.string(),
    z.object({
      api: text,
      stacks: list(z.object({ id: text, mixins: list(z.string()) })),
      targets: list(
        z.object({
          os: text,
          arch: text,
          variant: text,
          distros: list(z.object({ name: text, version: text })),
        }),
      ),
      order: orderLabelSchema,
      layerDiffID: z.string(),
      homepage: text,
      name: text,
    }),
  ),
);

/**
 * Reads the label that {@linkcode layersLabel} writes, as pack's packages and builders have it too.
 *
 * @param label Its text; absent or empty: no modules.
 * @param layers Of the image that carries the label.
 * @param image For messages.
 * @throws {LifecycleError} When it is malformed or names a layer that the image lacks.
 */
export function readLayersLabel(
  kind: ModuleKind,
  label: string | undefined,
  layers: readonly Layer[],
  image: string,
): readonly PackagedModule[] {
  if (!label) return [];
  const name = LAYERS_LABEL[kind];
  const ids = readLabel(layersSchema, label, name, image);
  return Object.entries(ids).flatMap(([id, versions]) =>
    Object.entries(versions).map(([version, { layerDiffID, ...info }]): PackagedModule => {
      const layer = layers.find(({ diffId }) => diffId === layerDiffID);
      if (layer !== undefined) return { info: { kind, id, version, ...info }, layer };
      const seen = isDigest(layerDiffID) ? layerDiffID : JSON.stringify(layerDiffID);
      throw new LifecycleError(
        1,
        `Cannot use ${image}: label ${name} says that ${id}@${version} is in layer ${seen}, and it has no such layer`,
      );
    })
  );
}

/**
 * Reads a JSON label.
 *
 * @throws {LifecycleError} Naming image, label and the first fault.
 */
export function readLabel<T>(schema: z.ZodType<T>, label: string, name: string, image: string): T {
  let json: unknown;
  try {
    json = JSON.parse(label);
  } catch (cause) {
    throw new LifecycleError(1, `Cannot use ${image}: label ${name} is not JSON`, { cause });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new LifecycleError(
    1,
    `Cannot use ${image}: label ${name}: ${issue.path.join(".") || "document"}: ${issue.message}`,
  );
}

/** `id@version` of a module. */
export function keyOf({ id, version }: { readonly id: string; readonly version: string }): string {
  return `${id}@${version}`;
}
