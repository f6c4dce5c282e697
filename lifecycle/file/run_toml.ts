import { z } from "zod";
import { name, parseDocument, texts } from "./document.ts";
import type { RunImageNames } from "./lifecycle_metadata.ts";
import { formatToml } from "./toml.ts";

/** `run.toml`: run images of a builder and where else they are, best first (RUN-1). */
export interface Run {
  /** At least one, where a builder has any. */
  readonly images: readonly RunImageNames[];
}

const schema: z.ZodType<Run> = z.lazy(() =>
  z.object({
    images: z.array(z.object({ image: name, mirrors: texts })).default([]),
  })
);

/**
 * Reads `run.toml`.
 *
 * @throws {FileError} When it is malformed.
 */
export function parseRunToml(source: string, file: string): Run {
  return parseDocument(schema, source, file);
}

/** Writes `run.toml`. */
export function formatRunToml(run: Run): string {
  return formatToml({
    images: run.images.map(({ image, mirrors }) => ({
      image,
      mirrors: mirrors.length > 0 ? mirrors : undefined,
    })),
  });
}
