/** What a command may touch of the process. `main.ts` makes the real one, tests make their own. */
export interface Io {
  /** What the user typed behind the program's name. */
  readonly args: readonly string[];
  /** The environment as it was at the start. */
  readonly env: Readonly<Record<string, string>>;
  /** Where the user stands; absolute. */
  readonly cwd: string;
  /** Who runs us. */
  readonly user: { readonly uid: number; readonly gid: number };
  /** What programs read that are started for the user; absent: nothing. */
  readonly stdin?: { readonly isTerminal: boolean } | undefined;
  /** Results. */
  readonly stdout: Sink;
  /** Logs, progress, errors. */
  readonly stderr: Sink;
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP; its reason is an {@linkcode Interrupted}. */
  readonly signal: AbortSignal;
}

/** One end of text. */
export interface Sink {
  /** Writes all of it before it returns. */
  write(text: string | Uint8Array): void;
  /** Whether a person looks at it. */
  readonly isTerminal: boolean;
  /** Width of the terminal in columns; 80 when there is none. */
  columns(): number;
}

/** Somebody asked us to stop. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  /** 128 and the number of the signal. */
  readonly exitCode: number;

  /** What they sent. */
  readonly signal: "SIGINT" | "SIGTERM" | "SIGHUP";

  /** Stopped by `signal`. */
  constructor(signal: "SIGINT" | "SIGTERM" | "SIGHUP") {
    super(`Stopped by ${signal}`);
    this.signal = signal;
    this.exitCode = 128 + { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }[signal];
  }
}
