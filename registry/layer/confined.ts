/**
 * Writing below one directory and nowhere else, whatever the names and links say (X-01..X-05).
 *
 * Deno has no `openat`, but the kernel resolves `/proc/self/fd/N/name` from the open directory N: each step of a
 * path is opened with O_NOFOLLOW from the step above, so a symlink that lies there, or is put there while we look,
 * is never followed. There is one resolver, and it is the one that creates.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";

// `constants` is asked where it is used: a look at it here would load Node's file system at the start of every command.

/** Longer paths are an attack on our time: no layer of a buildpack is deeper. */
const MAX_STEPS = 1024;

/**
 * The steps of a name in an archive: `./a//b/` is `a`, `b`.
 *
 * @throws {TypeError} When it has a step `..`, a NUL, or too many steps.
 */
export function stepsOf(name: string): string[] {
  const steps = name.split("/").filter((step) => step !== "" && step !== ".");
  if (steps.includes("..") || name.includes("\0")) {
    throw new TypeError(`Cannot extract ${JSON.stringify(name)}: it leaves the directory`);
  }
  if (steps.length > MAX_STEPS) {
    throw new TypeError(`Cannot extract an entry: its name has ${steps.length} steps`);
  }
  return steps;
}

/** A file that is being written. */
export interface ConfinedFile {
  /** Appends all of `bytes`. */
  write(bytes: Uint8Array): void;
  /** Sets the mode and closes. */
  end(): void;
  /** Closes, after a failure. */
  close(): void;
}

/** One directory, open for creating things below it. Paths are steps from {@linkcode stepsOf}. */
export class ConfinedDirectory implements Disposable {
  /** Of the directory itself: kept open, so that it stays the one that was named. */
  readonly #root: number;
  readonly #path: string;
  /** The parent of the last entry: most entries share it. */
  #last: { readonly steps: readonly string[]; readonly fd: number } | undefined;
  /** Directories whose mode is set at the end, so that a read-only one can be filled (RE-20). */
  readonly #modes = new Map<string, { readonly steps: readonly string[]; readonly mode: number }>();

