/** Rules of the phases, one test for each, from outside: exit codes, lines, files and images. */
import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { formatToml, parseToml, type TomlTable } from "../../lifecycle/file/toml.ts";
import type { Image } from "../../registry/image.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { collect } from "../../registry/source.ts";
import { decompress } from "../../registry/layer/decompress.ts";
import { addBuildpack, buildAll, type Scene, scene, setOrder } from "./scene_testing.ts";

const exists = (path: string) => Deno.lstat(path).then(() => true, () => false);
const metadataOf = ({ config }: Image) =>
  JSON.parse(labelOf(config, "io.buildpacks.lifecycle.metadata")!);

async function readLayers(at: Scene, name: string): Promise<TomlTable> {
  const path = `${at.root}/layers/${name}`;
  return parseToml(await Deno.readTextFile(path), path);
}

/** Runs phases one after the other; each must end well. */
async function all(at: Scene, ...phases: readonly (readonly [string, ...string[]])[]) {
  let said = "";
  for (const [name, ...words] of phases) {
    const { code, text } = await at.phase(name as "detect", words);
    strictEqual(code, 0, `${name}: ${text}`);
    said += text;
  }
  return said;
}

async function emptyLayers({ root }: Scene): Promise<void> {
  await Deno.remove(`${root}/layers`, { recursive: true });
  await Deno.mkdir(`${root}/layers`);
}

/** Names in the tar of a layer. */
async function namesIn(image: Image, at: number): Promise<string> {
  const blob = await image.layers.at(at)!.blob();
  const tar = await collect(ReadableStream.from(decompress(await blob.open())), 1 << 24);
  return new TextDecoder("latin1").decode(tar);
}

Deno.test("VAL-8 AN-9 CA-12 what is left out for want of a cache or a daemon is a warning, no more", async () => {
  await using at = await scene("0.13");
  const launch = `-launch-cache=${at.root}/launch-cache`;
  const analyzed = await at.phase("analyze", [launch, `${at.host}/app`]);
  strictEqual(analyzed.code, 0);
  match(analyzed.text, /^Warning: Ignoring -launch-cache, only intended for use with -daemon$/m);
  ok(!(await exists(`${at.root}/launch-cache`)), "no launch cache is made without a daemon");
  await all(at, ["detect"]);
  const restored = await at.phase("restore", []);
  strictEqual(restored.code, 0);
  match(restored.text, /^Warning: No cached data will be used, no cache specified\.$/m);
  await all(at, ["build"]);
  const words = [launch, "-parallel", `-launcher=${at.root}/launcher`, `${at.host}/app`];
  const exported = await at.phase("export", words);
  strictEqual(exported.code, 0);
  match(exported.text, /^Warning: Ignoring -launch-cache, only intended for use with -daemon$/m);
  ok(await at.image("app"));
});

Deno.test("LOG-6 DT-6 what concurrent detects print comes out whole, one after the other", async () => {
  await using at = await scene("0.13");
  // Each waits for the other's first half, so that both are certain to be under way at once.
  const half = (own: string, other: string) =>
    `echo ${own}1; mkfifo "${at.root}/${own}" 2>/dev/null; if [ ${own} = a ]; then echo > "${at.root}/b"; read x < "${at.root}/a"; else read x < "${at.root}/b"; echo > "${at.root}/a"; fi; echo ${own}2; exit 100 # ${other}`;
  for (const name of ["a", "b"]) {
    ok((await new Deno.Command("mkfifo", { args: [`${at.root}/${name}`] }).output()).success);
  }
  await addBuildpack(at, "t/a", { detect: half("a", "b") });
  await addBuildpack(at, "t/b", { detect: half("b", "a") });
  await setOrder(at, "t/a t/b");
  await all(at, ["analyze", `${at.host}/app`]);
  const { code, text } = await at.phase("detect", []);
  strictEqual(code, 20);
  match(
    text,
    /^======== Output: t\/a@1 ========\na1\na2\n======== Output: t\/b@1 ========\nb1\nb2\n/,
  );
});

