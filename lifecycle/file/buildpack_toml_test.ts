import assert from "node:assert/strict";
import {
  inferTargets,
  isComposite,
  oddKeysOfBuildpack,
  parseBuildpackToml,
} from "./buildpack_toml.ts";
import { parseOrderToml } from "./order_toml.ts";
import { formatOrderToml } from "./order_toml.ts";
import { formatSystemToml, parseSystemToml, withSystem } from "./system_toml.ts";

const FULL = `api = "0.10"
unknown = "ignored"
[buildpack]
id = "a/b"
version = "1.2.3"
name = "A"
homepage = "https://example.com"
description = "d"
keywords = ["k"]
clear-env = true
sbom-formats = ["application/spdx+json"]
exec-env = ["test"]
[[buildpack.licenses]]
type = "MIT"
uri = "u"
[[targets]]
os = "linux"
arch = "arm64"
variant = "v8"
[[targets.distros]]
name = "debian"
version = "12"
[metadata]
any = 1.0
`;

Deno.test("BPT-1 buildpack.toml is read whole", () => {
  const parsed = parseBuildpackToml(FULL, "buildpack.toml");
  assert.equal(parsed.id, "a/b");
  assert.equal(parsed.clearEnv, true);
  assert.deepEqual(parsed.targets, [{
    os: "linux",
    arch: "arm64",
    variant: "v8",
    distros: [{ name: "debian", version: "12" }],
  }]);
});

Deno.test("BPT-1 what must be there", () => {
  const rows: [string, RegExp][] = [
    ['api = "0.7"', /buildpack is missing/],
    ['api = "0.7"\n[buildpack]\nname = "x"', /:2: buildpack\.id is missing/],
    ['api = "0.7"\n[buildpack]\nid = "sbom"', /:3: buildpack\.id is "sbom", want/],
    ['api = "0.7"\n[buildpack]\nid = "a"\nversion = "../x"', /:4: buildpack\.version/],
    ['api = 0.7\n[buildpack]\nid = "a"', /:1: api is 0.7, want a string/],
  ];
  for (const [source, message] of rows) {
    assert.throws(() => parseBuildpackToml(source, "b.toml"), { name: "FileError", message });
  }
});

Deno.test("BPT-3 a file with an order is a composite", () => {
  const source = 'api = "0.7"\n[buildpack]\nid = "a"\n[[order]]\n[[order.group]]\nid = "b"\n' +
    'version = "1"\noptional = true\n';
  const parsed = parseBuildpackToml(source, "x");
  assert.ok(isComposite(parsed));
  assert.deepEqual(parsed.order, [{
    group: [{ id: "b", version: "1", optional: true, execEnv: [] }],
  }]);
});

Deno.test("BPT-4 both spellings of the variant", () => {
  const source = 'api = "0.10"\n[buildpack]\nid = "a"\n[[targets]]\narch-variant = "v7"\n';
  assert.equal(parseBuildpackToml(source, "x").targets[0]?.variant, "v7");
});

Deno.test("BPT-5 targets of a buildpack that names only stacks or nothing", () => {
  const make = (stacks: string) =>
    parseBuildpackToml(`api = "0.7"\n[buildpack]\nid = "a"\n${stacks}`, "x");
  const bionic = '[[stacks]]\nid = "io.buildpacks.stacks.bionic"\n';
  const any = '[[stacks]]\nid = "*"\n';
  const other = '[[stacks]]\nid = "other"\n';
  const ubuntu = {
    os: "linux",
    arch: "amd64",
    variant: "",
    distros: [{ name: "ubuntu", version: "18.04" }],
  };
  const linux = { os: "linux", arch: "", variant: "", distros: [] };
  const anything = { os: "", arch: "", variant: "", distros: [] };
  const rows: [string, string, boolean, boolean, unknown][] = [
    ["bionic alone", bionic, false, true, [ubuntu]],
    ["bionic among others, old API", bionic + other, false, true, [linux]],
    ["bionic among others, new API", bionic + other, true, true, [ubuntu]],
    ["any stack", any, false, true, [anything]],
    ["an unknown stack", other, true, true, [linux]],
    ["nothing, with bin/build", "", true, true, [linux]],
    ["nothing, without bin/build", "", true, false, []],
  ];
  for (const [why, stacks, modern, hasBuild, want] of rows) {
    assert.deepEqual(inferTargets(make(stacks), modern, hasBuild), want, why);
  }
});

Deno.test("BPT-6 exec-env in both spellings", () => {
  const read = (line: string) =>
    parseBuildpackToml(`api = "0.12"\n[buildpack]\nid = "a"\n${line}`, "x").execEnv;
  assert.deepEqual(read('exec-env = ["test", "*"]'), ["test", "*"]);
  assert.deepEqual(read('[[buildpack.exec-env]]\nname = "test"\n'), ["test"]);
});

Deno.test("ORD-1 extensions are always optional", () => {
  const source = '[[order]]\n[[order.group]]\nid = "a"\nversion = "1"\n' +
    '[[order-extensions]]\n[[order-extensions.group]]\nid = "e"\noptional = false\n';
  const order = parseOrderToml(source, "x");
  assert.equal(order.orderExtensions[0]?.group[0]?.optional, true);
  assert.deepEqual(parseOrderToml(formatOrderToml(order), "y"), order);
});

Deno.test("SYS-2 system buildpacks surround each group, except ids that are in it", () => {
  const system = parseSystemToml(
    '[[system.pre.buildpacks]]\nid = "a"\nversion = "1"\n[[system.pre.buildpacks]]\nid = "p"\n' +
      '[[system.post.buildpacks]]\nid = "q"\noptional = true\n',
    "x",
  );
  assert.deepEqual(parseSystemToml(formatSystemToml(system), "y"), system);
  const { order } = parseOrderToml('[[order]]\n[[order.group]]\nid = "a"\nversion = "2"\n', "x");
  const group = withSystem(order, system)[0]?.group;
  assert.deepEqual(group?.map(({ id, version, optional }) => [id, version, optional]), [
    ["p", "", false],
    ["a", "2", false],
    ["q", "", true],
  ]);
});

Deno.test("SYS-1 an empty system.toml is none, a wrong one is told with its line", () => {
  assert.deepEqual(parseSystemToml("", "x"), { pre: [], post: [] });
  assert.throws(
    () => parseSystemToml('[[system.pre.buildpacks]]\nversion = "1"\n', "x"),
    { message: "Cannot parse x:1: system.pre.buildpacks[0].id is missing" },
  );
});

Deno.test("BPT-1 a key that means nothing is told with the one it may be a slip of", () => {
  const source = `api = "0.10"
[buildpack]
id = "a/b"
vershun = "1"
[[targts]]
os = "linux"
[[order]]
[[order.grup]]
id = "x/y"
[metadata]
anything = "goes"
`;
  assert.deepEqual(oddKeysOfBuildpack(source, "buildpack.toml"), [
    "buildpack.toml:4: unknown key buildpack.vershun, want version",
    "buildpack.toml:5: unknown key targts, want targets",
    "buildpack.toml:8: unknown key order[0].grup, want group",
  ]);
  assert.deepEqual(oddKeysOfBuildpack(FULL.replace('unknown = "ignored"\n', ""), "x"), []);
});
