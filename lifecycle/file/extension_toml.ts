import { z } from "zod";
import { parseDocument } from "./document.ts";
import type { Target } from "./module.ts";
import {
  type ModuleDescriptor,
  moduleDocument,
  moduleOf,
  moduleTable,
} from "./module_descriptor.ts";

/** `extension.toml` (EXT-1): an image extension, which makes Dockerfiles instead of layers. */
export type ExtensionDescriptor = ModuleDescriptor;

const schema: z.ZodType<ExtensionDescriptor> = z.object({
  ...moduleDocument,
  extension: z.object(moduleTable),
}).transform(({ extension, ...rest }): ExtensionDescriptor => ({
  ...rest,
  ...moduleOf(extension),
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
