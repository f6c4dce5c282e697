import { z } from "zod";
import { parseDocument, text } from "./document.ts";

/** `package.toml`: where the parts of a package are. Only what a build from directories needs is read. */
export interface PackageDescriptor {
  /** Parts of a composite, relative to the file or as addresses. */
  readonly dependencies: readonly { readonly uri: string }[];
}

const schema: z.ZodType<PackageDescriptor> = z.object({
  dependencies: z.array(
    z.object({ uri: text, image: text }).transform(({ uri, image }) => ({
      uri: uri || `docker://${image}`,
    })),
  ).default([]),
});

/**
 * Reads `package.toml`.
 *
 * @throws {FileError} When it is malformed.
 */
export function parsePackageToml(source: string, file: string): PackageDescriptor {
  return parseDocument(schema, source, file);
}
