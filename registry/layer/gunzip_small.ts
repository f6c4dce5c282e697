/** What is small is inflated by the web's stream: Node's `zlib` takes 40 ms to load. */
import { crc32 } from "./crc32.ts";

/** No more than this comes out; what is larger is worth loading Node's. */
const MOST = 1024 * 1024;

/**
 * The plain bytes of a gzip file of one member.
 *
 * @returns `undefined` when it is anything else: large, damaged, cut short, of several members. Node's has the words for it.
 */
export async function gunzipSmall(
  packed: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (packed.byteLength < 18) return undefined;
  const trailer = new DataView(packed.buffer, packed.byteOffset + packed.byteLength - 8, 8);
  const size = trailer.getUint32(4, true);
  if (size > MOST) return undefined;
  const plain = new Uint8Array(size);
  let at = 0;
  try {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    for await (const chunk of stream) {
      if (at + chunk.byteLength > size) return undefined;
      plain.set(chunk, at);
      at += chunk.byteLength;
    }
  } catch {
    return undefined;
  }
  // Only then are the last eight bytes those of the only member.
  return at === size && crc32(plain) === trailer.getUint32(0, true) ? plain : undefined;
}
