/** The corpus: each case is one shape of build that a lifecycle can get wrong. */
import type { CaseBuildpack, OracleCase } from "./case.ts";
import { EXTENSION_CASES } from "./extension_cases.ts";

const nothing: CaseBuildpack = {};

/** Shell that makes the layer `name`: flags, a file and `[metadata]`. */
function layer(name: string, types: string, content = "data", metadata = ""): string {
  const toml = `[types]\n${types}\n${metadata === "" ? "" : `[metadata]\n${metadata}\n`}`;
  return `mkdir -p "$1/${name}"\nprintf '%s' '${content}' > "$1/${name}/file"\n${
    write(`$1/${name}.toml`, toml)
  }`;
}

/** Shell that writes a file. */
function write(path: string, text: string): string {
  return `cat > "${path}" <<'END'\n${text}\nEND\n`;
}

/** Shell that notes what it was given, for the comparison of trees. */
const note = (name: string) =>
  `mkdir -p "$1/seen"\n${write("$1/seen.toml", "[types]\nlaunch = true")}` +
  `env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= -e _PLAN_PATH= | sort > "$1/seen/${name}"\n`;

/** `[[order.group]]` elements: `id@version`, with a trailing `?` when optional. */
function group(...names: readonly string[]): string {
  return "[[order]]\n" + names.map((name) => {
    const [id, version = ""] = name.replace("?", "").split("@");
    const optional = name.endsWith("?") ? "optional = true\n" : "";
    return `[[order.group]]\nid = "${id}"\nversion = "${version}"\n${optional}`;
  }).join("");
}

const provides = (...names: readonly string[]) =>
  names.map((name) => `[[provides]]\nname = "${name}"\n`).join("");
const requires = (...names: readonly string[]) =>
  names.map((name) => `[[requires]]\nname = "${name}"\n[requires.metadata]\nby = "${name}"\n`).join(
    "",
  );
const plan = (text: string) => `${write("$2", text)}exit 0`;

const FLAGS = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => ({
  name: `l${bits & 1}b${bits >> 1 & 1}c${bits >> 2 & 1}`,
  types: `launch = ${(bits & 1) === 1}\nbuild = ${(bits & 2) === 2}\ncache = ${(bits & 4) === 4}`,
}));
const allFlags = FLAGS.map(({ name, types }) => layer(name, types, name, `of = "${name}"`)).join(
  "\n",
);
/** What was restored, as a launch layer so that it is part of the comparison. */
const seenLayers = `mkdir -p "$1/zz"\n${write("$1/zz.toml", "[types]\nlaunch = true")}` +
  `(cd "$1" && find . -path ./zz -prune -o -print | sort; cat l*.toml 2>/dev/null) > "$1/zz/found"\n`;

const METADATA = `text = "a < b & c > d"
number = 3.5
big = 9007199254740993
list = ["x", "y"]
yes = true
[metadata.nested]
deep = { inline = "table" }`;

/** What JSON makes other numbers and dates of. */
const FIDELITY = `one = 1.0
half = 0.5
big = 1e21
small = 1e-7
negative = -0.0
integer = 42
date = 2024-01-02T03:04:05Z
"odd key" = "x"
"" = "empty"
[metadata.deep.deeper]
list = [[1, 2], ["a"]]
tables = [{ a = 1 }, { b = "2" }]`;

const SBOM = 'sbom-formats = ["application/vnd.cyclonedx+json", "application/spdx+json"]';

/** Processes in the words of an old buildpack API. */
const OLD_LAUNCH = write(
  "$1/launch.toml",
  `[[processes]]
type = "web"
command = "run me"
args = ["a"]
[[processes]]
type = "direct"
command = "run"
direct = true
default = true
[[bom]]
name = "thing"
[bom.metadata]
version = "1"`,
);

const NEW_LAUNCH = write(
  "$1/launch.toml",
  `[[labels]]
key = "some.label"
value = "a \\"quoted\\" <value> & more"
[[processes]]
type = "web"
command = ["server", "--port"]
args = ["80"]
default = true
[[processes]]
type = "worker"
command = ["work"]
working-dir = "/tmp"`,
);

