import { deepEqual, equal } from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { gunzipSmall } from "./gunzip_small.ts";

const gzip = (plain: Uint8Array) => new Uint8Array(gzipSync(plain));

Deno.test("CA-7 a small gzip file becomes what Node makes of it, or is left to Node", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), async (plain) => {
      deepEqual(await gunzipSmall(gzip(plain)), plain);
    }),
  );
});

Deno.test("CA-7 damaged, cut, joined or large gzip files are left to Node", async () => {
  const one = gzip(new TextEncoder().encode("one ".repeat(1000)));
  const joined = new Uint8Array([...one, ...one]);
  for (
    const other of [joined, one.subarray(0, -1), new Uint8Array([...one, 0]), new Uint8Array()]
  ) {
    equal(await gunzipSmall(new Uint8Array(other)), undefined);
  }
  equal(await gunzipSmall(gzip(new Uint8Array(1024 * 1024 + 1))), undefined);
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: one.length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      async (at, by) => {
        const damaged = one.slice();
        damaged[at]! ^= by;
        const found = await gunzipSmall(damaged);
        // A name or a time may be another; the contents may not.
        if (found !== undefined) deepEqual(found, new Uint8Array(gunzipSync(damaged)));
      },
    ),
  );
});
