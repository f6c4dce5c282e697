/** What the flags of `wherry build` do, seen from outside. */
import assert from "node:assert/strict";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import { type BuildResult, EXAMPLES, installed, makeScene, tool } from "./wherry_testing.ts";

const KINDS = [
  ...["--path", `${EXAMPLES}/kinds`, "-b", `${EXAMPLES}/buildpacks/kinds`],
  ...["--run-image", "scratch"],
];

/** A buildpack that shows what it sees. */
const LOOK = {
  "look/buildpack.toml":
    `api = "0.10"\n[buildpack]\nid = "a/look"\nversion = "2.3"\n[[targets]]\nos = "linux"\n`,
  "look/bin/detect": "#!/bin/sh\n",
  "look/bin/build": `#!/bin/sh
for file in "$CNB_PLATFORM_DIR"/env/*; do echo "env: $(basename $file)=$(cat $file)"; done
echo "app: $(find . -type f | sort | tr '\\n' ' ')"
printf '[types]\\nlaunch = true\\ncache = true\\n' >$CNB_LAYERS_DIR/kept.toml
echo "kept: $(cat $CNB_LAYERS_DIR/kept/it 2>/dev/null || echo nothing)"
mkdir -p $CNB_LAYERS_DIR/kept; echo something >$CNB_LAYERS_DIR/kept/it
printf '[[processes]]\\ntype = "web"\\ncommand = ["x"]\\n' >$CNB_LAYERS_DIR/launch.toml
`,
  "app/a.txt": "a",
  "app/dir/b.txt": "b",
};
const RUN = ["--run-image", "scratch"];

Deno.test("--env, --env-file: variables of the user, the flag wins, a bare name is the caller's", async () => {
  await using scene = await makeScene();
  await scene.write({ ...LOOK, "env": "# comment\nA=file\nB=b=c d\nCALLER\n" });
  const { stderr, code } = await scene.run([
    ...["build", "x", "--path", "app", "-b", "look", ...RUN],
    ...["--env-file", "env", "--env", "A=flag", "-e", "ABSENT"],
  ], { env: { CALLER: "me" } });
  assert.equal(code, 0, stderr);
  const seen = stderr.split("\n").filter((line) => line.startsWith("env: "));
  assert.deepEqual(seen, ["env: A=flag", "env: B=b=c d", "env: CALLER=me"]);
});

Deno.test("-b takes a directory, a .tgz and id@version; --order an order.toml", async () => {
  await using scene = await makeScene();
  await scene.write({
    ...LOOK,
    "order.toml": `[[order]]\n[[order.group]]\nid = "a/look"\nversion = "2.3"\n`,
  });
  await tool("tar", ["-czf", `${scene.dir}/look.tgz`, "-C", `${scene.dir}/look`, "."]);
  await tool("mkdir", ["-p", `${scene.dir}/all/a_look`]);
  await tool("cp", ["-a", `${scene.dir}/look`, `${scene.dir}/all/a_look/2.3`]);
  const digests = new Set<string>();
  for (
    const from of [
      ["-b", "look"],
      ["-b", "look.tgz"],
      ["-b", "a/look@2.3", "--buildpacks", "all"],
      ["-b", "a/look", "--buildpacks", "all"],
      ["--order", "order.toml", "--buildpacks", "all"],
    ]
  ) {
    const built = await scene.json(["build", "x", "--path", "app", ...from, ...RUN]);
    assert.deepEqual(built.buildpacks, [{ id: "a/look", version: "2.3" }], from.join(" "));
    digests.add(built.digest);
  }
  assert.equal(digests.size, 1);
});

Deno.test({
  name: "an app that is a zip or a jar is unpacked",
  ignore: !installed("zip") && !installed("jar"),
  async fn() {
    await using scene = await makeScene();
    await scene.write(LOOK);
    if (installed("zip")) {
      await tool("zip", ["-qr", "../app.zip", "."], { cwd: `${scene.dir}/app` });
      const { stderr } = await scene.run(["build", "x", "-p", "app.zip", "-b", "look", ...RUN]);
      assert.match(stderr, /^app: \.\/a\.txt \.\/dir\/b\.txt $/m);
    }
    if (installed("jar")) {
      await tool("jar", ["cf", "app.jar", "-C", "app", "."], { cwd: scene.dir });
      const { stderr } = await scene.run(["build", "x", "-p", "app.jar", "-b", "look", ...RUN]);
      assert.match(stderr, /^app: \.\/META-INF\/MANIFEST\.MF \.\/a\.txt \.\/dir\/b\.txt $/m);
    }
  },
});

Deno.test("--cache with a directory, --clear-cache, and no cache of somebody else", async () => {
  await using scene = await makeScene();
  await scene.write(LOOK);
  const kept = async (...flags: readonly string[]) => {
    const { stderr, code } = await scene.run([
      ...["build", "x", "--path", "app", "-b", "look", ...RUN, ...flags],
    ]);
    assert.equal(code, 0, stderr);
    return /^kept: (.*)$/m.exec(stderr)?.[1];
  };
  const bind = ["--cache", `type=build;format=bind;source=${scene.dir}/cache`];
  assert.equal(await kept(...bind), "nothing");
  assert.equal(await kept(...bind), "something");
  assert.equal(await kept(), "nothing", "the image alone does not bring a cached layer back");
  assert.equal(await kept(), "something");
  assert.equal(await kept("--clear-cache"), "nothing");
  assert.equal(await kept(...bind, "--clear-cache"), "nothing");
});

