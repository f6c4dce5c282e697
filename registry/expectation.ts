/**
 * Moving a tag only from where one believes it to be: compare and set, decided by whoever holds the tag, in the same
 * step in which it moves.
 *
 * @see RFC 9110, 13.1.1 If-Match and 13.1.2 If-None-Match
 */
import type { Digest } from "./oci/digest.ts";
import { OciError } from "./oci/error.ts";

/** What has to hold of a tag when it is set. */
export interface TagExpectation {
  /** One of the tags that are set. */
  readonly tag: string;
  /**
   * `absent`: it names nothing. `present`: it names something. Digests: it names one of them, or already what it is
   * set to: a request that was answered into the void can be sent again.
   */
  readonly is: "absent" | "present" | readonly Digest[];
}

/** `detail` of the error for an expectation that does not hold. */
export interface UnmetDetail {
  /** The tag. */
  readonly tag: string;
  /** What it names instead; `null` when nothing. */
  readonly digest: Digest | null;
}

/**
 * Header by which a server says that it looked at a put's `If-Match` or `If-None-Match`, or, with a manifest it gives,
 * that it would: most registries ignore them, and a client that cannot tell has to ask before each put.
 */
export const CHECKED = "wherry-precondition-checked";

/** Whether a tag that names `current` may be moved to `next`. */
export function holds(
  is: TagExpectation["is"],
  current: Digest | undefined,
  next?: Digest,
): boolean {
  if (is === "absent") return current === undefined;
  if (is === "present") return current !== undefined;
  return current !== undefined && (current === next || is.includes(current));
}

/**
 * Checks all of `expected` before anything is changed.
 *
 * @param current What a tag names now. Nothing may move it before it is set.
 * @throws {OciError} `PRECONDITION_FAILED` (412) with an {@linkcode UnmetDetail}.
 */
export function demand(
  expected: readonly TagExpectation[],
  repository: string,
  next: Digest,
  current: (tag: string) => Digest | undefined,
): void {
  for (const { tag, is } of expected) {
    const now = current(tag);
    if (!holds(is, now, next)) throw unmet(repository, { tag, is }, now);
  }
}

/** The error for an expectation that does not hold. */
export function unmet(
  repository: string,
  { tag, is }: TagExpectation,
  now: Digest | undefined,
  cause?: unknown,
): OciError {
  const seen = now === undefined ? "it is not there" : `it is ${now}`;
  const wanted = typeof is === "string" ? `it ${is}` : is.join(" or ") || "another";
  const detail: UnmetDetail = { tag, digest: now ?? null };
  return new OciError(
    "PRECONDITION_FAILED",
    `Cannot set ${repository}:${tag}: ${seen}, want ${wanted}`,
    { detail, cause },
  );
}

/** @throws {TypeError} When something is expected of a tag that is not set: nobody would look. */
export function checkExpected(
  expected: readonly TagExpectation[],
  tags: readonly string[],
): void {
  const stray = expected.find(({ tag }) => !tags.includes(tag));
  if (stray === undefined) return;
  throw new TypeError(`Cannot expect anything of tag ${JSON.stringify(stray.tag)}: it is not set`);
}