  /** @param path An existing directory. Symlinks up to here are the caller's, and followed. */
  constructor(path: string) {
    this.#path = path;
    this.#root = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  }

  /** Makes a directory and those above it; `mode` is applied by {@linkcode finish}. An existing one keeps its own. */
  makeDirectory(steps: readonly string[], mode: number): void {
    if (steps.length === 0) return;
    const path = this.#at(steps);
    const key = steps.join("/");
    // Nearly always it is not there: to look first would cost more than to try.
    if (isMade(() => mkdirSync(path, 0o700))) {
      this.#modes.set(key, { steps, mode });
      return;
    }
    const there = lstatSync(path);
    if (!there.isDirectory()) throw this.#inTheWay(steps, there);
    if (this.#modes.has(key)) this.#modes.set(key, { steps, mode });
  }

  /** Makes a file, in the place of another file but of nothing else. */
  makeFile(steps: readonly string[], mode: number): ConfinedFile {
    if (steps.length === 0) this.#free(steps);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const path = this.#at(steps);
    let fd = -1;
    const isNew = isMade(() => {
      fd = openSync(path, flags, 0o600);
    });
    if (!isNew) fd = openSync(this.#free(steps), flags, 0o600);
    let open = true;
    const close = () => {
      if (open) closeSync(fd);
      open = false;
    };
    return {
      write(bytes) {
        for (let at = 0; at < bytes.byteLength;) at += writeSync(fd, bytes, at);
      },
      end() {
        try {
          fchmodSync(fd, mode);
        } finally {
          close();
        }
      },
      close,
    };
  }

  /** Makes a symlink. Its text is kept as it is, since nothing here ever follows it. */
  makeSymlink(steps: readonly string[], target: string): void {
    const path = this.#free(steps);
    symlinkSync(target, path);
  }

  /** Makes a hard link to a regular file of this directory. */
  makeLink(steps: readonly string[], target: readonly string[]): void {
    if (steps.join("/") === target.join("/")) return;
    const parent = this.#open(target.slice(0, -1), false);
    try {
      const from = `/proc/self/fd/${parent}/${target.at(-1)}`;
      const there = target.length === 0 ? undefined : statOf(from);
      if (there?.isFile() !== true) {
        throw new TypeError(
          `Cannot extract ${this.#name(steps)}: it links to ${
            this.#name(target)
          }, want a file that was extracted`,
        );
      }
      linkSync(from, this.#free(steps));
    } finally {
      closeSync(parent);
    }
  }

  /** Sets the modes of the directories that were made, the deepest first. */
  finish(): void {
    const all = [...this.#modes.values()].sort((a, b) => b.steps.length - a.steps.length);
    for (const { steps, mode } of all) {
      const fd = this.#open(steps, false);
      try {
        fchmodSync(fd, mode);
      } finally {
        closeSync(fd);
      }
    }
    this.#modes.clear();
  }

  /** Closes what is open. */
  [Symbol.dispose](): void {
    if (this.#last !== undefined) closeSync(this.#last.fd);
    this.#last = undefined;
    closeSync(this.#root);
  }

  /** A path the kernel resolves from the open parent; parents are made when missing. */
  #at(steps: readonly string[]): string {
    const parent = steps.slice(0, -1);
    const name = steps.at(-1)!;
    if (parent.length === 0) return `/proc/self/fd/${this.#root}/${name}`;
    if (this.#last === undefined || !same(this.#last.steps, parent)) {
      const fd = this.#open(parent, true);
      if (this.#last !== undefined) closeSync(this.#last.fd);
      this.#last = { steps: parent, fd };
    }
    return `/proc/self/fd/${this.#last.fd}/${name}`;
  }

  /** As {@linkcode #at}, with the place cleared of an older file. */
  #free(steps: readonly string[]): string {
    if (steps.length === 0) {
      throw new TypeError(`Cannot extract ${this.#path}: an archive wants to replace it`);
    }
    const path = this.#at(steps);
    const there = statOf(path);
    if (there === undefined) return path;
    if (!there.isFile()) throw this.#inTheWay(steps, there);
    unlinkSync(path);
    return path;
  }

  /** Opens a directory step by step; the caller closes it. */
  #open(steps: readonly string[], make: boolean): number {
    const last = this.#last;
    const short = last !== undefined && last.steps.length <= steps.length &&
      last.steps.every((step, at) => step === steps[at]);
    let at = short ? last.steps.length : 0;
    let fd = openSync(
      `/proc/self/fd/${short ? last.fd : this.#root}/.`,
      constants.O_RDONLY | constants.O_DIRECTORY,
    );
    try {
      for (; at < steps.length; at++) {
        const path = `/proc/self/fd/${fd}/${steps[at]}`;
        const next = this.#openStep(path, steps.slice(0, at + 1), make);
        closeSync(fd);
        fd = next;
      }
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  #openStep(path: string, steps: readonly string[], make: boolean): number {
    for (let attempt = 0;; attempt++) {
      try {
        return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      } catch (cause) {
        const { code } = cause as { code?: unknown };
        if (code === "ENOENT" && make && attempt === 0) mkdirSync(path);
        else if (code === "ENOENT" && !make) {
          throw new TypeError(`Cannot extract: ${this.#name(steps)} was not extracted`, { cause });
        } else if (code === "ELOOP" || code === "ENOTDIR") {
          throw new TypeError(
            `Cannot extract into ${
              this.#name(steps)
            }: it is no directory, and links are not followed`,
            { cause },
          );
        } else throw cause;
      }
    }
  }

  #inTheWay(steps: readonly string[], there: Stats): TypeError {
    const kind = there.isSymbolicLink()
      ? "a symlink"
      : there.isDirectory()
      ? "a directory"
      : "a file";
    return new TypeError(`Cannot extract ${this.#name(steps)}: ${kind} lies in its place`);
  }

  #name(steps: readonly string[]): string {
    return JSON.stringify([this.#path, ...steps].join("/"));
  }
}

/** Whether `make` made it; `false` when something lies there. */
function isMade(make: () => void): boolean {
  try {
    make();
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code !== "EEXIST") throw error;
    return false;
  }
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((step, at) => step === b[at]);
}
