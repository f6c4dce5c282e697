import config from "../deno.json" with { type: "json" };
import type { Io } from "./io.ts";

/** The version of wherry. */
export const VERSION: string = config.version;

/** Prints the one line. */
export function printVersion(io: Io): void {
  io.stdout.write(`${VERSION}\n`);
}