const versions: readonly OracleCase[] = [
  "0.7",
  "0.8",
  "0.9",
  "0.10",
  "0.11",
  "0.12",
  "0.13",
  "0.14",
  "0.15",
]
  .map((platformApi): OracleCase => ({
    name: `platform API ${platformApi}: everything, built twice`,
    platformApi,
    builds: 2,
    tags: ["other"],
    buildConfig: { "OPERATOR": "op", "X.append": "after" },
    env: { USER_VAR: "user", PATH: "/user/bin" },
    buildpacks: {
      "old/one@1.0": {
        api: "0.7",
        keys: SBOM,
        build: `${allFlags}\n${OLD_LAUNCH}${note("old")}
printf '{"a":1}' > "$1/l1b0c0.sbom.cdx.json"
printf '{"c":1}' > "$1/l1b0c1.sbom.cdx.json"
printf '{"l":1}' > "$1/launch.sbom.spdx.json"
printf '{"b":1}' > "$1/build.sbom.cdx.json"
${write("$1/store.toml", `[metadata]\nkept = "yes"`)}
${write("$1/build.toml", `[[bom]]\nname = "built"`)}`,
      },
      "new/two@2.0": {
        api: "0.9",
        build: `${seenLayers}${NEW_LAUNCH}${
          layer("meta", "launch = true\ncache = true", "m", METADATA)
        }
mkdir -p "$1/env-layer/env" "$1/env-layer/env.launch/web" "$1/env-layer/bin"
printf x > "$1/env-layer/env/X.append"; printf : > "$1/env-layer/env/X.delim"
${write("$1/env-layer.toml", "[types]\nbuild = true\nlaunch = true")}`,
      },
      "new/three@3.0": { api: "0.10", build: note("three") },
    },
  }));

const restores: readonly OracleCase[] = ["0.13", "0.14"].map((platformApi): OracleCase => ({
  name: `eight flag combinations over three builds, platform API ${platformApi}`,
  platformApi,
  builds: 3,
  buildpacks: {
    "a/flags@1.0": {
      // The second build says the same flags and makes nothing; cached launch layers come back by then.
      build: `${seenLayers}if [ "$BUILD_NUMBER" = 1 ]; then
${allFlags}
else
${FLAGS.map(({ name, types }) => write(`$1/${name}.toml`, `[types]\n${types}`)).join("")}
fi`,
    },
  },
}));

const plans: readonly OracleCase[] = [
  {
    name: "plan: or alternatives, the last wins",
    buildpacks: {
      "a/need@1": {
        detect: plan(`${requires("absent")}[[or]]\n[[or.requires]]\nname = "here"\n`),
      },
      "b/give@1": { detect: plan(provides("here")) },
    },
    order: group("b/give@1", "a/need@1"),
  },
  {
    name: "plan: unmet require fails, optional falls away",
    buildpacks: {
      "a/need@1": { detect: plan(requires("absent")) },
      "b/plain@1": nothing,
    },
    order: group("a/need@1?", "b/plain@1"),
  },
  {
    name: "plan: unused provide fails the group, the next passes",
    buildpacks: { "a/give@1": { detect: plan(provides("x")) }, "b/plain@1": nothing },
    order: group("a/give@1", "b/plain@1") + group("b/plain@1"),
  },
  {
    name: "plan: several providers and requirers, unmet and met entries",
    buildpacks: {
      "a/give@1": {
        detect: plan(provides("x", "y")),
        build: `cat "$3" > "$1/seen-plan"; ${layer("p", "launch = true")}\ncp "$3" "$1/p/plan"\n` +
          write("$1/build.toml", `[[unmet]]\nname = "x"`),
      },
      "b/both@1": {
        detect: plan(provides("x") + requires("x", "y")),
        build: `${layer("p", "launch = true")}\ncp "$3" "$1/p/plan"`,
      },
      "c/need@1": {
        detect: plan(requires("x")),
        build: `${layer("p", "launch = true")}\ncp "$3" "$1/p/plan"`,
      },
    },
  },
  {
    name: "plan: a require with a version at its top",
    buildpacks: {
      "a/old@1": {
        detect: plan(`[[requires]]\nname = "x"\nversion = "1"\n[[provides]]\nname = "x"`),
      },
    },
  },
  {
    name: "plan: not TOML",
    buildpacks: { "a/bad@1": { detect: plan(`this is = not [toml`) } },
  },
  { name: "nobody detects", buildpacks: { "a/no@1": { detect: "echo no thanks; exit 100" } } },
  {
    name: "a detect fails in another way",
    buildpacks: {
      "a/bad@1": { detect: "echo oops >&2; exit 7" },
      "b/no@1": { detect: "exit 100" },
    },
    order: group("a/bad@1") + group("b/no@1"),
  },
  {
    name: "an optional buildpack errors, the group passes",
    buildpacks: { "a/bad@1": { detect: "exit 1" }, "b/yes@1": nothing },
    order: group("a/bad@1?", "b/yes@1"),
  },
  {
    name: "composites within composites, with the rest of the group tried anew",
    buildpacks: {
      "meta/outer@1": {
        rest: group("meta/inner@1", "x/three@1?") + group("x/two@1"),
      },
      "meta/inner@1": { rest: group("x/one@1", "x/no@1") + group("x/one@1", "x/two@1?") },
      "x/one@1": { detect: plan(provides("one")) },
      "x/two@1": { detect: plan(requires("one")) },
      "x/three@1": nothing,
      "x/no@1": { detect: "exit 100" },
      "x/last@1": nothing,
    },
    order: group("meta/outer@1", "x/last@1"),
  },
  {
    name: "an optional composite of which nothing passes",
    buildpacks: {
      "meta/outer@1": { rest: group("x/no@1") },
      "x/no@1": { detect: "exit 100" },
      "x/yes@1": nothing,
    },
    order: group("meta/outer@1?", "x/yes@1"),
  },
  {
    name: "the same id twice: the first version is taken",
    buildpacks: { "x/same@1": nothing, "x/same@2": nothing, "x/other@1": nothing },
    order: group("x/same@2", "x/other@1", "x/same@1"),
  },
  {
    name: "targets: os, arch and distro of the run image",
    buildpacks: {
      "x/windows@1": { rest: `[[targets]]\nos = "windows"` },
      "x/debian@1": {
        rest:
          `[[targets]]\nos = "linux"\narch = "amd64"\n[[targets.distros]]\nname = "debian"\nversion = "12"`,
        build: note("target"),
      },
    },
    order: group("x/windows@1", "x/debian@1") + group("x/debian@1"),
  },
  {
    name: "targets: nothing suits",
    buildpacks: { "x/arm@1": { rest: `[[targets]]\nos = "linux"\narch = "arm64"` } },
  },
  {
    name: "execution environments",
    platformApi: "0.15",
    vars: { CNB_EXEC_ENV: "test" },
    buildpacks: {
      "x/prod@1": { api: "0.12", keys: 'exec-env = ["production"]' },
      "x/test@1": { api: "0.12", keys: 'exec-env = ["test"]', build: note("env") },
      "x/all@1": { api: "0.12", keys: 'exec-env = ["*"]', build: NEW_LAUNCH },
      "x/older@1": { api: "0.11" },
    },
  },
  {
    name: "system buildpacks around a group",
    platformApi: "0.15",
    system:
      `[[system.pre.buildpacks]]\nid = "s/pre"\nversion = "1"\n[[system.post.buildpacks]]\nid = "s/post"\nversion = "1"\n[[system.post.buildpacks]]\nid = "x/one"\nversion = "2"\n`,
    buildpacks: { "x/one@1": nothing, "s/pre@1": nothing, "s/post@1": nothing, "x/one@2": nothing },
    order: group("x/one@1"),
  },
];

