/** Across an air gap: a registry on one side, a machine without any route on the other, one file between them. */
import assert from "node:assert/strict";
import { canMakeBase, writeBase } from "./base_image_testing.ts";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import { EXAMPLES, makeScene, startProcess, tool, WHERRY } from "./wherry_testing.ts";

const canUnshare = await new Deno.Command("unshare", { args: ["-n", "true"], stderr: "null" })
  .output().then(({ success }) => success, () => false);

Deno.test({
  name:
    "a run image crosses in a bundle and is built on without any route; the registry is never asked",
  ignore: !hasRegistry || !canUnshare || !canMakeBase(),
  async fn() {
    await using registry = await startRegistry();
    await using scene = await makeScene();
    const run = `${registry.host}/team/run:1`;
    await writeBase(`${scene.dir}/base`, 1);
    await scene.ok(["copy", "oci:base:1", run]);
    await scene.ok(["bundle", "create", "out.tar", "--run-image", run]);
    const built = await scene.json(
      [
        ...["build", `${registry.host}/app`, "--publish", "--path", `${EXAMPLES}/bash-app`],
        ...["-b", `${EXAMPLES}/buildpacks/procfile`, "--run-image", run],
      ],
      { store: `${scene.dir}/near` },
    );
    await registry.take();

    const env = { HOME: scene.home, WHERRY_STORE: `${scene.dir}/far` };
    const inside = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await startProcess("unshare", ["-n", WHERRY, ...args], {
        cwd: scene.dir,
        env,
      }).ended;
      assert.equal(code, 0, stderr);
      return stdout;
    };
    await inside("bundle", "verify", "out.tar");
    const far = JSON.parse(
      await inside(
        ...["build", `${registry.host}/app`, "--path", `${EXAMPLES}/bash-app`, "--offline"],
        ...["-b", `${EXAMPLES}/buildpacks/procfile`, "--run-image", run],
        ...["--from", "out.tar", "-o", "json"],
      ),
    );
    assert.equal(far.digest, built.digest, "the same image on both sides");
    assert.deepEqual(await registry.take(), [], "nobody was asked");
  },
});

Deno.test({
  name: "skopeo reads single images out of a bundle, and their digests stay",
  ignore: !hasRegistry || !canMakeBase(),
  async fn() {
    await using registry = await startRegistry();
    await using scene = await makeScene();
    const digests: string[] = [];
    for (const version of [1, 2] as const) {
      digests.push(await writeBase(`${scene.dir}/base`, version));
      await scene.ok(["copy", `oci:base:${version}`, `${registry.host}/run:${version}`]);
    }
    await scene.ok([
      ...["bundle", "create", "out.tar"],
      ...["--run-image", `${registry.host}/run:1,${registry.host}/run:2`],
    ]);
    await Deno.mkdir(`${scene.dir}/layout`);
    await tool("tar", ["-xf", `${scene.dir}/out.tar`, "-C", `${scene.dir}/layout`]);
    for (const [at, digest] of digests.entries()) {
      const name = `oci:${scene.dir}/layout:${registry.host}/run:${at + 1}`;
      assert.equal(
        (await tool("skopeo", ["inspect", "--format", "{{.Digest}}", name])).trim(),
        digest,
      );
    }
  },
});
