import assert from "node:assert/strict";
import { BuildpackError, ExitCode, LifecycleError } from "../error.ts";
import type { GroupMember } from "../file/group_toml.ts";
import { parseMetadataToml } from "../file/metadata_toml.ts";
import type { Plan } from "../file/plan_toml.ts";
import { build } from "./build.ts";
import type { BuildInput, BuildResult } from "./build_types.ts";
import { Bench } from "./buildpacks_testing.ts";

const decoder = new TextDecoder();

interface Ran {
  readonly result: BuildResult;
  readonly output: string;
}

async function run(
  bench: Bench,
  ids: string,
  changes: Partial<BuildInput> = {},
  signal?: AbortSignal,
): Promise<Ran> {
  const group = ids.split(" ").map((id): GroupMember => {
    const descriptor = bench.store.find(id)?.descriptor;
    return {
      id,
      version: descriptor?.version ?? "1",
      api: descriptor?.api ?? "0.10",
      homepage: "",
    };
  });
  let output = "";
  const input: BuildInput = {
    ...bench.input(),
    group,
    plan: { entries: [] },
    output: (chunk) => void (output += decoder.decode(chunk)),
    ...changes,
  };
  const result = await build(input, bench.context(signal));
  return { result, output };
}

async function fails(promise: Promise<unknown>, exitCode: number): Promise<LifecycleError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof LifecycleError, String(error));
    assert.equal(error.exitCode, exitCode, error.message);
    return error;
  }
  throw new Error("wanted a failure");
}

/** Shell that writes `text` to `$1/<name>`. */
const put = (name: string, text: string) =>
  `mkdir -p "$(dirname "$1/${name}")"; cat >"$1/${name}" <<'EOF'\n${text}\nEOF`;

const plan = (...entries: [string, string][]): Plan => ({
  entries: entries.map(([name, providers]) => ({
    providers: providers.split(" ").map((id) => ({ id, version: "1", extension: false })),
    requires: [{ name, metadata: {} }],
  })),
});

Deno.test("BU-2 ENV-7 what bin/build is given", async () => {
  await using bench = await Bench.make();
  await bench.add("a/b", {
    api: "0.8",
    build: `pwd; echo "$1" "$2"; cat "$3"
      [ "$CNB_LAYERS_DIR" = "$1" ] && [ "$CNB_PLATFORM_DIR" = "$2" ] && [ "$CNB_BP_PLAN_PATH" = "$3" ]
      echo "\${SECRET-none} \${CNB_TARGET_OS-none}"`,
  });
  const { output } = await run(bench, "a/b", { plan: plan(["x", "a/b"], ["y", "other"]) });
  assert.equal(
    output,
    `${bench.base}/app\n${bench.base}/layers/a_b ${bench.base}/platform\n` +
      '[[entries]]\n  name = "x"\nnone none\n',
  );
  assert.deepEqual(bench.names("tmp"), []);
});

Deno.test("BU-2 51 when bin/build fails or cannot be started, and nothing runs after it", async () => {
  const rows: [string, string | undefined, RegExp, number | undefined][] = [
    ["exit 3", "exit 3", /"bad@1": its bin\/build exited with status 3/, 3],
    ["killed", "kill -9 $$", /was killed by SIGKILL/, 137],
    ["absent", undefined, /no such file/, undefined],
  ];
  for (const [why, script, message, status] of rows) {
    await using bench = await Bench.make();
    await bench.add("bad", script === undefined ? {} : { build: script });
    await bench.add("next", { build: `touch "${bench.base}/ran"` });
    const error = await fails(run(bench, "bad next"), ExitCode.buildpackBuild);
    assert.ok(error instanceof BuildpackError, why);
    assert.match(error.message, message, why);
    assert.equal(error.buildpack, "bad@1");
    if (why !== "killed") assert.equal(error.status, status, why);
    assert.ok(!bench.names(".").includes("ran"));
    assert.deepEqual(bench.names("tmp"), []);
  }
});

Deno.test("BU-2 52 when a buildpack is not in the store, 12 for its API, before anything runs", async () => {
  await using bench = await Bench.make();
  await bench.add("a", { build: `touch "${bench.base}/ran"` });
  await bench.add("old", { api: "0.6", build: "true" });
  await fails(run(bench, "a none"), ExitCode.build);
  await fails(run(bench, "a old"), ExitCode.buildpackApi);
  await fails(run(bench, "a", { platformApi: "" }), ExitCode.platformApi);
  assert.ok(!bench.names(".").includes("ran"));
});

