import { deepEqual, equal } from "node:assert/strict";
import { parseContentRange, parseRange, uploadRange } from "./range.ts";

const ROWS = [
  { header: null, want: undefined },
  { header: "bytes=500-999", want: { first: 500, last: 999 } },
  { header: "bytes=500-", want: { first: 500, last: 999 } },
  { header: "bytes=-100", want: { first: 900, last: 999 } },
  { header: "bytes=-5000", want: { first: 0, last: 999 } },
  { header: "bytes=900-5000", want: { first: 900, last: 999 } },
  { header: "bytes=1000-", want: "unsatisfiable" },
  { header: "bytes=500-0", want: "unsatisfiable" },
  { header: "bytes=-0", want: "unsatisfiable" },
  { header: "bytes=0-1,5-6", want: undefined },
  { header: "lines=0-1", want: undefined },
  { header: "bytes=-", want: undefined },
  { header: "bytes=1e3-2", want: undefined },
] as const;

for (const { header, want } of ROWS) {
  Deno.test(`range ${header} of 1000 bytes`, () => deepEqual(parseRange(header, 1000), want));
}

Deno.test("range of nothing cannot be satisfied", () => {
  equal(parseRange("bytes=0-", 0), "unsatisfiable");
});

Deno.test("content range of an upload, as clients write it", () => {
  deepEqual(parseContentRange("0-99"), { first: 0, last: 99 });
  deepEqual(parseContentRange("bytes 5-9/*"), { first: 5, last: 9 });
  equal(parseContentRange("9-5"), undefined);
  equal(parseContentRange("x"), undefined);
  equal(uploadRange(0), "0-0");
  equal(uploadRange(10), "0-9");
});
