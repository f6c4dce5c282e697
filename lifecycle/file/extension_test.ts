import assert from "node:assert/strict";
import { FileError } from "../error.ts";
import { parseExtendConfig } from "./extend_config.ts";
import { inferExtensionTargets, parseExtensionToml } from "./extension_toml.ts";

const TOML = `api = "0.10"
[extension]
id = "some/ext"
version = "1.2"
name = "Some"
homepage = "https://x.example"
description = "d"
keywords = ["k"]
clear-env = true
exec-env = ["test"]
[[extension.licenses]]
type = "MIT"
[[targets]]
os = "linux"
arch = "arm64"
variant = "v8"
[metadata]
n = "x"
`;

Deno.test("EXT-1 all keys of extension.toml", () => {
  const all = parseExtensionToml(TOML, "x");
  assert.deepEqual({ ...all, metadata: { ...all.metadata } }, {
    api: "0.10",
    id: "some/ext",
    version: "1.2",
    name: "Some",
    homepage: "https://x.example",
    description: "d",
    keywords: ["k"],
    licenses: [{ type: "MIT", uri: "" }],
    clearEnv: true,
    execEnv: ["test"],
    targets: [{ os: "linux", arch: "arm64", variant: "v8", distros: [] }],
    metadata: { n: "x" },
  });
  assert.throws(
    () => parseExtensionToml('api = "0.10"\n[extension]\nid = "config"\n', "e.toml"),
    (error) => error instanceof FileError && /e\.toml:3: extension\.id/.test(error.message),
  );
});

Deno.test("EXT-2 without targets: linux when there is an executable, else any", () => {
  const bare = parseExtensionToml('api = "0.10"\n[extension]\nid = "e"\n', "x");
  const linux = { os: "linux", arch: "", variant: "", distros: [] };
  assert.deepEqual(inferExtensionTargets(bare, true), [linux]);
  assert.deepEqual(inferExtensionTargets(bare, false), []);
  const named = parseExtensionToml(TOML, "x");
  assert.deepEqual(inferExtensionTargets(named, true), named.targets);
});

Deno.test("EXC-1 arguments of Dockerfiles; those of the lifecycle are refused", () => {
  const source = '[[build.args]]\nname = "a"\nvalue = "1"\n[[run.args]]\nname = "b"\nvalue = "2"\n';
  assert.deepEqual(parseExtendConfig(source, "x"), {
    build: [{ name: "a", value: "1" }],
    run: [{ name: "b", value: "2" }],
  });
  assert.deepEqual(parseExtendConfig("", "x"), { build: [], run: [] });
  for (const name of ["build_id", "user_id", "group_id"]) {
    for (const kind of ["build", "run"]) {
      const bad = `[[${kind}.args]]\nname = "${name}"\nvalue = "1"\n`;
      assert.throws(
        () => parseExtendConfig(bad, "extend-config.toml"),
        (error) =>
          error instanceof FileError &&
          error.message.startsWith(`Cannot use extend-config.toml: ${kind}.args has "${name}"`),
      );
    }
  }
});
