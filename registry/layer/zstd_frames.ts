/**
 * Finds where zstd frames begin and end. The runtime's decoder takes one frame, loses the next when its first bytes
 * are split over two chunks, and does not tell a stream that was cut short; so it is handed one whole frame each.
 *
 * @see RFC 8878, section 3.1
 */

/** A piece of a frame, in order. */
export interface FramePiece {
  /** Bytes of the frame, header and all. */
  readonly bytes: Uint8Array;
  /** Whether the frame ends here. */
  readonly last: boolean;
}

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
/** Bytes of the content size field by its flag; the first is for frames that are not a single segment. */
const CONTENT_SIZE = [0, 2, 4, 8] as const;
const DICTIONARY_ID = [0, 1, 2, 4] as const;

type Step = "magic" | "header" | "block" | "content" | "skip";

/** Cuts a stream at its frames; skippable frames are left out. */
export class ZstdFrames {
  readonly #maxWindow: number;
  /** What is wanted whole before it can be read. */
  #head = new Uint8Array(18);
  #have = 0;
  #want = 4;
  #step: Step = "magic";
  /** Bytes of content, checksum or skippable frame still to pass. */
  #left = 0;
  #lastBlock = false;
  #checksum = 0;

  /** @param maxWindow Frames that need more memory, in bytes, are refused. */
  constructor(maxWindow: number) {
    this.#maxWindow = maxWindow;
  }

  /**
   * The pieces of `chunk`, whose memory they share or not.
   *
   * @throws {SyntaxError} When it is no zstd.
   * @throws {RangeError} When the window is too large.
   */
  push(chunk: Uint8Array): FramePiece[] {
    const pieces: FramePiece[] = [];
    for (let at = 0; at < chunk.byteLength;) {
      if (this.#left > 0) {
        const took = Math.min(this.#left, chunk.byteLength - at);
        this.#left -= took;
        if (this.#step === "content") {
          const last = this.#left === 0 && this.#lastBlock;
          pieces.push({ bytes: chunk.subarray(at, at + took), last });
        }
        at += took;
        if (this.#left === 0) this.#next(this.#step === "skip" || this.#lastBlock);
        continue;
      }
      this.#head[this.#have++] = chunk[at++]!;
      if (this.#have < this.#want) continue;
      const piece = this.#read();
      if (piece !== undefined) pieces.push(piece);
    }
    return pieces;
  }

  /** @throws {SyntaxError} When a frame was cut short. */
  finish(): void {
    if (this.#step !== "magic" || this.#have > 0) {
      throw new SyntaxError("Cannot decompress zstd: it ends in the middle of a frame");
    }
  }

  #next(ended: boolean): void {
    this.#have = 0;
    this.#step = ended ? "magic" : "block";
    this.#want = ended ? 4 : 3;
    if (ended) this.#lastBlock = false;
  }

  #read(): FramePiece | undefined {
    const view = new DataView(this.#head.buffer);
    if (this.#step === "magic") return this.#readMagic(view);
    const bytes = this.#head.slice(0, this.#have);
    if (this.#step === "header") {
      if (this.#have === 5) {
        const flags = this.#head[4]!;
        const single = (flags & 0x20) !== 0;
        const size = CONTENT_SIZE[flags >> 6 as 0 | 1 | 2 | 3] || (single ? 1 : 0);
        this.#want = 5 + (single ? 0 : 1) + DICTIONARY_ID[flags & 3 as 0 | 1 | 2 | 3]! + size;
        if (this.#want > 5) return undefined;
      }
      this.#checkWindow(view);
      this.#checksum = (this.#head[4]! & 4) !== 0 ? 4 : 0;
      this.#next(false);
      return { bytes, last: false };
    }
    const header = this.#head[0]! | this.#head[1]! << 8 | this.#head[2]! << 16;
    const type = header >> 1 & 3;
    if (type === 3) throw new SyntaxError("Cannot decompress zstd: a block has a reserved type");
    this.#lastBlock = (header & 1) !== 0;
    this.#left = (type === 1 ? 1 : header >> 3) + (this.#lastBlock ? this.#checksum : 0);
    this.#step = "content";
    this.#have = 0;
    const last = this.#left === 0 && this.#lastBlock;
    if (this.#left === 0) this.#next(this.#lastBlock);
    return { bytes, last };
  }

  #readMagic(view: DataView): undefined {
    const magic = view.getUint32(0, true);
    if (this.#have === 8) {
      this.#left = view.getUint32(4, true);
      this.#step = "skip";
      if (this.#left === 0) this.#next(true);
    } else if (magic === MAGIC) {
      this.#step = "header";
      this.#want = 5;
    } else if ((magic & 0xfffffff0) === SKIPPABLE) {
      this.#want = 8;
    } else {
      throw new SyntaxError("Cannot decompress zstd: something else follows a frame");
    }
  }

  #checkWindow(view: DataView): void {
    const flags = this.#head[4]!;
    let window: number;
    if ((flags & 0x20) === 0) {
      const descriptor = this.#head[5]!;
      const base = 2 ** (10 + (descriptor >> 3));
      window = base + base / 8 * (descriptor & 7);
    } else {
      const at = 5 + DICTIONARY_ID[flags & 3 as 0 | 1 | 2 | 3]!;
      window = [
        () => view.getUint8(at),
        () => view.getUint16(at, true) + 256,
        () => view.getUint32(at, true),
        () => Number(view.getBigUint64(at, true)),
      ][flags >> 6]!();
    }
    if (window > this.#maxWindow) {
      throw new RangeError(
        `Cannot decompress zstd: it wants ${window} bytes of memory, more than ${this.#maxWindow}`,
      );
    }
  }
}
