/** Both processors on one machine: a builder for each under one index, an app for each under one name. */
import assert from "node:assert/strict";
import { openForeign } from "../../scripts/foreign.ts";
import { foreignPrograms } from "../../scripts/foreign_programs.ts";
import { canMakeBase, type Programs, writeBothBases } from "./base_image_testing.ts";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import {
  assertOneError,
  type BuildResult,
  makeScene,
  type Scene,
  startProcess,
  WHERRY,
} from "./wherry_testing.ts";

const HERE = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
const OTHER = HERE === "amd64" ? "arm64" : "amd64";
const BASH_TYPE = { amd64: "x86_64", arm64: "aarch64" };
const BOTH = ["--platform", `linux/${HERE},linux/${OTHER}`];

/** The programs of the other processor; undefined, and said, where they cannot be had. */
async function other(): Promise<Programs | undefined> {
  try {
    return canMakeBase() ? await foreignPrograms() : undefined;
  } catch (error) {
    // deno-lint-ignore no-console
    console.log(`skipped: tests with images for ${OTHER}: ${(error as Error).message}`);
    return undefined;
  }
}

const programs = await other();

const FILES = {
  "app/app.txt": "hello\n",
  "lifecycle/lifecycle.toml":
    '[lifecycle]\nversion = "9.9.9"\n[apis.buildpack]\ndeprecated = []\nsupported = ["0.10"]\n' +
    '[apis.platform]\ndeprecated = []\nsupported = ["0.12"]\n',
  "lifecycle/lifecycle/lifecycle": "#!/bin/sh\n",
  "teller/buildpack.toml":
    'api = "0.10"\n[buildpack]\nid = "test/teller"\nversion = "1.0.0"\n[[targets]]\nos = "linux"\n',
  "teller/bin/detect": "#!/bin/bash\ntest -e app.txt\n",
  "teller/bin/build": `#!/bin/bash
set -e
[[ ! -e fail-$HOSTTYPE ]] || exit 7
[[ ! -e $1/notes/made ]] || echo "found what was made by $(cat $1/notes/made)"
busybox mkdir -p $1/notes
echo $HOSTTYPE >$1/notes/made
echo "target $CNB_TARGET_ARCH, bash for $HOSTTYPE" >$1/notes/said
printf '[types]\\nlaunch = true\\ncache = true\\n' >$1/notes.toml
cat >$1/launch.toml <<END
[[processes]]
type = "web"
command = ["bash", "-c", "cat $1/notes/said; echo runs with bash for \\$HOSTTYPE"]
default = true
END
`,
  "builder.toml": `
[build]
image = "oci:base:builds"
[run]
[[run.images]]
image = "oci.example/run:1"
[[buildpacks]]
uri = "teller"
[[order]]
[[order.group]]
id = "test/teller"
[[targets]]
os = "linux"
arch = "${HERE}"
[[targets]]
os = "linux"
arch = "${OTHER}"
[lifecycle]
uri = "lifecycle"
`,
};

/** A scene with the builder `oci:builder` for both. */
async function bothScene(): Promise<Scene> {
  const scene = await makeScene();
  await writeBothBases(`${scene.dir}/base`, programs!);
  await scene.write(FILES);
  await scene.ok(["builder", "create", "oci:builder", "--config", "builder.toml"]);
  return scene;
}

const BUILD = ["--builder", "oci:builder", "--run-image", "oci:base:runs", "--path", "app"];

interface IndexResult extends BuildResult {
  readonly platforms: readonly (BuildResult & { readonly platform: string })[];
}