Deno.test("BU-3 a layer that is for nothing is renamed, one of an earlier build gives way", async () => {
  await using bench = await Bench.make();
  await Deno.mkdir(`${bench.base}/layers/a/gone.ignore/old`, { recursive: true });
  await bench.add("a", {
    build: [
      put("gone/file", "x"),
      put("gone.toml", "[metadata]"),
      put("kept/file", "x"),
      put("kept.toml", "[types]\nlaunch = true"),
      put("no-toml/file", "x"),
      put("no-dir.toml", "[types]\ncache = true"),
    ].join("\n"),
  });
  const { result } = await run(bench, "a");
  assert.deepEqual(bench.names("layers/a"), [
    "gone.ignore",
    "gone.toml",
    "kept",
    "kept.toml",
    "no-dir.toml",
    "no-toml",
  ]);
  assert.deepEqual(bench.names("layers/a/gone.ignore"), ["file"]);
  assert.deepEqual(
    result.layers.get("a")?.map(({ name, hasDirectory }) => [name, hasDirectory]),
    [["gone", false], ["kept", true], ["no-dir", false]],
  );
});

Deno.test("BU-3 52 for files that cannot be used, with file, line and buildpack", async () => {
  const rows: [string, string, string, RegExp][] = [
    ["LAY-2", "l.toml", "launch = true", /layers\/a\/l\.toml:1: the launch, cache and build flags/],
    ["LAY-1", "l.toml", "[types]\nlaunch = 1", /l\.toml:2: types\.launch is 1/],
    ["TOML", "launch.toml", "[[processes", /launch\.toml:1/],
    ["LTM-2", "launch.toml", '[[processes]]\ntype="w"\ncommand="x"', /launch\.toml:3/],
    ["BTM-1", "build.toml", '[[unmet]]\nname = "x"', /'x' must match a requested dependency/],
    ["SB-2", "launch.sbom.cdx.json", "{}", /undeclared SBOM media type/],
  ];
  for (const [why, name, text, message] of rows) {
    await using bench = await Bench.make();
    await bench.add("a", { build: put(name, text) });
    const error = await fails(run(bench, "a"), ExitCode.build);
    assert.ok(error instanceof BuildpackError, why);
    assert.equal(error.buildpack, "a@1");
    assert.match(error.message, message, why);
  }
});

Deno.test("ENV-14 build layers reach later buildpacks only: roots, then env, then env.build", async () => {
  await using bench = await Bench.make();
  await bench.add("a", {
    build: [
      'echo "own ${V-unset}"',
      put("l1/bin/tool", "x"),
      put("l1/lib/x", "x"),
      put("l1/env/V", "one"),
      put("l1/env/V.append", "two"),
      put("l1/env.build/V.delim", "-"),
      put("l1/env.build/V.append", "three"),
      put("l1/env.launch/V.append", "never"),
      put("l1.toml", "[types]\nbuild = true"),
      put("l2/bin/tool", "x"),
      put("l2.toml", "[types]\nbuild = true\ncache = true"),
      put("l3/bin/tool", "x"),
      put("l3/env/V.append", "never"),
      put("l3.toml", "[types]\nlaunch = true"),
    ].join("\n"),
  });
  await bench.add("b", {
    build: 'echo "$V" | tr "\\n" "/"; echo; echo "$PATH"; echo "$LD_LIBRARY_PATH"',
  });
  const { output } = await run(bench, "a b");
  const l = `${bench.base}/layers/a`;
  assert.equal(
    output,
    "own unset\none/two/-/three//\n" +
      `${l}/l2/bin:${l}/l1/bin:/usr/local/bin:/usr/bin:/bin\n${l}/l1/lib\n`,
  );
});

