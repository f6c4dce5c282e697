/** `lifecycle.toml` of a published lifecycle: what it speaks. */
import { z } from "zod";
import { LifecycleError } from "../../error.ts";
import { parseDocument, readText, text, texts } from "../../file/document.ts";
import type { ApiSets } from "./builder.ts";

const set = z.object({ deprecated: texts, supported: texts });
const schema = z.object({
  lifecycle: z.object({ version: text }).prefault({}),
  apis: z.object({ buildpack: set, platform: set }),
});

/**
 * Reads it.
 *
 * @throws {LifecycleError} When it is not there; {FileError} when it is malformed.
 */
export async function readLifecycleToml(
  file: string,
): Promise<{ readonly version: string; readonly apis: ApiSets }> {
  const source = await readText(file);
  if (source === undefined) {
    throw new LifecycleError(
      1,
      `Cannot use lifecycle: ${file} is not there; want what the lifecycle project publishes`,
    );
  }
  const { lifecycle, apis } = parseDocument(schema, source, file);
  return { version: lifecycle.version, apis };
}
