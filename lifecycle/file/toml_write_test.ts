import assert from "node:assert/strict";
import { formatMetadataToml } from "./metadata_toml.ts";
import { formatToml, parseToml } from "./toml.ts";

/** Written by the Go lifecycle's own encoder (BurntSushi 1.6.0). */
Deno.test("3 documents are laid out as the Go lifecycle lays them out, byte for byte", () => {
  const process = {
    direct: true,
    default: false,
    execEnv: [],
    buildpackId: "a/one",
    args: ["80"],
    workingDir: "",
  };
  const metadata = {
    defaultProcessType: "web",
    buildpacks: [{ id: "a/one", version: "1.0", api: "0.10", homepage: "" }],
    extensions: [],
    labels: [{ key: "k", value: 'a "quoted" <v>\t\u0001' }],
    processes: [{ ...process, type: "web", command: ["se<rver", "--port"] }],
    slices: [{ paths: ["*.txt"] }],
  };
  assert.equal(
    formatMetadataToml(metadata),
    `buildpack-default-process-type = "web"

[[buildpacks]]
  id = "a/one"
  version = "1.0"
  api = "0.10"

[[labels]]
  key = "k"
  value = "a \\"quoted\\" <v>\\t\\u0001"

[[processes]]
  type = "web"
  command = ["se\\u003crver", "--port"]
  args = ["80"]
  direct = true
  buildpack-id = "a/one"

[[slices]]
  paths = ["*.txt"]
`,
  );
  const nothing = { ...metadata, defaultProcessType: "", labels: [], processes: [], slices: [] };
  assert.match(formatMetadataToml(nothing), /^processes = \[\]\n\n\[\[buildpacks\]\]\n/);
  assert.match(
    formatMetadataToml(metadata, { commandArray: false }),
    /\n {2}command = "se\\u003crver"\n/,
  );
});

Deno.test("3 floats are Go's shortest, parsed tables are sorted, deeper tables indented", () => {
  const rows = [
    ["1.0", "1.0"],
    ["999999.0", "999999.0"],
    ["1e6", "1e+06"],
    ["1234567.0", "1.234567e+06"],
    ["0.0001", "0.0001"],
    ["0.00001", "1e-05"],
    ["123456789.125", "1.23456789125e+08"],
    ["-0.5", "-0.5"],
    ["inf", "inf"],
    ["nan", "nan"],
  ];
  for (const [source, want] of rows) {
    assert.equal(formatToml(parseToml(`x = ${source}`, "x")), `x = ${want}\n`);
  }
  const source =
    `z = 1\n[b]\nc = [{d = 1}, {d = 2}]\n[b.a]\nx = [[{y = 1}]]\n[a]\n"odd key" = true\n`;
  assert.equal(
    formatToml(parseToml(source, "x")),
    `z = 1

[a]
  "odd key" = true

[b]
  [b.a]
    x = [[{y = 1}]]

  [[b.c]]
    d = 1

  [[b.c]]
    d = 2
`,
  );
});