Deno.test("ENV-14 layers go in the order of their TOML files", async () => {
  await using bench = await Bench.make();
  // `a-b.toml` sorts before `a.toml`, though `a` sorts before `a-b`.
  await bench.add("x", {
    build: ["a", "a-b"].map((name) =>
      `${put(`${name}/bin/t`, "x")}\n${put(`${name}.toml`, "[types]\nbuild = true")}`
    ).join("\n"),
  });
  await bench.add("y", { build: 'echo "$PATH"' });
  const { output } = await run(bench, "x y");
  const l = `${bench.base}/layers/x`;
  assert.equal(output, `${l}/a/bin:${l}/a-b/bin:/usr/local/bin:/usr/bin:/bin\n`);
});

Deno.test("BU-5 what was met is gone for later buildpacks, what was not is theirs", async () => {
  await using bench = await Bench.make();
  const show = 'grep -o \'name = ".*"\' "$3" | tr "\\n" " "; echo';
  await bench.add("a", { build: `${show}\n${put("build.toml", '[[unmet]]\nname = "y"')}` });
  await bench.add("b", { build: show });
  const { output } = await run(bench, "a b", {
    plan: plan(["x", "a b"], ["y", "a b"], ["z", "b"]),
  });
  assert.equal(output, 'name = "x" name = "y" \nname = "y" name = "z" \n');
});

Deno.test("BU-7 BU-8 BU-10 metadata.toml of two buildpacks", async () => {
  await using bench = await Bench.make();
  const launch = (type: string, more: string, label: string) =>
    put(
      "launch.toml",
      `[[processes]]\ntype = "${type}"\ncommand = ["run"]\n${more}\n` +
        `[[labels]]\nkey = "k"\nvalue = "${label}"\n[[slices]]\npaths = ["${label}"]`,
    );
  await bench.add("a", { build: launch("web", "default = true", "1") });
  await bench.add("b", { build: launch("web", 'args = ["x"]', "2") });
  const { result } = await run(bench, "a b");
  const metadata = parseMetadataToml(await bench.read("layers/config/metadata.toml"), "x");
  assert.deepEqual(metadata, result.metadata);
  assert.equal(metadata.defaultProcessType, "");
  assert.deepEqual(metadata.processes.map(({ buildpackId, args }) => [buildpackId, args]), [
    ["b", ["x"]],
  ]);
  assert.deepEqual(metadata.labels.map(({ value }) => value), ["1", "2"]);
  assert.deepEqual(metadata.slices, [{ paths: ["1"] }, { paths: ["2"] }]);
  assert.deepEqual(metadata.buildpacks.map(({ id, api }) => [id, api]), [["a", "0.10"], [
    "b",
    "0.10",
  ]]);
  assert.ok(
    bench.lines.some((line) => /^warn: redefining the following default.*: web$/.test(line)),
  );
});

Deno.test("BU-1 BU-9 SB-4 the sbom directory is made anew", async () => {
  await using bench = await Bench.make();
  await Deno.mkdir(`${bench.base}/layers/sbom/launch/stale`, { recursive: true });
  await bench.add("a/b", {
    toml: 'sbom-formats = ["application/vnd.cyclonedx+json"]\n',
    build: [
      put("l.toml", "[types]\nlaunch = true\ncache = true"),
      put("l.sbom.cdx.json", '{"l":1}'),
      put("launch.sbom.cdx.json", '{"launch":1}'),
      put("build.sbom.cdx.json", '{"build":1}'),
      put("launch.toml", '[[bom]]\nname = "old"'),
    ].join("\n"),
  });
  await run(bench, "a/b");
  const files: string[] = [];
  const walk = (path: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(`${bench.base}/${path}`)) {
      if (isDirectory) walk(`${path}/${name}`);
      else files.push(`${path}/${name}`.slice("layers/sbom/".length));
    }
  };
  walk("layers/sbom");
  assert.deepEqual(files.sort(), [
    "build/a_b/sbom.cdx.json",
    "build/sbom.legacy.json",
    "cache/a_b/l/sbom.cdx.json",
    "launch/a_b/l/sbom.cdx.json",
    "launch/a_b/sbom.cdx.json",
    "launch/sbom.legacy.json",
  ]);
  assert.equal(await bench.read("layers/sbom/launch/a_b/l/sbom.cdx.json"), '{"l":1}\n');
  assert.equal(await bench.read("layers/sbom/build/sbom.legacy.json"), "null\n");
  assert.equal(
    await bench.read("layers/sbom/launch/sbom.legacy.json"),
    '[{"name":"old","metadata":null,"buildpack":{"id":"a/b","version":"1"}}]\n',
  );
});

