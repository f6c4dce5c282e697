/** The one place that turns a failure into an exit code and one line for people. */
import { isOciError } from "../registry/oci/error.ts";
import { Interrupted } from "./io.ts";
import { shown } from "./ui/shown.ts";

/** Bad words on the command line, or words for what is not there: exit 3, as the lifecycle has it. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Nothing is broken, but there is nothing to do either: exit 2. */
export class SoftError extends Error {
  override readonly name = "SoftError";
}

/** Why a file of the command line cannot be read or written, without the words of the system call. */
export function fileFault(cause: unknown): string {
  if (cause instanceof Deno.errors.NotFound) return "no such file";
  if (cause instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (cause instanceof Deno.errors.IsADirectory) return "it is a directory";
  return cause instanceof Error ? cause.message : String(cause);
}

/**
 * The failure of a registry that was asked after the store: both were looked at.
 *
 * @param platform `--platform` as given: the store may have the name for another one.
 */
export function alsoNotInStore(cause: unknown, platform?: string): Error {
  const { code, message = "" } = failureOf(cause);
  const none = platform === undefined ? "none" : `none for ${platform}`;
  return Object.assign(new Error(`${message}; the store has ${none}`, { cause }), {
    exitCode: code,
  });
}

/** What `main.ts` does with a failure. */
export interface Failure {
  /** Of the process. */
  readonly code: number;
  /** One line without `ERROR: `, or `undefined` when all has been said. */
  readonly message: string | undefined;
}

/**
 * One rule for what is not there: an image, an archive or a directory that a word names exits with 3, whichever command
 * looks for it, and so does an index without the platform; what is there and cannot be read or reached, with 1. Codes of the
 * lifecycle surface are as they are (72 of a rebase), 2 is a soft failure.
 *
 * @see CNB checklist 2.3
 */
export function failureOf(error: unknown): Failure {
  const { code, message } = saidOf(error);
  return { code, message: message === undefined ? undefined : shown(message) };
}

function saidOf(error: unknown): Failure {
  if (error instanceof Interrupted) return { code: error.exitCode, message: error.message };
  if (error instanceof UsageError) return { code: 3, message: error.message };
  if (error instanceof SoftError) return { code: 2, message: error.message };
  if (!(error instanceof Error)) return { code: 1, message: String(error) };
  const absent = isOciError(error, "MANIFEST_UNKNOWN", "NAME_UNKNOWN") ? 3 : 1;
  const code = "exitCode" in error && typeof error.exitCode === "number" ? error.exitCode : absent;
  return { code, message: oneLine(error) };
}

/** Our own errors say all there is to say; behind others the cause often says more. */
function oneLine(error: Error): string {
  const parts = [error.message || error.name];
  const ours = isOciError(error) || "exitCode" in error;
  for (let cause = error.cause; !ours && cause instanceof Error; cause = cause.cause) {
    const { message } = cause;
    if (message !== "" && !parts.some((part) => part.includes(message))) parts.push(message);
  }
  return plainWords(parts.join(": ").replaceAll(/\s*\n\s*/g, "; "));
}

/** Without the words of the system call: what was done to what has been said before, or is said first. */
function plainWords(text: string): string {
  return text
    .replace(
      /^(\w)([^:]*) \(os error \d+\): (\w+) '([^']*)'(?: -> '[^']*')?/,
      (_, first: string, rest: string, call: string, path: string) =>
        `Cannot ${call} ${path}: ${first.toLowerCase()}${rest}`,
    )
    .replaceAll(
      /: ([A-Z])([^:]*) \(os error \d+\)(?:: \w+ '[^']*'(?: -> '[^']*')?)?/g,
      (_, first: string, rest: string) => `: ${first.toLowerCase()}${rest}`,
    );
}
