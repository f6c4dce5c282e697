/** Order and shape of paths as bytes: UTF-16 and locales order names otherwise, and then diffIDs differ. */

/**
 * Compares two texts by their UTF-8 bytes. UTF-16 agrees but where a surrogate pair (U+10000 and up) meets
 * U+E000 to U+FFFF.
 */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x === y) continue;
    const high = isSurrogate(x);
    return high === isSurrogate(y) ? x - y : high ? 1 : -1;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

/** The directories above `path`, from the top down, `/` left out: `/a/b/c` has `/a` and `/a/b`. */
export function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let at = path.indexOf("/", 1); at > 0; at = path.indexOf("/", at + 1)) {
    parents.push(path.slice(0, at));
  }
  return parents;
}

/**
 * Checks that `path` is absolute and clean, since it becomes the name of entries.
 *
 * @throws {TypeError} When it has `.`, `..`, empty steps, a trailing slash, or is `/` itself.
 */
export function checkInside(path: string): void {
  const steps = path.split("/");
  const clean = steps.length > 1 && steps[0] === "" &&
    steps.slice(1).every((step) => step !== "" && step !== "." && step !== "..");
  if (!clean || path.includes("\0")) {
    throw new TypeError(
      `Cannot pack ${JSON.stringify(path)}: want an absolute, clean path of the image`,
    );
  }
}
