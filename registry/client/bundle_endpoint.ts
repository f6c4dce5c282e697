/** `bundle:FILE` among the endpoints of a mirror: a bundle in a file, instead of a host. */

const PREFIX = "bundle:";

/** Whether a mirror's location, or the host of a try, is a bundle. */
export function isBundleEndpoint(location: string): boolean {
  return location.startsWith(PREFIX);
}

/** The files of one, all parts of the bundle and those it adds to. */
export function bundleFiles(location: string): readonly string[] {
  return location.slice(PREFIX.length).split(",");
}

/**
 * Checks the text of one: `bundle:/file`, or `bundle:/part,/part`.
 *
 * @throws {TypeError} `Cannot read <label>: ...` when a path is not absolute: whose directory would it be relative to?
 */
export function checkedBundle(text: string, label: string): string {
  if (bundleFiles(text).every((file) => /^\/[^/\0]/.test(file))) return text;
  throw new TypeError(
    `Cannot read ${label}: ${JSON.stringify(text)} is not bundle: with an absolute path`,
  );
}
