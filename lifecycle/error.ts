/**
 * How a phase fails: one table of exit codes, and the error that carries one.
 *
 * @see CNB platform spec, "Exit Codes" of each phase
 */

/** The exit codes of the lifecycle; the only place with these numbers. */
export const ExitCode = {
  /** All is well. */
  success: 0,
  /** Something without a code of its own. */
  failure: 1,
  /** A flag that cannot be parsed. */
  flags: 2,
  /** Bad arguments: counts, references, no run image. */
  arguments: 3,
  /** The platform API is not supported. */
  platformApi: 11,
  /** The API of a buildpack is not supported. */
  buildpackApi: 12,
  /** No group passed detection, and no buildpack had an error. */
  noGroup: 20,
  /** No group passed detection, and a buildpack had an error. */
  noGroupErrored: 21,
  /** Detection could not be carried out. */
  detect: 22,
  /** Analysis could not be carried out. */
  analyze: 32,
  /** Restoring could not be carried out. */
  restore: 42,
  /** A `bin/build` failed. */
  buildpackBuild: 51,
  /** Building could not be carried out. */
  build: 52,
  /** Exporting could not be carried out. */
  export: 62,
  /** Rebasing could not be carried out. */
  rebase: 72,
  /** Launching could not be carried out. */
  launch: 82,
  /** A `bin/generate` failed. */
  extensionGenerate: 91,
  /** Generating could not be carried out. */
  generate: 92,
  /** Extending could not be carried out. */
  extend: 102,
} as const;

/** One of the numbers of {@linkcode ExitCode}. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Options of {@linkcode LifecycleError}. */
export interface LifecycleErrorOptions extends ErrorOptions {
  /** The file that is to blame, as its reader knows it. */
  readonly file?: string | undefined;
}

/** A phase cannot go on. */
export class LifecycleError extends Error {
  /** What the process ends with. */
  readonly exitCode: ExitCode;
  /** The file that is to blame. */
  readonly file: string | undefined;

  /** Makes an error that ends a process with `exitCode`. */
  constructor(exitCode: ExitCode, message: string, options: LifecycleErrorOptions = {}) {
    super(message, options);
    this.name = "LifecycleError";
    this.exitCode = exitCode;
    this.file = options.file;
  }
}

/** Options of {@linkcode BuildpackError}. */
export interface BuildpackErrorOptions extends LifecycleErrorOptions {
  /** The buildpack, as `id@version`. */
  readonly buildpack: string;
  /** How its executable ended; absent when it was never started. */
  readonly status?: number | undefined;
}

/** An executable of a buildpack failed, or what it left behind cannot be used. */
export class BuildpackError extends LifecycleError {
  /** The buildpack, as `id@version`. */
  readonly buildpack: string;
  /** The exit status of its executable; `undefined` when it was never started or had ended well. */
  readonly status: number | undefined;

  /** Makes an error that blames one buildpack. */
  constructor(exitCode: ExitCode, message: string, options: BuildpackErrorOptions) {
    super(exitCode, message, options);
    this.name = "BuildpackError";
    this.buildpack = options.buildpack;
    this.status = options.status;
  }
}

/** Options of {@linkcode FileError}. */
export interface FileErrorOptions extends ErrorOptions {
  /** The line that is to blame, from 1. */
  readonly line?: number | undefined;
  /** The key that is to blame, e.g. `order[0].group[1].id`. */
  readonly key?: string | undefined;
}

/** Newlines, escapes of terminals and the like: a message is one line, whatever the document holds. */
// deno-lint-ignore no-control-regex -- exactly these are meant
const CONTROL = /[\0-\x1f\x7f-\x9f\u2028\u2029]/g;

/** A document of the spec cannot be read. It knows no exit code: that depends on the phase. */
export class FileError extends Error {
  /** The document, as its reader knows it. */
  readonly file: string;
  /** The line that is to blame, from 1. */
  readonly line: number | undefined;
  /** The key that is to blame. */
  readonly key: string | undefined;

  /** Makes an error about `file`. Control characters in `message` are shown, not sent to a terminal. */
  constructor(file: string, message: string, options: FileErrorOptions = {}) {
    super(message.replace(CONTROL, showControl), options);
    this.name = "FileError";
    this.file = file;
    this.line = options.line;
    this.key = options.key;
  }
}

/** What was thrown, in its own words. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Runs `act`; what it throws comes out as a {@linkcode LifecycleError} with `exitCode`, message and
 * file unchanged. Errors that have an exit code already, and the reason of an aborted signal, pass.
 */
export async function failAs<T>(
  exitCode: ExitCode,
  signal: AbortSignal,
  act: () => Promise<T> | T,
): Promise<T> {
  return await rethrow(signal, act, (error) => {
    if (error instanceof LifecycleError) return error;
    const message = messageOf(error);
    const file = error instanceof FileError ? error.file : undefined;
    return new LifecycleError(exitCode, message, { cause: error, file });
  });
}

/** Runs `act`; what it throws comes out as what `say` makes of it, the reason of an aborted signal as it is. */
export async function rethrow<T>(
  signal: AbortSignal,
  act: () => Promise<T> | T,
  say: (error: unknown) => Error,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (signal.aborted && error === signal.reason) throw error;
    throw say(error);
  }
}

function showControl(one: string): string {
  return `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
