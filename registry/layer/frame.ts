/**
 * The frame of a tar: all of its bytes but the bodies of files. Headers say how long the bodies are, so two tars with the same
 * frame and the same bodies are the same bytes.
 */
import { type Digest, Digester } from "../oci/digest.ts";
import type { TreeEntry } from "./entry.ts";
import { END_OF_TAR, headerOf } from "./tar_packer.ts";
import { padded } from "./tar_format.ts";

/** Headers are gathered to so many bytes before they are hashed: each hashing has a price. */
const GATHER = 64 * 1024;

/** Hashes a frame as it goes by. */
export class FrameDigester {
  readonly #digester = new Digester();
  readonly #gathered = new Uint8Array(GATHER);
  #filled = 0;

  /** Adds bytes that are no body. */
  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength;) {
      const part = bytes.subarray(at, at + GATHER - this.#filled);
      this.#gathered.set(part, this.#filled);
      this.#filled += part.byteLength;
      at += part.byteLength;
      if (this.#filled === GATHER) this.#flush();
    }
  }

  /** Adds what stands before and behind the body of `entry` in the tar that we make. */
  addEntry(entry: TreeEntry): void {
    this.add(headerOf(entry));
    if (entry.type === "file") this.add(END_OF_TAR.subarray(0, padded(entry.size) - entry.size));
  }

  /** Adds the end of the tar that we make. */
  addEnd(): void {
    this.add(END_OF_TAR);
  }

  /** The digest of the frame; once. */
  digest(): Digest {
    this.#flush();
    return this.#digester.digest();
  }

  #flush(): void {
    this.#digester.update(this.#gathered.subarray(0, this.#filled));
    this.#filled = 0;
  }
}
