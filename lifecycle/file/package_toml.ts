import { z } from "zod";
import { parseDocument, text } from "./document.ts";
import { strictTargets, type Target } from "./module.ts";

/** `package.toml`: what a package is made of. Addresses are relative to the file, or URIs. */
export interface PackageDescriptor {
  /** The module itself; absent when it lies beside the file. */
  readonly module?: { readonly kind: "buildpack" | "extension"; readonly uri: string } | undefined;
  /** Parts of a composite. */
  readonly dependencies: readonly { readonly uri: string }[];
  /** What it is packaged for; none: `platformOs`, or what its descriptor says. */
  readonly targets: readonly Target[];
  /** Deprecated forerunner of targets; empty when the file does not say. */
  readonly platformOs: string;
}

const module = z.strictObject({ uri: text }).optional();

const schema: z.ZodType<PackageDescriptor> = z.strictObject({
  buildpack: module,
  extension: module,
  dependencies: z.array(
    z.strictObject({ uri: text, image: text }).transform(({ uri, image }) => ({
      uri: uri || `docker://${image}`,
    })),
  ).default([]),
  targets: strictTargets,
  platform: z.strictObject({ os: text }).prefault({}),
}).transform(({ buildpack, extension, dependencies, targets, platform }) => ({
  module: buildpack
    ? { kind: "buildpack" as const, uri: buildpack.uri || "." }
    : extension && { kind: "extension" as const, uri: extension.uri || "." },
  dependencies,
  targets,
  platformOs: platform.os,
}));

/**
 * Reads `package.toml`.
 *
 * @throws {FileError} When it is malformed or has an unknown key, as pack refuses it.
 */
export function parsePackageToml(source: string, file: string): PackageDescriptor {
  return parseDocument(schema, source, file);
}
