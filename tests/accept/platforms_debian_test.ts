/**
 * Both processors with Debian's own packages, which `deno task matrix` does: the same applications built for both under one
 * name, started on both, and the images they are built on made again. Those are of `scripts/base_images.ts`.
 */
import assert from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { cachedLayout, missingImages } from "../../scripts/base_images.ts";
import { type Foreign, openForeign } from "../../scripts/foreign.ts";
import { answers } from "./container_testing.ts";
import {
  type BuildResult,
  EXAMPLES,
  installed,
  makeScene,
  ROOT,
  type Running,
  type Scene,
  startProcess,
  tool,
  WHERRY,
} from "./wherry_testing.ts";

const ARCHES = ["amd64", "arm64"] as const;
const BOTH = ["--platform", "linux/amd64,linux/arm64"];
const BASES = `oci:${cachedLayout()}`;

/** Whether it was asked for and `tags` are made. */
async function ready(tags: Parameters<typeof missingImages>[1]): Promise<boolean> {
  if (Deno.env.get("WHERRY_MATRIX") !== "all" || Deno.build.arch !== "x86_64") return false;
  const missing = await missingImages(cachedLayout(), tags);
  // deno-lint-ignore no-console
  if (missing.length > 0) console.log(`skipped: base images not made yet: ${missing.join(", ")}`);
  return missing.length === 0;
}

const LIFECYCLE = {
  "lifecycle/lifecycle.toml":
    '[lifecycle]\nversion = "9.9.9"\n[apis.buildpack]\ndeprecated = []\nsupported = ["0.7", "0.10"]\n' +
    '[apis.platform]\ndeprecated = []\nsupported = ["0.12"]\n',
  "lifecycle/lifecycle/lifecycle": "#!/bin/sh\n",
};

/** A scene with `oci:builder` for both: Debian's `base` and groups of the examples' buildpacks, one of which is for an app. */
async function builderOf(base: string, order: readonly (readonly string[])[]): Promise<Scene> {
  const scene = await makeScene();
  await scene.write({
    ...LIFECYCLE,
    "builder.toml": [
      `[build]\nimage = "${BASES}:${base}"\n[[run.images]]\nimage = "oci.example/run:1"\n`,
      ...ARCHES.map((arch) => `[[targets]]\nos = "linux"\narch = "${arch}"\n`),
      ...order.flat().map((name) => `[[buildpacks]]\nuri = "${EXAMPLES}/buildpacks/${name}"\n`),
      ...order.map((group) =>
        "[[order]]\n" + group.map((name) => `[[order.group]]\nid = "wherry/${name}"\n`).join("")
      ),
      '[lifecycle]\nuri = "lifecycle"\n',
    ].join(""),
  });
  await scene.ok(["builder", "create", "oci:builder", "--config", "builder.toml"]);
  return scene;
}

/** Starts the executable where programs of both processors start. */
function wherry(scene: Scene, foreign: Foreign, ...args: readonly string[]): Running {
  const [program, words] = foreign.command(WHERRY, args);
  const env = { HOME: scene.home, WHERRY_STORE: scene.store };
  return startProcess(program, words, { cwd: scene.dir, env });
}

async function ok(running: Running): Promise<string> {
  const { code, stdout, stderr } = await running.ended;
  assert.equal(code, 0, stderr);
  return stdout;
}

Deno.test({
  name: "multi-arch: Debian's own packages for both, the example with a Procfile built and started",
  ignore: !await ready(["builds", "runs"]),
  async fn() {
    await using foreign = await openForeign();
    assert.equal(foreign.why, undefined);
    await using scene = await builderOf("builds", [["procfile"]]);
    const run = (...args: readonly string[]) => ok(wherry(scene, foreign, ...args));
    const app = ["--path", `${EXAMPLES}/bash-app`];
    const from = ["--builder", "oci:builder", "--run-image", `${BASES}:runs`];
    await run("build", "oci:out", ...app, ...from, ...BOTH);
    for (const arch of ARCHES) {
      const platform = ["--platform", `linux/${arch}`];
      const said = await run("run", "oci:out", ...platform, "-e", "PORT=80");
      assert.match(said, /^greetings from shop: port 80\n/);
      const shell = ["--entrypoint", "/bin/bash", "--", "-c", "echo $HOSTTYPE"];
      const type = await run("run", "oci:out", ...platform, ...shell);
      assert.equal(type, { amd64: "x86_64\n", arm64: "aarch64\n" }[arch]);
    }
  },
});

interface IndexResult extends BuildResult {
  readonly platforms: readonly (BuildResult & { readonly platform: string })[];
}

interface App {
  /** What it says at `/` that it is from. */
  readonly name: string;
  /** What is built; in the scene's directory when it is not absolute. */
  readonly path: string;
  readonly runImage: string;
  readonly env?: readonly string[];
  /** What tells in the image which processor its interpreter is for, and what it says on either. */
  readonly tell: readonly string[];
  readonly words: readonly RegExp[];
}

