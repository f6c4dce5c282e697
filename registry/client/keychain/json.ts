import type { z } from "zod";
import { KeychainError } from "./http.ts";

/**
 * Reads a document that holds secrets.
 *
 * @param what For the message, which repeats nothing of the document.
 * @throws {KeychainError} When it is not what `schema` wants.
 */
export function readJson<T>(text: string, schema: z.ZodType<T>, what: string): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new KeychainError(`${what} is not JSON`);
  }
  const read = schema.safeParse(json);
  if (read.success) return read.data;
  // Names of fields are ours, of the schema; values are not shown.
  const at = read.error.issues[0]?.path.map(String).join(".");
  throw new KeychainError(`${what} is not as expected${at ? ` at ${JSON.stringify(at)}` : ""}`);
}
