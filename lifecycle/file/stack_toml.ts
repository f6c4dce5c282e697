import { z } from "zod";
import { parseDocument, text, texts } from "./document.ts";
import type { RunImageNames } from "./lifecycle_metadata.ts";
import { formatToml } from "./toml.ts";

/** `stack.toml`: what `run.toml` was before P0.12 (RUN-1). */
export interface Stack {
  /** Absent, or with an empty name, when the file does not say. */
  readonly runImage?: RunImageNames | undefined;
  /** Name of the build image; empty when the file does not say. */
  readonly buildImage: string;
}

const schema: z.ZodType<Stack> = z.object({
  "run-image": z.object({ image: text, mirrors: texts }).optional(),
  "build-image": z.object({ image: text }).optional(),
}).transform((file): Stack => ({
  runImage: file["run-image"],
  buildImage: file["build-image"]?.image ?? "",
}));

/**
 * Reads `stack.toml`.
 *
 * @throws {FileError} When it is malformed.
 */
export function parseStackToml(source: string, file: string): Stack {
  return parseDocument(schema, source, file);
}

/** Writes `stack.toml`. */
export function formatStackToml(stack: Stack): string {
  const { runImage, buildImage } = stack;
  return formatToml({
    "run-image": runImage &&
      {
        image: runImage.image,
        mirrors: runImage.mirrors.length > 0 ? runImage.mirrors : undefined,
      },
    "build-image": buildImage === "" ? undefined : { image: buildImage },
  });
}