Deno.test("BPT-7 DT-2 a broken buildpack.toml: 1 when the order names it, 22 when a composite does", async () => {
  await using at = await scene("0.13");
  await all(at, ["analyze", `${at.host}/app`]);
  await addBuildpack(at, "t/bad", { toml: "this is [not toml" });
  await addBuildpack(at, "t/meta", {
    toml: '[[order]]\n[[order.group]]\nid = "t/bad"\nversion = "1"\n',
  });
  await setOrder(at, "t/bad");
  const top = await at.phase("detect", []);
  strictEqual(top.code, 1, top.text);
  match(top.text, /^ERROR: failed to .*t_bad\/1\/buildpack\.toml:5/m);
  await setOrder(at, "t/meta");
  const nested = await at.phase("detect", []);
  strictEqual(nested.code, 22, nested.text);
  match(nested.text, /^ERROR: failed to .*t_bad\/1\/buildpack\.toml:5/m);
});

Deno.test("PLN-2 DT-24 plan.toml is the same at each run, sorted by name", async () => {
  await using at = await scene("0.13");
  await all(at, ["analyze", `${at.host}/app`]);
  const names = ["zeta", "alpha", "Mid", "é", "a-b", "a.b"];
  const both = names.map((name) =>
    `[[provides]]\nname = "${name}"\n[[requires]]\nname = "${name}"\n`
  );
  await addBuildpack(at, "t/a", { detect: `cat > "$2" <<'END'\n${both.join("")}END` });
  await setOrder(at, "t/a");
  const seen = new Set<string>();
  for (let run = 0; run < 3; run++) {
    await all(at, ["detect"]);
    seen.add(await Deno.readTextFile(`${at.root}/layers/plan.toml`));
  }
  strictEqual(seen.size, 1);
  const { entries } = await readLayers(at, "plan.toml") as {
    entries: { requires: { name: string }[] }[];
  };
  deepStrictEqual(entries.map(({ requires }) => requires[0]!.name), [
    "Mid",
    "a-b",
    "a.b",
    "alpha",
    "zeta",
    "é",
  ]);
});

Deno.test("DT-1 DT-5 groups with system buildpacks around them are tried in order, each as a whole", async () => {
  await using at = await scene("0.15");
  for (const id of ["s/pre", "s/post", "t/a", "t/b"]) {
    await addBuildpack(at, id, { api: "0.12", detect: id === "t/b" ? "exit 100" : "exit 0" });
  }
  await setOrder(at, "t/a t/b", "t/a");
  const system = ["pre", "post"].map((side) =>
    `[[system.${side}.buildpacks]]\nid = "s/${side}"\nversion = "1"\n`
  ).join("");
  await Deno.writeTextFile(`${at.root}/system.toml`, system);
  await all(at, ["analyze", `${at.host}/app`]);
  const said = await all(at, ["detect", `-system=${at.root}/system.toml`, "-log-level=debug"]);
  const results = said.split("======== Results ========\n").slice(1)
    .map((part) => part.match(/^(pass|fail): .*$/mg));
  deepStrictEqual(results, [
    ["pass: s/pre@1", "pass: t/a@1", "fail: t/b@1", "pass: s/post@1"],
    ["pass: s/pre@1", "pass: t/a@1", "pass: s/post@1"],
  ]);
  const { group } = await readLayers(at, "group.toml") as { group: { id: string }[] };
  deepStrictEqual(group.map(({ id }) => id), ["s/pre", "t/a", "s/post"]);
});

Deno.test("DT-16 a buildpack without bin/detect is an error", async () => {
  await using at = await scene("0.13");
  await addBuildpack(at, "t/a", { detect: undefined });
  await setOrder(at, "t/a");
  await all(at, ["analyze", `${at.host}/app`]);
  const { code, text } = await at.phase("detect", []);
  strictEqual(code, 21);
  match(text, /^err: {2}t\/a@1$/m);
  match(text, /^ERROR: .*t\/a@1 had an error: .*bin\/detect.*No such file/m);
});

