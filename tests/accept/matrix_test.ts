/**
 * Each isolation mode with each example application: built, started, rebuilt with reuse, the same digest in every mode.
 * Two applications always; those that take a build image of Debian packages with `deno task matrix`.
 */
import assert from "node:assert/strict";
import { cachedLayout, missingImages } from "../../scripts/base_images.ts";
import { canMakeBase, writeBase, writeBuildBase } from "./base_image_testing.ts";
import { answers, canRun, unpack } from "./container_testing.ts";
import { type Built, inShare, type Way, waysInto } from "./matrix_testing.ts";
import type { Engine } from "./seccomp_testing.ts";
import { copyDir, EXAMPLES, installed, makeScene, type Scene, tool } from "./wherry_testing.ts";

interface App {
  /** Below `apps`. */
  readonly path: string;
  readonly buildpacks: readonly string[];
  readonly runImage: string;
  /** What it says at `/`. */
  readonly hello: RegExp;
  /** What buildpacks are told. */
  readonly words?: readonly string[];
}

/** What tells why two images differ: layers as they are and as they travel, the config. */
async function insides({ layout, layers }: Built): Promise<unknown> {
  const inspect = async (how: string) =>
    JSON.parse(await tool("skopeo", ["inspect", how, `oci:${layout}:app`]));
  const config = await inspect("--config");
  return [layers.map(({ id, diffId }) => [id, diffId]), (await inspect("--raw")).layers, config];
}

/** Builds each app twice in every way, and starts what came out. */
async function matrix(
  test: Deno.TestContext,
  scene: Scene,
  apps: readonly App[],
): Promise<readonly Way[]> {
  const share = `${scene.dir}/share`;
  const names = [...new Set(apps.flatMap((app) => app.buildpacks))];
  const orders = apps.map(({ buildpacks }) =>
    "[[order]]\n" + buildpacks.map((name) => `[[order.group]]\nid = "wherry/${name}"\n`).join("")
  );
  await scene.write({
    "builder.toml": [
      ...names.map((name) => `[[buildpacks]]\nuri = "${EXAMPLES}/buildpacks/${name}"\n`),
      ...orders,
      `[build]\nimage = "oci:${share}/base:build"\n[[run.images]]\nimage = "oci.example/run"\n`,
    ].join("\n"),
  });
  const builder = `oci:${share}/builder:1`;
  await scene.ok(["builder", "create", builder, "--config", "builder.toml"]);
  const ways = await waysInto(scene);
  for (const { path, runImage, hello, words = [] } of apps) {
    let one: Built | undefined;
    for (const way of ways) {
      await test.step(`${path} by ${way.where}`, async () => {
        const first = await way.build(path, runImage, words);
        const again = await way.build(path, runImage, words);
        assert.equal(again.digest, first.digest, `${path}: rebuilt by ${way.where}`);
        const made = again.layers.filter(({ how }) => how !== "reused");
        assert.deepEqual(made, [], `${path}: made again by ${way.where}`);
        // What is the same image answers the same.
        if (one === undefined) {
          const [said] = await answers(await unpack(first.layout, "app", `${scene.dir}/started`));
          assert.match(said!, hello);
          await Deno.remove(`${scene.dir}/started`, { recursive: true });
        }
        one ??= first;
        if (first.digest === one.digest) return;
        assert.deepEqual(await insides(first), await insides(one), `${path}: by ${way.where}`);
        assert.fail(`${path}: another image by ${way.where}, with the same layers`);
      });
    }
  }
  return ways;
}

