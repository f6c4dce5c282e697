import assert from "node:assert/strict";
import { buildpackCapabilities } from "../api.ts";
import { formatBuildLabel, parseBuildLabel } from "./build_metadata_label.ts";
import { parseBuildToml } from "./build_toml.ts";
import { isProcessType, parseLaunchToml } from "./launch_toml.ts";
import { formatLayerToml, isLayerName, parseLayerToml } from "./layer_toml.ts";
import { type BuildMetadata, formatMetadataToml, parseMetadataToml } from "./metadata_toml.ts";
import { parseToml } from "./toml.ts";

const can = (api: string) => buildpackCapabilities(api, "x");
const parse = (source: string, api: string) =>
  parseLaunchToml(source, "/l/launch.toml", "a/b", can(api));

Deno.test("LTM-1 launch.toml whole, and absent", () => {
  const launch = parse(
    '[[labels]]\nkey = "k"\nvalue = "v"\n[[processes]]\ntype = "web"\ncommand = ["a", "b"]\n' +
      'args = []\ndefault = true\nworking-dir = "/w"\nexec-env = ["test"]\n' +
      '[[slices]]\npaths = ["*.jar"]\n',
    "0.12",
  );
  assert.deepEqual(launch.labels, [{ key: "k", value: "v" }]);
  assert.deepEqual(launch.slices, [{ paths: ["*.jar"] }]);
  assert.deepEqual(launch.processes, [{
    type: "web",
    command: ["a", "b"],
    args: [],
    direct: true,
    default: true,
    workingDir: "/w",
    execEnv: ["test"],
    buildpackId: "a/b",
  }]);
  assert.deepEqual(parse("", "0.7").processes, []);
});

Deno.test("LTM-2 before 0.9 command is a string and direct may be said", () => {
  const one = parse('[[processes]]\ntype = "w"\ncommand = "a b"\n', "0.8").processes[0];
  assert.deepEqual(one?.command, ["a b"]);
  assert.equal(one?.direct, false);
  assert.equal(one?.args, undefined);
  const direct = '[[processes]]\ntype = "w"\ncommand = "a"\ndirect = true\n';
  assert.equal(parse(direct, "0.8").processes[0]?.direct, true);
  assert.throws(() => parse('[[processes]]\ntype = "w"\ncommand = ["a"]\n', "0.8"), {
    message: "Cannot parse /l/launch.toml:3: processes[0].command is an array, want a string",
  });
});

Deno.test("LTM-2 from 0.9 on command is an array and the key direct is refused", () => {
  assert.throws(() => parse('[[processes]]\ntype = "w"\ncommand = "a"\n', "0.9"), {
    message: 'Cannot parse /l/launch.toml:3: processes[0].command is "a", want an array',
  });
  for (const value of [true, false]) {
    const source = `[[processes]]\ntype = "w"\ncommand = ["a"]\ndirect = ${value}\n`;
    assert.throws(() => parse(source, "0.9"), {
      message: "Cannot parse /l/launch.toml:4: " +
        "process.direct is not supported on this buildpack version",
    });
  }
});

Deno.test("LTM-3 one default a file", () => {
  const process = (type: string) =>
    `[[processes]]\ntype = "${type}"\ncommand = "x"\ndefault = true\n`;
  assert.throws(() => parse(process("a") + process("b"), "0.8"), {
    message: /multiple default process types aren't allowed/,
  });
});

Deno.test("LTM-4 working-dir before 0.8 is dropped with a warning", () => {
  const source = '[[processes]]\ntype = "w"\ncommand = "a"\nworking-dir = "/x"\n';
  const old = parse(source, "0.7");
  assert.equal(old.processes[0]?.workingDir, "");
  assert.match(old.warnings[0]!, /Ignoring working directory for process 'w'/);
  assert.deepEqual(parse(source, "0.8").warnings, []);
});

Deno.test("LTM-5 what may name a process", () => {
  for (const type of ["web", "a.b", "a_b-c", "1"]) assert.ok(isProcessType(type), type);
  for (const type of ["", "a/b", "a>b", "a<b", "a:b", "a|b", "a&b", "a\\b", ".", "..", "a\0"]) {
    assert.ok(!isProcessType(type), JSON.stringify(type));
  }
});

Deno.test("LTM-6 a bill of materials with a top-level version is refused", () => {
  assert.throws(() => parse('[[bom]]\nname = "x"\nversion = "1"\n', "0.7"), {
    message: 'Cannot parse /l/launch.toml:3: bom[0].version is "1", want it in metadata.version',
  });
  const [entry] = parse('[[bom]]\nname = "x"\n[bom.metadata]\nv = 1.0\n', "0.7").bom;
  assert.equal(entry?.metadata?.v, 1);
});

Deno.test("BTM-1 unmet must be requested", () => {
  const read = (source: string) => parseBuildToml(source, "/l/build.toml", ["a", "b"]);
  assert.deepEqual(read('[[unmet]]\nname = "a"\n').unmet, ["a"]);
  assert.throws(() => read('[[unmet]]\nname = "c"\n'), {
    message: /unmet\.name 'c' must match a requested dependency/,
  });
  assert.throws(() => read("[[unmet]]\n"), { message: /unmet\.name is required/ });
});