Deno.test("AN-1 AN-8 output, previous image, run image, tags and cache image each count", async () => {
  await using at = await scene(
    "0.13",
    "exit 0",
    `mkdir -p "$1/l"; printf '[types]\\nlaunch = true\\n' > "$1/l.toml"`,
  );
  await buildAll(at);
  const { raw } = (await at.image("app"))!;
  const { host } = at;
  const analyze = async (...words: string[]) => {
    await all(at, ["analyze", ...words]);
    return await readLayers(at, "analyzed.toml") as {
      image?: { reference: string };
      "run-image": { image: string };
      metadata: { buildpacks?: { key: string }[] };
    };
  };
  // The output image is the previous one, unless another is named.
  const own = await analyze(`${host}/app`);
  strictEqual(own.image!.reference, `${host}/app@${raw.digest}`);
  strictEqual(own["run-image"].image, `${host}/run:base`, "the first of run.toml");
  const other = await analyze(`-previous-image=${host}/app`, `-tag=${host}/new:two`, `${host}/new`);
  strictEqual(other.image!.reference, `${host}/app@${raw.digest}`);
  const none = await analyze(
    `-run-image=${host}/run:next`,
    `-cache-image=${host}/cache`,
    `${host}/new`,
  );
  strictEqual(none.image?.reference ?? "", "");
  strictEqual(none["run-image"].image, `${host}/run:next`);
  // AN-8: the label is for reuse at export, whatever buildpacks are to see.
  const skipped = await analyze("-skip-layers", `${host}/app`);
  strictEqual(skipped.metadata.buildpacks?.[0]?.key, "some/bp");
  for (const flag of ["-tag", "-cache-image"]) {
    const gone = flag === "-tag" ? `${host}/../x` : "127.0.0.1:1/cache";
    const { code } = await at.phase("analyze", [`${flag}=${gone}`, `${host}/app`]);
    notStrictEqual(code, 0, `${flag} is looked at`);
  }
});

const KEEPS = `
echo "found: $(ls -A "$1" | tr '\\n' ' ')"
[ "$SAY" = no ] || { mkdir -p "$1/both" "$1/tool"; echo x > "$1/both/f"; echo x > "$1/tool/f"
printf '[types]\\ncache = true\\nlaunch = true\\n[metadata]\\na = 1\\n' > "$1/both.toml"
printf '[types]\\ncache = true\\nbuild = true\\n' > "$1/tool.toml"
printf '[metadata]\\nkept = 1\\n' > "$1/store.toml"; }`;

