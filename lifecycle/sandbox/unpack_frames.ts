/**
 * What the helper's `unpack` is told: the entries of layers, decided and clean, as frames of bytes. Pure; the other
 * side is `helper/unpack.c`.
 */
import { stepsOf } from "../../registry/layer/confined.ts";
import type { TarHeader, TarType } from "../../registry/layer/tar_format.ts";

/** What a frame says. */
type Kind = "layer" | "finish" | "whiteout" | "opaque" | "place" | "filePlace" | TarType;

const LETTERS: Readonly<Record<Kind, string>> = {
  layer: "L",
  finish: "E",
  whiteout: "w",
  opaque: "o",
  place: "D",
  filePlace: "F",
  directory: "d",
  file: "f",
  symlink: "l",
  link: "h",
  char: "c",
  block: "b",
  fifo: "p",
};

const HEAD = 44;
const MOST_CAPABILITY = 64;
const CAPABILITY = "SCHILY.xattr.security.capability";
const WHITEOUT = ".wh.";
const encoder = new TextEncoder();

/** Gathers frames until they are taken. */
export class FrameWriter {
  #buffer = new Uint8Array(1 << 20);
  #used = 0;

  /** Bytes that wait. */
  get waiting(): number {
    return this.#used;
  }

  /** Hands over all that waits; the bytes are the caller's until the next call of anything here. */
  take(): Uint8Array {
    const bytes = this.#buffer.subarray(0, this.#used);
    this.#used = 0;
    return bytes;
  }

  /** A layer starts: whiteouts that follow speak of those before. */
  layer(): void {
    this.#frame("layer", "");
  }

  /** A directory to mount on, made when there is none. */
  place(path: string): void {
    this.#frame("place", stepsOf(path).join("/"));
  }

  /** A file to mount on, made when there is none or a link. */
  filePlace(path: string): void {
    this.#frame("filePlace", stepsOf(path).join("/"));
  }

  /** No more entries come. */
  finish(): void {
    this.#frame("finish", "");
  }

  /**
   * An entry; the body of a file is to follow through {@linkcode body}.
   *
   * @throws {TypeError} For a name that leaves the root, or a whiteout of nothing.
   */
  entry(header: TarHeader): void {
    const steps = stepsOf(header.name);
    const name = steps.join("/");
    const last = steps.at(-1) ?? "";
    if (last.startsWith(WHITEOUT)) return this.#whiteout(header, steps);
    const linkName = header.type === "link" ? stepsOf(header.linkName).join("/") : header.linkName;
    this.#frame(header.type, name, header, linkName);
  }

  /** A piece of the body of the file before. */
  body(bytes: Uint8Array): void {
    this.#room(bytes.byteLength);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.byteLength;
  }

  #whiteout(header: TarHeader, steps: readonly string[]): void {
    if (header.size > 0) {
      throw new TypeError(`Cannot unpack ${JSON.stringify(header.name)}: a whiteout has content`);
    }
    const parent = steps.slice(0, -1);
    const target = steps.at(-1)!.slice(WHITEOUT.length);
    if (target === ".wh..opq") return this.#frame("opaque", parent.join("/"));
    if (target.startsWith(WHITEOUT)) return; // notes that aufs makes for itself
    if (target === "" || target === "." || target === "..") {
      throw new TypeError(`Cannot unpack ${JSON.stringify(header.name)}: a whiteout of nothing`);
    }
    this.#frame("whiteout", [...parent, target].join("/"));
  }

  #frame(kind: Kind, name: string, header?: TarHeader, linkName = ""): void {
    const path = encoder.encode(name);
    const link = encoder.encode(linkName);
    const rights = capabilityOf(header);
    this.#room(HEAD + path.byteLength + link.byteLength + rights.byteLength);
    const view = new DataView(this.#buffer.buffer, this.#used);
    view.setUint8(0, LETTERS[kind].charCodeAt(0));
    view.setUint8(1, rights.byteLength);
    view.setUint16(2, (header?.mode ?? 0) & 0o7777, true);
    view.setUint32(4, path.byteLength, true);
    view.setUint32(8, link.byteLength, true);
    view.setUint32(12, header?.uid ?? 0, true);
    view.setUint32(16, header?.gid ?? 0, true);
    view.setUint32(20, header?.major ?? 0, true);
    view.setUint32(24, header?.minor ?? 0, true);
    view.setBigInt64(28, BigInt(header?.mtime ?? 0), true);
    view.setBigUint64(36, BigInt(kind === "file" ? header!.size : 0), true);
    this.#used += HEAD;
    for (const part of [path, link, rights]) this.body(part);
  }

  #room(bytes: number): void {
    if (this.#used + bytes <= this.#buffer.byteLength) return;
    const larger = new Uint8Array(2 * (this.#used + bytes));
    larger.set(this.#buffer.subarray(0, this.#used));
    this.#buffer = larger;
  }
}

/** Rights of a file. Other attributes (`trusted.overlay`, `user.*`) are never set on a host. */
function capabilityOf(header: TarHeader | undefined): Uint8Array {
  const text = header?.type === "file" ? header.pax.get(CAPABILITY) ?? "" : "";
  if (text.length > MOST_CAPABILITY) {
    throw new TypeError(
      `Cannot unpack ${JSON.stringify(header!.name)}: its capability has ${text.length} bytes`,
    );
  }
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