const environments: readonly OracleCase[] = [
  {
    name: "environment: every action, with and without delimiter, over two layers and buildpacks",
    env: { FROM_USER: "u", PATH: "/user/bin", "WITH.DOT": "d", CNB_STACK_ID: "mine" },
    buildConfig: { "FROM_USER.override": "operator", "PLAIN": "p", "PLAIN2.default": "q" },
    vars: { CNB_STACK_ID: "a.stack", HTTP_PROXY: "http://proxy.example", LANG: "de_DE" },
    buildpacks: {
      "a/set@1": {
        build: ["one", "two"].map((name) =>
          `mkdir -p "$1/${name}/env" "$1/${name}/env.build" "$1/${name}/bin" "$1/${name}/lib" "$1/${name}/include" "$1/${name}/pkgconfig"\n` +
          ["append", "prepend", "override", "default"].map((action) =>
            `printf ${name} > "$1/${name}/env/D_${action}.${action}"; printf ${name} > "$1/${name}/env/N_${action}.${action}"; printf , > "$1/${name}/env/D_${action}.delim"\n`
          ).join("") +
          `printf ${name} > "$1/${name}/env/PLAIN_NAME"; printf ${name} > "$1/${name}/env.build/B.append"; printf 'x\\n' > "$1/${name}/env/NEWLINE"; printf z > "$1/${name}/env/ODD.suffix"\n` +
          write(`$1/${name}.toml`, "[types]\nbuild = true")
        ).join(""),
      },
      "b/see@1": { build: note("all") },
      "c/clear@1": { keys: "clear-env = true", build: note("clear") },
    },
  },
  {
    name: "environment: detect sees what it should",
    buildpacks: {
      "a/see@1": {
        detect: `env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e PLAN_PATH= | sort > /dev/null; ` +
          plan(
            `${provides("env")}[[requires]]\nname = "env"\n[requires.metadata]\nstdin = "none"\n`,
          ),
      },
    },
  },
];