Deno.test("LAY-1 all flags are off unless said", () => {
  const off = { launch: false, build: false, cache: false };
  assert.deepEqual(parseLayerToml("", "x"), { types: off, metadata: undefined });
  assert.deepEqual(parseLayerToml("[types]\ncache = true\n", "x").types, { ...off, cache: true });
  assert.throws(() => parseLayerToml('[types]\ncache = "yes"\n', "x"), {
    message: 'Cannot parse x:2: types.cache is "yes", want true or false',
  });
});

Deno.test("LAY-2 flags at the top are of an old API", () => {
  assert.equal(parseLayerToml("[metadata]\nlaunch = 1\n", "x").metadata?.launch, 1n);
  for (const key of ["launch", "cache", "build"]) {
    assert.throws(() => parseLayerToml(`${key} = true\n`, "/l/a.toml"), {
      message: "Cannot parse /l/a.toml:1: " +
        "the launch, cache and build flags should be in the types table of /l/a.toml",
    });
  }
});

Deno.test("LAY-2b numbers and dates of metadata are kept", () => {
  const source = "[metadata]\n  a = 1\n  b = 1.0\n  c = 2024-01-02T03:04:05Z\n";
  const written = formatLayerToml({ metadata: parseLayerToml(source, "x").metadata });
  assert.equal(written, source);
});

Deno.test("LAY-3 a restored file says nothing of types", () => {
  assert.equal(formatLayerToml({ metadata: undefined }), "");
  const types = { launch: true, build: false, cache: false };
  assert.match(formatLayerToml({ types, metadata: undefined }), /^\[types\]\n {2}launch = true\n/);
});

Deno.test("LAY-5 names that are no layers", () => {
  for (const name of ["launch", "build", "store", "", ".", "..", "a/b"]) {
    assert.ok(!isLayerName(name), name);
  }
  for (const name of ["plan", "a.b", "launcher", " "]) assert.ok(isLayerName(name), name);
});

const METADATA: BuildMetadata = {
  defaultProcessType: "web",
  buildpacks: [{ id: "a/b", version: "1", api: "0.9", homepage: "https://h" }],
  extensions: [],
  labels: [{ key: "k", value: "v" }],
  processes: [
    {
      type: "web",
      command: ["run", "it"],
      args: undefined,
      direct: true,
      default: false,
      workingDir: "",
      execEnv: [],
      buildpackId: "a/b",
    },
    {
      type: "worker",
      command: ["w"],
      args: ["<x>"],
      direct: false,
      default: false,
      workingDir: "/w",
      execEnv: ["test"],
      buildpackId: "a/b",
    },
  ],
  slices: [{ paths: ["a"] }],
};

Deno.test("MDT-1 metadata.toml is read back as it was written", () => {
  const text = formatMetadataToml(METADATA);
  assert.deepEqual(parseMetadataToml(text, "x"), METADATA);
  assert.doesNotMatch(text, /^default =/m);
});

Deno.test("MDT-2 a command of an older platform is a string", () => {
  const source = '[[processes]]\ntype = "w"\ncommand = "a"\ndirect = true\nbuildpack-id = "b"\n';
  assert.deepEqual(parseMetadataToml(source, "x").processes[0]?.command, ["a"]);
});

Deno.test("LB-3 the build label, byte for byte", () => {
  const launcher = { version: "1.0", repository: "r", commit: "c" };
  const text = formatBuildLabel(METADATA, { launcher });
  assert.equal(
    text,
    '{"buildpacks":[{"id":"a/b","version":"1","homepage":"https://h"}],' +
      '"launcher":{"version":"1.0","source":{"git":{"repository":"r","commit":"c"}}},' +
      '"processes":[{"type":"web","command":["run","it"],"args":null,"direct":true,' +
      '"buildpackID":"a/b"},{"type":"worker","command":["w"],"args":["\\u003cx\\u003e"],' +
      '"direct":false,"buildpackID":"a/b","working-dir":"/w","exec-env":["test"]}],' +
      '"buildpack-default-process-type":"web"}',
  );
  const read = parseBuildLabel(text);
  assert.deepEqual(read.processes[0]?.args, []);
  assert.equal(read.defaultProcessType, "web");
  assert.deepEqual(read.launcher, launcher);
  const old = parseBuildLabel('{"processes":[{"type":"w","command":"a","args":null}]}');
  assert.deepEqual(old.processes[0]?.command, ["a"]);
});

Deno.test("D18 the API in the build label only on request", () => {
  const launcher = { version: "", repository: "", commit: "" };
  assert.match(formatBuildLabel(METADATA, { launcher, withApi: true }), /"api":"0.9"/);
});

Deno.test("TOML tables of a document share no prototype", () => {
  assert.equal(Object.getPrototypeOf(parseToml("[a]\n", "x").a), null);
});
