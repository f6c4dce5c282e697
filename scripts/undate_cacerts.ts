/**
 * Java's list of authorities without the dates of its making, so that two makings of an image are the same bytes:
 *
 *     deno run -A scripts/undate_cacerts.ts ROOT
 *
 * The format is JKS: a head, entries with an 8-byte date, and a SHA-1 over the password and everything before it.
 */
import { createHash } from "node:crypto";

const FILE = "etc/ssl/certs/java/cacerts";
const MAGIC = 0xfeedfeed;
const CERTIFICATE = 2;

/**
 * The same list with each date set to 1970.
 *
 * @throws {RangeError} When it is no JKS file of nothing but certificates, with the password `changeit`.
 */
export function undateCacerts(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  const view = new DataView(copy.buffer);
  if (view.getUint32(0) !== MAGIC) {
    throw new RangeError("Cannot read Java's authorities: not a JKS file");
  }
  const version = view.getUint32(4);
  let at = 12;
  const skipText = () => {
    at += 2 + view.getUint16(at);
  };
  for (let left = view.getUint32(8); left > 0; left--) {
    if (view.getUint32(at) !== CERTIFICATE) {
      throw new RangeError("Cannot read Java's authorities: an entry is no certificate");
    }
    at += 4;
    skipText(); // its alias
    view.setBigUint64(at, 0n);
    at += 8;
    if (version > 1) skipText(); // its type
    at += 4 + view.getUint32(at);
  }
  if (at + 20 !== copy.length || !sameBytes(bytes.subarray(at), seal(bytes.subarray(0, at)))) {
    throw new RangeError("Cannot read Java's authorities: the digest at their end is another");
  }
  copy.set(seal(copy.subarray(0, at)), at);
  return copy;
}

function seal(bytes: Uint8Array): Uint8Array {
  const password = [..."changeit"].flatMap((letter) => [0, letter.charCodeAt(0)]);
  return createHash("sha1").update(new Uint8Array(password)).update("Mighty Aphrodite")
    .update(bytes).digest();
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

if (import.meta.main) {
  const path = `${Deno.args[0]}/${FILE}`;
  const bytes = await Deno.readFile(path).catch(() => undefined);
  if (bytes !== undefined) await Deno.writeFile(path, undateCacerts(bytes));
}