Deno.test("LTM-6 the old bill of materials is warned of, unless there are SBOM files too", async () => {
  await using bench = await Bench.make();
  await bench.add("a", { build: put("launch.toml", '[[bom]]\nname = "old"') });
  await run(bench, "a");
  assert.ok(bench.lines.some((line) => line.startsWith("warn: BOM table is deprecated")));
});

Deno.test("LTM-2 a buildpack of API 0.7, by heredoc", async () => {
  await using bench = await Bench.make();
  await bench.add("a", {
    api: "0.7",
    build: put(
      "launch.toml",
      '[[processes]]\ntype = "web"\ncommand = "bundle exec"\nworking-dir = "/x"\ndefault = true',
    ),
  });
  const { result } = await run(bench, "a");
  const [process] = result.metadata.processes;
  assert.deepEqual(process?.command, ["bundle exec"]);
  assert.equal(process?.direct, false);
  assert.equal(process?.workingDir, "");
  assert.equal(result.metadata.defaultProcessType, "web");
  assert.ok(bench.lines.some((line) => line.includes("Ignoring working directory")));
});

Deno.test("security: a buildpack cannot have our files read or overwritten", async () => {
  const rows: [string, string, RegExp][] = [
    ["launch.toml", 'ln -s "$SECRET_FILE" "$1/launch.toml"', /want a file inside/],
    ["layer TOML", 'ln -s "$SECRET_FILE" "$1/l.toml"', /want a file inside/],
    [
      "env file",
      'mkdir -p "$1/l/env"; ln -s "$SECRET_FILE" "$1/l/env/X"; printf "[types]\\nbuild=true" >"$1/l.toml"',
      /want a file inside/,
    ],
    [
      "env directory",
      'mkdir -p "$1/l"; ln -s "$(dirname "$SECRET_FILE")" "$1/l/env"; printf "[types]\\nbuild=true" >"$1/l.toml"',
      /want a file inside/,
    ],
    ["SBOM", 'ln -s "$SECRET_FILE" "$1/launch.sbom.cdx.json"', /want a file inside/],
    [
      "its own directory",
      'rmdir "$1"; ln -s "$(dirname "$SECRET_FILE")" "$1"',
      /replaced its layers/,
    ],
  ];
  for (const [why, script, message] of rows) {
    await using bench = await Bench.make();
    await Deno.mkdir(`${bench.base}/secrets`);
    await Deno.writeTextFile(`${bench.base}/secrets/config.json`, "{}");
    await bench.add("a", {
      toml: 'sbom-formats = ["application/vnd.cyclonedx+json"]\n',
      build: `SECRET_FILE="${bench.base}/secrets/config.json"\n${script}`,
    });
    await bench.add("b", { build: "true" });
    const error = await fails(run(bench, "a b"), ExitCode.build);
    assert.match(error.message, message, why);
    assert.deepEqual(bench.names("secrets"), ["config.json"], why);
  }
});

Deno.test("security: links in the way of what the phase writes are removed", async () => {
  await using bench = await Bench.make();
  await Deno.mkdir(`${bench.base}/elsewhere`);
  await bench.add("a", {
    build: `for name in sbom config b; do ln -s "${bench.base}/elsewhere" "$1/../$name"; done`,
  });
  await bench.add("b", { build: 'touch "$1/mine"' });
  await run(bench, "a b");
  assert.deepEqual(bench.names("elsewhere"), []);
  assert.deepEqual(bench.names("layers/b"), ["mine"]);
  assert.deepEqual(bench.names("layers/config"), ["metadata.toml"]);
});

Deno.test("SIG-1 an aborted build throws the reason and leaves no plan", async () => {
  await using bench = await Bench.make();
  await bench.add("a", { build: "echo started; exec sleep 600" });
  const abort = new AbortController();
  const running = run(
    bench,
    "a",
    { output: () => abort.abort(new Error("Ctrl-C")) },
    abort.signal,
  );
  await assert.rejects(running, { message: "Ctrl-C" });
  assert.deepEqual(bench.names("tmp"), []);
  assert.ok(!bench.names("layers").includes("config"));
});
