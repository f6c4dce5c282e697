/** The shape of paths that become names of entries. */

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
