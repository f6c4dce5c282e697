import { notYet } from "./not_yet.ts";
import type { ArchiveImage, OpenArchive } from "./archive.ts";
import type { CallOptions } from "../registry.ts";

/** Writes an OCI layout as one tar. */
export function writeOciArchive(
  _file: string,
  _images: readonly ArchiveImage[],
  _options: CallOptions = {},
): Promise<void> {
  return notYet("write OCI archive");
}

/** Opens an OCI layout in one tar. */
export function readOciArchive(_file: string, _options: CallOptions = {}): Promise<OpenArchive> {
  return notYet("read OCI archive");
}
