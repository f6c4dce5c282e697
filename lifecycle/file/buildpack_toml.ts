import { z } from "zod";
import { flag, name, parseDocument, table, text, texts } from "./document.ts";
import {
  execEnv,
  type GroupOrder,
  groupOrder,
  moduleId,
  moduleVersion,
  orderTables,
  type Target,
  targets,
} from "./module.ts";
import { formatToml, type TomlTable } from "./toml.ts";

/** A licence of a buildpack. */
export interface License {
  /** SPDX identifier. */
  readonly type: string;
  /** Where its text is. */
  readonly uri: string;
}

/** A stack, the deprecated forerunner of targets. */
export interface Stack {
  /** Its id, or `*`. */
  readonly id: string;
  /** Packages it must have. */
  readonly mixins: readonly string[];
}

/** `buildpack.toml`. With an `order` it is a composite and has no executables (BPT-3). */
export interface BuildpackDescriptor {
  /** Buildpack API version. */
  readonly api: string;
  /** Its id. */
  readonly id: string;
  /** Its version; empty when the file does not say. */
  readonly version: string;
  /** Name for people. */
  readonly name: string;
  /** Where to read about it. */
  readonly homepage: string;
  /** What it does. */
  readonly description: string;
  /** For searching. */
  readonly keywords: readonly string[];
  /** Licences. */
  readonly licenses: readonly License[];
  /** User-provided variables are kept from it (ENV-3). */
  readonly clearEnv: boolean;
  /** Media types of the SBOM files it writes. */
  readonly sbomFormats: readonly string[];
  /** Execution environments it is for; empty for all. */
  readonly execEnv: readonly string[];
  /** As written; see `inferTargets` for what an empty list means. */
  readonly targets: readonly Target[];
  /** Deprecated. */
  readonly stacks: readonly Stack[];
  /** Of a composite. */
  readonly order: GroupOrder;
  /** Free-form. */
  readonly metadata: TomlTable;
}

const schema: z.ZodType<BuildpackDescriptor> = z.lazy(() =>
  z.object({
    api: name,
    buildpack: z.object({
      id: moduleId,
      version: moduleVersion,
      name: text,
      homepage: text,
      description: text,
      keywords: texts,
      licenses: z.array(z.object({ type: text, uri: text })).default([]),
      "clear-env": flag,
      "sbom-formats": texts,
      "exec-env": execEnv,
    }),
    targets,
    stacks: z.array(z.object({ id: text, mixins: texts })).default([]),
    order: groupOrder,
    metadata: table.default(() => ({})),
  }).transform(({ buildpack, ...rest }): BuildpackDescriptor => ({
    ...rest,
    id: buildpack.id,
    version: buildpack.version,
    name: buildpack.name,
    homepage: buildpack.homepage,
    description: buildpack.description,
    keywords: buildpack.keywords,
    licenses: buildpack.licenses,
    clearEnv: buildpack["clear-env"],
    sbomFormats: buildpack["sbom-formats"],
    execEnv: buildpack["exec-env"],
  }))
);

/**
 * Reads `buildpack.toml` (BPT-1). The API version is not checked.
 *
 * @throws {FileError} When it is malformed.
 */
export function parseBuildpackToml(source: string, file: string): BuildpackDescriptor {
  return parseDocument(schema, source, file);
}

/** Writes `buildpack.toml`. */
export function formatBuildpackToml(descriptor: BuildpackDescriptor): string {
  const list = <T>(values: readonly T[]) => values.length > 0 ? values : undefined;
  return formatToml({
    api: descriptor.api,
    buildpack: {
      id: descriptor.id,
      version: descriptor.version || undefined,
      name: descriptor.name || undefined,
      homepage: descriptor.homepage || undefined,
      description: descriptor.description || undefined,
      keywords: list(descriptor.keywords),
      "clear-env": descriptor.clearEnv || undefined,
      "sbom-formats": list(descriptor.sbomFormats),
      "exec-env": list(descriptor.execEnv),
      licenses: list(descriptor.licenses),
    },
    targets: list(descriptor.targets.map((target) => ({
      os: target.os || undefined,
      arch: target.arch || undefined,
      variant: target.variant || undefined,
      distros: list(target.distros),
    }))),
    stacks: list(descriptor.stacks),
    order: list(orderTables(descriptor.order)),
    metadata: Object.keys(descriptor.metadata).length > 0 ? descriptor.metadata : undefined,
  });
}

/** Whether it only names other buildpacks. */
export function isComposite(descriptor: BuildpackDescriptor): boolean {
  return descriptor.order.length > 0;
}

/**
 * The targets of a component, also when it names only stacks or nothing (BPT-5). A target whose
 * fields are all empty matches everything, and so does a list without any.
 *
 * @param modernApi Its API is 0.10 or newer.
 * @param hasBuild It has a `bin/build`.
 */
export function inferTargets(
  descriptor: BuildpackDescriptor,
  modernApi: boolean,
  hasBuild: boolean,
): readonly Target[] {
  if (descriptor.targets.length > 0) return descriptor.targets;
  const found: Target[] = [];
  for (const { id } of descriptor.stacks) {
    const alone = modernApi || descriptor.stacks.length === 1;
    if (id === "io.buildpacks.stacks.bionic" && alone) {
      const distros = [{ name: "ubuntu", version: "18.04" }];
      found.push({ os: "linux", arch: "amd64", variant: "", distros });
    } else if (id === "*") {
      found.push({ os: "", arch: "", variant: "", distros: [] });
    }
  }
  if (found.length === 0 && hasBuild) {
    found.push({ os: "linux", arch: "", variant: "", distros: [] });
  }
  return found;
}