Deno.test({
  name:
    "multi-arch: one builder index, both builds, one index, started on both, rebuilt with reuse",
  ignore: programs === undefined || !hasRegistry,
  async fn() {
    await using foreign = await openForeign();
    if (foreign.why !== undefined) {
      // deno-lint-ignore no-console
      return console.log(`skipped: programs of ${OTHER}: ${foreign.why}`);
    }
    await using registry = await startRegistry();
    await using scene = await bothScene();
    const env = { HOME: scene.home, WHERRY_STORE: scene.store };
    const wherry = async (...args: string[]) => {
      const [program, words] = foreign.command(WHERRY, args);
      const ended = await startProcess(program, words, { cwd: scene.dir, env }).ended;
      assert.equal(ended.code, 0, ended.stderr);
      return ended;
    };
    // Both bases and the builder of both, made once more: the same bytes.
    await writeBothBases(`${scene.dir}/base2`, programs!);
    await scene.write({ "again.toml": FILES["builder.toml"].replace("oci:base:", "oci:base2:") });
    await scene.ok(["builder", "create", "oci:again", "--config", "again.toml"]);
    const layoutIndex = async (layout: string) =>
      JSON.parse(await Deno.readTextFile(`${scene.dir}/${layout}/index.json`));
    assert.deepEqual(await layoutIndex("base2"), await layoutIndex("base"));
    assert.deepEqual(await layoutIndex("again"), await layoutIndex("builder"));

    const name = `${registry.host}/team/app`;
    const build = async () => {
      const { stdout, stderr } = await wherry(
        ...["build", name, "--publish", ...BUILD, ...BOTH, "-o", "json"],
      );
      return { ...JSON.parse(stdout) as IndexResult, stderr };
    };
    const first = await build();
    const published = async () => {
      const headers = { accept: "application/vnd.oci.image.index.v1+json" };
      const url = `http://${registry.host}/v2/team/app/manifests/latest`;
      return await (await fetch(url, { headers })).json();
    };
    const index = await published();
    assert.deepEqual(
      index.manifests.map((one: { digest: string; platform: unknown }) => [
        one.digest,
        one.platform,
      ]),
      [HERE, OTHER].map((architecture, at) => [
        first.platforms[at]!.digest,
        { architecture, os: "linux" },
      ]),
    );
    for (const arch of [HERE, OTHER] as const) {
      const { stdout } = await wherry("run", name, "--platform", `linux/${arch}`);
      const type = BASH_TYPE[arch];
      assert.equal(stdout, `target ${arch}, bash for ${type}\nruns with bash for ${type}\n`);
    }
    const again = await build();
    assert.equal(again.digest, first.digest);
    for (const { layers } of again.platforms) {
      assert.deepEqual(layers.filter(({ how }) => how !== "reused"), []);
    }
    for (const type of Object.values(BASH_TYPE)) {
      assert.match(again.stderr, new RegExp(`found what was made by ${type}\n`));
    }
    // The same index in one file, and nothing of it left in the store.
    const listed = await scene.ok(["ls"]);
    const file = await wherry("build", "oci-archive:both.tar", ...BUILD, ...BOTH);
    assert.equal(file.stdout, `oci-archive:both.tar@${first.digest}\n`);
    assert.match(file.stderr, /Successfully built index oci-archive:both.tar of 2 images/);
    await scene.ok(["copy", "oci-archive:both.tar", "oci:both:latest"]);
    assert.equal((await layoutIndex("both")).manifests[0].digest, first.digest);
    assert.equal(await scene.ok(["ls"]), listed);
    // One of the two alone, as a CI job for each processor would: the same image.
    const { stdout } = await wherry(
      ...["build", `${name}:${OTHER}`, "--publish", ...BUILD, "--platform", `linux/${OTHER}`],
    );
    assert.equal(stdout.trim(), `${name}@${first.platforms[1]!.digest}`);
    const tree = JSON.parse((await wherry("doctor", "-o", "json")).stdout);
    assert.deepEqual(tree.foreign, { arch: OTHER, starts: true, why: null });
    // The second fails: what the name was it still is.
    await scene.write({ [`app/fail-${BASH_TYPE[OTHER]}`]: "" });
    const [program, words] = foreign.command(WHERRY, [
      ...["build", name, "--publish", ...BUILD, ...BOTH],
    ]);
    const failed = await startProcess(program, words, { cwd: scene.dir, env }).ended;
    assertOneError(failed, 51, /exit.* 7/);
    assert.match(
      failed.stderr,
      new RegExp(`The build for linux/${OTHER} ended: .* is what it was`),
    );
    assert.deepEqual(await published(), index);
  },
});

Deno.test({
  name:
    "multi-arch: where programs of the other processor do not start, one line says what to install; a lone image of another platform is refused",
  ignore: programs === undefined,
  async fn() {
    await using foreign = await openForeign();
    if (foreign.why === undefined && foreign.already) return; // this machine starts them
    await using scene = await bothScene();
    for (const platform of [["--platform", `linux/${OTHER}`], BOTH]) {
      const refused = await scene.run(["build", "oci:out", ...BUILD, ...platform]);
      assertOneError(refused, 3, /oci:builder for linux\/\w+: .* qemu-user-static/);
    }
    const run = await scene.run(["run", "oci:base:runs", "--platform", `linux/${OTHER}`]);
    assertOneError(run, 3, /oci:base:runs for .* qemu-user-static/);
    assert.match(await scene.ok(["doctor"]), new RegExp(`images for ${OTHER} +no: .*binfmt_misc`));
    // Nobody can choose from an image that stands alone.
    const only = await scene.run([
      ...["build", "oci:out", "--path", "app", "--builder", "oci:builder"],
      ...["--platform", `linux/${HERE}`, "--run-image", `oci:base:runs-${OTHER}`],
    ]);
    assertOneError(only, 3, new RegExp(`for linux/${HERE}: it is for linux/${OTHER}`));
    const archive = await scene.run(["build", "docker-archive:out.tar", ...BUILD, ...BOTH]);
    assertOneError(archive, 3, /holds one platform, want oci-archive:FILE or oci:DIR/);
    const tagged = await scene.run(["build", "oci-archive:o.tar", "-t", "x", ...BUILD, ...BOTH]);
    assertOneError(tagged, 3, /Cannot tag oci-archive:o.tar/);
    const wrong = await scene.run(["detect", ...["--path", "app"], ...BOTH]);
    assertOneError(wrong, 3, /Cannot read platform/);
  },
});
