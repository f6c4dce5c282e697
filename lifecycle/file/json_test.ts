import assert from "node:assert/strict";
import fc from "../../registry/oci/property_testing.ts";
import { compareBytes } from "../../registry/compare_bytes.ts";
import { datePaths, goJson, goJsonOfParsed, goMap, parseJson, toTable } from "./json.ts";
import { formatToml, parseToml } from "./toml.ts";

Deno.test("LB-2 JSON as Go writes it", () => {
  const rows: [string, unknown, string][] = [
    ["no blanks", { b: 1n, a: [true, null] }, '{"b":1,"a":[true,null]}'],
    ["undefined is left out", { a: undefined }, "{}"],
    ["HTML is escaped", "<a&b>", '"\\u003ca\\u0026b\\u003e"'],
    ["line separators are escaped", "\u2028\u2029", '"\\u2028\\u2029"'],
    ["control characters", '\t\n"\\\u0001', '"\\t\\n\\"\\\\\\u0001"'],
    ["other text is as it is", "é 😀", '"é 😀"'],
    ["maps are sorted by bytes", new Map([["b", 1n], ["a", 2n], ["B", 3n]]), '{"B":3,"a":2,"b":1}'],
    [
      "by bytes, not UTF-16",
      goMap({ "\u{10000}": 1n, "\uffee": 2n }),
      '{"\uffee":2,"\u{10000}":1}',
    ],
    ["numbers as keys", goMap({ 10: 1n, 9: 2n }), '{"10":1,"9":2}'],
    ["big integers", 9007199254740993n, "9007199254740993"],
    ["floats", [1.5, 1e21, 1e-7, 0.000001], "[1.5,1e+21,1e-7,0.000001]"],
    ["a float without a fraction stays one", 1, "1.0"],
  ];
  for (const [why, value, want] of rows) assert.equal(goJson(value), want, why);
});

Deno.test("LB-2 property: what was read is written the quick way as letter by letter", () => {
  fc.assert(fc.property(fc.json({ stringUnit: "binary" }), (text) => {
    const value = parseJson(text, "x");
    assert.equal(goJsonOfParsed(value), goJson(value));
  }));
  const odd = parseJson('{"__proto__":"<&>","b":{"a":[12345678901234567890,1.0]}}', "x");
  assert.equal(goJsonOfParsed(odd), goJson(odd));
});

Deno.test("LB-2 what JSON cannot say is refused", () => {
  assert.throws(() => goJson({ a: Infinity }), RangeError);
  assert.throws(() => goJson(NaN), RangeError);
});

Deno.test("24.11 free-form metadata goes TOML, label, TOML unchanged", () => {
  const source = `big = 9007199254740993
day = 2024-01-02
float = 1.0
instant = 2024-01-02T03:04:05.123456789+02:00
integer = 1
list = [ 2024-01-02, "2024-01-02" ]
local = 2024-01-02T03:04:05
text = "2024-01-02T03:04:05Z"
time = 03:04:05.123
zulu = 2024-01-02T03:04:05+00:00

[nested."a/b~c"]
html = "<&>"
when = 2024-01-02
`;
  const table = parseToml(source, "x");
  const label = goJson(goMap(table));
  const back = toTable(parseJson(label, "label"), datePaths(table));
  assert.equal(formatToml(back!), formatToml(table));
  assert.match(formatToml(back!), /big = 9007199254740993\n.*\nfloat = 1\.0\n/);
});

Deno.test("24.11 dates of someone who edited the label stay strings", () => {
  const back = toTable({ a: "soon", b: null, c: [null, 1n] }, ["/a", "/nowhere"]);
  assert.equal(formatToml(back!), 'a = "soon"\nc = [1]\n');
});

Deno.test("a label that is not JSON is one line", () => {
  assert.throws(() => parseJson("{", "label x"), {
    name: "FileError",
    message: /^Cannot parse label x: [^\n]+$/,
  });
});

Deno.test("a key named __proto__ is data", () => {
  const parsed = parseJson('{"__proto__":{"a":1}}', "x");
  assert.equal(goJson(goMap(toTable(parsed))), '{"__proto__":{"a":1}}');
});

Deno.test("strings are ordered by the bytes of their UTF-8 form", () => {
  const encoder = new TextEncoder();
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
      const [x, y] = [encoder.encode(a), encoder.encode(b)];
      let want = x.length - y.length;
      for (let at = 0; at < Math.min(x.length, y.length); at++) {
        if (x[at] !== y[at]) {
          want = x[at]! - y[at]!;
          break;
        }
      }
      assert.equal(Math.sign(compareBytes(a, b)), Math.sign(want));
    }),
  );
});

Deno.test("M-08 numbers beyond all numbers and documents beyond all depths are refused", () => {
  for (const text of ['{"a":1e999}', "[-1e999]", "[".repeat(100_000) + "]".repeat(100_000)]) {
    assert.throws(() => parseJson(text, "label x"), /^FileError: Cannot parse label x: /);
  }
});
