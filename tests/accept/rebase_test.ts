/** Images on a new base, started: which base it is, a file of it tells. */
import assert from "node:assert/strict";
import { canMakeBase, writeBase } from "./base_image_testing.ts";
import { canRun, unpack } from "./container_testing.ts";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import { EXAMPLES, installed, makeScene, tool } from "./wherry_testing.ts";

Deno.test({
  name:
    "demand 30: a rebased image starts on its new base: in a layout, in the store, in a foreign registry",
  ignore: !canRun || !canMakeBase() || !hasRegistry || !installed("skopeo"),
  async fn() {
    await using scene = await makeScene();
    await using registry = await startRegistry();
    const { host } = registry;
    for (const version of [1, 2] as const) {
      await writeBase(`${scene.dir}/base`, version);
      await scene.ok(["copy", `oci:base:${version}`, `${host}/run:${version}`]);
    }
    const hello = ["--path", `${EXAMPLES}/hello`, "-b", `${EXAMPLES}/buildpacks/hello`];
    await scene.ok([
      "build",
      `${host}/app:1`,
      "--publish",
      "--run-image",
      `${host}/run:1`,
      ...hello,
    ]);
    await scene.ok(["pull", `${host}/app:1`]);
    await scene.ok(["copy", `${host}/app:1`, "oci:app:1"]);
    const started = async (layout: string) => {
      const bundle = await unpack(
        `${scene.dir}/${layout}`,
        "1",
        `${scene.dir}/${layout}-bundle-${crypto.randomUUID()}`,
      );
      // Through the launcher of the image, as its own processes are started.
      const run = async (...words: readonly string[]) => {
        const said = await bundle.run({ entrypoint: ["/cnb/lifecycle/launcher", ...words] });
        assert.equal(said.code, 0, said.stderr);
        return said.stdout;
      };
      return {
        said: await run("ls", "/workspace", "/cnb/process"),
        os: await run("cat", "/etc/os-release"),
      };
    };
    const before = await started("app");
    assert.match(before.os, /VERSION_ID=1/);
    const to = ["--run-image", `${host}/run:2`];
    // The two are of different versions of a distro, and have different names.
    const refused = await scene.run(["rebase", `${host}/app:1`, "--publish", ...to]);
    assert.equal(refused.code, 72);
    assert.match(refused.stderr, /distro: the image has "busybox 1", the new base "busybox 2"/);
    const names = [[`${host}/app:1`, "--publish"], [`${host}/app:1`], ["oci:app:1"]];
    const digests = [];
    for (const name of names) {
      digests.push((await scene.ok(["rebase", ...name, ...to, "--force"])).split("@")[1]);
    }
    assert.equal(new Set(digests).size, 1, "one image, wherever it was rebased");
    const after = await started("app");
    assert.match(after.os, /VERSION_ID=2/);
    assert.equal(after.said, before.said, "the app is the same");
    await tool("skopeo", [
      ...["copy", "-q", "--src-tls-verify=false", `docker://${host}/app:1`],
      `oci:${scene.dir}/foreign:1`,
    ]);
    const foreign = await started("foreign");
    assert.match(foreign.os, /VERSION_ID=2/);
    assert.equal(foreign.said, before.said);
  },
});
