import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { constants, inflateRawSync } from "node:zlib";
import fc from "../oci/property_testing.ts";
import { COMPRESS_BLOCK, compressBlock } from "./compress_block.ts";

/** `size` bytes that look like noise, the same for the same seed. */
function noise(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed | 1;
  for (let at = 0; at < size; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  return bytes;
}

function inflated(bytes: Uint8Array): Uint8Array {
  return inflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });
}

Deno.test("a block of text and noise in any order comes back as it was", () => {
  const piece = fc.record({
    size: fc.integer({ min: 1, max: 200_000 }),
    seed: fc.integer(),
    noisy: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 5 }), (pieces) => {
      const parts = pieces.map(({ size, seed, noisy }) =>
        noisy ? noise(size, seed) : new Uint8Array(size).fill(seed & 0x3f)
      );
      const block = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
      let at = 0;
      for (const part of parts) {
        block.set(part, at);
        at += part.byteLength;
      }
      const { bytes } = compressBlock("gzip", block);
      assert.equal(Buffer.compare(inflated(bytes), block), 0);
    }),
    { numRuns: 30 },
  );
});

Deno.test("noise is stored: it grows by its headers only", () => {
  const block = noise(COMPRESS_BLOCK, 7);
  const { bytes } = compressBlock("gzip", block);
  assert.equal(bytes.byteLength, block.byteLength + Math.ceil(block.byteLength / 65_535) * 5);
});

Deno.test("text is not taken for noise", () => {
  const base64 = new TextEncoder().encode(noise(COMPRESS_BLOCK / 2, 3).toBase64());
  const { bytes } = compressBlock("gzip", base64.subarray(0, 512 * 1024));
  assert.ok(bytes.byteLength < 512 * 1024 * 0.8, `${bytes.byteLength}`);
});
