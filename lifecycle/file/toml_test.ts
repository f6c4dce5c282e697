import assert from "node:assert/strict";
import fc from "../../registry/oci/property_testing.ts";
import { FileError } from "../error.ts";
import { formatToml, isDate, parseToml } from "./toml.ts";

Deno.test("3 integers, floats and dates come out as they went in", () => {
  const source = `one = 1
float = 1.0
negative = -0.5
big = 9007199254740993
huge = 9223372036854775807
small = 1e-7
instant = 2024-01-02T03:04:05.123456789+02:00
local = 2024-01-02T03:04:05
utc = 2024-01-02T03:04:05Z
day = 2024-01-02
time = 03:04:05.1234567
`;
  // Keys of a parsed table are sorted, as Go sorts a map's; floats are Go's shortest.
  const sorted = source.trimEnd().split("\n").sort().join("\n").replace("1e-7", "1e-07") + "\n";
  assert.equal(formatToml(parseToml(source, "x")), sorted);
});

Deno.test("3 an integer is a bigint, a float a number, a date a Temporal value", () => {
  const table = parseToml("a = 1\nb = 1.0\nc = 2024-01-02", "x");
  assert.equal(table.a, 1n);
  assert.equal(table.b, 1);
  assert.ok(isDate(table.c));
});

Deno.test("23.2 what a TOML reader must take", () => {
  const rows: [string, string, unknown][] = [
    ["dotted keys", "a.b.c = 1", { a: { b: { c: 1n } } }],
    ["inline tables", "a = { b = 1, c = [1, 2] }", { a: { b: 1n, c: [1n, 2n] } }],
    ["arrays of tables", "[[a]]\nb=1\n[[a]]\nb=2", { a: [{ b: 1n }, { b: 2n }] }],
    ["CRLF", "a = 1\r\nb = 2\r\n", { a: 1n, b: 2n }],
    ["a byte order mark", "\uFEFFa = 1", { a: 1n }],
    ["no newline at the end", "a = 'x'", { a: "x" }],
    ["nothing", "", {}],
    ["a key named __proto__", '__proto__ = "x"', { ["__proto__"]: "x" }],
  ];
  for (const [why, source, want] of rows) {
    const plain = JSON.stringify(parseToml(source, "x"), bigints);
    assert.equal(plain, JSON.stringify(want, bigints), why);
  }
});

Deno.test("23.2 what a TOML reader must refuse, with file, line and what was seen", () => {
  const rows: [string, string, number, RegExp][] = [
    ["a key twice", "a = 1\na = 2", 2, /seen "a = 2"/],
    ["a table twice", "[a]\n[b]\n[a]", 3, /seen "\[a\]"/],
    ["an open string", "x = 1\na = 'x\n", 2, /seen "a = 'x"/],
    ["no value", "a =", 1, /seen "a ="/],
    ["a month 99", "a = 1979-99-01", 1, /1979-99-01/],
    ["a bare word", "a = yes", 1, /seen/],
    ["a NUL", "a = '\0'", 1, /control/],
  ];
  for (const [why, source, line, message] of rows) {
    assert.throws(
      () => parseToml(source, "/cnb/order.toml"),
      (error) =>
        error instanceof FileError && error.line === line && message.test(error.message) &&
        error.message.startsWith(`Cannot parse /cnb/order.toml:${line}:`) &&
        !error.message.includes("\n"),
      why,
    );
  }
});

Deno.test("keys without a value are left out when written", () => {
  assert.equal(formatToml({ a: undefined, b: { c: undefined, d: "x" } }), '[b]\n  d = "x"\n');
  assert.equal(formatToml({}), "");
});

Deno.test("parse(format(x)) is x", () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.string({ unit: "grapheme" }),
      fc.boolean(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.double({ noNaN: true }).map((one) => Object.is(one, -0) ? 0 : one),
      fc.array(tie("any"), { maxLength: 3 }),
      tie("table"),
    ),
    table: fc.dictionary(fc.string({ unit: "grapheme" }), tie("any"), { maxKeys: 4 }),
  })).table;
  fc.assert(
    fc.property(value, (table) => {
      const once = parseToml(formatToml(table as Record<string, unknown>), "x");
      assert.equal(JSON.stringify(once, sorted), JSON.stringify(table, sorted));
    }),
    { numRuns: 200 },
  );
});

function bigints(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : value;
}

/** Keys may change their order: tables come after plain values. */
function sorted(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number") return `${value}f`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
}
