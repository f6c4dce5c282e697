import { equal, throws } from "node:assert/strict";
import { parseGlob } from "./glob.ts";

/** Rows whose results were checked with Go's filepath.Match. */
const ROWS: readonly (readonly [pattern: string, path: string, matches: boolean])[] = [
  ["abc", "abc", true],
  ["*", "abc", true],
  ["*", "", true],
  ["*", "a/b", false],
  ["*c", "abc", true],
  ["a*", "ab/c", false],
  ["a*/b", "abc/b", true],
  ["a*/b", "a/c/b", false],
  ["a*b*c*d*e*/f", "axbxcxdxe/f", true],
  ["a*b*c*d*e*/f", "axbxcxdxexxx/fff", false],
  ["a*b?c*x", "abxbbxdbxebxczzx", true],
  ["a*b?c*x", "abxbbxdbxebxczzy", false],
  ["ab[c]", "abc", true],
  ["ab[b-d]", "abc", true],
  ["ab[e-g]", "abc", false],
  ["ab[^e-g]", "abc", true],
  ["ab[^c]", "abc", false],
  ["a\\*b", "a*b", true],
  ["a\\*b", "ab", false],
  ["a?b", "a\u263ab", true],
  ["a[^a]b", "a\u263ab", true],
  ["a???b", "a\u263ab", false],
  ["[a-\u03b6]*", "\u03b1", true],
  ["*[a-\u03b6]", "A", false],
  ["a?b", "a/b", false],
  ["a*b", "a/b", false],
  ["[\\]a]", "]", true],
  ["[\\-x]", "-", true],
  ["[x\\-]", "x", true],
  ["**", "a/b", false],
  ["**/b", "a/b", true],
  ["*x", "xxx", true],
];

for (const [pattern, path, matches] of ROWS) {
  Deno.test(`SL-1 ${pattern} against ${JSON.stringify(path)}`, () => {
    equal(parseGlob(pattern)(path), matches);
  });
}

for (
  const pattern of [
    "[]a]",
    "[-]",
    "[x-]",
    "[-x]",
    "[",
    "[^",
    "[^bc",
    "a[",
    "a\\",
    "[a-",
    "[a-b-c]x",
  ]
) {
  Deno.test(`SL-1 ${pattern} is malformed`, () => {
    throws(() => parseGlob(pattern), /Cannot read glob/);
  });
}

Deno.test("X-11 many stars cost no time", () => {
  equal(parseGlob("a*".repeat(200) + "b")("a".repeat(5000)), false); // trying all ways would never end
});
