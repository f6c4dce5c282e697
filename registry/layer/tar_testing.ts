/** Small archives for tests. */
import { encodeHeader, type HeaderFields } from "./tar_encode.ts";
import { BLOCK, padded } from "./tar_format.ts";

/** One entry: what is left out is usual. */
export type Sample = Partial<HeaderFields> & { readonly name: string; readonly text?: string };

/** An archive of `samples`, with its end. */
export function tarOf(...samples: readonly Sample[]): Uint8Array<ArrayBuffer> {
  const parts = samples.flatMap(({ text = "", ...header }) => {
    const body = new TextEncoder().encode(text);
    const type = header.type ?? "file";
    const blocks = new Uint8Array(padded(body.byteLength));
    blocks.set(body);
    const size = type === "file" ? body.byteLength : 0;
    return [
      encodeHeader({ mode: 0o644, uid: 0, gid: 0, mtime: 0, size, type, ...header }),
      blocks,
    ];
  });
  return joined(...parts, new Uint8Array(2 * BLOCK));
}

/** All of `parts` in a row. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

/** A stream of `bytes` in chunks of `size`. */
export function streamOf(bytes: Uint8Array, size = 65536): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.byteLength) return controller.close();
      controller.enqueue(bytes.slice(at, at += size));
    },
  });
}

/** Changes bytes of the header block at `offset` and mends its checksum. */
export function patchHeader(
  tar: Uint8Array<ArrayBuffer>,
  offset: number,
  field: readonly [offset: number, length: number],
  value: string | Uint8Array,
): Uint8Array<ArrayBuffer> {
  const copy = tar.slice();
  const block = copy.subarray(offset, offset + BLOCK);
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  block.fill(0, field[0], field[0] + field[1]);
  block.set(bytes.subarray(0, field[1]), field[0]);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(new TextEncoder().encode(sum.toString(8).padStart(6, "0") + "\0 "), 148);
  return copy;
}
