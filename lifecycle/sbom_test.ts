import assert from "node:assert/strict";
import { collectSboms, formatLegacyBom, parseSbomName } from "./sbom.ts";
import { parseToml } from "./file/toml.ts";

const off = { launch: false, build: false, cache: false };
const ALL = [
  "application/vnd.cyclonedx+json;version=1.4",
  "application/spdx+json",
  "application/vnd.syft+json",
];

Deno.test("SB-1 SB-3 names of SBOM files; a layer's name may hold dots", () => {
  const rows: [string, [string, string] | undefined][] = [
    ["launch.sbom.cdx.json", ["launch", "cdx.json"]],
    ["a.b.sbom.spdx.json", ["a.b", "spdx.json"]],
    ["a.sbom.b.sbom.syft.json", ["a.sbom.b", "syft.json"]],
    ["a.sbom.other.json", ["a", "other.json"]],
    ["a.sbom.cdx.xml", undefined],
    ["a.toml", undefined],
    [".sbom.cdx.json", undefined],
  ];
  for (const [name, want] of rows) {
    const found = parseSbomName(name);
    assert.deepEqual(found && [found.owner, found.extension], want, name);
  }
});

Deno.test("SB-4 where each file goes", () => {
  const layers = new Map([
    ["l", { ...off, launch: true }],
    ["lc", { ...off, launch: true, cache: true }],
    ["b", { ...off, build: true }],
    ["c", { ...off, cache: true }],
    ["none", off],
  ]);
  const names = ["launch", "build", "l", "lc", "b", "c", "none", "stranger"]
    .map((name) => `${name}.sbom.cdx.json`);
  const found = collectSboms("/l", names, layers, ALL);
  assert.deepEqual(found.map(({ path, layer, places }) => [path, layer, places.join(" ")]), [
    ["/l/b.sbom.cdx.json", "b", "build"],
    ["/l/build.sbom.cdx.json", "", "build"],
    ["/l/c.sbom.cdx.json", "c", "build cache"],
    ["/l/l.sbom.cdx.json", "l", "launch"],
    ["/l/launch.sbom.cdx.json", "", "launch"],
    ["/l/lc.sbom.cdx.json", "lc", "launch cache"],
    ["/l/none.sbom.cdx.json", "none", "build"],
  ]);
});

Deno.test("SB-2 formats must be known and declared, parameters do not matter", () => {
  const collect = (name: string, declared: string[]) =>
    collectSboms("/l", [name], new Map(), declared);
  assert.equal(collect("launch.sbom.cdx.json", ALL).length, 1);
  assert.throws(() => collect("launch.sbom.cdx.json", ["application/spdx+json"]), {
    message: /undeclared SBOM media type: 'application\/vnd\.cyclonedx\+json'/,
  });
  assert.throws(() => collect("launch.sbom.some.json", ALL), {
    message: /unsupported SBOM file format: 'some\.json'/,
  });
  // Not checked without a TOML of that layer.
  assert.deepEqual(collect("a.sbom.some.json", []), []);
});

Deno.test("BU-9 the legacy bill of materials is null and a newline when empty", () => {
  assert.equal(formatLegacyBom([]), "null\n");
  const buildpack = { id: "a/b", version: "1" };
  assert.equal(
    formatLegacyBom([
      { name: "x", metadata: undefined, buildpack },
      { name: "y", metadata: parseToml("z = 1\na = '&'", "x"), buildpack },
    ]),
    '[{"name":"x","metadata":null,"buildpack":{"id":"a/b","version":"1"}},' +
      '{"name":"y","metadata":{"a":"\\u0026","z":1},"buildpack":{"id":"a/b","version":"1"}}]\n',
  );
});
