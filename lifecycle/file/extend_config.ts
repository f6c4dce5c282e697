import { z } from "zod";
import { FileError } from "../error.ts";
import { name, parseDocument, text } from "./document.ts";

/** One `ARG` of a Dockerfile, from outside. */
export interface ExtendArg {
  /** Its name. */
  readonly name: string;
  /** Its value. */
  readonly value: string;
}

/** `extend-config.toml`: arguments of the Dockerfiles of an extension (EXC-1). */
export interface ExtendConfig {
  /** For `build.Dockerfile`. */
  readonly build: readonly ExtendArg[];
  /** For `run.Dockerfile`. */
  readonly run: readonly ExtendArg[];
}

/** What an extension without such a file has. */
export const EMPTY_EXTEND_CONFIG: ExtendConfig = { build: [], run: [] };

/** Arguments the lifecycle gives itself. */
const RESERVED: readonly string[] = ["build_id", "user_id", "group_id"];

const args = z.object({ args: z.array(z.object({ name, value: text })).default([]) })
  .default({ args: [] });

const schema: z.ZodType<ExtendConfig> = z.object({ build: args, run: args })
  .transform((file): ExtendConfig => ({ build: file.build.args, run: file.run.args }));

/**
 * Reads `extend-config.toml`.
 *
 * @throws {FileError} When it is malformed, or names an argument that the lifecycle gives.
 */
export function parseExtendConfig(source: string, file: string): ExtendConfig {
  const config = parseDocument(schema, source, file);
  for (const kind of ["build", "run"] as const) {
    const taken = config[kind].find((arg) => RESERVED.includes(arg.name));
    if (taken === undefined) continue;
    throw new FileError(
      file,
      `Cannot use ${file}: ${kind}.args has "${taken.name}", which the lifecycle gives; ` +
        `want any but ${RESERVED.join(", ")}`,
    );
  }
  return config;
}
