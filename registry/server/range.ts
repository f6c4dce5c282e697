/** Parts of a blob, and positions of an upload, as HTTP headers say them. */

/** Bytes `first` to `last`, both included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Reads a `Range` header for something of `size` bytes.
 *
 * @returns `undefined` to send everything (no header, another unit, several ranges, nonsense: RFC 9110 lets a
 * server ignore those), `"unsatisfiable"` for 416.
 */
export function parseRange(
  header: string | null,
  size: number,
): ByteRange | "unsatisfiable" | undefined {
  const match = /^bytes=([0-9]{0,15})-([0-9]{0,15})$/.exec(header?.replaceAll(" ", "") ?? "");
  const [, from = "", to = ""] = match ?? [];
  if (match === null || (from === "" && to === "")) return undefined;
  const first = from === "" ? Math.max(0, size - Number(to)) : Number(from);
  const last = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (first >= size || last < first || (from === "" && Number(to) === 0)) return "unsatisfiable";
  return { first, last };
}

/** Reads the `Content-Range` of an upload: `0-99`, and `bytes 0-99/*` as some clients write it. */
export function parseContentRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[ =])?([0-9]{1,15})-([0-9]{1,15})(?:\/.*)?$/.exec(header.trim());
  if (match === null) return undefined;
  const range = { first: Number(match[1]), last: Number(match[2]) };
  return range.last < range.first ? undefined : range;
}

/** What an upload of `size` bytes says of itself; nothing yet is `0-0`, as the reference server says it. */
export function uploadRange(size: number): string {
  return `0-${Math.max(0, size - 1)}`;
}
