import assert from "node:assert/strict";
import { formatProjectLabel, parseProjectMetadataToml } from "./project_metadata_toml.ts";
import { parseProjectToml, projectFor } from "./project_toml.ts";
import { formatReportToml } from "./report_toml.ts";
import { formatRunToml, parseRunToml } from "./run_toml.ts";
import { formatStoreToml, parseStoreToml } from "./store_toml.ts";

Deno.test("RUN-1 run.toml", () => {
  const run = { images: [{ image: "a", mirrors: ["b"] }, { image: "c", mirrors: [] }] };
  assert.deepEqual(parseRunToml(formatRunToml(run), "x"), run);
  assert.deepEqual(parseRunToml("", "x"), { images: [] });
  assert.throws(() => parseRunToml("[[images]]\n", "x"), {
    message: /images\[0\]\.image is missing/,
  });
});

Deno.test("STO-1 store.toml is free-form", () => {
  const source = "[metadata]\n  a = 1.0\n  b = 2\n";
  assert.equal(formatStoreToml(parseStoreToml(source, "x")), source);
});

Deno.test("RPT-1 manifest-size is an integer and left out when 0", () => {
  const report = {
    image: { tags: ["a:1"], digest: "sha256:x", manifestSize: 523 },
    runImage: { image: "r", mirrors: ["m"], reference: "r@sha256:y", topLayer: "sha256:t" },
  };
  const text = formatReportToml(report);
  assert.match(text, /^ {2}manifest-size = 523$/m);
  assert.match(text, /^\[run-image\]\n {2}image = "r"\n {2}mirrors = \["m"\]\n {2}reference = /m);
  const used = formatReportToml({ ...report, usage: { memoryPeak: 4096, cpuMs: 12 } });
  assert.match(used, /^\[usage\]\n {2}memory-peak = 4096\n {2}cpu-milliseconds = 12$/m);
  assert.doesNotMatch(formatReportToml({ image: { tags: [], manifestSize: 0 } }), /manifest-size/);
});

Deno.test("PMD-1 the project label", () => {
  const source =
    '[source]\ntype = "git"\n[source.version]\ncommit = "c"\n[source.metadata]\nb = 1\na = 2\n';
  const metadata = parseProjectMetadataToml(source, "x");
  assert.equal(
    formatProjectLabel(metadata),
    '{"source":{"type":"git","version":{"commit":"c"},"metadata":{"a":2,"b":1}}}',
  );
  assert.equal(formatProjectLabel(parseProjectMetadataToml("", "x")), "{}");
});

const PROJECT = `[_]
schema-version = "0.3"
id = "io.example"
[_.metadata]
a = 1
[io.buildpacks]
builder = "b"
exclude = ["*.md"]
[[io.buildpacks.group]]
id = "a/b"
version = "1"
[[io.buildpacks.group]]
uri = "./bp"
exec-env = ["test"]
[[io.buildpacks.pre.group]]
id = "p"
[[io.buildpacks.post.group]]
id = "q"
[io.buildpacks.post.group.script]
api = "0.10"
inline = "echo hi"
[[io.buildpacks.build.env]]
name = "A"
value = "1"
[other.tool]
x = 1
`;

Deno.test("PRJ-2 project.toml 0.3", () => {
  const project = parseProjectToml(PROJECT, "project.toml");
  assert.equal(project.version, "0.0.0");
  assert.deepEqual(project.exclude, ["*.md"]);
  assert.deepEqual(project.group.map(({ id, uri }) => id || uri), ["a/b", "./bp"]);
  assert.equal(project.post[0]?.script?.shell, "/bin/sh");
  assert.deepEqual(project.env, [{ name: "A", value: "1", execEnv: [] }]);
  assert.deepEqual(project.warnings, []);
  assert.deepEqual(projectFor(project, "production").group.map(({ id }) => id), ["a/b"]);
  assert.equal(projectFor(project, "test").group.length, 2);
});

Deno.test("PRJ-2 include and exclude at once is an error", () => {
  const source = '[_]\nschema-version = "0.2"\n[io.buildpacks]\ninclude = ["a"]\nexclude = ["b"]\n';
  assert.throws(() => parseProjectToml(source, "p"), { message: /both include and exclude/ });
});

Deno.test("PRJ-2 one of version, uri and script", () => {
  const head = '[_]\nschema-version = "0.2"\n[[io.buildpacks.group]]\n';
  assert.throws(() => parseProjectToml(`${head}id = "a"\nversion = "1"\nuri = "u"\n`, "p"), {
    message: /only one of version, uri and script/,
  });
  assert.throws(() => parseProjectToml(`${head}version = "1"\n`, "p"), {
    message: "Cannot parse p:3: io.buildpacks.group[0] should have an id, a uri or a script",
  });
  // A script may say which version it is: pack takes that.
  const script = '[io.buildpacks.group.script]\napi = "0.10"\ninline = "true"\n';
  const [one] = parseProjectToml(`${head}id = "a"\nversion = "1"\n${script}`, "p").group;
  assert.equal(one?.version, "1");
  assert.throws(() => parseProjectToml(`${head}uri = "u"\n${script}`, "p"), {
    message: /only one of version, uri and script/,
  });
});

Deno.test("PRJ-3 schema 0.1 warns", () => {
  const project = parseProjectToml(
    '[project]\nname = "n"\n[build]\nbuilder = "b"\ninclude = ["x"]\n' +
      '[[build.buildpacks]]\nid = "a"\n[[build.env]]\nname = "N"\nvalue = "v"\n',
    "project.toml",
  );
  assert.equal(project.schemaVersion, "0.1");
  assert.equal(project.builder, "b");
  assert.deepEqual(project.group.map(({ id }) => id), ["a"]);
  assert.match(project.warnings[0]!, /No schema version/);
});

Deno.test("PRJ-1 an unknown schema is refused", () => {
  assert.throws(() => parseProjectToml('[_]\nschema-version = "0.9"\n', "p"), {
    message: 'Cannot parse p: schema-version is "0.9", want one of 0.1, 0.2, 0.3',
  });
});

Deno.test("PRJ-4 project.toml: other tools' tables are left alone, a slip of one of ours is told", () => {
  const modern = parseProjectToml(
    `[_]
schema-version = "0.2"
[io.buildpacks]
exclud = ["x"]
[[io.buildpacks.grup]]
id = "x"
[[io.buildpacks.group]]
id = "y"
ur = "z"
[io.spring]
mine = true
[com.example]
theirs = true
`,
    "project.toml",
  );
  assert.deepEqual(modern.warnings, [
    "project.toml:4: unknown key io.buildpacks.exclud, want exclude",
    "project.toml:5: unknown key io.buildpacks.grup, want group",
    "project.toml:9: unknown key io.buildpacks.group[0].ur, want uri",
  ]);
  const slip = '[_]\nschema-version = "0.2"\n[io.buildpack]\nbuilder = "b"\n';
  assert.deepEqual(parseProjectToml(slip, "p").warnings, [
    "p:3: unknown key io.buildpack, want buildpacks",
  ]);
  const [, old] = parseProjectToml('[build]\nbuildr = "b"\n', "p").warnings;
  assert.equal(old, "p:2: unknown key build.buildr, want builder");
});