Deno.test({
  name: "matrix: a Procfile and a static program, in every isolation mode",
  ignore: !canRun || !canMakeBase() || !installed("musl-gcc"),
  async fn(test) {
    await using scene = await makeScene();
    const { dir } = scene;
    await writeBuildBase(`${dir}/share/base`, { tools: true });
    await writeBase(`${dir}/share/base`, 1);
    await scene.write({
      "share/apps/procfile/Procfile": "web: trap exit TERM; busybox httpd -f -p $PORT & wait\n",
      "share/apps/procfile/index.html": "hello from a Procfile\n",
      "share/apps/procfile/env": "none\n",
      "share/apps/static/bin": null,
    });
    await copyDir(`${EXAMPLES}/hello/public`, `${dir}/share/apps/static/public`);
    await tool("musl-gcc", [
      ...["-Os", "-static", "-o", `${dir}/share/apps/static/bin/server`],
      `${EXAMPLES}/hello/server.c`,
    ]);
    const ways = await matrix(test, scene, [
      {
        path: "procfile",
        buildpacks: ["procfile"],
        runImage: inShare("base:1"),
        hello: /^hello from a Procfile\n$/,
      },
      {
        path: "static",
        buildpacks: ["static-binary"],
        runImage: "scratch",
        hello: /no daemon has ever seen/,
      },
    ]);
    // What `auto` finds by trying, and that a mode asked for by name is never weakened.
    const words = ["--path", "/builds/apps/static", "--run-image", "scratch"];
    const at = (where: string) => ways.find(({ mode }) => mode === where)!;
    const to = (name: string) => ["build", `${inShare(`out/${name}`)}:app`, ...words, "-o", "json"];
    const build = (where: string, isolation: string, how?: { readonly engine: Engine }) =>
      at(where).run(
        [...to("any"), "--builder", inShare("builder:1"), "--isolation", isolation],
        how,
      );
    const docker = await build("chroot", "auto");
    assert.match(docker.stderr, /^isolation: chroot, /m);
    const refused = await build("chroot", "namespaces");
    assert.equal(refused.code, 3);
    assert.match(
      refused.stderr,
      /^ERROR: Cannot enter an image here: namespaces: making namespaces is refused \(EPERM\)\. /m,
    );
    const system = await build("chroot", "takeover");
    assert.equal(system.code, 3);
    assert.match(system.stderr, /takeover: it would replace this machine's own files, \/ has /);
    const pod = await build("in-place", "auto");
    assert.equal(pod.code, 3);
    assert.match(
      pod.stderr,
      /namespaces: .*EPERM.*; chroot: only root .* run wherry in the builder/,
    );
    // containerd's filter, which is Kubernetes' RuntimeDefault: what `auto` picks there, and the same image.
    const asRoot = await build("chroot", "auto", { engine: "containerd" });
    assert.match(asRoot.stderr, /^isolation: chroot, /m);
    const restricted = await at("in-place").run(to("pod"), { engine: "containerd" });
    assert.match(
      restricted.stderr,
      /^isolation: in-place, on this machine's own tree \(no_new_privs, seccomp, Landlock \d\) as 1000680000:0; /m,
    );
    assert.equal(restricted.code, 0, restricted.stderr);
    assert.equal(JSON.parse(restricted.stdout).digest, JSON.parse(docker.stdout).digest);
    assert.equal(JSON.parse(asRoot.stdout).digest, JSON.parse(docker.stdout).digest);
    const elsewhere = await build("in-place", "auto", { engine: "containerd" });
    assert.equal(elsewhere.stderr, pod.stderr);
  },
});

/** `all`, or names of apps. */
const wanted = Deno.env.get("WHERRY_MATRIX");
const BASES = ["languages", "run"] as const;
const ready = wanted && canRun && installed("javac") &&
  (await missingImages(cachedLayout(), BASES)).length === 0;
// deno-lint-ignore no-console
if (!ready) console.log("skipped: languages in every isolation mode, which deno task matrix does");

Deno.test({
  name:
    "matrix: Node, Python, a jar of Spring Boot's form and a plain jar, in every isolation mode",
  ignore: !ready,
  async fn(test) {
    await using scene = await makeScene();
    const apps = `${scene.dir}/share/apps`;
    await Deno.mkdir(apps, { recursive: true });
    for (const [tag, name] of [["languages", "build"], ["run", "run"]]) {
      await scene.ok([
        "copy",
        `oci:${cachedLayout()}:${tag}`,
        `oci:${scene.dir}/share/base:${name}`,
      ]);
    }
    await copyDir(`${EXAMPLES}/node-app`, `${apps}/node`);
    await copyDir(`${EXAMPLES}/python-app`, `${apps}/python`);
    await tool("sh", [`${EXAMPLES}/java-app/make-jar.sh`, `${apps}/boot.jar`]);
    await tool("sh", [
      ...["-c", PLAIN_JAR, "sh", `${EXAMPLES}/maven-app/src/main/java`, `${apps}/plain.jar`],
    ]);
    const java = {
      buildpacks: ["jre", "executable-jar"],
      runImage: inShare("base:run"),
      words: ["--env", "BP_JRE_MODULES=java.base,jdk.httpserver"],
    };
    await matrix(
      test,
      scene,
      [
        // Debian's Node looks for parts of itself in /usr/share/nodejs.
        { path: "node", buildpacks: ["node"], runImage: inShare("base:build"), hello: /from node/ },
        {
          path: "python",
          buildpacks: ["python"],
          runImage: inShare("base:run"),
          hello: /from python/,
        },
        { path: "boot.jar", hello: /from java/, ...java },
        { path: "plain.jar", hello: /from a build/, ...java },
      ].filter(({ path }) => wanted === "all" || wanted!.split(",").includes(path)),
    );
  },
});

const PLAIN_JAR = `set -e
classes=$(mktemp -d)
trap 'rm -rf "$classes"' EXIT
javac --release 17 -d "$classes" $(find "$1" -name '*.java')
jar --create --file "$2" --main-class shop.Shop --date=1980-01-01T00:00:02Z -C "$classes" .
`;
