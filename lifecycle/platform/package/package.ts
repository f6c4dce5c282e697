/** Packages: one buildpack or extension with its parts, as an image (BP-1, BP-2). No I/O. */
import { z } from "zod";
import { compareBytes } from "../../../registry/compare_bytes.ts";
import { type Image, makeImage } from "../../../registry/image.ts";
import { type ImageConfig, labelOf } from "../../../registry/oci/config.ts";
import type { Platform } from "../../../registry/oci/descriptor.ts";
import { LifecycleError } from "../../error.ts";
import { goJson } from "../../file/json.ts";
import {
  keyOf,
  LAYERS_LABEL,
  layersLabel,
  type ModuleInfo,
  type ModuleKind,
  type PackagedModule,
  readLabel,
  readLayersLabel,
} from "./module.ts";
import { DEFAULT_CREATED, formatTime } from "../../phase/created.ts";

/** Labels that say which module a package is for. */
const METADATA_LABELS = {
  buildpack: "io.buildpacks.buildpackage.metadata",
  extension: "io.buildpacks.extension.metadata",
} as const satisfies Record<ModuleKind, string>;

/** What a package is made of. */
export interface PackageParts {
  /** The module it is for; among `modules`. */
  readonly main: ModuleInfo;
  /** All of them with their layers, in any order. */
  readonly modules: readonly PackagedModule[];
  /** What it is for. */
  readonly platform: Platform;
  /** More labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/**
 * Makes a package. The same modules make the same bytes, whatever their order: layers are sorted by id and version.
 *
 * @throws {LifecycleError} When an order names a module that is not there.
 */
export function makePackage({ main, modules, platform, labels }: PackageParts): Image {
  checkOrder(main, modules);
  const sorted = [...modules].sort((a, b) => compareBytes(keyOf(a.info), keyOf(b.info)));
  const layers = uniqueLayers(sorted);
  const created = formatTime(DEFAULT_CREATED);
  const own = {
    [METADATA_LABELS[main.kind]]: metadataLabel(main),
    [LAYERS_LABEL[main.kind]]: layersLabel(sorted),
  };
  const { os, architecture, variant } = platform;
  const config: ImageConfig = {
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    created,
    config: {
      Labels: Object.fromEntries(
        Object.entries({ ...labels, ...own }).sort(([a], [b]) => compareBytes(a, b)),
      ),
    },
    rootfs: { type: "layers", diff_ids: [] },
    history: layers.map(({ diffId }) => ({
      created,
      created_by: sorted.filter((one) => one.layer.diffId === diffId)
        .map(({ info }) => `${info.kind} ${keyOf(info)}`).join(", "),
    })),
  };
  return makeImage(config, layers);
}

/** Layers without repetition, in order: a flattened one holds several modules. */
export function uniqueLayers(modules: readonly PackagedModule[]): PackagedModule["layer"][] {
  return [...new Map(modules.map(({ layer }) => [layer.diffId, layer])).values()];
}

function metadataLabel({ id, version, name, homepage, stacks }: ModuleInfo): string {
  return goJson({
    id,
    name: name || undefined,
    version,
    homepage: homepage || undefined,
    stacks: stacks.length === 0 ? undefined : stacks.map(({ id, mixins }) => ({
      id,
      mixins: mixins.length === 0 ? undefined : mixins,
    })),
  });
}

/** Every part a composite tries has to be there, as deep as composites nest (BP-2). */
function checkOrder(main: ModuleInfo, modules: readonly PackagedModule[]): void {
  const seen = new Set<string>();
  const visit = (info: ModuleInfo) => {
    if (seen.has(keyOf(info))) return;
    seen.add(keyOf(info));
    for (const { id, version, optional } of info.order.flatMap(({ group }) => group)) {
      const found = modules.filter((one) =>
        one.info.id === id && (version === "" || one.info.version === version)
      );
      if (found.length === 0 && !optional) throw missing(info, id, version, modules);
      for (const one of found) visit(one.info);
    }
  };
  visit(main);
}

function missing(
  info: ModuleInfo,
  id: string,
  version: string,
  modules: readonly PackagedModule[],
): LifecycleError {
  const wanted = version === "" ? id : `${id}@${version}`;
  const have = modules.map((one) => keyOf(one.info)).filter((key) => key !== keyOf(info));
  return new LifecycleError(
    1,
    `Cannot package ${keyOf(info)}: its order names ${wanted}, and it has ${
      have.join(", ") || "no parts"
    }; want it among [[dependencies]] of package.toml`,
  );
}

/** A package that was read. */
export interface Package {
  /** The module it is for. */
  readonly main: ModuleInfo;
  /** All modules in it, it included. */
  readonly modules: readonly PackagedModule[];
}

const metadataSchema = z.looseObject({ id: z.string(), version: z.string() });

/**
 * Reads a package, pack's as well as ours.
 *
 * @param name For messages.
 * @throws {LifecycleError} When `image` is none, or its labels contradict each other.
 */
export function readPackage(image: Image, name: string): Package {
  for (const kind of ["buildpack", "extension"] as const) {
    const label = labelOf(image.config, METADATA_LABELS[kind]);
    if (label === undefined) continue;
    const { id, version } = readLabel(metadataSchema, label, METADATA_LABELS[kind], name);
    const modules = readLayersLabel(
      kind,
      labelOf(image.config, LAYERS_LABEL[kind]),
      image.layers,
      name,
    );
    const main = modules.find(({ info }) => info.id === id && info.version === version);
    if (main !== undefined) return { main: main.info, modules };
    throw new LifecycleError(
      1,
      `Cannot use ${name}: it says it is ${id}@${version}, and label ${
        LAYERS_LABEL[kind]
      } has no such ${kind}`,
    );
  }
  throw new LifecycleError(
    1,
    `Cannot use ${name}: it is no package, it has no label ${METADATA_LABELS.buildpack}`,
  );
}
