/** Packages and builders, made and read by command lines. */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { type Image, makeImage, pushImage, readImage } from "../../registry/image.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../../registry/store/layout.ts";
import { readOciArchive, writeOciArchive } from "../../registry/store/oci_archive.ts";
import { readAll } from "../../registry/source.ts";
import { readTar } from "../../registry/layer/tar_reader.ts";
import { layerOf } from "../command_testing.ts";
import { makeShell, type Shell } from "../shell_testing.ts";

const AMD64 = { os: "linux", architecture: "amd64" };

/** `buildpack.toml` with `bin/detect` and `bin/build`. */
function buildpack(dir: string, id: string, version: string, more = ""): Record<string, string> {
  return {
    [`${dir}/buildpack.toml`]:
      `api = "0.10"\n[buildpack]\nid = "${id}"\nversion = "${version}"\n${more}`,
    [`${dir}/bin/detect`]: "#!/bin/sh\n",
    [`${dir}/bin/build`]: `#!/bin/sh\n# ${version}\n`,
  };
}

async function fromLayout(dir: string, platform = AMD64, tag = "latest"): Promise<Image> {
  const layout = await openLayout(dir, { create: false });
  const image = await readImage(layout, LAYOUT_REPOSITORY, tag, platform);
  ok(image);
  return image;
}

async function namesOf(image: Image, at: number): Promise<Record<string, number>> {
  const blob = await image.layers[at]!.blob();
  const names: Record<string, number> = {};
  for await (const { header } of readTar(await blob.open())) names[header.name] = header.mode;
  return names;
}

/** A build image without layers. */
async function writeBuildImage(dir: string, architecture = "amd64", env?: readonly string[]) {
  const layout = await openLayout(dir, { create: true });
  const image = makeImage({
    os: "linux",
    architecture,
    config: {
      User: "1000:1000",
      Env: env ?? ["PATH=/bin", "CNB_USER_ID=1000", "CNB_GROUP_ID=1001"],
      Labels: { "io.buildpacks.base.distro.name": "none", "io.buildpacks.stack.id": "test" },
    },
    rootfs: { type: "layers", diff_ids: [] },
  }, []);
  await pushImage(image, layout, LAYOUT_REPOSITORY, { tags: ["latest"] });
}

/** A directory that is a lifecycle, so that no test needs the executable. */
const LIFECYCLE = {
  "lifecycle/lifecycle.toml":
    '[lifecycle]\nversion = "9.9.9"\n[apis.buildpack]\ndeprecated = []\nsupported = ["0.10"]\n' +
    '[apis.platform]\ndeprecated = []\nsupported = ["0.12"]\n',
  "lifecycle/lifecycle/lifecycle": "#!/bin/sh\n",
};

const BUILDER = `
description = "for tests"

[[buildpacks]]
uri = "one"

[[buildpacks]]
id = "test/two"
uri = "two"

[[order]]
[[order.group]]
id = "test/one"
[[order.group]]
id = "test/two"
version = "2.0.0"
optional = true

[build]
image = "oci:base"
[[build.env]]
name = "GREETING"
value = "hello"
suffix = "default"

[run]
[[run.images]]
image = "registry.example/run:1"
mirrors = ["mirror.example/run:1"]

[lifecycle]
uri = "lifecycle"
`;

async function builderShell(): Promise<Shell> {
  const shell = await makeShell();
  await shell.write({
    ...buildpack("one", "test/one", "1.0.0"),
    ...buildpack("two", "test/two", "2.0.0"),
    ...LIFECYCLE,
    "builder.toml": BUILDER,
  });
  await writeBuildImage(`${shell.dir}/base`);
  return shell;
}

