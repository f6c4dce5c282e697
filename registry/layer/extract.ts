import { type Digest, Digester } from "../oci/digest.ts";
import type { Source } from "../source.ts";
import { ConfinedDirectory, type ConfinedFile, stepsOf } from "./confined.ts";
import type { FrameDigester } from "./frame.ts";
import type { TarHeader } from "./tar_format.ts";
import type { ReadLimits } from "./read_limits.ts";
import { type TarVisitor, walkTar } from "./tar_reader.ts";

/** Options of {@linkcode untarTo}. */
export interface UntarOptions {
  /** Against bombs; the defaults are generous. */
  readonly limits?: ReadLimits | undefined;
  /** Stops between two chunks. */
  readonly signal?: AbortSignal | undefined;
  /** Keep setuid and setgid bits on files. Default: no, the host is not an image. */
  readonly keepSetuid?: boolean | undefined;
  /** Gets all bytes of the plain tar but the bodies of files. */
  readonly frame?: FrameDigester | undefined;
  /** What the plain tar must be. Where it is not, that is told at its end, before directories get their modes: they can be removed. */
  readonly diffId?: Digest | undefined;
}

/** Options of {@linkcode extractLayer}. */
export interface ExtractOptions extends UntarOptions {
  /**
   * Which directories of the image may be written, and the existing directories they are here:
   * `{"/layers": "/tmp/x/layers"}`. The longest that fits counts.
   */
  readonly directories: Readonly<Record<string, string>>;
  /** No more than this path of the image, what is below it, and its parents. Default: all of `directories`. */
  readonly only?: string | undefined;
}

/** What was extracted. */
export interface ExtractResult {
  /** Entries made. */
  readonly entries: number;
  /** Bytes of files. */
  readonly bytes: number;
}

/**
 * Restores a cached or SBOM layer (RE-19..21): directories, files and symlinks, mapped through `directories`.
 * Nothing outside them is touched, no symlink on the way is followed. Decompresses by magic bytes. Owners and times
 * are not restored; existing directories keep their mode, files are replaced. After a failure, what was extracted
 * so far is still there.
 *
 * @throws {TypeError} For an entry that leaves the directories, is of another type, or meets a symlink; for another diffID.
 * @throws {SyntaxError} When the archive is malformed.
 * @throws {RangeError} When a limit is passed.
 */
export async function extractLayer(
  stream: ReadableStream<Uint8Array> | Source,
  options: ExtractOptions,
): Promise<ExtractResult> {
  using places = new Places(options.directories, options.only);
  return await extract(stream, options, {
    locate: (header) => places.locate(header),
    link: (header) => {
      throw new TypeError(
        `Cannot restore ${JSON.stringify(header.name)}: a layer to restore holds no hard links`,
      );
    },
    finish: () => places.finish(),
  });
}

/**
 * Unpacks a `.tgz` or plain tar of a buildpack into the existing directory `dir`: modes kept, owners and times not,
 * hard links within. Confined to `dir` as {@linkcode extractLayer} is; a leading slash means `dir`.
 *
 * @throws As {@linkcode extractLayer}.
 */
export async function untarTo(
  dir: string,
  stream: ReadableStream<Uint8Array>,
  options: UntarOptions = {},
): Promise<ExtractResult> {
  using target = new ConfinedDirectory(dir);
  return await extract(stream, options, {
    locate: (header) => ({ target, steps: stepsOf(header.name) }),
    link: (header) => target.makeLink(stepsOf(header.name), stepsOf(header.linkName)),
    finish: () => target.finish(),
  });
}

interface Location {
  readonly target: ConfinedDirectory;
  readonly steps: readonly string[];
}

interface Rules {
  /** Where an entry goes; `undefined` for one that is there already. */
  readonly locate: (header: TarHeader) => Location | undefined;
  readonly link: (header: TarHeader) => void;
  readonly finish: () => void;
}

async function extract(
  stream: ReadableStream<Uint8Array> | Source,
  options: UntarOptions,
  rules: Rules,
): Promise<ExtractResult> {
  const fileBits = options.keepSetuid ? 0o7777 : 0o1777;
  let file: ConfinedFile | undefined;
  let bytes = 0;
  const gathered = options.frame;
  const digester = options.diffId && new Digester();
  const visitor: TarVisitor = {
    header(header) {
      if (header.type === "link") return rules.link(header);
      const place = rules.locate(header);
      if (place === undefined) return;
      const { target, steps } = place;
      switch (header.type) {
        case "directory":
          return target.makeDirectory(steps, header.mode & 0o7777);
        case "symlink":
          return target.makeSymlink(steps, header.linkName);
        case "file":
          file = target.makeFile(steps, header.mode & fileBits);
          return;
        case "char":
        case "block":
        case "fifo":
          throw new TypeError(
            `Cannot extract ${JSON.stringify(header.name)}: it is a ${header.type} device or pipe`,
          );
      }
    },
    body(chunk) {
      file?.write(chunk);
      bytes += chunk.byteLength;
    },
    end() {
      file?.end();
      file = undefined;
    },
    ...(gathered ? { frame: (bytes) => gathered.add(bytes) } : {}),
  };
  try {
    const { limits, signal } = options;
    const onBytes = digester && ((chunk: Uint8Array) => void digester.update(chunk));
    const { entries } = await walkTar(stream, visitor, { limits, signal, onBytes });
    const found = digester?.digest();
    if (found !== options.diffId) {
      throw new TypeError(`Cannot extract tar: it is ${found}, want ${options.diffId}`);
    }
    rules.finish();
    return { entries, bytes };
  } finally {
    file?.close();
  }
}

/** The directories of the image that may be written. */
class Places implements Disposable {
  readonly #places: { readonly inside: readonly string[]; readonly target: ConfinedDirectory }[] =
    [];
  readonly #only: readonly string[];

  constructor(directories: Readonly<Record<string, string>>, only = "/") {
    this.#only = stepsOf(only);
    try {
      for (const [inside, outside] of Object.entries(directories)) {
        this.#places.push({ inside: stepsOf(inside), target: new ConfinedDirectory(outside) });
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
    this.#places.sort((a, b) => b.inside.length - a.inside.length);
  }

  locate(header: TarHeader): Location | undefined {
    const steps = stepsOf(header.name);
    const isBelow = this.#only.every((step, at) => step === steps[at]);
    const isAbove = header.type === "directory" &&
      steps.every((step, at) => step === this.#only[at]);
    if (!isBelow && !isAbove) {
      const only = "/" + this.#only.join("/");
      throw new TypeError(
        `Cannot restore ${JSON.stringify(header.name)}: it lies outside ${only}`,
      );
    }
    for (const { inside, target } of this.#places) {
      if (inside.every((step, at) => step === steps[at])) {
        return { target, steps: steps.slice(inside.length) };
      }
    }
    // The parents of a directory come along in its layer (TA-2), and are there.
    const above = this.#places.some(({ inside }) => steps.every((step, at) => step === inside[at]));
    if (above && header.type === "directory") return undefined;
    throw new TypeError(
      `Cannot restore ${JSON.stringify(header.name)}: it lies outside ${
        this.#places.map(({ inside }) => "/" + inside.join("/")).sort().join(" and ")
      }`,
    );
  }

  finish(): void {
    for (const { target } of this.#places) target.finish();
  }

  [Symbol.dispose](): void {
    for (const { target } of this.#places) target[Symbol.dispose]();
  }
}
