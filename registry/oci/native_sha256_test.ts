import { equal } from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { nativeSha256, nativeSha256Of } from "./native_sha256.ts";

const arch = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
const library = new URL(`../../dist/native/${arch}/hash.so`, import.meta.url);
const isThere = nativeSha256() !== undefined;
// deno-lint-ignore no-console
if (!isThere) console.log("skipped: hash.so is missing, make it with: deno task build");

const pieces = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 });

Deno.test({
  name: "the native hash is Node's, however the bytes come",
  ignore: !isThere,
  fn: () =>
    fc.assert(fc.property(pieces, (all) => {
      const hash = nativeSha256()!;
      const right = createHash("sha256");
      for (const bytes of all) {
        hash.update(bytes);
        right.update(bytes);
      }
      const hex = right.digest("hex");
      equal(hash.digest("hex"), hex);
      equal(nativeSha256Of(new Uint8Array(all.flatMap((bytes) => [...bytes]))), hex);
    })),
});

Deno.test({
  name: "the plain code for processors without the instructions is right, too",
  ignore: !isThere,
  fn() {
    const { symbols: { sha256_start, sha256_plain_blocks }, close } = openPlain();
    fc.assert(fc.property(fc.uint8Array({ maxLength: 1000 }), (bytes) => {
      const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
      padded.set(bytes);
      padded[bytes.length] = 0x80;
      new DataView(padded.buffer).setUint32(padded.length - 4, bytes.length * 8);
      const state = new Uint8Array(120);
      sha256_start(state);
      sha256_plain_blocks(state, padded, BigInt(padded.length / 64));
      const words = Array.from(
        { length: 8 },
        (_, at) => new DataView(state.buffer).getUint32(4 * at, true),
      );
      const hex = words.map((word) => word.toString(16).padStart(8, "0")).join("");
      equal(hex, createHash("sha256").update(bytes).digest("hex"));
    }));
    close();
  },
});

function openPlain() {
  const opened = Deno.dlopen(library, {
    sha256_start: { parameters: ["buffer"], result: "void" },
    sha256_plain_blocks: { parameters: ["buffer", "buffer", "usize"], result: "void" },
  });
  return { symbols: opened.symbols, close: () => opened.close() };
}

Deno.test("bytes that may change, or are part of others, are hashed as they are at the moment", () => {
  const hash = nativeSha256();
  if (hash === undefined) return;
  const bytes = new Uint8Array(200).fill(1);
  hash.update(bytes.subarray(50, 150));
  bytes.fill(2);
  hash.update(bytes.subarray(0, 0));
  hash.update(bytes.subarray(199));
  const right = createHash("sha256").update(new Uint8Array(100).fill(1)).update(Uint8Array.of(2));
  equal(hash.digest("hex"), right.digest("hex"));
});
