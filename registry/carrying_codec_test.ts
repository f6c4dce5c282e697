import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { carryingCodec } from "./carrying_codec.ts";
import { encodeJson } from "./image.ts";
import { type ImageConfig, parseConfig } from "./oci/config.ts";

const TEXT = new TextEncoder();
const LONG = "x".repeat(600);

function configOf(labels: Readonly<Record<string, string>>): ImageConfig {
  return {
    os: "linux",
    architecture: "amd64",
    config: { Env: [`A=${LONG}`], Labels: { ...labels } },
    rootfs: { type: "layers", diff_ids: [] },
    history: [{ created_by: `RUN "${LONG}"` }],
  };
}

/** What the codec and the plain way write, with one more label each. */
function both(bytes: Uint8Array<ArrayBuffer>): readonly [Uint8Array, Uint8Array, ImageConfig] {
  const codec = carryingCodec((key) => key !== "kept");
  const add = (config: ImageConfig): ImageConfig => ({
    ...config,
    created: "2020-01-01T00:00:00Z",
    config: { ...config.config, Labels: { ...config.config.Labels, more: '"<&' } },
  });
  const read = codec.parse(bytes);
  return [codec.encode(add(read)), encodeJson(add(parseConfig(bytes))), read];
}

const TEXTS: Readonly<Record<string, string>> = {
  plain: LONG,
  json: JSON.stringify({ a: [LONG, { b: "\n\t\r\b\f\\" }] }),
  "other letters": `${LONG}ä😀\u2028`,
  "a half of a letter": `${LONG}\ud83d`,
  "control characters": `${LONG}\u0000\u0001\u001f\u007f`,
  "backslashes at the end": `${LONG}\\\\`,
  "what looks like a mark": `${LONG}\u0001carried 0`,
  "what looks like a mark of another": "\u0001carried 1",
  "what is written like a mark": `${LONG}\\u0001carried 0`,
  slash: `${LONG}</script>`,
};

Deno.test("RB-13 long texts are carried over, and the config has the bytes it has without", () => {
  for (const [what, text] of Object.entries(TEXTS)) {
    for (const [other, second] of Object.entries(TEXTS)) {
      const bytes = encodeJson(configOf({ "a.b": text, kept: second, "z/y": second }));
      const [carried, plain, read] = both(bytes);
      deepEqual(carried, plain, `${what}, ${other}`);
      equal(read.config.Labels?.["kept"], second);
    }
  }
  const [, , { config }] = both(encodeJson(configOf({ "a.b": LONG })));
  ok(config.Labels!["a.b"]!.length < 20, "it is carried");
  equal(config.Env?.[0], `A=${LONG}`, "only values of keys are");
});

Deno.test("RB-13 however a config is written, its long texts come out as they do without", () => {
  const text = JSON.stringify(configOf({ "a.b": `${LONG}/"`, "c.d": LONG }));
  for (
    const odd of [
      JSON.stringify(JSON.parse(text), null, 2),
      text.replace('xx/\\"', 'xx\\/\\"'),
      text.replaceAll("xxx/", "xx\\u0078/"),
      text.replace('"os"', '"\\u006fs"'),
      text.replace('"c.d":', '"c.d" : '),
    ]
  ) {
    const [carried, plain] = both(TEXT.encode(odd));
    deepEqual(carried, plain, odd.slice(0, 80));
  }
});

Deno.test("M-08 what is no JSON, or has a key twice, is refused as without", () => {
  const text = JSON.stringify(configOf({ "a.b": LONG, "c.d": LONG }));
  const bad = [
    text.replace('"c.d"', '"a.b"'),
    text.slice(0, -1),
    text.slice(0, text.indexOf("xxx") + 100),
    text.slice(0, text.indexOf("xxx") + 100) + "\\",
    text.replace("xxx", "x\\qx"),
    text.replace("xxx", "x\nx"),
    "\ufeff" + text,
    "",
    '"',
    `{"os":"${LONG}"}`,
  ];
  const said = (act: () => unknown) => {
    try {
      act();
    } catch (error) {
      return (error as Error).message;
    }
    return "nothing";
  };
  for (const one of bad) {
    const bytes = TEXT.encode(one);
    const plain = said(() => parseConfig(bytes));
    ok(plain !== "nothing", one.slice(0, 80));
    equal(said(() => carryingCodec(() => true).parse(bytes)), plain, one.slice(0, 80));
  }
  const cut = TEXT.encode(text);
  cut[text.indexOf("linux")] = 0xff; // in the part that is decoded
  throws(() => carryingCodec(() => true).parse(cut), /is not JSON in UTF-8/);
});
