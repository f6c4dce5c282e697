/** Across an air gap: a registry on one side, a machine without any route on the other, one file between them. */
import assert from "node:assert/strict";
import { canMakeBase, writeBase, writeBuildBase } from "./base_image_testing.ts";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import {
  assertOneError,
  EXAMPLES,
  makeScene,
  startProcess,
  tool,
  WHERRY,
} from "./wherry_testing.ts";

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

Deno.test({
  name:
    "a builder and what its buildpacks download cross in a bundle; inside they find it by a binding, nobody is asked",
  ignore: !hasRegistry || !canUnshare || !canMakeBase(),
  async fn() {
    await using registry = await startRegistry();
    await using scene = await makeScene();
    const { host } = registry;
    const asked: string[] = [];
    const files: Readonly<Record<string, string>> = {
      "/jdk-21.tar": "a JDK\n",
      "/old.tar": "old\n",
    };
    const shas = await Promise.all(
      Object.values(files).map(async (text) => {
        const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
        return new Uint8Array(hash).toHex();
      }),
    );
    await using web = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      const { pathname } = new URL(request.url);
      asked.push(pathname);
      if (pathname === "/moved") return Response.redirect(new URL("/jdk-21.tar", request.url));
      return new Response(files[pathname], { status: pathname in files ? 200 : 404 });
    });
    const from = `http://127.0.0.1:${web.addr.port}`;
    const toml = (address: string) =>
      `api = "0.10"
[buildpack]
id = "test/jdk"
version = "1.0.0"
[[targets]]
os = "linux"
[[metadata.dependencies]]
id = "jdk"
version = "21.0.1"
uri = "${address}"
sha256 = "${shas[0]}"
[[metadata.dependencies]]
id = "jdk"
version = "17.0.1"
uri = "${from}/old.tar"
checksum = "sha256:${shas[1]}"
`;
    await scene.write({
      "app/app.txt": "app\n",
      "jdk/buildpack.toml": toml(`${from}/moved`),
      "jdk/bin/detect": "#!/bin/bash\n",
      "jdk/bin/build": `#!/bin/bash
set -e
for dir in "$CNB_PLATFORM_DIR"/bindings/*; do
  [[ $(<"$dir/type") == dependency-mapping ]] || continue
  uri=$(<"$dir/${shas[0]}")
  [[ ! -e $dir/${shas[1]} ]] # was filtered out
done
busybox mkdir $1/jdk
busybox cp "\${uri#file://}" $1/jdk/file
busybox sha256sum $1/jdk/file
printf '[types]\\nlaunch = true\\n' >$1/jdk.toml
`,
      "lifecycle/lifecycle.toml":
        '[lifecycle]\nversion = "9.9.9"\n[apis.buildpack]\ndeprecated = []\nsupported = ["0.10"]\n' +
        '[apis.platform]\ndeprecated = []\nsupported = ["0.12"]\n',
      "lifecycle/lifecycle/lifecycle": "#!/bin/sh\n",
      "builder.toml": `
[build]
image = "oci:base:build"
[run]
[[run.images]]
image = "${host}/run:1"
[[buildpacks]]
uri = "jdk"
[[order]]
[[order.group]]
id = "test/jdk"
[lifecycle]
uri = "lifecycle"
`,
    });
    await writeBuildBase(`${scene.dir}/base`);
    await writeBase(`${scene.dir}/base`, 1);
    await scene.ok(["copy", "oci:base:1", `${host}/run:1`]);
    const builder = `${host}/builder:1`;
    await scene.ok(["builder", "create", builder, "--publish", "--config", "builder.toml"]);
    const create = (file: string) =>
      scene.run([
        ...["bundle", "create", file, "--builder", builder],
        ...["--with-dependencies", "--filter", "jdk=21.*"],
      ]);
    const dry = (filter: string) =>
      scene.run([
        ...["bundle", "create", "no.tar", "--builder", builder, "--dry-run"],
        ...["--with-dependencies", "--filter", filter],
      ]);
    assert.match((await dry("jdk=21.*")).stderr, /^Would be downloaded, too: jdk 21/m);
    assert.match((await dry("jre=*")).stderr, /^Warning: No dependency fits --filter: .*jdk 21/m);
    const made = await create("out.tar");
    assert.equal(made.code, 0, made.stderr);
    assert.deepEqual(asked.splice(0), ["/moved", "/jdk-21.tar"]);
    assert.match(
      await scene.ok(["bundle", "inspect", "out.tar"]),
      /dependency +wherry.invalid\/dependencies/,
    );
    // The same bytes, and nothing is downloaded twice.
    assert.equal((await create("again.tar")).code, 0);
    await tool("cmp", [`${scene.dir}/out.tar`, `${scene.dir}/again.tar`]);
    assert.deepEqual(asked.splice(0), []);
    await registry.take();

    const env = { HOME: scene.home, WHERRY_STORE: `${scene.dir}/far` };
    const far = await startProcess("unshare", [
      ...["-n", WHERRY, "build", "app", "--path", "app", "--builder", builder, "--offline"],
      ...["--from", "out.tar"],
    ], { cwd: scene.dir, env }).ended;
    assert.equal(far.code, 0, far.stderr);
    assert.match(far.stderr, new RegExp(`${shas[0]} +/layers/test_jdk/jdk/file`));
    assert.deepEqual(await registry.take(), [], "nobody was asked");
    assert.deepEqual(asked, []);

    // What is not what buildpack.toml says is not bundled.
    await scene.write({ "jdk/buildpack.toml": toml(`${from}/old.tar`) });
    await scene.ok(["builder", "create", builder, "--publish", "--config", "builder.toml"]);
    const wrong = await scene.run(
      ["bundle", "create", "wrong.tar", "--builder", builder, "--with-dependencies"],
      { store: `${scene.dir}/empty` },
    );
    assertOneError(
      wrong,
      1,
      /Cannot bundle jdk 21.0.1, which test\/jdk@1.0.0 downloads: .*digest/i,
    );
    await assert.rejects(Deno.stat(`${scene.dir}/wrong.tar`), Deno.errors.NotFound);
  },
});
