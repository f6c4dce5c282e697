import { z } from "zod";
import { type KnownKeys, parseDocument, text, texts, unknownKeys } from "./document.ts";
import { type GroupOrder, groupOrder, type Target } from "./module.ts";
import {
  KNOWN_OF_DOCUMENT,
  KNOWN_OF_TABLE,
  type ModuleDescriptor,
  moduleDocument,
  moduleOf,
  moduleTable,
} from "./module_descriptor.ts";

/** A stack, the deprecated forerunner of targets. */
export interface Stack {
  /** Its id, or `*`. */
  readonly id: string;
  /** Packages it must have. */
  readonly mixins: readonly string[];
}

/** `buildpack.toml`. With an `order` it is a composite and has no executables (BPT-3). */
export interface BuildpackDescriptor extends ModuleDescriptor {
  /** Media types of the SBOM files it writes. */
  readonly sbomFormats: readonly string[];
  /** Deprecated. */
  readonly stacks: readonly Stack[];
  /** Of a composite. */
  readonly order: GroupOrder;
}

const schema: z.ZodType<BuildpackDescriptor> = z.lazy(() =>
  z.object({
    ...moduleDocument,
    buildpack: z.object({ ...moduleTable, "sbom-formats": texts }),
    stacks: z.array(z.object({ id: text, mixins: texts })).default([]),
    order: groupOrder,
  }).transform(({ buildpack, ...rest }): BuildpackDescriptor => {
    const { "sbom-formats": sbomFormats, ...fields } = moduleOf(buildpack);
    return { ...rest, ...fields, sbomFormats };
  })
);

/**
 * Reads `buildpack.toml` (BPT-1). The API version is not checked.
 *
 * @throws {FileError} When it is malformed.
 */
export function parseBuildpackToml(source: string, file: string): BuildpackDescriptor {
  return parseDocument(schema, source, file);
}

const KNOWN: KnownKeys = {
  ...KNOWN_OF_DOCUMENT,
  buildpack: { ...KNOWN_OF_TABLE, "sbom-formats": true },
  stacks: { id: true, mixins: true },
  order: { group: { id: true, version: true, optional: true, "exec-env": true } },
};

/** Keys that mean nothing to anybody, a line each: the spec takes them, but whoever wrote `[[targts]]` meant something. */
export function oddKeysOfBuildpack(source: string, file: string): readonly string[] {
  return unknownKeys(KNOWN, source, file);
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