Deno.test("BP-1 a package holds its buildpack with parents, owner 0:0 and modes 0755 and 0644", async () => {
  await using shell = await makeShell();
  await shell.write({ ...buildpack("bp", "test/one", "1.0.0"), "bp/secret": "x" });
  await Deno.chmod(`${shell.dir}/bp/secret`, 0o600);
  await Deno.chmod(`${shell.dir}/bp/bin/build`, 0o600);
  await shell.ok("buildpack", "package", "oci:out", "--path", "bp");
  deepEqual(await namesOf(await fromLayout(`${shell.dir}/out`), 0), {
    "/cnb": 0o755,
    "/cnb/buildpacks": 0o755,
    "/cnb/buildpacks/test_one": 0o755,
    "/cnb/buildpacks/test_one/1.0.0": 0o755,
    "/cnb/buildpacks/test_one/1.0.0/bin": 0o755,
    "/cnb/buildpacks/test_one/1.0.0/bin/build": 0o755,
    "/cnb/buildpacks/test_one/1.0.0/bin/detect": 0o755,
    "/cnb/buildpacks/test_one/1.0.0/buildpack.toml": 0o644,
    "/cnb/buildpacks/test_one/1.0.0/secret": 0o644,
  });
});

Deno.test("BP-2 labels of a package name the module and the layer of each part", async () => {
  await using shell = await makeShell();
  await shell.write({
    ...buildpack("part", "test/part", "1.0.0", 'homepage = "https://example"\n'),
    "all/buildpack.toml":
      'api = "0.10"\n[buildpack]\nid = "test/all"\nversion = "3"\n[[order]]\n[[order.group]]\nid = "test/part"\nversion = "1.0.0"\n',
    "all/package.toml": '[[dependencies]]\nuri = "../part"\n',
  });
  await shell.ok("buildpack", "package", "oci:out", "--path", "all", "--label", "who=me");
  const image = await fromLayout(`${shell.dir}/out`);
  deepEqual(JSON.parse(labelOf(image.config, "io.buildpacks.buildpackage.metadata")!), {
    id: "test/all",
    version: "3",
  });
  equal(labelOf(image.config, "who"), "me");
  deepEqual(JSON.parse(labelOf(image.config, "io.buildpacks.buildpack.layers")!), {
    "test/all": {
      "3": {
        api: "0.10",
        order: [{ group: [{ id: "test/part", version: "1.0.0" }] }],
        layerDiffID: image.layers[0]!.diffId,
      },
    },
    "test/part": {
      "1.0.0": {
        api: "0.10",
        layerDiffID: image.layers[1]!.diffId,
        homepage: "https://example",
      },
    },
  });
});

Deno.test("a package is the same bytes whatever the order of its parts, and of its files", async () => {
  await using shell = await makeShell();
  const parts = ["a", "b", "c"];
  await shell.write(Object.assign({}, ...parts.map((one) => buildpack(one, `test/${one}`, "1"))));
  const group = parts.map((one) => `[[order.group]]\nid = "test/${one}"\n`).join("");
  const head = `api = "0.10"\n[buildpack]\nid = "test/all"\nversion = "1"\n[[order]]\n${group}`;
  const uris = (list: readonly string[]) =>
    `[buildpack]\nuri = "all"\n${list.map((one) => `[[dependencies]]\nuri = "${one}"\n`).join("")}`;
  await shell.write({
    "all/buildpack.toml": head,
    "x.toml": uris(["a", "b", "c"]),
    "y.toml": uris(["c", "a", "b"]),
  });
  const digest = async (file: string) =>
    (await shell.ok("buildpack", "package", `oci:${file}.out`, "--config", file)).split("@")[1];
  equal(await digest("x.toml"), await digest("y.toml"));
});

