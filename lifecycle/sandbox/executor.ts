/**
 * What a phase needs of a sandbox: something that runs one executable of a buildpack and tells how
 * it ended. How the walls are made is the business of `root.ts`, `in_place.ts` and `chroot.ts`.
 */

/** A directory as buildpacks see it, and where it lies on this machine. Both paths are absolute. */
export type Dir = {
  /** The path inside the sandbox, e.g. `/layers`. */
  readonly inside: string;
  /** The path on this machine. */
  readonly outside: string;
};

/** One executable to run. */
export interface Command {
  /** The executable, a path inside the sandbox. */
  readonly program: string;
  /** Its arguments, without the program itself. Visible to other processes: never a secret. */
  readonly args: readonly string[];
  /** The working directory, a path inside the sandbox. */
  readonly cwd: string;
  /** The whole environment: nothing is added to it and nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Aborting ends the executable: TERM, two seconds of grace, KILL, nothing left running. */
  readonly signal: AbortSignal;
  /** How it ends when the signal is aborted, where that is not by TERM and an error. */
  readonly abort?: {
    /** What it is sent; asked when it is needed. */
    readonly with: () => Deno.Signal;
    /** Before it is killed. */
    readonly graceSeconds: number;
    /** Its end is the result, instead of the signal's reason as an error. */
    readonly outcome: true;
  } | undefined;
  /**
   * What it reads: the caller's own stdin, or a new terminal that is copied to and from the caller's, which then has all
   * output too. Default: nothing.
   */
  readonly input?: "stdin" | "terminal" | undefined;
  /** Called with each piece of output as it comes; the bytes belong to the callee. */
  onOutput(chunk: Uint8Array, stream: "stdout" | "stderr"): void;
}

/** How an executable that was started came to its end. */
export interface Outcome {
  /** The exit code, 0 to 255; 128 + n when signal n ended it. */
  readonly code: number;
  /** The name of the signal that ended it, e.g. `SIGKILL`; absent when it exited by itself. */
  readonly signal?: string;
  /** Peak resident memory of the largest process, in KiB, where it is known. */
  readonly maxRssKb?: number;
}

/** Runs executables of buildpacks, one at a time or several at once. */
export interface Executor {
  /** One line for people: how executables are run, and what that does not protect. */
  readonly describe: string;
  /** Set when what makes itself independent of what started it goes on running. */
  readonly leavesProcesses?: true;
  /**
   * Runs `command` to its end; when the promise settles, nothing it started is running.
   *
   * @throws {StartError} When it could not be started (CNB: an error, not an exit code).
   * @throws The signal's reason when the signal was aborted.
   */
  run(command: Command): Promise<Outcome>;
}

/** An executable that was never started: absent, not executable, or the sandbox could not be made. */
export class StartError extends Error {
  /** 127 the program is not there, 126 it cannot be executed, 125 the sandbox itself failed. */
  readonly code: 125 | 126 | 127;

  constructor(code: 125 | 126 | 127, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StartError";
    this.code = code;
  }
}
