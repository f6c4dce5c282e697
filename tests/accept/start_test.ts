/** From source to a process that runs: images are started by crun, which knows nothing of wherry. */
import assert from "node:assert/strict";
import { canMakeBase, writeBase } from "./base_image_testing.ts";
import { type Bundle, canRun, unpack } from "./container_testing.ts";
import { EXAMPLES, makeScene, type Scene } from "./wherry_testing.ts";

const HELLO = ["--path", `${EXAMPLES}/hello`, "-b", `${EXAMPLES}/buildpacks/hello`];
const SHOP = ["--path", `${EXAMPLES}/bash-app`, "-b", `${EXAMPLES}/buildpacks/procfile`];

async function buildAndUnpack(scene: Scene, args: readonly string[]): Promise<Bundle> {
  await scene.ok(["build", `oci:${scene.dir}/out:app`, ...args]);
  return await unpack(`${scene.dir}/out`, "app", `${scene.dir}/bundle`);
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
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
