/** Documents in their usual shape, told without a schema: what the pieces have in common. */

/** Whether `value` is an object of JSON without a key that schemas leave out. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !Object.hasOwn(value, "__proto__");
}

/** Whether `value` is a list of texts. */
export function isTexts(value: unknown): value is string[] {
  if (!Array.isArray(value)) return false;
  for (const one of value) if (typeof one !== "string") return false;
  return true;
}

/**
 * The object with those of `keys` that are there first, as schemas give it: the order decides the digest of what is made. The
 * same object, where it is so already.
 */
export function inOrder(
  object: Record<string, unknown>,
  keys: readonly string[],
): Record<string, unknown> {
  if (isInOrder(object, keys)) return object;
  const ordered: Record<string, unknown> = {};
  for (const key of keys) if (Object.hasOwn(object, key)) ordered[key] = object[key];
  for (const key of Object.keys(object)) {
    if (!keys.includes(key)) ordered[key] = object[key];
  }
  return ordered;
}

function isInOrder(object: Record<string, unknown>, keys: readonly string[]): boolean {
  let least = 0;
  for (const key in object) {
    const at = keys.indexOf(key);
    if (at >= 0 && at < least) return false;
    least = at < 0 ? keys.length : at + 1;
  }
  return true;
}
