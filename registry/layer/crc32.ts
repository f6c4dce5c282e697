const TABLE = Uint32Array.from({ length: 256 }, (_, at) => {
  let row = at;
  for (let bit = 0; bit < 8; bit++) row = row & 1 ? row >>> 1 ^ 0xedb88320 : row >>> 1;
  return row;
});

/**
 * The CRC-32 of gzip, as Node's `zlib.crc32`, of a few bytes or a short text in UTF-8. Node's is quicker, but takes 30 ms to
 * load, and every command that looks a tag up wants one.
 */
export function crc32(data: string | Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of typeof data === "string" ? new TextEncoder().encode(data) : data) {
    crc = crc >>> 8 ^ TABLE[(crc ^ byte) & 255]!;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