Deno.test("RE-1 RE-3 RE-4 RE-6 RE-14 RE-16 what comes back, for whom, and what is dropped", async () => {
  await using at = await scene("0.13", "exit 0", KEEPS);
  await buildAll(at);
  const cache = `-cache-dir=${at.root}/cache`;

  // RE-16: another version of the same buildpack gets it all.
  await addBuildpack(at, "some/bp", {
    version: "2",
    api: "0.7",
    toml: '[[stacks]]\nid = "*"\n',
    build: KEEPS,
  });
  await setOrder(at, "some/bp@2");
  await emptyLayers(at);
  await all(at, ["analyze", `${at.host}/app`], ["detect"]);
  const said = await all(at, ["restore", cache]);
  // RE-4: metadata first, then contents.
  ok(said.lastIndexOf("Restoring metadata for") < said.indexOf('Restoring data for "some/bp'));
  const own = `${at.root}/layers/some_bp`;
  deepStrictEqual((await Array.fromAsync(Deno.readDir(own))).map(({ name }) => name).sort(), [
    "both",
    "both.toml",
    "store.toml",
    "tool",
    "tool.toml",
  ]);
  ok(!(await Deno.readTextFile(`${own}/both.toml`)).includes("types"), "LAY-3");

  // RE-14: a buildpack that does not say so again loses them, here and in the cache.
  await Deno.writeTextFile(`${at.root}/platform/env/SAY`, "no");
  await all(at, ["build"]);
  ok(await exists(`${own}/both.ignore/f`) && await exists(`${own}/tool.ignore/f`));
  await all(at, ["export", cache, `-launcher=${at.root}/launcher`, `${at.host}/app`]);
  deepStrictEqual(metadataOf((await at.image("app"))!).buildpacks[0].layers, {});
  await emptyLayers(at);
  await all(at, ["analyze", `${at.host}/app`], ["detect"]);
  strictEqual((await all(at, ["restore", cache])).includes('Restoring data for "some'), false);
  // RE-6: store.toml comes back all the same, also with -skip-layers.
  match(await Deno.readTextFile(`${own}/store.toml`), /kept = 1/);
  await emptyLayers(at);
  await all(at, ["analyze", `${at.host}/app`], ["detect"], ["restore", "-skip-layers", cache]);
  match(await Deno.readTextFile(`${own}/store.toml`), /kept = 1/);

  // RE-1: the API of every member, before anything is written.
  await emptyLayers(at);
  const group =
    `[[group]]\nid = "some/bp"\nversion = "2"\napi = "0.7"\n[[group]]\nid = "x"\nversion = "1"\napi = "1.0"\n`;
  await Deno.writeTextFile(`${at.root}/layers/group.toml`, group);
  strictEqual((await at.phase("restore", [cache])).code, 12);
  ok(!(await exists(own)));
});

Deno.test("RE-2 AN-2 the restorer asks for the run image it was given, and chooses no other", async () => {
  await using at = await scene("0.14");
  await all(at, ["analyze", `${at.host}/app`], ["detect"]);
  const before = await Deno.readTextFile(`${at.root}/layers/analyzed.toml`);
  await all(at, ["restore"]);
  strictEqual(await Deno.readTextFile(`${at.root}/layers/analyzed.toml`), before);
  // Gone since: said, though run.toml has another.
  const gone = `${at.host}/run:gone`;
  await Deno.writeTextFile(
    `${at.root}/layers/analyzed.toml`,
    before.replaceAll(`${at.host}/run:base`, gone),
  );
  const run = `[[images]]\nimage = "${gone}"\nmirrors = ["${at.host}/run:base"]\n`;
  await Deno.writeTextFile(`${at.root}/run.toml`, run);
  const { code, text } = await at.phase("restore", []);
  strictEqual(code, 1);
  match(text, /^ERROR: .*selected run image '127\.0\.0\.1:\d+\/run:gone' is not accessible$/m);
});

Deno.test("BU-4 BU-6 BU-11 ENV-4 environment for later buildpacks, files read after it, nothing secret", async () => {
  await using at = await scene("0.13");
  await addBuildpack(at, "t/a", {
    build: `mkdir -p "$1/tool/bin" "$1/tool/env.build"; printf later > "$1/tool/env.build/FROM_A"
printf user > "$1/tool/env.build/BOTH"; printf '[types]\\nbuild = true\\n' > "$1/tool.toml"`,
  });
  await addBuildpack(at, "t/b", { build: "env | sort" });
  await setOrder(at, "t/a t/b");
  await Deno.mkdir(`${at.root}/build-config/env`, { recursive: true });
  for (
    const [name, text] of [["FROM_A", "operator"], ["PLAIN", "p"], ["USER_VAR.override", "op"]]
  ) {
    await Deno.writeTextFile(`${at.root}/build-config/env/${name}`, text!);
  }
  await Deno.writeTextFile(`${at.root}/platform/env/USER_VAR`, "user");
  await all(at, ["analyze", `${at.host}/app`], ["detect"]);
  const secrets = {
    CNB_REGISTRY_AUTH: "{}",
    DOCKER_CONFIG: "/secret",
    REGISTRY_AUTH_FILE: "/secret",
    AWS_SECRET_ACCESS_KEY: "x",
  };
  const { code, text } = await at.phase("build", [], secrets);
  strictEqual(code, 0, text);
  const seen = Object.fromEntries(
    text.split("\n").filter((line) => line.includes("=")).map((line) => line.split(/=(.*)/s, 2)),
  );
  strictEqual(seen["FROM_A"], "later", "BU-4; ENV-4: without a suffix only a default");
  strictEqual(seen["PLAIN"], "p");
  strictEqual(seen["USER_VAR"], "op", "ENV-4: the operator comes last");
  match(seen["PATH"]!, /t_a\/tool\/bin:/);
  for (const name of Object.keys(secrets)) ok(!(name in seen), `BU-11 ${name}`);
});