/** Builds each app twice with `oci:builder` for both, and starts what came out on both. */
async function bothOf(scene: Scene, apps: readonly App[]): Promise<void> {
  await using foreign = await openForeign();
  assert.equal(foreign.why, undefined);
  const run = (...args: readonly string[]) => wherry(scene, foreign, ...args);
  for (const { name, path, runImage, env = [], tell, words } of apps) {
    const started = performance.now();
    const out = `oci:out-${name}`;
    const from = ["--builder", "oci:builder", "--run-image", `${BASES}:${runImage}`];
    const flags = [...from, ...BOTH, ...env.flatMap((one) => ["--env", one]), "-o", "json"];
    const build = async (): Promise<IndexResult> =>
      JSON.parse(await ok(run("build", out, "--path", path, ...flags)));
    const first = await build();
    const built = performance.now();
    const index = JSON.parse(
      await tool("skopeo", ["inspect", "--raw", `oci:${scene.dir}/out-${name}`]),
    );
    const children = index.manifests.map((
      { digest, platform }: { digest: string; platform: { architecture: string } },
    ) => [platform.architecture, digest]);
    assert.deepEqual(children, ARCHES.map((arch, at) => [arch, first.platforms[at]!.digest]));
    for (const [at, arch] of ARCHES.entries()) {
      const image = [out, "--platform", `linux/${arch}`];
      const [said] = await answers({
        start: ({ env: more = [] } = {}) =>
          Promise.resolve(run("run", ...image, ...more.flatMap((one) => ["-e", one]))),
      });
      assert.match(said!, new RegExp(`from ${name}`));
      const told = run("run", ...image, "--entrypoint", "/cnb/lifecycle/launcher", "--", ...tell);
      assert.match(await ok(told), words[at]!);
    }
    const running = performance.now();
    const again = await build();
    assert.equal(again.digest, first.digest);
    for (const { layers } of again.platforms) {
      assert.deepEqual(layers.filter(({ how }) => how !== "reused"), []);
    }
    const times = [built - started, running - built, performance.now() - running];
    // deno-lint-ignore no-console
    console.log(
      `${name} ${first.digest}: built, run and rebuilt in ms: ${times.map(Math.round).join(", ")}`,
    );
  }
}

Deno.test({
  name:
    "multi-arch: the Node and the Python example for both, one index, answering HTTP on both, rebuilt with reuse",
  ignore: !await ready(["scripts-both", "runs"]),
  async fn() {
    await using scene = await builderOf("scripts-both", [["node"], ["python"]]);
    await bothOf(scene, [
      {
        name: "node",
        path: `${EXAMPLES}/node-app`,
        // Debian's Node looks for parts of itself in /usr/share/nodejs.
        runImage: "scripts-both",
        tell: ["node", "-p", "process.arch"],
        words: [/^x64\n$/, /^arm64\n$/],
      },
      {
        name: "python",
        path: `${EXAMPLES}/python-app`,
        runImage: "runs",
        tell: ["python3", "-c", "import platform; print(platform.machine())"],
        words: [/^x86_64\n$/, /^aarch64\n$/],
      },
    ]);
  },
});

Deno.test({
  name:
    "multi-arch: a jar of Spring Boot's form in slices, with a JRE for both, one index, answering HTTP on both",
  ignore: !installed("javac") || !await ready(["java-both", "runs"]),
  async fn() {
    await using scene = await builderOf("java-both", [["jre", "executable-jar"]]);
    await tool("sh", [`${EXAMPLES}/java-app/make-jar.sh`, `${scene.dir}/app.jar`]);
    await bothOf(scene, [{
      name: "java",
      path: "app.jar",
      runImage: "runs",
      env: ["BP_JRE_MODULES=java.base,jdk.httpserver"],
      tell: ["sh", "-c", "java -XshowSettings:properties -version 2>&1"],
      words: [/^ *os\.arch = amd64$/m, /^ *os\.arch = aarch64$/m],
    }]);
  },
});

Deno.test({
  name: "base images of Debian packages for both processors, made again: the same digests",
  ignore: !await ready(["builds", "runs"]),
  async fn() {
    await using temp = await tempDir();
    const to = temp.path;
    const tags = ["build", "run", "build-arm64", "run-arm64"];
    await tool(Deno.execPath(), [
      ...["run", "-A", `${ROOT}scripts/base_images.ts`, "--fresh", "--to", to, ...tags],
    ]);
    const digests = async (dir: string) => {
      const { manifests } = JSON.parse(await Deno.readTextFile(`${dir}/index.json`));
      return tags.map((tag) =>
        manifests.find((one: { annotations: Record<string, string> }) =>
          one.annotations["org.opencontainers.image.ref.name"] === tag
        ).digest
      );
    };
    // Packages that were updated meanwhile make other images: then those that are kept are made anew first.
    assert.deepEqual(await digests(to), await digests(cachedLayout()));
  },
});
