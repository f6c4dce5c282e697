/** From source to a process that runs: images are started by crun, which knows nothing of wherry. */
import assert from "node:assert/strict";
import { freePort } from "../../registry/port_testing.ts";
import { canMakeBase, writeBase } from "./base_image_testing.ts";
import { type Bundle, canRun, unpack } from "./container_testing.ts";
import { EXAMPLES, makeScene, type Scene, tool } from "./wherry_testing.ts";

const HELLO = ["--path", `${EXAMPLES}/hello`, "-b", `${EXAMPLES}/buildpacks/hello`];
const SHOP = ["--path", `${EXAMPLES}/bash-app`, "-b", `${EXAMPLES}/buildpacks/procfile`];

async function buildAndUnpack(scene: Scene, args: readonly string[]): Promise<Bundle> {
  await scene.ok(["build", `oci:${scene.dir}/out:app`, ...args]);
  return await unpack(`${scene.dir}/out`, "app", `${scene.dir}/bundle`);
}

Deno.test({
  name:
    "hello on scratch starts: default process with exec.d, another process, a user command, arguments",
  ignore: !canRun,
  async fn() {
    await using scene = await makeScene();
    const image = await buildAndUnpack(scene, [...HELLO, "--run-image", "scratch"]);

    const about = await image.run({ entrypoint: ["/cnb/process/about"] });
    assert.equal(about.stdout, "hello 1.0.0\n");
    assert.equal(about.code, 0);
    const direct = await image.run({
      entrypoint: ["/cnb/lifecycle/launcher"],
      args: ["--", "server", "--version"],
    });
    assert.equal(direct.stdout, "hello 1.0.0\n");
    const withArguments = await image.run({ args: ["--version"] });
    assert.equal(withArguments.stdout, "hello 1.0.0\n", "arguments go behind the default process");

    const port = freePort();
    const web = await image.start({ env: [`PORT=${port}`] });
    try {
      let page: string | undefined;
      while (page === undefined) {
        // The app listens soon; until then the connection is refused at once, and a process that ended fails the test.
        const over = await Promise.race([web.ended, fetch(`http://127.0.0.1:${port}/`)])
          .catch(() => undefined);
        if (over instanceof Response) page = await over.text();
        else if (over !== undefined) assert.fail(`the app ended: ${over.stdout}${over.stderr}`);
      }
      assert.match(page, /no daemon has ever seen/);
      const env = await (await fetch(`http://127.0.0.1:${port}/env`)).text();
      assert.match(env, /^HELLO_MOTD=good day from /m, "a variable of exec.d");
      assert.match(env, /^HELLO_GREETING=hello$/m, "a variable of env.launch");
    } finally {
      web.kill("SIGTERM");
    }
    assert.equal((await web.ended).code, 128 + 15, "the app itself got the signal");
  },
});

Deno.test({
  name:
    "a Procfile of API 0.7 starts through bash with profile.d, .profile and every rule of env.launch",
  ignore: !canRun || !canMakeBase(),
  async fn() {
    await using scene = await makeScene();
    await writeBase(`${scene.dir}/base`, 1);
    const image = await buildAndUnpack(scene, [...SHOP, "--run-image", `oci:${scene.dir}/base:1`]);

    assert.equal(
      (await image.run()).stdout,
      "greetings from shop: port 8080\n" +
        "profile.d: profile.d of workspace; only web: yes; .profile: yes\n",
    );
    const worker = await image.run({
      entrypoint: ["/cnb/process/worker"],
      env: ["MODE=loud", "SHOP_PATH=/mine"],
    });
    assert.equal(worker.stdout, "worker of shop in mode loud\npath /opt/shop:/mine:/opt/more\n");
    const user = await image.run({
      entrypoint: ["/cnb/lifecycle/launcher"],
      args: ["echo $SHOP from $(id -u)"],
    });
    assert.equal(user.stdout, "shop from 1000\n", "one word is a line for bash");
    const failing = await image.run({ entrypoint: ["/cnb/lifecycle/launcher"], args: ["exit 7"] });
    assert.equal(failing.code, 7);
    assert.match(
      (await image.run({ entrypoint: ["launcher"], args: ["--", "env"] })).stdout,
      /^FROM_RUN_IMAGE=yes$/m,
    );
  },
});