Deno.test("BP-3 a package file is read back: by inspect, and as part of another package", async () => {
  await using shell = await makeShell();
  await shell.write({
    ...buildpack("part", "test/part", "1.0.0"),
    "all/buildpack.toml":
      'api = "0.10"\n[buildpack]\nid = "test/all"\nversion = "3"\n[[order]]\n[[order.group]]\nid = "test/part"\n',
    "all/package.toml": '[[dependencies]]\nuri = "../part.cnb"\n',
  });
  equal(
    (await shell.ok("buildpack", "package", "part", "--format", "file", "--path", "part"))
      .split("@")[0],
    "part.cnb",
  );
  await using archive = await readOciArchive(`${shell.dir}/part.cnb`);
  equal(archive.images.length, 1);
  await shell.ok("buildpack", "package", "oci:out", "--path", "all");
  const image = await fromLayout(`${shell.dir}/out`);
  equal(image.layers.length, 2);
  const text = await shell.ok("buildpack", "inspect", "all.cnb").catch(async () => {
    await shell.ok("buildpack", "package", "all.cnb", "--format", "file", "--path", "all");
    return await shell.ok("buildpack", "inspect", "all.cnb");
  });
  match(text, /└ Group #1:\n +└ test\/part@1.0.0/);
});

Deno.test("a package for several platforms is an index; each takes its own tree over the shared files", async () => {
  await using shell = await makeShell();
  const target = (arch: string) => `[[targets]]\nos = "linux"\narch = "${arch}"\n`;
  await shell.write({
    "bp/buildpack.toml": `api = "0.10"\n[buildpack]\nid = "t/x"\nversion = "1"\n${target("amd64")}${
      target("arm64")
    }`,
    "bp/shared": "both",
    "bp/linux/amd64/bin/detect": "#!amd",
    "bp/linux/arm64/bin/detect": "#!arm",
  });
  await shell.ok("buildpack", "package", "oci:out", "--path", "bp");
  for (const architecture of ["amd64", "arm64"]) {
    const image = await fromLayout(`${shell.dir}/out`, { os: "linux", architecture });
    equal(image.config.architecture, architecture);
    const names = Object.keys(await namesOf(image, 0)).slice(4);
    deepEqual(
      names.map((name) => name.replace("/cnb/buildpacks/t_x/1/", "")),
      ["bin", "bin/detect", "buildpack.toml", "shared"],
    );
  }
});

Deno.test("several platforms in one archive are an index there, as in a directory; docker's holds one", async () => {
  await using shell = await makeShell();
  await shell.write({
    ...buildpack("bp", "t/x", "1", '[[targets]]\nos = "linux"\narch = "amd64"\n'),
  });
  const both = ["--target", "linux/amd64", "--target", "linux/arm64"];
  const pack = ["buildpack", "package", "--path", "bp", ...both];
  const digestOf = (out: string) => out.trim().split("@").at(-1);
  const dir = digestOf(await shell.ok(...pack, "oci:dir"));
  const out = await shell.ok(...pack, "oci-archive:two.tar:v1");
  equal(out, `oci-archive:two.tar:v1@${dir}\n`);
  const bytes = await Deno.readFile(`${shell.dir}/two.tar`);
  await shell.ok(...pack, "oci-archive:two.tar:v1");
  deepEqual(await Deno.readFile(`${shell.dir}/two.tar`), bytes);
  equal(digestOf(await shell.ok("copy", "oci-archive:two.tar:v1", "oci:back")), dir);
  for (const architecture of ["amd64", "arm64"]) {
    const image = await fromLayout(`${shell.dir}/back`, { os: "linux", architecture });
    equal(image.config.architecture, architecture);
  }
  const { code, err } = await shell.wherry(...pack, "docker-archive:d.tar");
  equal(
    err,
    "ERROR: Cannot write docker-archive:d.tar: it holds one platform, want oci-archive:FILE or oci:DIR for several\n",
  );
  equal(code, 3);
  const { files } = JSON.parse(await shell.ok(...pack, "p.cnb", "-o", "json"));
  deepEqual(files.map((one: { name: string }) => one.name), [
    "p-linux-amd64.cnb",
    "p-linux-arm64.cnb",
  ]);
});

Deno.test("a destination that cannot be is refused before any work, of packages and builders alike", async () => {
  await using shell = await makeShell();
  await shell.write({ "full/x": "" });
  for (const words of [["buildpack", "package"], ["builder", "create", "--config", "none.toml"]]) {
    const { err } = await shell.wherry(...words, "oci:full");
    match(
      err,
      /^ERROR: Cannot make an OCI layout in \S+: it holds "x"; want an empty directory\n$/,
    );
    for (
      const [name, more, message] of [
        ["oci-archive:none/x.tar", [], /^ERROR: Cannot write \S+: \S+\/none is no directory\n$/],
        ["oci:x", ["--publish"], /^ERROR: Cannot publish oci:x: --publish wants the name of/],
        ["store:x", ["--publish"], /^ERROR: Cannot publish store:x: --publish wants the name of/],
        ["oci:x", ["--tag", "y"], /^ERROR: Cannot tag oci:x: --tag goes with the name of an/],
        ["x", ["--tag", "UP"], /^ERROR: Cannot read image name "UP"/],
        [`x@sha256:${"a".repeat(64)}`, [], /its digest is not known before; want a tag\n$/],
        ["x", ["--label", "no"], /^ERROR: Cannot use --label "no": want KEY=VALUE\n$/],
        ["a.example/x", ["--publish", "--tag", "b.example/x"], /writing to multiple registries/],
      ] as const
    ) {
      const { code, err } = await shell.wherry(...words, name, ...more);
      match(err, message);
      equal(code, 3, err);
    }
  }
  deepEqual([...Deno.readDirSync(shell.dir)].map(({ name }) => name), ["full"]);
});

Deno.test("what a package cannot be is one line", async () => {
  await using shell = await makeShell();
  await shell.write({
    "none/x": "",
    "open/buildpack.toml": 'api = "0.10"\n[buildpack]\nid = "a/b"\n',
    "old/buildpack.toml": '[buildpack]\nid = "a/b"\nversion = "1"\n',
    "all/buildpack.toml":
      'api = "0.10"\n[buildpack]\nid = "test/all"\nversion = "3"\n[[order]]\n[[order.group]]\nid = "test/part"\n',
  });
  const said = async (...args: readonly string[]) => {
    const { code, err } = await shell.wherry("buildpack", "package", "oci:out", ...args);
    notEqual(code, 0);
    return err;
  };
  match(await said("--path", "none"), /Cannot package \S+none: it has no buildpack.toml/);
  match(await said("--path", "nowhere"), /Cannot package \S+nowhere: no such directory/);
  match(await said("--path", "open"), /open\/buildpack.toml: buildpack.version is missing/);
  match(await said("--path", "old"), /old\/buildpack.toml: api is missing/);
  match(
    await said("--path", "all"),
    /Cannot package test\/all@3: its order names test\/part, and it has no parts/,
  );
  match(await said("--path", "all", "--target", "linux:a:b"), /Cannot use --target/);
});

Deno.test("BP-4 an index in a directory: register, look up, yank", async () => {
  const { directoryIndex, lookUp, register, yank } = await import(
    "../../lifecycle/platform/package/index_dir.ts"
  );
  await using shell = await makeShell();
  const dir = `${shell.dir}/index`;
  const entry = (name: string, version: string) => ({
    ns: "test",
    name,
    version,
    yanked: false,
    addr: `registry.example/${name}@sha256:${version.replaceAll(".", "").padStart(64, "0")}`,
  });
  for (
    const [name, path] of [
      ["a", "1/test_a"],
      ["ab", "2/test_ab"],
      ["abc", "3/ab/test_abc"],
      ["abcdef", "ab/cd/test_abcdef"],
    ]
  ) {
    await register(dir, entry(name!, "1.0.0"));
    ok((await Deno.stat(`${dir}/${path}`)).isFile, path);
  }
  const index = directoryIndex(dir);
  await register(dir, entry("abc", "1.9.0"));
  await register(dir, entry("abc", "1.10.0"));
  equal((await lookUp(index, "test/abc", "")).version, "1.10.0");
  await yank(dir, "test/abc", "1.10.0", true);
  equal((await lookUp(index, "test/abc", "")).version, "1.9.0");
  const { code, err } = await shell.wherry(
    "buildpack",
    "inspect",
    "urn:cnb:registry:test/abc@1.10.0",
    "--buildpack-registry",
    "index",
  );
  deepEqual([code, /it was yanked/.test(err)], [1, true], err);
  await yank(dir, "test/a", "1.0.0", true);
  const said = async (id: string) =>
    await shell.wherry("buildpack", "inspect", `urn:cnb:registry:${id}`, "-r", "index");
  match((await said("test/a")).err, /in \S+index: all its versions were yanked$/m);
  const none = await said("test/none");
  deepEqual([none.code, /it has no such buildpack/.test(none.err)], [3, true], none.err);
  await shell.ok("buildpack", "yank", "test/abc@1.10.0", "--undo", "-r", "index");
  equal((await lookUp(index, "test/abc", "")).version, "1.10.0");
});

Deno.test("BI-1 BI-2 BI-3 a builder: paths, labels and the order of layers", async () => {
  await using shell = await builderShell();
  await shell.ok("builder", "create", "oci:out", "--config", "builder.toml");
  const image = await fromLayout(`${shell.dir}/out`);
  const { config } = image;
  equal(config.config.WorkingDir, "/layers");
  equal(config.config.User, "1000:1000");
  deepEqual(config.history?.map((one) => one.created_by), [
    "directories",
    "lifecycle",
    "buildpack test/one@1.0.0",
    "buildpack test/two@2.0.0",
    "order.toml",
    "stack.toml",
    "run.toml",
    "build-config",
  ]);
  const meta = JSON.parse(labelOf(config, "io.buildpacks.builder.metadata")!);
  equal(meta.description, "for tests");
  deepEqual(meta.buildpacks, [
    { id: "test/one", version: "1.0.0" },
    { id: "test/two", version: "2.0.0" },
  ]);
  deepEqual(meta.images, [{ image: "registry.example/run:1", mirrors: ["mirror.example/run:1"] }]);
  deepEqual(meta.stack.runImage, meta.images[0]);
  deepEqual(meta.lifecycle.apis.platform, { deprecated: [], supported: ["0.12"] });
  deepEqual(JSON.parse(labelOf(config, "io.buildpacks.buildpack.order")!), [{
    group: [
      { id: "test/one", version: "1.0.0" },
      { id: "test/two", version: "2.0.0", optional: true },
    ],
  }]);
  equal(labelOf(config, "io.buildpacks.stack.id"), "test");
  equal(labelOf(config, "io.buildpacks.base.distro.name"), "none");
  const files = await Promise.all(image.layers.map((_layer, at) => namesOf(image, at)));
  ok("/cnb/build-config/env/GREETING.default" in files.at(-1)!);
  ok("/layers" in files[0]! && "/workspace" in files[0]! && "/platform/env" in files[0]!);
  ok("/cnb/lifecycle/lifecycle" in files[1]! && "/lifecycle" in files[1]!);
});

Deno.test("a builder is the same bytes every time, and inspect shows it", async () => {
  await using shell = await builderShell();
  const first = await shell.ok("builder", "create", "oci:out", "--config", "builder.toml");
  await Deno.remove(`${shell.dir}/store`, { recursive: true });
  const again = await shell.ok("builder", "create", "oci:again", "--config", "builder.toml");
  equal(first.split("@")[1], again.split("@")[1]);
  const text = await shell.ok("builder", "inspect", "oci:out");
  match(text, /Description: for tests/);
  match(text, /Run Images:\n {2}registry.example\/run:1\n {2}mirror.example\/run:1/);
  match(text, / └ Group #1:\n +├ test\/one@1.0.0\n +└ test\/two@2.0.0 +\(optional\)/);
  const json = JSON.parse(await shell.ok("inspect-builder", "oci:out", "-o", "json"));
  equal(json.local_info.detection_order[0].buildpacks[1].optional, true);
  equal(json.local_info.lifecycle.version, "9.9.9");
});

Deno.test("builder create --from: one buildpack is swapped, its layer and the order change", async () => {
  await using shell = await builderShell();
  await shell.write(buildpack("new-one", "test/one", "1.1.0"));
  await shell.ok("builder", "create", "oci:old", "--config", "builder.toml");
  const out = await shell.wherry(
    "builder",
    "create",
    "oci:new",
    "--from",
    "oci:old",
    "--buildpack",
    "new-one",
  );
  equal(out.code, 0, out.err);
  match(out.err, /Replaced test\/one 1.0.0 with 1.1.0\n.*6 of 8 layers are those of oci:old/);
  const [before, after] = [
    await fromLayout(`${shell.dir}/old`),
    await fromLayout(`${shell.dir}/new`),
  ];
  deepEqual(
    after.layers.map((layer, at) => layer.diffId === before.layers[at]!.diffId),
    [true, true, false, true, false, true, true, true],
  );
  match(labelOf(after.config, "io.buildpacks.buildpack.order")!, /"test\/one","version":"1.1.0"/);
  // What it would be, made anew of the same parts.
  await shell.write({ "again.toml": BUILDER.replace('"one"', '"new-one"') });
  await shell.ok("builder", "create", "oci:made", "--config", "again.toml");
  const made = await fromLayout(`${shell.dir}/made`);
  deepEqual(after.config, made.config);
  deepEqual(after.manifest.layers, made.manifest.layers);
});

Deno.test("what a builder cannot be is one line, and nothing is written", async () => {
  await using shell = await builderShell();
  const said = async (text: string) => {
    await shell.write({ "bad.toml": text });
    const { code, err } = await shell.wherry("builder", "create", "oci:out", "-c", "bad.toml");
    notEqual(code, 0);
    return err;
  };
  match(await said(`${BUILDER}\n[foo]\n`), /bad.toml:\d+: unknown key foo, want description/);
  match(
    await said(BUILDER.replace('"2.0.0"', '"2.0.1"')),
    /order names test\/two@2.0.1, and the builder has test\/two@2.0.0/,
  );
  match(
    await said(BUILDER.replace('id = "test/two"\nuri', 'id = "test/tow"\nuri')),
    /buildpacks\[1\].uri "two" of \S+: it is buildpack test\/two@2.0.0, want buildpack test\/tow/,
  );
  await writeBuildImage(`${shell.dir}/rootless`, "amd64", ["PATH=/bin"]);
  match(
    await said(BUILDER.replace("oci:base", "oci:rootless")),
    /Cannot use oci:rootless as build image: CNB_USER_ID is not set/,
  );
  equal(await Deno.stat(`${shell.dir}/out`).catch(() => undefined), undefined);
});

Deno.test("two targets make an index of two builders", async () => {
  await using shell = await builderShell();
  const layout = await openLayout(`${shell.dir}/both`, { create: true });
  const { encodeJson } = await import("../../registry/image.ts");
  const children = [];
  for (const architecture of ["amd64", "arm64"]) {
    await writeBuildImage(`${shell.dir}/${architecture}`, architecture);
    const image = await fromLayout(`${shell.dir}/${architecture}`, { os: "linux", architecture });
    await pushImage(image, layout, LAYOUT_REPOSITORY);
    children.push({
      mediaType: image.raw.mediaType,
      digest: image.raw.digest,
      size: image.raw.bytes.byteLength,
      platform: { os: "linux", architecture },
    });
  }
  const mediaType = "application/vnd.oci.image.index.v1+json";
  await layout.pushManifest(LAYOUT_REPOSITORY, {
    mediaType,
    bytes: encodeJson({ schemaVersion: 2, mediaType, manifests: children }),
  }, { tags: ["latest"] });
  await shell.write({ "two.toml": BUILDER.replace("oci:base", "oci:both") });
  const out = await shell.ok(
    "builder",
    "create",
    "oci:out",
    "--config",
    "two.toml",
    "--target",
    "linux/amd64",
    "--target",
    "linux/arm64",
    "-o",
    "json",
  );
  deepEqual(
    JSON.parse(out).platforms.map((one: { platform: string }) => one.platform),
    ["linux/amd64", "linux/arm64"],
  );
  const arm = await fromLayout(`${shell.dir}/out`, { os: "linux", architecture: "arm64" });
  equal(arm.config.architecture, "arm64");
  const both = ["--config", "two.toml", "--target", "linux/amd64", "--target", "linux/arm64"];
  const { digest } = JSON.parse(out);
  equal(
    await shell.ok("builder", "create", "oci-archive:b.tar", ...both),
    `oci-archive:b.tar@${digest}\n`,
  );
  match((await shell.wherry("builder", "inspect", "b.tar")).out, /test\/two/);
  // A swap is one for every platform of the old builder, or for those that are asked for.
  await shell.write(buildpack("three", "test/two", "3.0.0"));
  const swap = ["builder", "create", "oci:swapped", "-b", "three", "-o", "json", "--from"];
  const swapped = async (...words: readonly string[]) =>
    JSON.parse(await shell.ok(...swap, ...words)).platforms
      .map((one: { platform: string }) => one.platform);
  deepEqual(await swapped("b.tar"), ["linux/amd64", "linux/arm64"]);
  const there = await fromLayout(`${shell.dir}/swapped`, { os: "linux", architecture: "arm64" });
  match(labelOf(there.config, "io.buildpacks.buildpack.layers")!, /"3\.0\.0"/);
  deepEqual(await swapped("b.tar", "-t", "linux/arm64"), ["linux/arm64"]);
  for (
    const [words, message] of [
      [["--flatten", "a@1"], "Cannot use --flatten with --from: it goes with --config"],
      [
        ["--flatten", ""],
        'Cannot use --flatten "": want a name \\(see: wherry builder create --help\\)',
      ],
      [
        ["-b", ""],
        'Cannot use --buildpack "": want a name \\(see: wherry builder create --help\\)',
      ],
      [["--lifecycle", "x"], "Cannot use --lifecycle with --from: it goes with --config"],
      [["-t", "linux/s390x"], "Cannot choose an image of .* for linux/s390x: it has .*"],
    ] as const
  ) {
    const { code, err } = await shell.wherry(...swap, "b.tar", ...words);
    match(err, new RegExp(`^ERROR: ${message}\n$`));
    notEqual(code, 0);
  }
  await shell.ok("builder", "create", "oci:alone", "--config", "two.toml", "-t", "linux/amd64");
  const other = await shell.wherry(...swap, "oci:alone", "-t", "linux/arm64");
  equal(other.err, "ERROR: Cannot use oci:alone for linux/arm64: it is for linux/amd64\n");
  ok(await readAll(await arm.layers[0]!.blob(), 1 << 20));
});

Deno.test("a key that nobody knows is told with the one that was meant, in every file of the user's", async () => {
  await using shell = await builderShell();
  await shell.write({
    "app/x": "",
    "one/package.toml": '[buildpack]\nuri = "."\n[[dependencis]]\nuri = "x"\n',
    "two/package.toml": '[[targets]]\nos = "linux"\narhc = "amd64"\n',
    "b1.toml": BUILDER.replace("[[order.group]]", "[[order.grup]]"),
    "b2.toml": `${BUILDER}[[targets]]\nos = "linux"\narhc = "amd64"\n`,
    "b3.toml": `${BUILDER}[somewhere]\n`,
  });
  const packing = ["buildpack", "package", "oci:out", "--path"];
  const creating = ["builder", "create", "oci:out", "--config"];
  for (
    const [words, message] of [
      [[...packing, "one"], "one/package.toml:3: unknown key dependencis, want dependencies"],
      [[...packing, "two"], "two/package.toml:3: unknown key targets[0].arhc, want arch"],
      [[...creating, "b1.toml"], "b1.toml:12: unknown key order[0].grup, want group"],
      [[...creating, "b2.toml"], "b2.toml:35: unknown key targets[0].arhc, want arch"],
      [
        [...creating, "b3.toml"],
        "b3.toml:33: unknown key somewhere, want description, buildpacks, extensions, order, " +
        "order-extensions, build, run, stack, lifecycle, targets or system",
      ],
    ] as const
  ) {
    const { code, err } = await shell.wherry(...words);
    equal(err, `ERROR: Cannot parse ${shell.dir}/${message}\n`);
    notEqual(code, 0);
  }
});

Deno.test("BI-3 builder create --flatten: one layer for buildpacks, packaged or not, of the same bytes", async () => {
  await using shell = await builderShell();
  const create = ["builder", "create", "--flatten", "test/one@1.0.0,test/two@2.0.0", "--config"];
  await shell.ok(...create, "builder.toml", "oci:dirs");
  await shell.ok("buildpack", "package", "two.cnb", "--path", "two");
  await shell.write({ "packed.toml": BUILDER.replace('uri = "two"', 'uri = "two.cnb"') });
  await shell.ok(...create, "packed.toml", "oci:packed");
  const image = await fromLayout(`${shell.dir}/packed`);
  equal(image.raw.digest, (await fromLayout(`${shell.dir}/dirs`)).raw.digest);
  const layers = JSON.parse(labelOf(image.config, "io.buildpacks.buildpack.layers")!);
  equal(layers["test/one"]["1.0.0"].layerDiffID, layers["test/two"]["2.0.0"].layerDiffID);
  // A layer whose directory is a link to files of this machine.
  await shell.write({ "mine/2.0.0/buildpack.toml": "", "mine/2.0.0/secret": "x" });
  const layer = layerOf(
    { name: "cnb", type: "directory" },
    { name: "cnb/buildpacks", type: "directory" },
    { name: "cnb/buildpacks/test_two", type: "symlink", linkName: `${shell.dir}/mine` },
  );
  const own = { "2.0.0": { api: "0.10", layerDiffID: layer.diffId } };
  const evil = makeImage({
    ...AMD64,
    config: {
      Labels: {
        "io.buildpacks.buildpackage.metadata": '{"id":"test/two","version":"2.0.0"}',
        "io.buildpacks.buildpack.layers": JSON.stringify({ "test/two": own }),
      },
    },
    rootfs: { type: "layers", diff_ids: [] },
  }, [layer]);
  await writeOciArchive(`${shell.dir}/evil.cnb`, [{ image: evil, names: [] }]);
  await shell.write({ "evil.toml": BUILDER.replace('uri = "two"', 'uri = "evil.cnb"') });
  const refused = await shell.wherry(...create, "evil.toml", "oci:evil");
  equal(
    refused.err,
    "ERROR: Cannot flatten test/two@2.0.0: its layer has no /cnb/buildpacks/test_two/2.0.0\n",
  );
  const absent = ["builder", "create", "oci:no", "--config", "builder.toml", "--flatten", "a@1"];
  match((await shell.wherry(...absent)).err, /Cannot flatten a@1: the builder has test\/one@1/);
});

Deno.test("BP-1 buildpack package --flatten: parts from directories and from packages in one layer, but for those left out", async () => {
  await using shell = await makeShell();
  await shell.write({
    ...buildpack("near", "test/near", "1.0.0"),
    ...buildpack("far", "test/far", "1.0.0"),
    "all/buildpack.toml":
      'api = "0.10"\n[buildpack]\nid = "test/all"\nversion = "3"\n[[order]]\n[[order.group]]\nid = "test/near"\n[[order.group]]\nid = "test/far"\n',
    "dirs.toml":
      '[buildpack]\nuri = "all"\n[[dependencies]]\nuri = "near"\n[[dependencies]]\nuri = "far"\n',
    "packed.toml":
      '[buildpack]\nuri = "all"\n[[dependencies]]\nuri = "near"\n[[dependencies]]\nuri = "far.cnb"\n',
  });
  await shell.ok("buildpack", "package", "far.cnb", "--path", "far");
  const make = async (out: string, ...more: readonly string[]) => {
    await shell.ok("buildpack", "package", `oci:${out}`, "--flatten", ...more);
    return await fromLayout(`${shell.dir}/${out}`);
  };
  const packed = await make("packed", "--config", "packed.toml");
  equal(packed.layers.length, 1);
  equal(packed.raw.digest, (await make("dirs", "--config", "dirs.toml")).raw.digest);
  const names = Object.keys(await namesOf(packed, 0));
  for (const id of ["all", "near", "far"]) {
    ok(names.some((one) => one.includes(`/test_${id}/`)), id);
  }
  const apart = await make("apart", "--config", "packed.toml", "-e", "test/far@1.0.0");
  equal(apart.layers.length, 2);
});
