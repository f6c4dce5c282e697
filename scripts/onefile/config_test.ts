import assert from "node:assert/strict";
import { encodeConfig, type StubConfig } from "./config.ts";
import { readU64, textAt, viewOf } from "./elf.ts";

const config: StubConfig = {
  self: 1,
  entry: 2,
  phdr: 3,
  phnum: 4,
  denoSize: 5,
  files: 6,
  holes: [{ from: 7, to: 8 }],
  parts: [{ name: "libc.so.6", kind: "library", fd: 9, offset: 10, size: 11 }],
  undos: [
    { offset: 12, before: Uint8Array.of(1, 2, 3) },
    { offset: 13, before: Uint8Array.of(4) },
  ],
  args: ["wherry", "run"],
  settings: ["A=b"],
};

Deno.test("the config's tables are where its header says", () => {
  const bytes = encodeConfig(config);
  const view = viewOf(bytes);
  assert.equal(bytes.length % 16, 0);
  assert.deepEqual([16, 24, 32, 40, 48, 56].map((at) => readU64(view, at)), [1, 2, 3, 4, 5, 6]);
  const [holes = 0, parts = 0, undos = 0, args = 0, settings = 0] = [64, 80, 96, 112, 128]
    .map((at) => readU64(view, at));
  assert.deepEqual([72, 88, 104, 120, 136].map((at) => readU64(view, at)), [1, 1, 2, 2, 1]);
  assert.deepEqual([0, 8].map((at) => readU64(view, holes + at)), [7, 8]);
  assert.deepEqual([0, 8, 16, 24].map((at) => readU64(view, parts + at)), [10, 11, 9, 1]);
  assert.equal(textAt(bytes, parts + 32), "libc.so.6");
  assert.deepEqual([0, 8, 24, 32].map((at) => readU64(view, undos + at)), [12, 3, 13, 1]);
  const saved = readU64(view, undos + 16);
  assert.deepEqual([...bytes.slice(saved, saved + 4)], [1, 2, 3, 4]);
  assert.equal(textAt(bytes, args), "wherry");
  assert.equal(textAt(bytes, args + 7), "run");
  assert.equal(textAt(bytes, settings), "A=b");
});

Deno.test("the config's length does not depend on addresses, so that it can be planned", () => {
  const parts = config.parts.map((part) => ({ ...part, offset: 2 ** 40, size: 2 ** 40 }));
  const other = encodeConfig({ ...config, self: 2 ** 47, entry: 2 ** 47, parts });
  assert.equal(other.length, encodeConfig(config).length);
});

Deno.test("a part's name must fit", () => {
  const parts = config.parts.map((part) => ({ ...part, name: "x".repeat(32) }));
  assert.throws(() => encodeConfig({ ...config, parts }), /Cannot name a part/);
});
