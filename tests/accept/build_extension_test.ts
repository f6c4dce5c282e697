/** `wherry build --extension`: bash-less extensions on a busybox base, without a daemon, as root and as another user. */
import assert from "node:assert/strict";
import { missingBusybox } from "../../lifecycle/sandbox/busybox_testing.ts";
import { readImage } from "../../registry/image.ts";
import { openLayout } from "../../registry/store/layout.ts";
import { writeBase } from "./base_image_testing.ts";
import { makeScene, type Scene, WHERRY } from "./wherry_testing.ts";

const EXTENSION = 'api = "0.10"\n[extension]\nid = "tree"\nversion = "1"\n';
const BUILDPACK =
  'api = "0.10"\n[buildpack]\nid = "bp"\nversion = "1"\n[[targets]]\nos = "linux"\n';

const generate = (kind: string, text: string) =>
  `#!/bin/sh\nmkdir "$CNB_OUTPUT_DIR/context"\necho copied >"$CNB_OUTPUT_DIR/context/file"\n` +
  `cat >"$CNB_OUTPUT_DIR/${kind}.Dockerfile" <<'END'\n${text}\nEND\n`;

const RUN = `ARG base_image
FROM \${base_image}
USER root
RUN echo "as $(id -u)" >/etc/extended
COPY --chown=1000 file /opt/file
ARG user_id
USER \${user_id}
RUN echo mine >/tmp/mine
ENV EXTENDED=1`;

async function scene(generateScript: string): Promise<Scene> {
  const at = await makeScene();
  await at.write({
    "app/file": "app",
    "ext/extension.toml": EXTENSION,
    "ext/bin/detect": "#!/bin/sh\nexit 0\n",
    "ext/bin/generate": generateScript,
    "bp/buildpack.toml": BUILDPACK,
    "bp/bin/detect": "#!/bin/sh\nexit 0\n",
    "bp/bin/build":
      '#!/bin/sh\nprintf \'[[processes]]\\ntype = "web"\\ncommand = ["cat", "/etc/extended"]\\n\' ' +
      '>"$CNB_LAYERS_DIR/launch.toml"\n',
  });
  await writeBase(`${at.dir}/base`, 1);
  return at;
}

async function imageOf(dir: string) {
  const layout = await openLayout(dir);
  const { manifests } = JSON.parse(await Deno.readTextFile(`${dir}/index.json`));
  const wanted = { os: "linux", architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64" };
  return (await readImage(layout, "layout", manifests[0].digest, wanted))!;
}

const words = [
  "--path",
  "app",
  "--buildpack",
  "bp",
  "--extension",
  "ext",
  "--run-image",
  "oci:base:1",
];
const possible = await missingBusybox() === undefined &&
  await Deno.stat(WHERRY).then(() => true, () => false);
// deno-lint-ignore no-console
if (!possible) console.log("skipped: builds with extensions, want busybox and dist/wherry");

Deno.test({
  name: "XT-4 XT-9 XT-10 wherry build extends the run image, the same for everybody",
  ignore: !possible,
  async fn() {
    await using at = await scene(generate("run", RUN));
    const first = await at.run(["build", "oci:out", ...words]);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stderr, /===> EXTENDING \(RUN\)\nRUN echo/);
    const image = await imageOf(`${at.dir}/out`);
    assert.deepEqual(image.config.history?.slice(2, 5).map(({ created_by }) => created_by), [
      "Layer: 'RUN echo \"as $(id -u)\" >/etc/extended', Created by extension: tree",
      "Layer: 'COPY --chown=1000 file /opt/file', Created by extension: tree",
      "Layer: 'RUN echo mine >/tmp/mine', Created by extension: tree",
    ]);
    assert.ok(image.config.config.Env?.includes("EXTENDED=1"));
    const label = JSON.parse(image.config.config.Labels!["io.buildpacks.build.metadata"]!);
    assert.deepEqual(label.extensions, [{ id: "tree", version: "1" }]);
    const again = await at.run(["build", "oci:again", ...words]);
    assert.match(again.stderr, /Using cached layer of RUN/);
    assert.equal((await imageOf(`${at.dir}/again`)).raw.digest, image.raw.digest);
    if (Deno.uid() !== 0) return;
    await Deno.mkdir(`${at.dir}/own`);
    await Deno.chown(`${at.dir}/own`, 1000, 1000);
    const user = { uid: 1000, store: `${at.dir}/own/store` };
    const other = await at.run(["build", "oci:own/out", ...words], user);
    if (/no namespaces|refused|not permitted/.test(other.stderr) && other.code === 102) {
      // deno-lint-ignore no-console
      console.log("skipped: user namespaces are not for everybody here");
      return;
    }
    assert.equal(other.code, 0, other.stderr);
    assert.equal((await imageOf(`${at.dir}/own/out`)).raw.digest, image.raw.digest);
  },
});

Deno.test({
  name: "XT-11 GE-7 wherry build refuses what it cannot carry out, and files as run images",
  ignore: !possible,
  async fn() {
    const rows: [string, string, number, RegExp][] = [
      [
        "build",
        "ARG base_image\nFROM ${base_image}\nRUN x",
        102,
        /Cannot extend the build image: .*this machine is the build image/,
      ],
      ["run", "FROM oci:/etc", 92, /Cannot use "oci:\/etc" as run image/],
      ["run", "FROM scratch", 92, /as run image/],
      ["run", "ARG base_image\nFROM ${base_image}\nRUN exit 9", 102, /exited with status 9/],
    ];
    for (const [kind, text, code, wanted] of rows) {
      await using at = await scene(generate(kind, text));
      const outcome = await at.run(["build", "oci:out", ...words]);
      assert.equal(outcome.code, code, outcome.stderr);
      assert.match(outcome.stderr, wanted);
    }
  },
});
