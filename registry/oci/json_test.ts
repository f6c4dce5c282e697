import { deepEqual, equal, throws } from "node:assert/strict";
import fc from "./property_testing.ts";
import { isTooDeep, parseStrictJson } from "./json.ts";

const parse = (text: string) => parseStrictJson(new TextEncoder().encode(text));

Deno.test("M-08 what readers understand differently is refused", () => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['{"a":1,"a":2}', /^SyntaxError: has the key "a" twice$/],
    ['{"a":1,"\\u0061":2}', /"a" twice/],
    ['{"x":[{"b":{},"c":"b","b":1}]}', /"b" twice/],
    ['{"__proto__":1,"__proto__":2}', /"__proto__" twice/],
    ["\ufeff{}", /not JSON/],
    ["{}{}", /not JSON/],
    ["{},", /not JSON/],
    ["", /not JSON/],
    ['{"a":1,}', /not JSON/],
    ["NaN", /not JSON/],
    ["[".repeat(129) + "]".repeat(129), /deeper than 128/],
    ["[".repeat(2e6) + "]".repeat(2e6), /deeper than 128/],
    ['{"a":'.repeat(1e5) + "1" + "}".repeat(1e5), /deeper than 128/],
  ];
  for (const [text, why] of rows) throws(() => parse(text), why, text.slice(0, 50));
  throws(() => parseStrictJson(Uint8Array.of(0x22, 0xff, 0x22)), /not JSON in UTF-8/);
});

Deno.test("M-08 a replacement character is a letter, and wrong bytes beside it are wrong", () => {
  deepEqual(parse('{"a":"\ufffd\u00e4"}'), { a: "\ufffd\u00e4" });
  const bytes = new TextEncoder().encode('{"a":"\ufffdx"}');
  bytes[bytes.length - 3] = 0xc0;
  throws(() => parseStrictJson(bytes), /not JSON in UTF-8/);
});

Deno.test("M-08 many brackets side by side are no depth", () => {
  const flat = JSON.stringify({ a: Array.from({ length: 300 }, () => ({})) });
  deepEqual(parse(flat), JSON.parse(flat));
});

Deno.test("M-08 keys are data: none reaches a prototype", () => {
  const value = parse('{"__proto__":{"mediaType":"x"},"constructor":1}') as Record<string, unknown>;
  equal(value["mediaType"], undefined);
  equal(Object.getPrototypeOf(value), Object.prototype);
});

Deno.test("the same key in two objects, and texts that look like keys, are fine", () => {
  const text = '[{"a":{"a":["a","a"]},"b":"{\\"a\\":1,\\"a\\":2}\\\\"},{"a":"\\\\"}]';
  deepEqual(parse(text), JSON.parse(text));
  equal(isTooDeep("[".repeat(128) + "]".repeat(128)), false);
  equal(isTooDeep("[".repeat(129)), true);
  equal(isTooDeep('{"a'), false);
  equal(isTooDeep(JSON.stringify("[".repeat(1000))), false);
});

Deno.test("property: whatever JSON.stringify writes is read as it was", () => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
    const text = JSON.stringify(value);
    deepEqual(parse(text), JSON.parse(text));
  }));
});

Deno.test("M-08 a key that comes twice is found behind strings of every kind, in any spelling of the document", () => {
  const strings = [
    "",
    "\\",
    "\\\\",
    '"',
    '\\"',
    '{"a":"b","c":"}',
    "x".repeat(2000),
    '","',
    "\u2028é",
  ];
  for (const one of strings) {
    const text = JSON.stringify(one);
    const read = (document: string) => parseStrictJson(new TextEncoder().encode(document));
    deepEqual(read(`{"k":${text},"l":${text}}`), { k: one, l: one });
    deepEqual(read(`{ "k": ${text}, "l": ${text} }`), { k: one, l: one });
    for (const [comma, colon] of [[",", ":"], [" , ", " : "]]) {
      throws(
        () => read(`{"k"${colon}${text}${comma}"l":1${comma}"k"${colon}2}`),
        /the key "k" twice/,
      );
      throws(
        () => read(`{"a":{"k"${colon}${text}${comma}"\\u006b"${colon}${text}}}`),
        /the key "k" twice/,
      );
    }
  }
});
