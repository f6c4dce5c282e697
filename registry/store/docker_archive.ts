import { notYet } from "./not_yet.ts";
import type { ArchiveImage, OpenArchive } from "./archive.ts";
import type { CallOptions } from "../registry.ts";

/** Writes what `docker save` writes. */
export function writeDockerArchive(
  _file: string,
  _images: readonly ArchiveImage[],
  _options: CallOptions = {},
): Promise<void> {
  return notYet("write docker archive");
}

/** Opens what `docker save` wrote. */
export function readDockerArchive(_file: string, _options: CallOptions = {}): Promise<OpenArchive> {
  return notYet("read docker archive");
}
