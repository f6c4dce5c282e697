/**
 * Writing below one directory and nowhere else, whatever the names and links say (X-01..X-05).
 *
 * Deno has no `openat`, but the kernel resolves `/proc/self/fd/N/name` from the open directory N: each step of a
 * path is opened with O_NOFOLLOW from the step above, so a symlink that lies there, or is put there while we look,
 * is never followed. There is one resolver, and it is the one that creates.
 */
import { closeFile, OPEN, openFile, setMode, writeFile } from "./descriptors.ts";

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
    this.#root = openFile(path, OPEN.directory);
  }

  /** Makes a directory and those above it; `mode` is applied by {@linkcode finish}. An existing one keeps its own. */
  makeDirectory(steps: readonly string[], mode: number): void {
    if (steps.length === 0) return;
    const path = this.#at(steps);
    const key = steps.join("/");
    // Nearly always it is not there: to look first would cost more than to try.
    if (isMade(() => Deno.mkdirSync(path, { mode: 0o700 }))) {
      this.#modes.set(key, { steps, mode });
      return;
    }
    const there = Deno.lstatSync(path);
    if (!there.isDirectory) throw this.#inTheWay(steps, there);
    if (this.#modes.has(key)) this.#modes.set(key, { steps, mode });
  }

  /** Makes a file, in the place of another file but of nothing else. */
  makeFile(steps: readonly string[], mode: number): ConfinedFile {
    if (steps.length === 0) this.#free(steps);
    const flags = OPEN.writeOnly | OPEN.create | OPEN.exclusive | OPEN.noFollow;
    const path = this.#at(steps);
    let fd = -1;
    const isNew = isMade(() => {
      fd = openFile(path, flags, 0o600);
    });
    if (!isNew) fd = openFile(this.#free(steps), flags, 0o600);
    let open = true;
    const close = () => {
      if (open) closeFile(fd);
      open = false;
    };
    return {
      write(bytes) {
        writeFile(fd, bytes);
      },
      end() {
        try {
          setMode(fd, mode);
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
    Deno.symlinkSync(target, path);
  }

  /** Makes a hard link to a regular file of this directory. */
  makeLink(steps: readonly string[], target: readonly string[]): void {
    if (steps.join("/") === target.join("/")) return;
    const parent = this.#open(target.slice(0, -1), false);
    try {
      const from = `/proc/self/fd/${parent}/${target.at(-1)}`;
      const there = target.length === 0 ? undefined : statOf(from);
      if (there?.isFile !== true) {
        throw new TypeError(
          `Cannot extract ${this.#name(steps)}: it links to ${
            this.#name(target)
          }, want a file that was extracted`,
        );
      }
      Deno.linkSync(from, this.#free(steps));
    } finally {
      closeFile(parent);
    }
  }

  /** Sets the modes of the directories that were made, the deepest first. */
  finish(): void {
    const all = [...this.#modes.values()].sort((a, b) => b.steps.length - a.steps.length);
    for (const { steps, mode } of all) {
      const fd = this.#open(steps, false);
      try {
        setMode(fd, mode);
      } finally {
        closeFile(fd);
      }
    }
    this.#modes.clear();
  }

  /** Closes what is open. */
  [Symbol.dispose](): void {
    if (this.#last !== undefined) closeFile(this.#last.fd);
    this.#last = undefined;
    closeFile(this.#root);
  }

  /** A path the kernel resolves from the open parent; parents are made when missing. */
  #at(steps: readonly string[]): string {
    const parent = steps.slice(0, -1);
    const name = steps.at(-1)!;
    if (parent.length === 0) return `/proc/self/fd/${this.#root}/${name}`;
    if (this.#last === undefined || !same(this.#last.steps, parent)) {
      const fd = this.#open(parent, true);
      if (this.#last !== undefined) closeFile(this.#last.fd);
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
    if (!there.isFile) throw this.#inTheWay(steps, there);
    Deno.removeSync(path);
    return path;
  }

  /** Opens a directory step by step; the caller closes it. */
  #open(steps: readonly string[], make: boolean): number {
    const last = this.#last;
    const short = last !== undefined && last.steps.length <= steps.length &&
      last.steps.every((step, at) => step === steps[at]);
    let at = short ? last.steps.length : 0;
    let fd = openFile(
      `/proc/self/fd/${short ? last.fd : this.#root}/.`,
      OPEN.directory,
    );
    try {
      for (; at < steps.length; at++) {
        const path = `/proc/self/fd/${fd}/${steps[at]}`;
        const next = this.#openStep(path, steps.slice(0, at + 1), make);
        closeFile(fd);
        fd = next;
      }
      return fd;
    } catch (error) {
      closeFile(fd);
      throw error;
    }
  }

  #openStep(path: string, steps: readonly string[], make: boolean): number {
    for (let attempt = 0;; attempt++) {
      try {
        return openFile(path, OPEN.directory | OPEN.noFollow);
      } catch (cause) {
        const { code } = cause as { code?: unknown };
        if (code === "ENOENT" && make && attempt === 0) Deno.mkdirSync(path);
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

  #inTheWay(steps: readonly string[], there: Deno.FileInfo): TypeError {
    const kind = there.isSymlink ? "a symlink" : there.isDirectory ? "a directory" : "a file";
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

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((step, at) => step === b[at]);
}
