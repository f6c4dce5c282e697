import { equal } from "node:assert/strict";
import { crc32 as real } from "node:zlib";
import * as fc from "fast-check";
import { crc32 } from "./crc32.ts";

Deno.test("the checksum is the one of gzip, and of the tags of older stores", () => {
  equal(crc32("123456789"), 0xcbf43926);
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    equal(crc32(text), real(text));
  }));
});
