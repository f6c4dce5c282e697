/** What cannot be read of a tree, in words that tell the cure. */

/** Of a path that is too long to be shown. */
const SHOWN = 120;

/** What to throw when `path` cannot be packed because of `cause`: that itself, where it says enough. */
export function unreadable(path: string, cause: unknown): unknown {
  switch ((cause as { readonly code?: unknown }).code) {
    case "EACCES":
      return new TypeError(
        `Cannot pack ${path}: its mode keeps this user out, want one that can be read`,
        { cause },
      );
    case "ENAMETOOLONG":
      return new RangeError(
        `Cannot pack ${
          path.slice(0, SHOWN)
        }...: its path has ${path.length} bytes, want 4095 at most`,
        { cause },
      );
    default:
      return cause;
  }
}
