import type { ReadLimits } from "./tar_reader.ts";

/** Options of {@linkcode extractLayer}. */
export interface ExtractOptions {
  /** Which directories of the image may be written, and where: `{"/layers": "/tmp/x/layers"}`. */
  readonly directories: Readonly<Record<string, string>>;
  /** Against bombs; the defaults are generous. */
  readonly limits?: ReadLimits | undefined;
  /** Stops between two entries or chunks. */
  readonly signal?: AbortSignal | undefined;
}

/** What was extracted. */
export interface ExtractResult {
  /** Entries made. */
  readonly entries: number;
  /** Bytes of files. */
  readonly bytes: number;
}

/**
 * Restores a cached or SBOM layer (RE-19..21): directories, files and symlinks with absolute names, mapped
 * through `directories`. Nothing outside them is touched, no symlink on the way is followed. Decompresses by
 * magic bytes. Owners and times are not restored.
 *
 * @throws {TypeError} For an entry that leaves the directories, or of another type.
 * @throws {RangeError} When a limit is passed.
 */
export function extractLayer(
  _stream: ReadableStream<Uint8Array>,
  _options: ExtractOptions,
): Promise<ExtractResult> {
  return Promise.reject(new Error("not written yet"));
}

/** Options of {@linkcode untarTo}. */
export interface UntarOptions {
  /** Against bombs. */
  readonly limits?: ReadLimits | undefined;
  /** Stops between two entries or chunks. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Unpacks a `.tgz` or plain tar of a buildpack into the existing directory `dir`: relative names, modes kept
 * without setuid and setgid, hard links inside become copies of the link. Confined to `dir` as
 * {@linkcode extractLayer} is.
 */
export function untarTo(
  _dir: string,
  _stream: ReadableStream<Uint8Array>,
  _options: UntarOptions = {},
): Promise<ExtractResult> {
  return Promise.reject(new Error("not written yet"));
}