Deno.test({
  name: "--default-process chooses what starts; a type that is not there is refused",
  ignore: !canRun,
  async fn() {
    await using scene = await makeScene();
    const image = await buildAndUnpack(scene, [
      ...[...HELLO, "--run-image", "scratch", "--default-process", "about"],
    ]);
    assert.equal((await image.run()).stdout, "hello 1.0.0\n");
    const wrong = await scene.run([
      ...["build", "x", ...HELLO, "--run-image", "scratch", "--default-process", "nope"],
    ]);
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.stderr, /^ERROR: .*nope.*about.*web/m);
  },
});

Deno.test({
  name:
    "owners, modes and times of an unpacked image: root's launcher, the app of the CNB user, 1980",
  ignore: !canRun || !canMakeBase(),
  async fn() {
    await using scene = await makeScene();
    await writeBase(`${scene.dir}/base`, 1);
    const { rootfs } = await buildAndUnpack(scene, [
      ...["--path", `${EXAMPLES}/kinds`, "-b", `${EXAMPLES}/buildpacks/kinds`],
      ...["--run-image", `oci:${scene.dir}/base:1`],
    ]);
    const stat = async (path: string) =>
      (await tool("stat", ["-c", "%A %u:%g %Y", `${rootfs}${path}`])).trim();
    const time = 315532801;
    assert.equal(await stat("/cnb/lifecycle/launcher"), `-rwxr-xr-x 0:0 ${time}`);
    assert.equal(await stat("/cnb/process/show"), `lrwxrwxrwx 0:0 ${time}`);
    assert.equal(await stat("/workspace/kinds.txt"), `-rw-r--r-- 1000:1000 ${time}`);
    assert.equal(await stat("/workspace"), `drwxr-xr-x 1000:1000 ${time}`);
    assert.equal(await stat("/layers/wherry_kinds/all/content"), `-rw-r--r-- 1000:1000 ${time}`);
    const bills = await tool("find", [
      `${rootfs}/layers/sbom`,
      "-name",
      "sbom.*",
      "-printf",
      "%P\\n",
    ]);
    assert.deepEqual(bills.trim().split("\n").filter((name) => name.includes("kinds")).sort(), [
      "launch/wherry_kinds/all/sbom.cdx.json",
      "launch/wherry_kinds/cache-launch/sbom.syft.json",
      "launch/wherry_kinds/sbom.cdx.json",
      "launch/wherry_kinds/sbom.spdx.json",
    ]);
  },
});

Deno.test({
  name: "another version of the run image: the same layers of the app on another base",
  ignore: !canMakeBase(),
  async fn() {
    await using scene = await makeScene();
    await writeBase(`${scene.dir}/base`, 1);
    await writeBase(`${scene.dir}/base`, 2);
    const build = async (version: number) => {
      const run = `oci:${scene.dir}/base:${version}`;
      return (await scene.json(["build", "shop", ...SHOP, "--run-image", run])).layers;
    };
    const first = await build(1);
    const second = await build(2);
    assert(second.every(({ how }) => how === "reused"), JSON.stringify(second));
    assert.deepEqual(second.map(({ diffId }) => diffId), first.map(({ diffId }) => diffId));
    const { local_info } = await scene.json<
      { local_info: { layers: { created_by: string }[]; rebasable: boolean } }
    >(["inspect", "store:shop"]);
    assert.equal(local_info.rebasable, true);
    assert.equal(local_info.layers.filter(({ created_by }) => /^base/.test(created_by)).length, 2);
  },
});
