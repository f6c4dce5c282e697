/** Licences as bills of materials may write them: one of the list, an expression, or just a name. */
import parseExpression from "spdx-expression-parse";
import ids from "spdx-license-ids/index.json" with { type: "json" };

const KNOWN = new Map(ids.map((id) => [id.toLowerCase(), id]));

/** The id of the SPDX list as it spells it; `undefined` for what is not on it. */
export function spdxId(license: string): string | undefined {
  return KNOWN.get(license.trim().toLowerCase());
}

/** Whether `license` is an SPDX expression: one id, or several with AND, OR, WITH. */
export function isExpression(license: string): boolean {
  if (license.length > 1000) return false; // the parser goes down by calls
  try {
    parseExpression(license);
    return true;
  } catch {
    return false;
  }
}