const BOM =
  `printf '{"a":1}' > "$1/launch.sbom.cdx.json"; mkdir -p "$1/c"; printf '[types]\\ncache = true\\nbuild = true\\n' > "$1/c.toml"
printf '{"c":1}' > "$1/c.sbom.cdx.json"; printf '{"b":1}' > "$1/build.sbom.cdx.json"`;

Deno.test("SB-5 SB-7 SB-8 launch SBOMs are a layer, cache SBOMs are cached, build SBOMs stay; none is no layer", async () => {
  await using at = await scene("0.13");
  await addBuildpack(at, "t/a", {
    toml: 'sbom-formats = ["application/vnd.cyclonedx+json"]\n[[targets]]\nos = "linux"\n',
    build: BOM,
  });
  await setOrder(at, "t/a");
  await buildAll(at);
  const image = (await at.image("app"))!;
  const { sbom } = metadataOf(image);
  const place = image.layers.findIndex(({ diffId }) => diffId === sbom.sha);
  ok(place > 0, "SB-7: whoever reads the label finds the layer");
  const tar = await namesIn(image, place);
  ok(tar.includes("sbom/launch/t_a/sbom.cdx.json") && !tar.includes("sbom/build"));
  const document = `${at.root}/cache/committed/io.buildpacks.lifecycle.cache.metadata`;
  const cached = JSON.parse(await Deno.readTextFile(document));
  ok(await exists(`${at.root}/cache/committed/${cached.sbom.sha}.tar`));
  ok(await exists(`${at.root}/layers/sbom/build/t_a/sbom.cdx.json`), "for the platform to pick up");
  match(await buildAll(at), /^Reusing layer 'buildpacksio\/lifecycle:launch\.sbom'$/m);

  await using none = await scene("0.8");
  await buildAll(none);
  strictEqual(metadataOf((await none.image("app"))!).sbom, undefined, "SB-8");
});

Deno.test("LAY-6 LAY-7 layers go in byte order of their names; .sha files are of the past", async () => {
  const names = ["b", "a-b", "a", "Z", "é", "\u{1F600}", "\uFFEE"];
  const build = names.map((name) =>
    `mkdir -p "$1/${name}"; echo '${name}' > "$1/${name}/f"; printf '[types]\\nlaunch = true\\ncache = true\\n' > "$1/${name}.toml"`
  ).join("\n");
  await using at = await scene("0.13", "exit 0", build);
  const said = await buildAll(at);
  const added = [...said.matchAll(/^Adding layer 'some\/bp:(.*)'$/mg)].map(([, name]) => name);
  // UTF-16 would put the emoji before U+FFEE.
  deepStrictEqual(added, ["Z", "a", "a-b", "b", "é", "\uFFEE", "\u{1F600}"]);
  const files = (await Array.fromAsync(Deno.readDir(`${at.root}/layers/some_bp`))).map(({ name }) =>
    name
  );
  deepStrictEqual(files.filter((name) => name.endsWith(".sha")), []);
  // One that an old lifecycle left goes with its layer.
  const own = `${at.root}/layers/some_bp`;
  await Deno.writeTextFile(`${own}/gone.toml`, "");
  await Deno.writeTextFile(`${own}/a.sha`, "sha256:old");
  const document = `${at.root}/cache/committed/io.buildpacks.lifecycle.cache.metadata`;
  const cache = JSON.parse(await Deno.readTextFile(document));
  cache.buildpacks[0].layers["a"].sha = "sha256:" + "0".repeat(64);
  await Deno.writeTextFile(document, JSON.stringify(cache));
  const restored = await all(at, ["restore", `-cache-dir=${at.root}/cache`]);
  match(restored, /^Removing "some\/bp:a", wrong sha$/m);
  for (const name of ["a", "a.toml", "a.sha"]) ok(!(await exists(`${own}/${name}`)), name);
});

