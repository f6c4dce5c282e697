import { equal, ok, throws } from "node:assert/strict";
import fc from "./property_testing.ts";
import { parseConfig } from "./config.ts";
import { parseDocument } from "./manifest.ts";
import { MediaType } from "./media_type.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
/** A key that sends a document to the schema, which drops it. */
const odd = (text: string) => text.replace(/^\{/, '{"__proto__":1,');
const digest = `sha256:${"0".repeat(64)}`;

const optional = (value: fc.Arbitrary<unknown>) => fc.option(value, { nil: undefined });
const text = fc.string({ maxLength: 5 });
const records = fc.dictionary(text.filter((key) => key !== "__proto__"), text, { maxKeys: 3 });
/** The same keys in any order. */
const shuffled = (value: fc.Arbitrary<object>) =>
  value.chain((object) =>
    fc.shuffledSubarray(Object.entries(object), { minLength: Object.keys(object).length })
  ).map((entries) => Object.fromEntries(entries));

const descriptor = shuffled(fc.record({
  mediaType: fc.constantFrom(MediaType.ociConfig, "x/y"),
  digest: fc.constant(digest),
  size: fc.nat(),
  annotations: optional(records),
}));

Deno.test("property: the usual manifest is what the schema makes of it, in the same order", () => {
  const manifests = shuffled(fc.record({
    schemaVersion: fc.constant(2),
    mediaType: optional(fc.constant(MediaType.ociManifest)),
    annotations: optional(records),
    config: descriptor,
    layers: fc.array(descriptor, { maxLength: 3 }),
  }));
  fc.assert(fc.property(manifests, (value) => {
    const said = JSON.stringify(value);
    const [usual, judged] = [said, odd(said)].map((one) =>
      JSON.stringify(parseDocument(bytes(one), MediaType.ociManifest))
    );
    equal(usual, judged);
  }));
});

Deno.test("property: the usual config is what the schema makes of it, in the same order", () => {
  const configs = shuffled(fc.record({
    os: fc.constant("linux"),
    architecture: text,
    variant: optional(text),
    created: optional(text),
    author: optional(text),
    config: shuffled(fc.record({
      User: optional(text),
      Env: optional(fc.option(fc.array(text))),
      Entrypoint: optional(fc.array(text)),
      WorkingDir: optional(text),
      Labels: optional(fc.option(records)),
      Volumes: optional(fc.constant({ "/x": {} })),
    })),
    rootfs: shuffled(
      fc.record({ type: fc.constant("layers"), diff_ids: fc.array(fc.constant(digest)) }),
    ),
    history: fc.array(
      shuffled(fc.record({ created: optional(text), empty_layer: optional(fc.boolean()) })),
      { maxLength: 3 },
    ),
  }));
  fc.assert(fc.property(configs, (value) => {
    const said = JSON.stringify(value);
    const [usual, judged] = [said, odd(said)].map((one) => JSON.stringify(parseConfig(bytes(one))));
    equal(usual, judged);
  }));
});

Deno.test("what is not usual is judged by the schema", () => {
  const good = {
    os: "linux",
    architecture: "amd64",
    config: {},
    rootfs: { type: "layers", diff_ids: [digest] },
    history: [{}],
  };
  ok(parseConfig(bytes(JSON.stringify(good))));
  const bad: readonly object[] = [
    { os: 1 },
    { variant: null },
    { config: [] },
    { config: { Labels: { a: 1 } } },
    { config: { Env: [1] } },
    { rootfs: { type: "x", diff_ids: [] } },
    { rootfs: { type: "layers", diff_ids: ["sha256:0"] } },
    { history: [{ empty_layer: "yes" }] },
  ];
  for (const one of bad) {
    throws(
      () => parseConfig(bytes(JSON.stringify({ ...good, ...one }))),
      /Cannot read image config/,
    );
  }
  const config = { mediaType: "x/y", digest, size: 1 };
  for (
    const layer of [
      { ...config, size: -1 },
      { ...config, size: 1.5 },
      { ...config, digest: "x" },
      1,
    ]
  ) {
    const said = JSON.stringify({ schemaVersion: 2, config, layers: [layer] });
    throws(() => parseDocument(bytes(said), MediaType.ociManifest), /Cannot read manifest/);
  }
});
