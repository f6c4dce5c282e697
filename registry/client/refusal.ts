import { OciError, type OciErrorCode, STATUS_OF } from "../oci/error.ts";
import { collect } from "../source.ts";
import { isRetryableStatus } from "./retry.ts";
import { TransportError } from "./transport_error.ts";
import type { TransportResponse } from "./exchange.ts";

/** Something said no; the caller knows what was being done and makes an {@linkcode OciError} of it. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  /** What an OciError will carry. */
  readonly code: OciErrorCode;
  /** The HTTP status an OciError will carry. */
  readonly status: number;
  /** The HTTP status that was seen, if the refusal is an answer. */
  readonly answered: number | undefined;
  /** The spec's `detail`. */
  readonly detail: unknown;

  /** `why` goes behind "Cannot do this: ". */
  constructor(
    code: OciErrorCode,
    why: string,
    options: ErrorOptions & { readonly status?: number; readonly detail?: unknown } = {},
  ) {
    super(why, options);
    this.code = code;
    this.status = options.status ?? STATUS_OF[code];
    this.answered = options.status;
    this.detail = options.detail;
  }
}

/** `Cannot <act>: <why>` for what went wrong on the way; anything unforeseen and every abort stays itself. */
export function explain(error: unknown, act: string): unknown {
  if (error instanceof Refusal) {
    return new OciError(error.code, `Cannot ${act}: ${error.message}`, {
      status: error.status,
      detail: error.detail,
      cause: error,
    });
  }
  if (error instanceof TransportError) {
    const hint = error.fault === "certificate"
      ? "; give its authority with --ca-cert, or name the host with --insecure-registry"
      : "";
    return new OciError("UNAVAILABLE", `Cannot ${act}: ${error.host}: ${error.why}${hint}`, {
      cause: error,
    });
  }
  return error;
}

/** Whether an error of {@linkcode explain} may not come again when the act is begun anew. */
export function mayPass(error: unknown): boolean {
  const cause = error instanceof OciError ? error.cause : undefined;
  if (cause instanceof TransportError) return cause.retryable;
  return cause instanceof Refusal && cause.answered !== undefined &&
    (isRetryableStatus(cause.answered) || cause.code === "BLOB_UPLOAD_UNKNOWN");
}

/** Error bodies are read up to here, and shown up to {@linkcode MAX_WORDS} (C-AUTH-05, C-MISC-02). */
const MAX_ERROR_BODY = 64 * 1024;
const MAX_WORDS = 1024;

/** What an error answer says. */
export interface ErrorWords {
  /** Codes as the registry spells them. */
  readonly codes: readonly string[];
  /** For people, one line, harmless to a terminal. */
  readonly text: string;
  /** `detail` of each error. */
  readonly details: readonly unknown[];
}

/** Reads an error answer to its end, or gives it up when it is long. */
export async function readErrorWords(response: TransportResponse): Promise<ErrorWords> {
  let bytes: Uint8Array;
  try {
    bytes = await collect(response.body, MAX_ERROR_BODY);
  } catch {
    return { codes: [], text: "", details: [] };
  }
  const text = new TextDecoder().decode(bytes);
  const errors = errorsIn(text);
  if (errors === undefined) {
    const html = /^\s*</.test(text);
    return { codes: [], text: html ? "" : harmless(text), details: [] };
  }
  const say = (error: Record<string, unknown>) =>
    typeof error["message"] === "string" ? error["message"] : "";
  return {
    codes: errors.map((error) => harmless(String(error["code"] ?? ""))).filter((code) =>
      code !== ""
    ),
    text: harmless([...new Set(errors.map(say))].filter((words) => words !== "").join("; ")),
    details: errors.map((error) => error["detail"]),
  };
}

/** Outside text in one line without control characters, bounded (N-11). */
export function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim().slice(0, MAX_WORDS);
}

/**
 * Makes a refusal of an answer nobody expected; reads its body. `who` asked, in words; absent when we came without
 * credentials.
 */
export async function refusalOf(
  method: string,
  response: TransportResponse,
  who?: string,
): Promise<Refusal> {
  const { status } = response;
  const words = await readErrorWords(response);
  const code = codeOf(status, words.codes);
  const said = [words.codes[0] ?? code, words.text].filter((part) => part !== "").join(": ");
  const seen = `${status} ${said}`;
  const details = words.details.filter((detail) => detail !== undefined && detail !== null);
  const options = {
    status,
    detail: code === "MANIFEST_BLOB_UNKNOWN" ? digestsIn(details) : details,
  };
  switch (true) {
    case status === 401 && who === undefined:
      return new Refusal(
        code,
        `the registry wants credentials, and none were found (${seen})`,
        options,
      );
    case status === 401:
      return new Refusal(code, `the registry refused the credentials of ${who} (${seen})`, options);
    case status === 403:
      return new Refusal(
        code,
        `the registry denies it to ${who ?? "an unknown user"} (${seen})`,
        options,
      );
    case status === 429:
      return new Refusal(code, `the registry limits how often it may be asked (${seen})`, options);
    case status === 413:
      return new Refusal(code, `it is larger than the registry takes (${seen})`, options);
    case status >= 300 && status < 400:
      return new Refusal(
        "UNAVAILABLE",
        `${method} was redirected in a way that is not followed (${status})`,
        options,
      );
    default:
      return new Refusal(code, `${method} was answered with ${seen}`, options);
  }
}

function codeOf(status: number, codes: readonly string[]): OciErrorCode {
  // Of several errors the one that can be mended (C-PUT-03).
  const lacks = "MANIFEST_BLOB_UNKNOWN";
  const known = codes.includes(lacks)
    ? lacks
    : codes.find((code) => Object.hasOwn(STATUS_OF, code));
  if (known !== undefined) return known as OciErrorCode;
  switch (status) {
    case 401:
      return "UNAUTHORIZED";
    case 403:
      return "DENIED";
    case 404:
      return "NAME_UNKNOWN";
    case 405:
    case 501:
      return "UNSUPPORTED";
    case 412:
      return "PRECONDITION_FAILED";
    case 413:
      return "SIZE_INVALID";
    case 416:
      return "RANGE_INVALID";
    case 429:
      return "TOOMANYREQUESTS";
    default:
      return status >= 500 ? "UNAVAILABLE" : "UNSUPPORTED";
  }
}

/** Digests named anywhere in `details`: registries put them there bare, in objects and in lists (C-PUT-03). */
function digestsIn(details: readonly unknown[]): readonly string[] {
  const text = JSON.stringify(details) ?? "";
  return [...new Set(text.match(/sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})(?![0-9a-f])/g) ?? [])];
}

function errorsIn(text: string): readonly Record<string, unknown>[] | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const errors = (json as { errors?: unknown } | null)?.errors;
  if (!Array.isArray(errors)) return undefined;
  return errors.filter((error) => typeof error === "object" && error !== null);
}
