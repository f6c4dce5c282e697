/**
 * What can go wrong with a registry, by the codes of the distribution spec, and the one table that turns
 * them into HTTP statuses.
 *
 * @see OCI distribution spec 1.1, "Error Codes"
 */
export const STATUS_OF = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DENIED: 403,
  DIGEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 404,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  PRECONDITION_FAILED: 412,
  RANGE_INVALID: 416,
  SIZE_INVALID: 400,
  TOOMANYREQUESTS: 429,
  UNAUTHORIZED: 401,
  UNAVAILABLE: 503,
  UNSUPPORTED: 405,
} as const;

/**
 * A code of the distribution spec, or one of two more. `UNAVAILABLE`: the place cannot be reached or is full.
 * `PRECONDITION_FAILED`: a tag is not where it was expected to be.
 */
export type OciErrorCode = keyof typeof STATUS_OF;

/** Options of {@linkcode OciError}. */
export interface OciErrorOptions extends ErrorOptions {
  /** The HTTP status that was seen or is wanted, when it is not the code's own. */
  readonly status?: number;
  /** The spec's free-form `detail`: shown to clients, never secret. */
  readonly detail?: unknown;
}

/** A failure of a registry, a store or a document in them, with the spec's code. */
export class OciError extends Error {
  /** Tells it from other errors where classes do not reach. */
  override readonly name = "OciError";
  /** The spec's code: what a caller checks. */
  readonly code: OciErrorCode;
  /** The HTTP status that goes with it. */
  readonly status: number;
  /** The spec's free-form `detail`. */
  readonly detail: unknown;

  /** Makes an error whose status is the code's own unless `options` says otherwise. */
  constructor(code: OciErrorCode, message: string, options: OciErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.status = options.status ?? STATUS_OF[code];
    this.detail = options.detail;
  }
}

/** Whether `error` is an {@linkcode OciError} with one of `codes` (any, when none is given). */
export function isOciError(error: unknown, ...codes: readonly OciErrorCode[]): error is OciError {
  return error instanceof OciError && (codes.length === 0 || codes.includes(error.code));
}
