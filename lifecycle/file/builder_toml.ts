import { z } from "zod";
import { name, parseDocument, text, texts } from "./document.ts";
import type { RunImageNames } from "./lifecycle_metadata.ts";
import { execEnv, type GroupElement, type GroupOrder, moduleId, moduleVersion } from "./module.ts";
import { strictTargets, type Target } from "./module.ts";

/** A module that a builder shall hold. */
export interface BuilderModule {
  /** Must equal what is found, where it says something. */
  readonly id: string;
  /** Must equal what is found, where it says something. */
  readonly version: string;
  /** Where it is: a directory, an archive, a package file or image. */
  readonly uri: string;
}

/** A variable that every build with the builder gets (`/cnb/build-config/env`). */
export interface BuilderEnv {
  /** Its name. */
  readonly name: string;
  /** Its value. */
  readonly value: string;
  /** How it meets what is there already; empty as `override`. */
  readonly suffix: "" | "default" | "override" | "append" | "prepend";
  /** Stands between values that are joined. */
  readonly delim: string;
}

/** `builder.toml`: what a builder is made of. Keys that nobody knows are refused, as pack refuses them. */
export interface BuilderDescriptor {
  /** For people. */
  readonly description: string;
  /** Buildpacks. */
  readonly buildpacks: readonly BuilderModule[];
  /** Image extensions. */
  readonly extensions: readonly BuilderModule[];
  /** What is tried, best first. */
  readonly order: GroupOrder;
  /** The same for image extensions. */
  readonly orderExtensions: GroupOrder;
  /** Name of the image it stands on. */
  readonly buildImage: string;
  /** Variables of every build. */
  readonly env: readonly BuilderEnv[];
  /** Names of run images, best first. */
  readonly runImages: readonly RunImageNames[];
  /** Deprecated; empty for none. */
  readonly stackId: string;
  /** Which lifecycle it holds; without either, wherry itself. */
  readonly lifecycle: { readonly uri: string; readonly version: string };
  /** What it is made for; none: what the build image is. */
  readonly targets: readonly Target[];
  /** Around every group. */
  readonly system: {
    readonly pre: readonly GroupElement[];
    readonly post: readonly GroupElement[];
  };
}

const modules = z.array(
  z.strictObject({ id: text, version: text, uri: text, image: text }).transform((one) => ({
    id: one.id,
    version: one.version,
    uri: one.uri || (one.image && `docker://${one.image}`),
  })).refine((one) => one.uri !== "" || one.id !== "", "uri or image"),
).default([]);

const elements = z.array(
  z.strictObject({
    id: moduleId,
    version: moduleVersion,
    optional: z.boolean().default(false),
    "exec-env": execEnv,
  }).transform((one): GroupElement => ({
    id: one.id,
    version: one.version,
    optional: one.optional,
    execEnv: one["exec-env"],
  })),
).default([]);

const order = z.array(z.strictObject({ group: elements })).default([]);

const env = z.array(z.strictObject({
  name: name.refine((value) => !/[=/\0]/.test(value), "the name of a variable"),
  value: text,
  suffix: z.enum(["", "default", "override", "append", "prepend"]).default(""),
  delim: text,
  "exec-env": z.array(z.string()).default([]),
})).default([]);

const side = z.strictObject({ buildpacks: elements }).prefault({});

const schema: z.ZodType<BuilderDescriptor> = z.strictObject({
  description: text,
  buildpacks: modules,
  extensions: modules,
  order,
  "order-extensions": order,
  build: z.strictObject({ image: text, env }).prefault({}),
  run: z.strictObject({
    images: z.array(z.strictObject({ image: name, mirrors: texts })).default([]),
  }).prefault({}),
  stack: z.strictObject({
    id: text,
    "build-image": text,
    "run-image": text,
    "run-image-mirrors": texts,
  }).prefault({}),
  lifecycle: z.strictObject({ uri: text, version: text }).prefault({}),
  targets: strictTargets,
  system: z.strictObject({ pre: side, post: side }).prefault({}),
}).transform(({ build, run, stack, system, ...rest }): BuilderDescriptor => ({
  description: rest.description,
  buildpacks: rest.buildpacks,
  extensions: rest.extensions,
  order: rest.order,
  orderExtensions: rest["order-extensions"].map(({ group }) => ({
    group: group.map((one) => ({ ...one, optional: true })),
  })),
  buildImage: build.image || stack["build-image"],
  env: build.env.map(({ "exec-env": _execEnv, ...one }) => one),
  runImages: run.images.length > 0
    ? run.images
    : stack["run-image"] === ""
    ? []
    : [{ image: stack["run-image"], mirrors: stack["run-image-mirrors"] }],
  stackId: stack.id,
  lifecycle: rest.lifecycle,
  targets: rest.targets,
  system: { pre: system.pre.buildpacks, post: system.post.buildpacks },
}));

/**
 * Reads `builder.toml`.
 *
 * @throws {FileError} When it is malformed or has an unknown key.
 */
export function parseBuilderToml(source: string, file: string): BuilderDescriptor {
  return parseDocument(schema, source, file);
}