Deno.test("EX-1 EX-2 EX-3 SV-2 RPT-2 what an export needs, and when it reports", async () => {
  await using at = await scene("0.13");
  await buildAll(at);
  const { root, host } = at;
  const words = [`-launcher=${root}/launcher`, `${host}/app`];
  const layers = `${root}/layers`;
  const made = (await at.image("app"))!.raw.digest;
  const report = await readLayers(at, "report.toml") as {
    image: { digest: string; tags: string[] };
  };
  strictEqual(report.image.digest, made, "SV-2");
  // Again, now that there is a previous image.
  await all(at, ["analyze", `${host}/app`]);
  deepStrictEqual(report.image.tags, [`${host}/app`]);
  const spoiled = async (file: string, text: string | undefined, code: number, why: string) => {
    const path = `${layers}/${file}`;
    const before = await Deno.readTextFile(path);
    await Deno.remove(`${layers}/report.toml`).catch(() => {});
    if (text === undefined) await Deno.remove(path);
    else await Deno.writeTextFile(path, text);
    const ended = await at.phase("export", words);
    strictEqual(ended.code, code, `${why}: ${ended.text}`);
    match(ended.text, /^ERROR: failed to /m);
    ok(!(await exists(`${layers}/report.toml`)), `${why}: nothing is reported`);
    await Deno.writeTextFile(path, before);
  };
  await spoiled("config/metadata.toml", undefined, 62, "EX-1 no metadata.toml");
  await spoiled("config/metadata.toml", "[[processes", 62, "EX-1 metadata.toml that is none");
  await spoiled(
    "group.toml",
    '[[group]]\nid = "some/bp"\nversion = "1"\napi = "9.0"\n',
    12,
    "EX-1 API",
  );
  const analyzed = await Deno.readTextFile(`${layers}/analyzed.toml`);
  const nobody = `sha256:${"0".repeat(64)}`;
  const other = (from: RegExp) =>
    analyzed.replace(from, (line) => line.replace(/sha256:[0-9a-f]{64}/, nobody));
  await spoiled("analyzed.toml", other(/\[run-image\][\s\S]*/), 62, "EX-3 a base that is gone");
  await spoiled(
    "analyzed.toml",
    other(/\[image\][\s\S]*?\n\n/),
    62,
    "EX-3 a previous image that is gone",
  );
  await spoiled(
    "analyzed.toml",
    analyzed.replace(/extend = false|(\[run-image\])/, "$1\nextend = true"),
    62,
    "EX-2 extended, and no extended image",
  );
  // RPT-2: one tag of two cannot be written.
  await Deno.remove(`${layers}/report.toml`).catch(() => {});
  const locked = await at.phase("export", [...words, `${host}/UPPER`]);
  strictEqual(locked.code, 3);
  ok(!(await exists(`${layers}/report.toml`)));
});

Deno.test("RPT-3 the report names the base: image, mirrors, reference, top layer", async () => {
  await using at = await scene("0.13");
  await buildAll(at);
  const run = (await readLayers(at, "report.toml"))["run-image"];
  const { runImage } = metadataOf((await at.image("app"))!);
  deepStrictEqual({ ...run as TomlTable }, {
    image: `${at.host}/run:base`,
    mirrors: ["mirror.example/run:base"],
    reference: runImage.reference,
    "top-layer": runImage.topLayer,
  });
});