Deno.test({
  name: "--tag gives more names; --previous-image is where layers come from",
  ignore: !hasRegistry,
  async fn() {
    await using registry = await startRegistry();
    const { host } = registry;
    await using scene = await makeScene();
    const { digest, tags } = await scene.json([
      ...["build", `${host}/a:1`, "--publish", "--tag", `${host}/a:2`, "-t", `${host}/b`, ...KINDS],
    ]);
    assert.deepEqual(tags, [`${host}/a:1`, `${host}/a:2`, `${host}/b:latest`]);
    for (const tag of tags) {
      const found = JSON.parse(
        await tool("skopeo", ["inspect", "--tls-verify=false", `docker://${tag}`]),
      );
      assert.equal(found.Digest, digest);
    }
    await registry.take();
    const next = await scene.json([
      ...["build", `${host}/c`, "--publish", "--previous-image", `${host}/a:2`, ...KINDS],
    ], { store: `${scene.dir}/empty` });
    assert.equal(next.digest, digest);
    assert(next.layers.some(({ how }) => how === "reused"), JSON.stringify(next.layers));
    const { stderr, code } = await scene.run([
      ...["build", `${host}/a`, "--publish", "--tag", "other.example/a", ...KINDS],
    ]);
    assert.equal(code, 3);
    assert.match(stderr, /^ERROR: writing to multiple registries is unsupported/m);
  },
});

Deno.test("--report-output-dir and --sbom-output-dir", async () => {
  await using scene = await makeScene();
  const { digest } = await scene.json([
    ...["build", "kinds", ...KINDS, "--report-output-dir", "r", "--sbom-output-dir", "s"],
  ]);
  const report = await Deno.readTextFile(`${scene.dir}/r/report.toml`);
  assert(report.includes(`digest = "${digest}"`) || report.includes("image-id"), report);
  assert.match(report, /tags = \[\s*"kinds:latest"\s*\]|tags = \["index\.docker\.io.*"\]/);
  const files = (await tool("find", [`${scene.dir}/s`, "-type", "f", "-printf", "%P\\n"]))
    .trim().split("\n").sort();
  for (
    const wanted of [
      "layers/sbom/launch/wherry_kinds/all/sbom.cdx.json",
      "layers/sbom/launch/wherry_kinds/cache-launch/sbom.syft.json",
      "layers/sbom/launch/wherry_kinds/sbom.cdx.json",
      "layers/sbom/launch/wherry_kinds/sbom.spdx.json",
      "layers/sbom/build/wherry_kinds/sbom.cdx.json",
    ]
  ) assert(files.includes(wanted), `${wanted} is not in ${files.join(", ")}`);
});

Deno.test("--quiet, --verbose, --timestamps, --no-color and -o json", async () => {
  await using scene = await makeScene();
  const build = async (...flags: readonly string[]) => {
    const outcome = await scene.run(["build", "kinds", ...KINDS, ...flags]);
    assert.equal(outcome.code, 0, outcome.stderr);
    return outcome;
  };
  const plain = await build();
  assert.match(plain.stdout, /^kinds@sha256:[0-9a-f]{64}\n$/, "one line, for scripts");
  for (const phase of ["ANALYZING", "DETECTING", "RESTORING", "BUILDING", "EXPORTING"]) {
    assert.match(plain.stderr, new RegExp(`^===> ${phase}$`, "m"));
  }
  assert.match(plain.stderr, /^Successfully built image kinds:latest$/m);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(plain.stderr + plain.stdout, /\x1b/, "no colours for a pipe");
  const quiet = await build("--quiet");
  assert.equal(quiet.stderr, "");
  assert.equal(quiet.stdout, plain.stdout);
  assert.match((await build("-v")).stderr, /^isolation: /m);
  assert.match(
    (await build("--timestamps")).stderr,
    /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\.\d{6} ===> ANALYZING$/m,
  );
  const colored = await build("--force-color");
  assert(colored.stderr.includes("\x1b[36m===> DETECTING\x1b[39m"));
  const json = JSON.parse((await build("-o", "json", "-q")).stdout) as BuildResult;
  assert.equal(`kinds@${json.digest}\n`, plain.stdout);
  assert(json.layers.every(({ how }) => how === "reused"));
});

Deno.test("a layer of each of the eight kinds comes back as the restore table says", async () => {
  await using scene = await makeScene();
  const build = async () => {
    const { stderr, code } = await scene.run(["build", "kinds", ...KINDS]);
    assert.equal(code, 0, stderr);
    return [...stderr.matchAll(/^layer (.*) had (.*)$/gm)].map(([, name, had]) =>
      `${name}: ${had}`
    );
  };
  assert(new Set((await build()).map((line) => line.split(": ")[1])).size === 1);
  assert.deepEqual(await build(), [
    "none: nothing",
    "only-build: nothing",
    "only-cache: content",
    "only-launch: metadata",
    "build-cache: content",
    "build-launch: nothing",
    "cache-launch: content",
    "all: content",
  ]);
  await scene.ok(["copy", "store:kinds", "oci:out:k"]);
  await tool("umoci", ["unpack", "--rootless", "--image", `${scene.dir}/out:k`, `${scene.dir}/b`]);
  const made = await tool("ls", [`${scene.dir}/b/rootfs/layers/wherry_kinds`]);
  assert.deepEqual(made.trim().split("\n"), ["all", "build-launch", "cache-launch", "only-launch"]);
  const { stdout } = await scene.run(["inspect", "store:kinds"]);
  assert.equal([...stdout.matchAll(/^ .*app +slice \d/gm)].length, 3);
});