const slices: readonly OracleCase[] = [
  {
    name: "slices: files, directories, nothing, and a rest",
    builds: 2,
    app: {
      "main.txt": "x",
      "sub/deep/a.js": "1",
      "sub/b.js": "2",
      "other/c": "3",
      "a-b": "4",
      "a/b": "5",
      "é ü": "6",
      [`${"long/".repeat(30)}file`]: "7",
    },
    buildpacks: {
      "a/one@1.0": {
        build: write(
          "$1/launch.toml",
          ["*.txt", "sub/*", "nothing-here", "a", "lo*"].map((glob) =>
            `[[slices]]\npaths = ["${glob}"]\n`
          ).join(""),
        ),
      },
    },
  },
  {
    name: "slices: all is taken, first come first served",
    app: { "a/x": "1", "a/y": "2", "b/x": "3" },
    buildpacks: {
      "a/one@1.0": {
        build: write(
          "$1/launch.toml",
          `[[slices]]\npaths = ["*/x"]\n[[slices]]\npaths = ["a", "b"]`,
        ),
      },
    },
  },
  {
    name: "slices: a malformed glob",
    buildpacks: { "a/one@1.0": { build: write("$1/launch.toml", `[[slices]]\npaths = ["[a"]`) } },
  },
];

const sboms: readonly OracleCase[] = [
  {
    name: "SBOMs: an undeclared format",
    buildpacks: { "a/one@1": { build: `printf {} > "$1/launch.sbom.cdx.json"` } },
  },
  {
    name: "SBOMs: an unknown extension",
    buildpacks: { "a/one@1": { keys: SBOM, build: `printf {} > "$1/launch.sbom.other.json"` } },
  },
  {
    name: "SBOMs come back from image and cache",
    builds: 2,
    buildpacks: {
      "a/one@1": {
        keys: SBOM,
        build: `${seenLayers.replaceAll("l*.toml", "*.json")}
${layer("kept", "launch = true\ncache = true")}${layer("img", "launch = true")}${
          layer("tool", "build = true\ncache = true")
        }
[ "$BUILD_NUMBER" = 2 ] || for l in kept img tool; do printf '{"%s":1}' $l > "$1/$l.sbom.spdx.json"; done`,
      },
    },
  },
];

const broken: readonly OracleCase[] = [
  { name: "a build fails", buildpacks: { "a/one@1": { build: "echo broken; exit 3" } } },
  {
    name: "no bin/build",
    buildpacks: { "a/one@1": { build: `rm -- "$CNB_BUILDPACK_DIR/bin/build"` } },
    builds: 1,
    tamper: {
      before: "builder",
      act: (root) => Deno.remove(`${root}/cnb/buildpacks/a_one/1/bin/build`),
    },
  },
  {
    name: "layer TOML with flags at its top",
    buildpacks: { "a/one@1": { build: write("$1/x.toml", "launch = true") } },
  },
  {
    name: "layer TOML that is none",
    buildpacks: { "a/one@1": { build: write("$1/x.toml", "this is [not") } },
  },
  {
    name: "launch.toml with two defaults",
    buildpacks: {
      "a/one@1": {
        build: write(
          "$1/launch.toml",
          `[[processes]]\ntype = "a"\ncommand = ["a"]\ndefault = true\n[[processes]]\ntype = "b"\ncommand = ["b"]\ndefault = true`,
        ),
      },
    },
  },
  {
    name: "launch.toml with direct where there is none",
    buildpacks: {
      "a/one@1": {
        build: write("$1/launch.toml", `[[processes]]\ntype = "a"\ncommand = ["a"]\ndirect = true`),
      },
    },
  },
  {
    name: "a process type that is none",
    buildpacks: {
      "a/one@1": { build: write("$1/launch.toml", `[[processes]]\ntype = "a/b"\ncommand = ["a"]`) },
    },
  },
  {
    name: "build.toml with an unmet that nobody asked for",
    buildpacks: { "a/one@1": { build: write("$1/build.toml", `[[unmet]]\nname = "x"`) } },
  },
  {
    name: "a launch layer without contents and without a past",
    buildpacks: { "a/one@1": { build: write("$1/x.toml", "[types]\nlaunch = true") } },
  },
  {
    name: "a cached launch layer without contents",
    buildpacks: {
      "a/one@1": { build: write("$1/x.toml", "[types]\nlaunch = true\ncache = true") },
    },
  },
  {
    name: "a buildpack API nobody knows",
    buildpacks: { "a/one@1": { api: "0.99" } },
  },
  { name: "a buildpack that is not there", buildpacks: {}, order: group("a/gone@1") },
  {
    name: "a nested buildpack that is not there",
    buildpacks: { "meta/x@1": { rest: group("a/gone@1") } },
  },
  {
    name: "a default process that does not exist",
    buildpacks: { "a/one@1": nothing },
    flags: { exporter: ["-process-type=web"] },
  },
  {
    name: "group.toml is gone before the build",
    buildpacks: { "a/one@1": nothing },
    tamper: { before: "builder", act: (root) => Deno.remove(`${root}/layers/group.toml`) },
  },
  {
    name: "order.toml is not TOML",
    buildpacks: { "a/one@1": nothing },
    order: "[[order",
  },
  { name: "no run image at all", buildpacks: { "a/one@1": nothing }, run: "" },
  {
    name: "several registries",
    buildpacks: { "a/one@1": nothing },
    flags: { analyzer: ["-tag=other.example/app"] },
  },
  {
    name: "a reference that is none",
    buildpacks: { "a/one@1": nothing },
    flags: { analyzer: ["-previous-image=UPPER/case"] },
  },
  {
    name: "an unknown flag",
    buildpacks: { "a/one@1": nothing },
    flags: { analyzer: ["-no-such-flag"] },
  },
  {
    name: "a log level that is none",
    buildpacks: { "a/one@1": nothing },
    flags: { analyzer: ["-log-level=loud"] },
  },
  {
    name: "exporter with a run image",
    buildpacks: { "a/one@1": nothing },
    flags: { exporter: ["-run-image=HOST/x"] },
  },
  { name: "platform API 0.6", platformApi: "0.6", buildpacks: { "a/one@1": nothing } },
  { name: "no platform API", platformApi: "", buildpacks: { "a/one@1": nothing } },
];

