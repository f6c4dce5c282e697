/** The helper's own hashes, with the instructions that processors have for them and without. */
import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { compileVariant } from "../../scripts/compile_c.ts";
import { digestOf, hexOf } from "../../registry/oci/digest.ts";
import { tempDir } from "../../registry/temp_testing.ts";

/** Bytes, and in which pieces they are added. */
const LENGTHS = [
  [0, 1],
  [1, 1],
  [55, 7],
  [63, 64],
  [64, 64],
  [119, 64],
  [300, 300],
  [4097, 129],
  [5000, 5000],
] as const;

Deno.test("TA-7 TA-10 SHA-256 and CRC-32 of the helper are those of the runtime, on every processor", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const sources = ["test_hashes.c", "sha256.c", "sha256_plain.c"].map((file) =>
    `../sandbox/helper/${file}`
  );
  await compileVariant(`${dir}/hashes`, { sources, libc: true });
  const bytes = Uint8Array.from({ length: 5000 }, (_, at) => at * at * 31 >> 5 & 255);
  for (const [length, piece] of LENGTHS) {
    const child = new Deno.Command(`${dir}/hashes`, {
      args: [`${piece}`],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const some = bytes.subarray(0, length);
    const [{ stdout }] = await Promise.all([
      child.output(),
      new Blob([some]).stream().pipeTo(child.stdin),
    ]);
    const wanted = [hexOf(digestOf(some)), crc32(some).toString(16).padStart(8, "0")];
    const said = new TextDecoder().decode(stdout).trim().split("\n");
    assert.deepEqual(said, [...wanted, ...wanted], `${length} bytes`);
  }
});
