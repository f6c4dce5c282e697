/** Where the images of a phase live: in registries, or with `-layout` in OCI layouts on disk (19). */
import type { AccessCheck, ImagePlace } from "../../lifecycle/phase/analyze_types.ts";
import { isOciError } from "../../registry/oci/error.ts";
import { parseReference, type Reference } from "../../registry/oci/reference.ts";
import type { Registry } from "../../registry/registry.ts";
import { badInputs } from "./fail.ts";

/** An image that can be read and written. */
export interface OpenedImage extends ImagePlace {
  /** The place. */
  readonly registry: Registry;
}

/** The images a phase works on. */
export interface PhaseImages extends AsyncDisposable {
  /** The image of this name; nothing is asked of it yet. A place for writing is made when it is not there. */
  open(name: string, forWriting?: boolean): Promise<OpenedImage>;
  /** The image behind a reference of `analyzed.toml`. */
  openReference(reference: string): Promise<OpenedImage>;
  /** Whether the image is there and can be read (AN-2). */
  readable(name: string): Promise<boolean>;
  /** The right to read or write the image, to be asked for before any work (AN-3). */
  access(name: string, mode: "read" | "read/write"): AccessCheck;
}

/**
 * Reads an image name (VAL-3).
 *
 * @throws {PhaseFailure} 3.
 */
export function readName(text: string): Reference {
  try {
    return parseReference(text);
  } catch (cause) {
    if (!isOciError(cause)) throw cause;
    throw badInputs(cause.message, { cause });
  }
}