const tree = `mkdir -p "$1/t/dir/empty" "$1/t/${"d".repeat(60)}"
printf x > "$1/t/${"d".repeat(60)}/${"f".repeat(60)}"; printf x > "$1/t/${"n".repeat(120)}"
printf x > "$1/t/ä"; ln -s "${"t".repeat(120)}" "$1/t/longlink"; ln -s dir "$1/t/link"
printf x > "$1/t/hard1"; ln "$1/t/hard1" "$1/t/hard2"; mkfifo "$1/t/fifo"
printf x > "$1/t/setuid"; chmod 4755 "$1/t/setuid"; chmod 1777 "$1/t/dir"; printf x > "$1/t/secret"; chmod 600 "$1/t/secret"
${write("$1/t.toml", "[types]\nlaunch = true")}`;

const rest: readonly OracleCase[] = [
  { name: "one buildpack that does nothing", buildpacks: { "a/one@1.0": nothing } },
  {
    // More than a block of 1 MiB: such layers are made by the sandbox helper.
    name: "large layers for the image, the cache and both, and a large app, twice",
    builds: 2,
    app: { "large.txt": "some words\n".repeat(150_000), "a-b": "1", "a/b": "2" },
    buildpacks: {
      "a/one@1.0": {
        build: ["launch", "cache", "launch = true\ncache"].map((types, at) =>
          layer(`l${at}`, `${types} = true`) +
          `(cd "$1/l${at}"; yes 'some words' | head -c 2000000 > large; chmod 4750 large; ln large other; ` +
          `mkdir -p "é/${"long/".repeat(30)}x" a; touch a-b a/b "é/file"; ln -s "é/file" "link ${
            "l".repeat(99)
          }")\n`
        ).join(""),
      },
    },
  },
  {
    name: "a layer of all that a tar can hold",
    builds: 2,
    buildpacks: { "a/one@1": { build: tree } },
  },
  {
    name: "processes of several buildpacks, the default is lost",
    buildpacks: {
      "a/one@1": { build: NEW_LAUNCH },
      "b/two@1": {
        build: write(
          "$1/launch.toml",
          `[[processes]]\ntype = "web"\ncommand = ["other"]\n[[labels]]\nkey = "some.label"\nvalue = "later"`,
        ),
      },
    },
  },
  {
    name: "creator, twice, with tags and a process type",
    creator: true,
    builds: 2,
    tags: ["one", "two"],
    flags: { creator: ["-process-type=worker"] },
    vars: { SOURCE_DATE_EPOCH: "1234567890" },
    buildpacks: { "a/one@1": { build: `${seenLayers}${allFlags}${NEW_LAUNCH}` } },
  },
  {
    name: "creator with skip-restore",
    creator: true,
    builds: 2,
    flags: { creator: ["-skip-restore"] },
    buildpacks: {
      "a/one@1": {
        build: `${seenLayers}${allFlags}${write("$1/store.toml", "[metadata]\na = 1.5")}`,
      },
    },
  },
  {
    name: "cache image, twice",
    cache: "image",
    builds: 2,
    buildpacks: { "a/one@1": { build: `${seenLayers}${allFlags}` } },
  },
  { name: "cache image of nothing", cache: "image", buildpacks: { "a/one@1": nothing } },
  {
    name: "no cache, skip-layers",
    cache: "none",
    builds: 2,
    flags: { analyzer: ["-skip-layers"], restorer: ["-skip-layers=true"] },
    buildpacks: { "a/one@1": { build: `${seenLayers}${allFlags}` } },
  },
  {
    name: "layout, twice",
    layout: true,
    platformApi: "0.12",
    builds: 2,
    buildpacks: { "a/one@1": { build: `${seenLayers}${allFlags}` } },
  },
  {
    name: "a damaged cache layer",
    builds: 2,
    buildpacks: {
      "a/one@1": { build: `${seenLayers}${layer("c", "build = true\ncache = true")}` },
    },
    tamper: {
      before: "restorer",
      build: 2,
      act: async (root) => {
        for await (const { name } of Deno.readDir(`${root}/cache/committed`)) {
          if (name.endsWith(".tar")) {
            await Deno.writeTextFile(`${root}/cache/committed/${name}`, "x");
          }
        }
      },
    },
  },
  {
    name: "project metadata",
    layers: {
      "project-metadata.toml":
        `[source]\ntype = "git"\n[source.version]\ncommit = "abc"\n[source.metadata]\nrepository = "r"\nrefs = ["main"]`,
    },
    buildpacks: { "a/one@1": nothing },
  },
  {
    name: "run.toml with several images and mirrors",
    run:
      `[[images]]\nimage = "other.example/none"\nmirrors = ["HOST/run:base"]\n[[images]]\nimage = "HOST/run"\n`,
    buildpacks: { "a/one@1": nothing },
  },
  {
    name: "flags as Tekton passes them",
    flags: {
      analyzer: [
        "-log-level=info",
        "-run-image=",
        "-cache-image=",
        "-uid=1000",
        "-gid=1000",
        "-insecure-registry=",
        "-tag=",
        "-skip-layers=false",
      ],
      restorer: ["-log-level=info", "-cache-image=", "-insecure-registry=", "-skip-layers=false"],
      exporter: ["-cache-image=", "-process-type=web", "-insecure-registry="],
    },
    buildpacks: { "a/one@1": { build: NEW_LAUNCH } },
  },
  {
    name: "SOURCE_DATE_EPOCH that is none",
    vars: { SOURCE_DATE_EPOCH: "yesterday" },
    buildpacks: { "a/one@1": nothing },
  },
];

