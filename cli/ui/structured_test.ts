import { deepEqual, ok } from "node:assert/strict";
import { parse as parseToml } from "smol-toml";
import { parse as parseYaml } from "yaml";
import { formatStructured, type Structure } from "./structured.ts";

const ODD =
  "title\x1b]0;x\x07 \x9b31m \u202e right \u2028 tab\t \u{e0041} line\nnext 日本 - : # \"'";
const VALUE = { plain: "x", odd: ODD, list: [ODD, "b"], table: { [ODD]: 1 }, no: "no", n: 3 };

const READ: Readonly<Record<Structure, (text: string) => unknown>> = {
  json: (text) => JSON.parse(text),
  yaml: (text) => parseYaml(text),
  toml: (text) => parseToml(text),
};

for (const form of ["json", "yaml", "toml"] as const) {
  Deno.test(`N-11 ${form} holds every text and nothing that a terminal obeys`, async () => {
    const text = await formatStructured(VALUE, form);
    deepEqual({ ...READ[form](text) as object }, VALUE);
    // deno-lint-ignore no-control-regex
    ok(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028]/.test(text), JSON.stringify(text));
    ok(text.endsWith("\n") && !text.endsWith("\n\n"));
  });
}

Deno.test("a null is null in YAML and left out of TOML", async () => {
  deepEqual(parseYaml(await formatStructured({ a: null }, "yaml")), { a: null });
  deepEqual({ ...parseToml(await formatStructured({ a: null, b: 1 }, "toml")) }, { b: 1 });
});
