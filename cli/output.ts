import { UsageError } from "./exit.ts";

/** The two forms every reading command has. */
export type OutputFormat = "human" | "json";

/**
 * Reads `-o`.
 *
 * @throws {UsageError} For anything else.
 */
export function outputFormat(text: string): OutputFormat {
  if (text === "human" || text === "human-readable") return "human";
  jsonOnly(text);
  return "json";
}

/** As {@linkcode outputFormat} where human was dealt with already. */
export function jsonOnly(text: string): void {
  if (text !== "json") {
    throw new UsageError(`Cannot print as ${JSON.stringify(text)}: want human or json`);
  }
}