const rebases: readonly OracleCase[] = ["0.11", "0.12", "0.15"].flatMap((
  platformApi,
): OracleCase[] => [
  {
    name: `rebase onto an image the builder knows, platform API ${platformApi}`,
    platformApi,
    run: `[[images]]\nimage = "HOST/run:base"\nmirrors = ["HOST/run:next"]\n`,
    rebase: ["-run-image=HOST/run:next"],
    buildpacks: { "a/one@1": { build: `${allFlags}\n${NEW_LAUNCH}` } },
  },
  {
    name: `rebase onto an image nobody knows, platform API ${platformApi}`,
    platformApi,
    rebase: ["-run-image=HOST/run:next"],
    buildpacks: { "a/one@1": { build: allFlags } },
  },
]).concat([
  {
    name: "rebase by force",
    rebase: ["-force", "-run-image=HOST/run:next"],
    buildpacks: { "a/one@1": { build: allFlags } },
  },
  {
    name: "rebase onto the same base, named by the image",
    rebase: [],
    buildpacks: { "a/one@1": { build: allFlags } },
  },
  {
    name: "rebase onto an image that is not there",
    rebase: ["-run-image=HOST/run:gone"],
    buildpacks: { "a/one@1": { build: allFlags } },
  },
]);

/** What a second build finds changed. */
const changes: readonly OracleCase[] = [
  {
    name: "change: metadata with dates, floats, deep tables and odd keys comes back",
    builds: 2,
    buildpacks: {
      "a/one@1": {
        // Numbers and dates are compared as values, in the trees: in a layer the text would count.
        build: `${layer("img", "launch = true", "i", FIDELITY)}${
          layer("c", "build = true\ncache = true", "c", FIDELITY)
        }
${write("$1/store.toml", `[metadata]\n${FIDELITY}`)}`,
      },
    },
  },
  {
    name: "change: flags of a layer, from launch to build and back",
    builds: 3,
    buildpacks: {
      "a/one@1": {
        build: `${seenLayers}if [ "$BUILD_NUMBER" = 2 ]; then
${layer("l", "build = true\ncache = true")}
else
${layer("l", "launch = true")}
fi`,
      },
    },
  },
  {
    name: "change: contents of a cached launch layer",
    builds: 2,
    buildpacks: {
      "a/one@1": {
        build: `${seenLayers}mkdir -p "$1/l"; echo "$BUILD_NUMBER" > "$1/l/file"
${write("$1/l.toml", "[types]\nlaunch = true\ncache = true")}`,
      },
    },
  },
  {
    name: "change: a buildpack that takes part no more, then again",
    builds: 3,
    buildpacks: {
      "a/one@1": {
        detect: '[ "$(cat "$1/env/BUILD_NUMBER")" != 2 ] || exit 100',
        build: `${seenLayers}${allFlags}`,
      },
      "b/two@1": { build: layer("own", "launch = true\ncache = true") },
    },
    order: group("a/one@1?", "b/two@1"),
  },
  {
    name: "change: another version of the buildpack",
    builds: 2,
    buildpacks: {
      "a/one@1": {
        detect: '[ "$(cat "$1/env/BUILD_NUMBER")" = 1 ] || exit 100',
        build: `${seenLayers}${allFlags}`,
      },
      "a/one@2": { build: `${seenLayers}${allFlags}` },
    },
    order: group("a/one@1") + group("a/one@2"),
  },
  {
    name: "change: the app, in one of three slices",
    builds: 2,
    buildpacks: {
      "a/one@1": {
        build: `echo "$BUILD_NUMBER" > two/changes\n` + write(
          "$1/launch.toml",
          `[[slices]]\npaths = ["one"]\n[[slices]]\npaths = ["two"]`,
        ),
      },
    },
    app: { "one/a": "a", "two/b": "b", "c": "c" },
  },
  {
    name: "change: from a cache directory to none, layers known from the image alone",
    builds: 2,
    platformApi: "0.14",
    buildpacks: { "a/one@1": { build: `${seenLayers}${allFlags}` } },
    tamper: {
      before: "restorer",
      build: 2,
      act: (root) => Deno.remove(`${root}/cache/committed`, { recursive: true }),
    },
  },
  {
    name: "change: the cache's metadata is not JSON",
    builds: 2,
    buildpacks: { "a/one@1": { build: `${seenLayers}${allFlags}` } },
    tamper: {
      before: "restorer",
      build: 2,
      act: (root) =>
        Deno.writeTextFile(
          `${root}/cache/committed/io.buildpacks.lifecycle.cache.metadata`,
          "{",
        ),
    },
  },
  {
    name: "change: parallel export with a cache, twice",
    builds: 2,
    flags: { exporter: ["-parallel"] },
    buildpacks: { "a/one@1": { build: `${seenLayers}${allFlags}` } },
  },
  {
    name: "change: three builds with a cache image",
    cache: "image",
    builds: 3,
    buildpacks: {
      "a/one@1": {
        keys: SBOM,
        build: `${seenLayers}mkdir -p "$1/l"; echo "$BUILD_NUMBER" > "$1/l/file"
${write("$1/l.toml", "[types]\nlaunch = true\ncache = true")}
${layer("kept", "build = true\ncache = true")}printf '{"a":1}' > "$1/kept.sbom.cdx.json"`,
      },
    },
  },
];

