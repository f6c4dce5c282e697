import { z } from "zod";
import type { License } from "./buildpack_toml.ts";
import { flag, name, parseDocument, table, text, texts } from "./document.ts";
import { execEnv, moduleId, moduleVersion, type Target, targets } from "./module.ts";
import type { TomlTable } from "./toml.ts";

/** `extension.toml` (EXT-1): an image extension, which makes Dockerfiles instead of layers. */
export interface ExtensionDescriptor {
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
  /** As written; see `inferExtensionTargets` for what an empty list means. */
  readonly targets: readonly Target[];
  /** Free-form. */
  readonly metadata: TomlTable;
}

const schema: z.ZodType<ExtensionDescriptor> = z.object({
  api: name,
  extension: z.object({
    id: moduleId,
    version: moduleVersion,
    name: text,
    homepage: text,
    description: text,
    keywords: texts,
    licenses: z.array(z.object({ type: text, uri: text })).default([]),
    "clear-env": flag,
    "exec-env": execEnv,
  }),
  targets,
  metadata: table.default(() => ({})),
}).transform(({ extension, ...rest }): ExtensionDescriptor => ({
  ...rest,
  id: extension.id,
  version: extension.version,
  name: extension.name,
  homepage: extension.homepage,
  description: extension.description,
  keywords: extension.keywords,
  licenses: extension.licenses,
  clearEnv: extension["clear-env"],
  execEnv: extension["exec-env"],
}));

/**
 * Reads `extension.toml`. The API version is not checked.
 *
 * @throws {FileError} When it is malformed.
 */
export function parseExtensionToml(source: string, file: string): ExtensionDescriptor {
  return parseDocument(schema, source, file);
}

/**
 * The targets of an extension, also when it names none (EXT-2): Linux when it has an executable, else any.
 *
 * @param hasProgram It has a `bin/detect` or a `bin/generate`.
 */
export function inferExtensionTargets(
  descriptor: ExtensionDescriptor,
  hasProgram: boolean,
): readonly Target[] {
  if (descriptor.targets.length > 0 || !hasProgram) return descriptor.targets;
  return [{ os: "linux", arch: "", variant: "", distros: [] }];
}
