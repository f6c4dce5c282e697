/** Looking into images with the built executable: every form, every library that is loaded on demand. */
import assert from "node:assert/strict";
import { EXAMPLES, makeScene } from "./wherry_testing.ts";

const TOML = `api = "0.10"
[buildpack]
id = "test/bom"
version = "1.0"
sbom-formats = ["application/vnd.cyclonedx+json"]
[[targets]]
os = "linux"
`;
const DETECT = "#!/bin/bash\nexit 0\n";
const BUILD = `#!/bin/bash
set -e
mkdir -p "$CNB_LAYERS_DIR/lib"
echo "\${BP_WORDS:-none}" >"$CNB_LAYERS_DIR/lib/words"
printf '[types]\\nlaunch = true\\n' >"$CNB_LAYERS_DIR/lib.toml"
cat >"$CNB_LAYERS_DIR/lib.sbom.cdx.json" <<'END'
{"components": [{"type": "library", "name": "words", "version": "1.2.3", "purl": "pkg:npm/words@1.2.3",
  "licenses": [{"expression": "MIT OR Apache-2.0"}]}]}
END
printf '[[processes]]\\ntype = "web"\\ncommand = ["/bin/true"]\\n' >"$CNB_LAYERS_DIR/launch.toml"
`;

Deno.test("the executable inspects, lists files, merges and queries bills of materials, compares and verifies", async () => {
  await using scene = await makeScene();
  await Deno.mkdir(`${scene.dir}/bp/bin`, { recursive: true });
  await Deno.writeTextFile(`${scene.dir}/bp/buildpack.toml`, TOML);
  for (const [name, text] of [["detect", DETECT], ["build", BUILD]] as const) {
    await Deno.writeTextFile(`${scene.dir}/bp/bin/${name}`, text);
    await Deno.chmod(`${scene.dir}/bp/bin/${name}`, 0o755);
  }
  const wherry = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await scene.run(args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const build = (name: string, ...more: readonly string[]) =>
    wherry(
      "build",
      name,
      "--path",
      `${EXAMPLES}/hello`,
      "-b",
      "bp",
      "--run-image",
      "scratch",
      ...more,
    );
  await build("one");
  await build("oci:two", "--sbom-referrer", "-e", "BP_WORDS=some");

  for (
    const [form, wanted] of [
      ["human", /test\/bom@1\.0 +lib /],
      ["json", /"buildpack": "test\/bom"/],
      ["yaml", /^ {6}buildpack: test\/bom$/m],
      ["toml", /^buildpack = "test\/bom"$/m],
    ] as const
  ) assert.match(await wherry("inspect", "store:one", "-o", form), wanted);
  assert.match(
    await wherry("inspect", "store:one", "--files"),
    / \/layers\/test_bom\/lib\/words$/m,
  );
  assert.match(await wherry("inspect", "store:one", "--layers"), /% efficient\)$/m);
  assert.match(
    await wherry("sbom", "show", "one"),
    /^words +1\.2\.3 +npm +MIT OR Apache-2\.0 +test\/bom +lib$/m,
  );
  for (const format of ["cyclonedx", "spdx", "syft"]) {
    JSON.parse(await wherry("sbom", "show", "one", "--merge", "--format", format));
  }
  assert.match(await wherry("sbom", "query", "pkg:npm/words@^1", "one"), /^one +words +1\.2\.3 /m);
  assert.match(await wherry("sbom", "list", "oci:two"), /^Attached:\n.*\n {2}cyclonedx +sha256:/m);
  assert.doesNotMatch(await wherry("verify", "oci:two", "--layers"), /FAULT/);
  assert.match((await scene.run(["relaunch", "one"])).stderr, /nothing to do$/m);
  const { code, stdout } = await scene.run(["diff", "one", "oci:two"]);
  assert.equal(code, 1);
  assert.match(stdout, /^Layer lib \(test\/bom@1\.0\): changed$/m);
  assert.match(stdout, /^ {2}\* \/layers\/test_bom\/lib\/words: content [0-9a-f]+ -> [0-9a-f]+$/m);
});