/** Files between the phases, broken or gone. */
const between: readonly OracleCase[] = ([
  ["analyzed.toml", "restorer", "no [toml"],
  ["analyzed.toml", "exporter", "no [toml"],
  ["analyzed.toml", "exporter", undefined],
  ["analyzed.toml", "builder", "no [toml"],
  ["group.toml", "restorer", "no [toml"],
  ["group.toml", "exporter", undefined],
  ["plan.toml", "builder", "no [toml"],
  ["plan.toml", "builder", undefined],
  ["config/metadata.toml", "exporter", "no [toml"],
  ["config/metadata.toml", "exporter", undefined],
  ["project-metadata.toml", "exporter", "no [toml"],
  ["a_one/store.toml", "exporter", "no [toml"],
  ["a_one/x.toml", "exporter", "no [toml"],
] as const).map(([file, before, text]): OracleCase => ({
  name: `broken: ${file} ${text === undefined ? "gone" : "no TOML"} before the ${before}`,
  buildpacks: { "a/one@1": { build: layer("x", "launch = true") } },
  tamper: {
    before,
    act: (root) =>
      text === undefined
        ? Deno.remove(`${root}/layers/${file}`)
        : Deno.writeTextFile(`${root}/layers/${file}`, text),
  },
}));

const more: readonly OracleCase[] = [
  {
    name:
      "more: an or of an optional buildpack in a nested group, the first alternative provides too much",
    buildpacks: {
      "meta/m@1": { rest: group("x/or@1?", "x/need@1") },
      "x/or@1": {
        detect: plan(
          `${
            provides("a", "b")
          }[[or]]\n[[or.provides]]\nname = "a"\n[[or]]\n[[or.provides]]\nname = "b"\n`,
        ),
      },
      "x/need@1": { detect: plan(`${requires("b")}[[or]]\n[[or.requires]]\nname = "a"\n`) },
    },
    order: group("meta/m@1"),
  },
  {
    name: "more: the same name required by several, with metadata of their own",
    buildpacks: {
      "a/give@1": {
        detect: plan(provides("x")),
        build: `${layer("p", "launch = true")}\ncp "$3" "$1/p/plan"`,
      },
      "b/need@1": {
        detect: plan(`[[requires]]\nname = "x"\n[requires.metadata]\nversion = "1"\nn = 1\n`),
      },
      "c/need@1": {
        detect: plan(`[[requires]]\nname = "x"\n[requires.metadata]\nlist = [1.5, 2.5]\n`),
      },
    },
  },
  { name: "more: an order without groups", buildpacks: { "a/one@1": nothing }, order: "" },
  {
    name: "more: keys of order.toml that nobody knows",
    buildpacks: { "a/one@1": nothing },
    order: `odd = 1\n${group("a/one@1")}[[order.grup]]\nid = "x"\n`,
  },
  {
    name: "more: labels of buildpacks, also where the lifecycle's are",
    buildpacks: {
      "a/one@1": {
        build: write(
          "$1/launch.toml",
          `[[labels]]\nkey = "io.buildpacks.test-label"\nvalue = "x"\n[[labels]]\nkey = "other"\nvalue = "y"\n[[labels]]\nkey = ""\nvalue = "z"`,
        ),
      },
    },
  },
  {
    name: "more: processes with dots, underscores, an empty command and many arguments",
    buildpacks: {
      "a/one@1": {
        build: write(
          "$1/launch.toml",
          ["a.b", "a_b", "a-b", "A"].map((type) =>
            `[[processes]]\ntype = "${type}"\ncommand = ["c", "1", "<>&"]\nargs = ["x y", "\\\\u2028"]\n`
          ).join(""),
        ),
      },
    },
  },
  {
    name: "more: SBOMs of every kind of layer, and of a layer that is for nothing",
    builds: 2,
    buildpacks: {
      "a/one@1": {
        keys: SBOM,
        build: `${allFlags}
for l in l0b0c0 l1b0c0 l0b1c0 l1b1c0 l0b0c1 l1b0c1 l0b1c1 l1b1c1; do printf '{"l":"%s"}' $l > "$1/$l.sbom.cdx.json"; done`,
      },
    },
  },
  {
    name: "more: links, empty files and executables in the app, with slices over links",
    app: { "bin/run": "#!/bin/sh", "empty": "", "dir/deep/file": "x" },
    buildpacks: {
      "a/one@1": {
        build:
          `chmod 755 bin/run; ln -s dir link; ln -s /etc/passwd dir/out; mkdir nothing; chmod 700 dir/deep
${
            write(
              "$1/launch.toml",
              `[[slices]]\npaths = ["link", "nothing"]\n[[slices]]\npaths = ["dir/*"]`,
            )
          }`,
      },
    },
  },
  {
    name: "more: files of env.launch and env.build side by side",
    buildpacks: {
      "a/one@1": {
        build:
          `for d in env env.launch env.build env.launch/web; do mkdir -p "$1/e/$d"; printf "$d" > "$1/e/$d/V.append"; printf + > "$1/e/$d/V.delim"; done
${write("$1/e.toml", "[types]\nbuild = true\nlaunch = true")}`,
      },
      "b/two@1": { build: note("seen") },
    },
  },
  {
    name: "more: clear-env, and variables with odd names and contents",
    env: { "A.B": "dot", LOWER_case: "x", EMPTY: "", LINES: "a\nb\n", SPACES: "  x  " },
    buildpacks: {
      "a/one@1": { build: note("one") },
      "b/two@1": { keys: "clear-env = true", build: note("two") },
    },
  },
  {
    name: "more: creator when nobody detects",
    creator: true,
    buildpacks: { "a/one@1": { detect: "exit 100" } },
  },
  {
    name: "more: creator when a build fails",
    creator: true,
    buildpacks: { "a/one@1": { build: "exit 9" } },
  },
  {
    name: "more: creator at platform API 0.7",
    creator: true,
    platformApi: "0.7",
    builds: 2,
    buildpacks: { "a/one@1": { api: "0.7", keys: SBOM, build: `${allFlags}\n${OLD_LAUNCH}` } },
  },
  {
    name: "more: a layer with a reserved name",
    buildpacks: {
      "a/one@1": {
        build: ["launch", "build", "store"].map((name) =>
          `mkdir -p "$1/${name}"; echo x > "$1/${name}/f"`
        ).join("\n"),
      },
    },
  },
  {
    name: "more: a buildpack that writes into the directory of another",
    buildpacks: {
      "a/one@1": { build: layer("l", "launch = true") },
      "b/two@1": { build: `echo more > "$1/../a_one/l/more" 2>/dev/null; exit 0` },
    },
  },
];

/** All cases. */
export const CASES: readonly OracleCase[] = [
  ...EXTENSION_CASES,
  ...rest,
  ...rebases,
  ...versions,
  ...restores,
  ...plans,
  ...environments,
  ...slices,
  ...sboms,
  ...broken,
  ...changes,
  ...between,
  ...more,
];
