/**
 * One gzip member around deflate blocks that were made apart.
 *
 * @see RFC 1952; for the CRC of joined data, M. Adler's crc32_combine
 */

/** Deflate, no name, time 0, "unknown" system: the same header for every layer (TA-10). */
export const GZIP_HEADER: Uint8Array = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);

/** An empty last deflate block, then CRC and length of the plain bytes. */
export function gzipTrailer(crc: number, plainSize: number): Uint8Array {
  const bytes = new Uint8Array(10);
  bytes.set([0x03, 0x00]);
  const view = new DataView(bytes.buffer);
  view.setUint32(2, crc >>> 0, true);
  view.setUint32(6, plainSize % 2 ** 32, true);
  return bytes;
}

/** The CRC-32 of A then B, from the CRC of each and the length of B. */
export function joinCrc(a: number, b: number, lengthOfB: number): number {
  return (multiply(xToThe8(lengthOfB), a >>> 0) ^ b) >>> 0;
}

const POLYNOMIAL = 0xedb88320;

/** a * b in GF(2)[x] modulo the CRC polynomial; bit 31 is x^0. */
function multiply(a: number, b: number): number {
  let product = 0;
  let factor = b;
  for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor;
    factor = (factor & 1) !== 0 ? (factor >>> 1) ^ POLYNOMIAL : factor >>> 1;
  }
  return product >>> 0;
}

/** x^(8n) modulo the polynomial, by squaring. */
function xToThe8(n: number): number {
  let result = 0x80000000; // x^0
  let power = 0x00800000; // x^8
  for (let left = n; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = multiply(power, result);
    power = multiply(power, power);
  }
  return result >>> 0;
}
