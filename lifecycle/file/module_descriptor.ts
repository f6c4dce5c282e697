/** What `buildpack.toml` and `extension.toml` have in common. */
import { z } from "zod";
import { flag, type KnownKeys, table, text, texts } from "./document.ts";
import { execEnv, moduleId, moduleVersion, type Target, targets } from "./module.ts";
import type { TomlTable } from "./toml.ts";

/** A licence of a buildpack or extension. */
export interface License {
  /** SPDX identifier. */
  readonly type: string;
  /** Where its text is. */
  readonly uri: string;
}

/** What a descriptor says, whichever kind it is of. */
export interface ModuleDescriptor {
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
  /** Execution environments it is for; empty for all. */
  readonly execEnv: readonly string[];
  /** As written; `inferTargets` and `inferExtensionTargets` say what an empty list means. */
  readonly targets: readonly Target[];
  /** Free-form. */
  readonly metadata: TomlTable;
}

/** The keys beside `[buildpack]` or `[extension]`. No API is one that nobody speaks: it is judged where it is run (VER-4). */
export const moduleDocument = { api: text, targets, metadata: table.default(() => ({})) };

/** The keys of `[buildpack]` or `[extension]`; {@linkcode moduleOf} reads them. */
export const moduleTable = {
  id: moduleId,
  version: moduleVersion,
  name: text,
  homepage: text,
  description: text,
  keywords: texts,
  licenses: z.array(z.object({ type: text, uri: text })).default([]),
  "clear-env": flag,
  "exec-env": execEnv,
};

/** The same for {@linkcode unknownKeys}. */
export const KNOWN_OF_DOCUMENT: KnownKeys = {
  api: true,
  targets: { os: true, arch: true, variant: true, distros: { name: true, version: true } },
  metadata: true,
};

/** The same for {@linkcode unknownKeys}. */
export const KNOWN_OF_TABLE: KnownKeys = {
  ...Object.fromEntries(Object.keys(moduleTable).map((key) => [key, true as const])),
  licenses: { type: true, uri: true },
};

/** `[buildpack]` or `[extension]` as fields of its descriptor. */
export function moduleOf<T extends z.infer<z.ZodObject<typeof moduleTable>>>(module: T) {
  const { "clear-env": clearEnv, "exec-env": execEnv, ...same } = module;
  return { ...same, clearEnv, execEnv };
}