Deno.test("CR-2 CR-4 CR-5 CR-6 the creator: extensions, layouts, secrets, and the codes of its phases", async () => {
  await using at = await scene("0.13", "exit 0", "env; exit 3");
  const words = [`-launcher=${at.root}/launcher`, `${at.host}/app`];
  const ids = ["-uid=0", "-gid=0"];
  const layouts = [`-layout-dir=${at.root}/l`, "-layout", "-run-image=run.example/base"];
  const layout = await at.phase("create", [...layouts, ...words]);
  strictEqual(layout.code, 1, layout.text);
  match(
    layout.text,
    /^ERROR: .*experimental features are disabled by CNB_EXPERIMENTAL_MODE=error$/m,
  );
  ok(!(await exists(`${at.root}/l`)));
  // CR-6: a bin/build that fails is the builder's 51, nobody detecting the detector's 20.
  const secret = {
    CNB_REGISTRY_AUTH: JSON.stringify({ "x.example": "Basic c2VjcmV0OnNlY3JldA==" }),
  };
  const failed = await at.phase("create", words, secret);
  strictEqual(failed.code, 51, failed.text);
  ok(!/CNB_REGISTRY_AUTH|c2VjcmV0/.test(failed.text), "CR-4");
  await addBuildpack(at, "t/no", { detect: "exit 100" });
  await setOrder(at, "t/no");
  strictEqual((await at.phase("create", words)).code, 20);
  // CR-2: what detects is what counts.
  const extension = `${at.root}/extensions/t_ext/1`;
  await Deno.mkdir(`${extension}/bin`, { recursive: true });
  const toml = 'api = "0.10"\n[extension]\nid = "t/ext"\nversion = "1"\n';
  await Deno.writeTextFile(`${extension}/extension.toml`, toml);
  await Deno.writeTextFile(`${extension}/bin/detect`, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  await setOrder(at, "some/bp@1");
  const order = `${at.root}/order.toml`;
  await Deno.writeTextFile(
    order,
    await Deno.readTextFile(order) +
      '[[order-extensions]]\n[[order-extensions.group]]\nid = "t/ext"\nversion = "1"\n',
  );
  const refused = await at.phase("create", [...ids, ...words], {
    CNB_EXTENSIONS_DIR: `${at.root}/extensions`,
  });
  strictEqual(refused.code, 22, refused.text);
});

Deno.test("LB-6 EE-1 EE-2 execution environments: who takes part, what is told, what the image says", async () => {
  await using at = await scene("0.15");
  const see = `echo "in: \${CNB_EXEC_ENV-unset}"
printf '[[processes]]\\ntype = "t"\\ncommand = ["run"]\\nexec-env = ["test"]\\n' > "$1/launch.toml"`;
  await addBuildpack(at, "t/test", {
    api: "0.12",
    toml: 'exec-env = ["test"]\n[[targets]]\n',
    build: see,
  });
  await addBuildpack(at, "t/all", {
    api: "0.12",
    toml: 'exec-env = ["*"]\n[[targets]]\n',
    build: see,
  });
  await addBuildpack(at, "t/old", { api: "0.11", build: 'echo "old: ${CNB_EXEC_ENV-unset}"' });
  await setOrder(at, "t/test t/all t/old");
  for (const [given, want] of [[undefined, "production"], ["test", "test"]] as const) {
    const env: Record<string, string> = given === undefined ? {} : { CNB_EXEC_ENV: given };
    const run = async (
      name: "analyze" | "detect" | "restore" | "build" | "export",
      words: string[],
    ) => {
      const ended = await at.phase(name, words, env);
      strictEqual(ended.code, 0, ended.text);
      return ended.text;
    };
    await run("analyze", [`${at.host}/app`]);
    await run("detect", []);
    const { group } = await readLayers(at, "group.toml") as { group: { id: string }[] };
    deepStrictEqual(
      group.map(({ id }) => id),
      given === "test" ? ["t/test", "t/all", "t/old"] : ["t/all", "t/old"],
    );
    const said = await run("build", []);
    match(said, new RegExp(`^in: ${want}$`, "m"));
    match(said, /^old: unset$/m);
    await run("export", [`-launcher=${at.root}/launcher`, `${at.host}/app`]);
    const { config } = (await at.image("app"))!;
    strictEqual(labelOf(config, "io.buildpacks.exec-env"), want, "LB-6");
    strictEqual(metadataOf((await at.image("app"))!)["exec-env"], want, "D4");
    ok(!config.config.Env!.some((one) => one.startsWith("CNB_EXEC_ENV=")), "EE-2");
    const { processes } = JSON.parse(labelOf(config, "io.buildpacks.build.metadata")!);
    deepStrictEqual(processes[0]["exec-env"], ["test"]);
  }
  const { code } = await at.phase("detect", [], { CNB_EXEC_ENV: "a/b" });
  strictEqual(code, 3);
  await using before = await scene("0.14");
  await buildAll(before);
  strictEqual(labelOf((await before.image("app"))!.config, "io.buildpacks.exec-env"), undefined);
});

Deno.test("OT-1 tracing is not there yet: its variables reach nobody and its files get into no image", async () => {
  await using at = await scene(
    "0.15",
    "exit 0",
    "env",
  );
  const env = { CNB_OTEL_TRACEPARENT: "00-trace", CNB_OTEL_LOG_PATH: "/x" };
  for (const [name, ...words] of [["analyze", `${at.host}/app`], ["detect"], ["build"]] as const) {
    const { code, text } = await at.phase(name, words, env);
    strictEqual(code, 0);
    ok(!text.includes("00-trace"));
  }
  await Deno.mkdir(`${at.root}/layers/tracing/buildpacks`, { recursive: true });
  await Deno.writeTextFile(`${at.root}/layers/tracing/buildpacks/x.jsonl`, "{}");
  await all(at, ["export", `-launcher=${at.root}/launcher`, `${at.host}/app`]);
  const image = (await at.image("app"))!;
  for (const at of image.layers.keys()) {
    if (at < 2) continue;
    ok(!(await namesIn(image, at)).includes("tracing"));
  }
});

Deno.test("24.11 LAY-2b STO-1 metadata goes from TOML to labels and back unchanged", async () => {
  const metadata = `one = 1
float = 1.0
whole = 100.0
big = 9007199254740993
huge = -9223372036854775808
tiny = 1e-07
zero = -0.0
utc = 2024-01-02T03:04:05Z
zone = 2024-01-02T03:04:05.123456789+02:00
local = 2024-01-02T03:04:05
day = 2024-01-02
time = 03:04:05
like = "2024-01-02"
text = 'a < b & \u2028 "q"'
"odd key.1" = true
list = [1, 2.0, "x", [3]]
table = { a = { b = [{ c = 1 }, { c = 2.0 }] } }
`;
  const put = (file: string, head: string) =>
    `cat > "$1/${file}" <<'END'\n${head}[metadata]\n${metadata}END\n`;
  const build = [
    'mkdir -p "$1/l0" "$1/l1"\n',
    put("l0.toml", "[types]\nlaunch = true\n"),
    put("l1.toml", "[types]\nbuild = true\ncache = true\n"),
    put("store.toml", ""),
  ];
  await using at = await scene("0.13", "exit 0", build.join("\n"));
  await buildAll(at);
  await emptyLayers(at);
  const cache = `-cache-dir=${at.root}/cache`;
  await all(at, ["analyze", `${at.host}/app`], ["detect"], ["restore", cache]);
  const want = parseToml(`[metadata]\n${metadata}`, "x");
  for (const name of ["l0.toml", "l1.toml", "store.toml"]) {
    const found = await Deno.readTextFile(`${at.root}/layers/some_bp/${name}`);
    strictEqual(formatToml(parseToml(found, name)), formatToml(want), name);
    for (const line of ["float = 1.0", "utc = 2024-01-02T03:04:05Z", "big = 9007199254740993"]) {
      ok(found.includes(`${line}\n`), `${name}: ${line}`);
    }
  }
});
