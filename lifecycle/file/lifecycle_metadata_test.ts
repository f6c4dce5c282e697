import assert from "node:assert/strict";
import { formatAnalyzedToml, parseAnalyzedToml } from "./analyzed_toml.ts";
import {
  formatCacheMetadata,
  formatLifecycleLabel,
  type LifecycleMetadata,
  parseCacheMetadata,
  parseLifecycleLabel,
} from "./lifecycle_metadata.ts";
import { parseToml } from "./toml.ts";

const METADATA: LifecycleMetadata = {
  app: [{ sha: "sha256:a1" }, { sha: "sha256:a2" }],
  sbom: { sha: "sha256:sb" },
  buildpacks: [{
    key: "a/b",
    version: "1.2",
    layers: {
      zz: { sha: "sha256:z", data: null, build: false, launch: true, cache: false },
      aa: {
        sha: "sha256:a",
        data: parseToml('z = "<"\na = 1\n', "x"),
        build: true,
        launch: true,
        cache: true,
      },
    },
    store: { metadata: parseToml("k = 1.5", "x") },
  }],
  config: { sha: "sha256:co" },
  launcher: { sha: "sha256:la" },
  processTypes: { sha: "" },
  runImage: {
    topLayer: "sha256:to",
    reference: "r.example/run@sha256:00",
    image: "r.example/run",
    mirrors: ["m.example/run"],
  },
  stack: { runImage: { image: "r.example/run", mirrors: ["m.example/run"] } },
};

const LABEL = '{"app":[{"sha":"sha256:a1"},{"sha":"sha256:a2"}],"sbom":{"sha":"sha256:sb"},' +
  '"buildpacks":[{"key":"a/b","version":"1.2","layers":{' +
  '"aa":{"sha":"sha256:a","data":{"a":1,"z":"\\u003c"},"build":true,"launch":true,"cache":true},' +
  '"zz":{"sha":"sha256:z","data":null,"build":false,"launch":true,"cache":false}},' +
  '"store":{"metadata":{"k":1.5}}}],"config":{"sha":"sha256:co"},"launcher":{"sha":"sha256:la"},' +
  '"process-types":{"sha":""},"runImage":{"topLayer":"sha256:to",' +
  '"reference":"r.example/run@sha256:00","image":"r.example/run","mirrors":["m.example/run"]},' +
  '"stack":{"runImage":{"image":"r.example/run","mirrors":["m.example/run"]}}}';

Deno.test("LB-1 the label, byte for byte", () => {
  assert.equal(formatLifecycleLabel(METADATA), LABEL);
});

Deno.test("LB-1 what is empty is left out", () => {
  const text = formatLifecycleLabel({
    app: [],
    sbom: { sha: "" },
    buildpacks: [],
    config: { sha: "" },
    launcher: { sha: "" },
    processTypes: { sha: "" },
    runImage: { topLayer: "", reference: "", image: "", mirrors: [] },
    stack: { runImage: {} },
  });
  assert.equal(
    text,
    '{"app":[],"buildpacks":[],"config":{"sha":""},"launcher":{"sha":""},' +
      '"process-types":{"sha":""},"runImage":{"topLayer":"","reference":""},' +
      '"stack":{"runImage":{}}}',
  );
});

Deno.test("LB-1 the label is read back", () => {
  assert.equal(formatLifecycleLabel(parseLifecycleLabel(LABEL)), LABEL);
});

Deno.test("LB-1 nulls, as Go writes nil lists, and unknown keys are taken", () => {
  const metadata = parseLifecycleLabel(
    '{"app":null,"buildpacks":null,"new":1,"runImage":{"topLayer":"t","reference":"r"}}',
  );
  assert.deepEqual(metadata.app, []);
  assert.deepEqual(metadata.buildpacks, []);
  assert.equal(metadata.config.sha, "");
  assert.equal(metadata.runImage.topLayer, "t");
  const layers = parseLifecycleLabel('{"buildpacks":[{"key":"a","version":"1","layers":null}]}');
  assert.equal(JSON.stringify(layers.buildpacks[0]?.layers), "{}");
});

Deno.test("LB-1 a layer may have any name", () => {
  const text = LABEL.replace('"aa":', '"__proto__":');
  assert.deepEqual(Object.keys(parseLifecycleLabel(text).buildpacks[0]!.layers).sort(), [
    "__proto__",
    "zz",
  ]);
});

Deno.test("LB-1 a label of another shape is one line", () => {
  assert.throws(() => parseLifecycleLabel('{"buildpacks":[{"key":3}]}'), {
    message: "Cannot parse label io.buildpacks.lifecycle.metadata: buildpacks[0].key is 3, " +
      "want a string",
  });
  assert.throws(
    () => parseLifecycleLabel('{"buildpacks":[{"layers":{"x":{"sha":1}}}]}'),
    { message: /buildpacks\[0\]\.layers\.x\.sha is 1/ },
  );
});

Deno.test("24.11 dates in metadata survive the label, and Go sees strings", () => {
  const data = parseToml('when = 2024-01-02T03:04:05Z\ntext = "2024-01-02T03:04:05Z"', "x");
  const text = formatLifecycleLabel({
    ...METADATA,
    buildpacks: [{
      key: "a",
      version: "1",
      layers: { l: { sha: "s", data, build: false, launch: true, cache: false } },
      store: { metadata: data },
    }],
  });
  assert.match(text, /"data":\{"text":"2024-01-02T03:04:05Z","when":"2024-01-02T03:04:05Z"\}/);
  assert.match(text, /"cache":false,"dates":\["\/when"\]/);
  assert.equal(formatLifecycleLabel(parseLifecycleLabel(text)), text);
});

Deno.test("CA-10 the cache metadata: every buildpack, never a store", () => {
  const text = formatCacheMetadata({ sbom: { sha: "" }, buildpacks: METADATA.buildpacks });
  assert.match(text, /^\{"sbom":\{"sha":""\},"buildpacks":\[\{"key":"a\/b"/);
  assert.doesNotMatch(text, /store/);
  assert.equal(formatCacheMetadata(parseCacheMetadata(text)), text);
});

Deno.test("ANT-3 analyzed.toml says the same in other words", () => {
  const analyzed = {
    previousReference: "r.example/app@sha256:11",
    buildReference: "",
    runImage: {
      reference: "r.example/run@sha256:00",
      image: "r.example/run",
      extend: false,
      target: {
        id: "x",
        os: "linux",
        arch: "arm64",
        variant: "v8",
        distro: { name: "d", version: "1" },
      },
    },
    metadata: METADATA,
  };
  const text = formatAnalyzedToml(analyzed);
  assert.match(text, /top-layer = "sha256:to"/);
  assert.match(text, /arch-variant = "v8"/);
  const back = parseAnalyzedToml(text, "analyzed.toml");
  assert.equal(formatLifecycleLabel(back.metadata), LABEL);
  assert.deepEqual(back.runImage, analyzed.runImage);
  assert.equal(back.previousReference, analyzed.previousReference);
});

Deno.test("ANT-1 both spellings of the variant, and an empty file", () => {
  const text = '[run-image]\nreference = "r"\n[run-image.target]\nos = "linux"\nvariant = "v7"\n';
  const target = parseAnalyzedToml(text, "x").runImage?.target;
  assert.equal(target?.variant, "v7");
  const empty = parseAnalyzedToml("", "x");
  assert.equal(empty.runImage, undefined);
  assert.deepEqual(empty.metadata.buildpacks, []);
});
