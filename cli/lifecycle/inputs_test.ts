import assert from "node:assert/strict";
import { flagsOf, readInputs } from "./inputs.ts";
import { INPUTS, type PhaseName } from "./inputs_table.ts";

function read(
  phase: PhaseName,
  api: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  files: readonly string[] = [],
) {
  return readInputs(phase, api, words, {
    env,
    cwd: "/cwd",
    exists: (path) => files.includes(path),
  });
}

Deno.test("CLI-5 flag, then variable, then default; an empty variable is none", () => {
  const rows: [readonly string[], Readonly<Record<string, string>>, string][] = [
    [[], {}, "/layers"],
    [[], { CNB_LAYERS_DIR: "" }, "/layers"],
    [[], { CNB_LAYERS_DIR: "/env" }, "/env"],
    [["-layers=/flag"], { CNB_LAYERS_DIR: "/env" }, "/flag"],
    [["-layers", "sub"], {}, "/cwd/sub"],
    [["-layers="], {}, "/cwd"],
  ];
  for (const [words, env, want] of rows) {
    assert.equal(read("detect", "0.13", words, env).inputs.layersDir, want);
  }
  const nowhere = read("restore", "0.13", ["-layers=", "-cache-dir="]).inputs;
  assert.equal(nowhere.groupPath, "/cwd/group.toml");
  assert.equal(nowhere.cacheDir, "");
  const { inputs } = read("analyze", "0.13", ["-insecure-registry=c"], {
    CNB_INSECURE_REGISTRIES: "a,b",
  });
  assert.deepEqual(inputs.insecureRegistries, ["a", "b", "c"]);
});

Deno.test("CLI-6 defaults lie in the actual layers directory; order.toml there if it is there", () => {
  const words = ["-layers=/l"];
  const { inputs } = read("detect", "0.13", words);
  assert.equal(inputs.groupPath, "/l/group.toml");
  assert.equal(inputs.planPath, "/l/plan.toml");
  assert.equal(inputs.generatedDir, "/l/generated");
  assert.equal(inputs.orderPath, "/cnb/order.toml");
  const own = read("detect", "0.13", words, {}, ["/l/order.toml"]).inputs;
  assert.equal(own.orderPath, "/l/order.toml");
  const given = read("detect", "0.13", [...words, "-order=/o.toml"], {}, ["/l/order.toml"]).inputs;
  assert.equal(given.orderPath, "/o.toml");
});

Deno.test("IN-0 what cannot be read in a variable is off, or not there", () => {
  const { inputs } = read("analyze", "0.13", [], {
    CNB_SKIP_LAYERS: "yes",
    CNB_USE_DAEMON: "T",
    CNB_USER_ID: "one",
    CNB_GROUP_ID: "7",
  });
  assert.deepEqual(
    [inputs.skipLayers, inputs.useDaemon, inputs.uid, inputs.gid],
    [false, true, undefined, 7],
  );
  assert.equal(read("extend", "0.13", []).inputs.kanikoCacheTtl, 1_209_600_000);
});

Deno.test("2.2 flags by phase and platform API: each first one, and the one before", () => {
  const has = (phase: PhaseName, api: string, flag: string) =>
    flagsOf(phase, api).some(({ name }) => name === flag);
  const rows: [PhaseName, string, number][] = [
    ["analyze", "launch-cache", 9],
    ["analyze", "skip-layers", 9],
    ["analyze", "run", 12],
    ["analyze", "layout", 12],
    ["analyze", "insecure-registry", 13],
    ["detect", "analyzed", 10],
    ["detect", "extensions", 10],
    ["detect", "build-config", 11],
    ["detect", "run", 12],
    ["detect", "system", 15],
    ["restore", "build-image", 10],
    ["restore", "daemon", 12],
    ["restore", "generated", 12],
    ["restore", "run", 14],
    ["build", "build-config", 11],
    ["build", "analyzed", 12],
    ["export", "launcher-sbom", 11],
    ["export", "extended", 12],
    ["create", "build-config", 11],
    ["create", "system", 15],
    ["rebase", "previous-image", 11],
    ["rebase", "force", 12],
    ["extend", "kind", 12],
  ];
  for (const [phase, flag, since] of rows) {
    assert.ok(has(phase, `0.${since}`, flag), `${phase} -${flag} at 0.${since}`);
    assert.ok(!has(phase, `0.${since - 1}`, flag), `${phase} -${flag} before 0.${since}`);
  }
  assert.ok(has("analyze", "0.11", "stack") && !has("analyze", "0.12", "stack"));
  assert.ok(has("create", "0.15", "stack"), "the creator keeps it");
  assert.ok(!has("detect", "0.15", "uid") && !has("build", "0.15", "uid"));
});

Deno.test("CR-3 skipping restores: one switch under two names", () => {
  assert.equal(read("analyze", "0.13", [], { CNB_SKIP_RESTORE: "1" }).inputs.skipLayers, true);
  assert.equal(read("create", "0.13", [], { CNB_SKIP_LAYERS: "1" }).inputs.skipRestore, true);
  assert.equal(read("create", "0.13", ["-skip-restore"]).inputs.skipRestore, true);
});

/** 2.2: variable, flag, a phase that has both, the platform API it came with, and the input's name here. */
const TABLE: readonly (readonly [string, string, PhaseName, number, keyof typeof INPUTS])[] = [
  ["CNB_LOG_LEVEL", "log-level", "detect", 7, "logLevel"],
  ["CNB_APP_DIR", "app", "export", 7, "appDir"],
  ["CNB_LAYERS_DIR", "layers", "build", 7, "layersDir"],
  ["CNB_PLATFORM_DIR", "platform", "detect", 7, "platformDir"],
  ["CNB_BUILD_CONFIG_DIR", "build-config", "create", 11, "buildConfigDir"],
  ["CNB_BUILDPACKS_DIR", "buildpacks", "detect", 7, "buildpacksDir"],
  ["CNB_EXTENSIONS_DIR", "extensions", "detect", 10, "extensionsDir"],
  ["CNB_ORDER_PATH", "order", "create", 7, "orderPath"],
  ["CNB_SYSTEM_PATH", "system", "detect", 15, "systemPath"],
  ["CNB_RUN_PATH", "run", "restore", 14, "runPath"],
  ["CNB_STACK_PATH", "stack", "create", 15, "stackPath"],
  ["CNB_ANALYZED_PATH", "analyzed", "build", 12, "analyzedPath"],
  ["CNB_GROUP_PATH", "group", "restore", 7, "groupPath"],
  ["CNB_PLAN_PATH", "plan", "build", 7, "planPath"],
  ["CNB_GENERATED_DIR", "generated", "restore", 12, "generatedDir"],
  ["CNB_EXTENDED_DIR", "extended", "export", 12, "extendedDir"],
  ["CNB_EXTEND_KIND", "kind", "extend", 12, "extendKind"],
  ["CNB_REPORT_PATH", "report", "rebase", 7, "reportPath"],
  ["CNB_PROJECT_METADATA_PATH", "project-metadata", "export", 7, "projectMetadataPath"],
  ["CNB_CACHE_DIR", "cache-dir", "restore", 7, "cacheDir"],
  ["CNB_CACHE_IMAGE", "cache-image", "analyze", 7, "cacheImage"],
  ["CNB_LAUNCH_CACHE_DIR", "launch-cache", "analyze", 9, "launchCacheDir"],
  ["CNB_PREVIOUS_IMAGE", "previous-image", "rebase", 11, "previousImage"],
  ["CNB_RUN_IMAGE", "run-image", "analyze", 7, "runImage"],
  ["CNB_BUILD_IMAGE", "build-image", "restore", 10, "buildImage"],
  ["CNB_PROCESS_TYPE", "process-type", "export", 7, "processType"],
  ["CNB_LAYOUT_DIR", "layout-dir", "export", 12, "layoutDir"],
];

const SWITCHES: readonly (readonly [string, string, PhaseName, number, keyof typeof INPUTS])[] = [
  ["CNB_NO_COLOR", "no-color", "build", 7, "noColor"],
  ["CNB_SKIP_LAYERS", "skip-layers", "restore", 7, "skipLayers"],
  ["CNB_SKIP_RESTORE", "skip-restore", "create", 7, "skipRestore"],
  ["CNB_FORCE_REBASE", "force", "rebase", 12, "forceRebase"],
  ["CNB_USE_DAEMON", "daemon", "restore", 12, "useDaemon"],
  ["CNB_USE_LAYOUT", "layout", "create", 12, "useLayout"],
  ["CNB_PARALLEL_EXPORT", "parallel", "export", 7, "parallelExport"],
];

Deno.test("IN-2 2.2 every input has its name as variable and as flag, and the flag wins", () => {
  for (const [variable, flag, phase, since, name] of TABLE) {
    const api = `0.${since}`;
    assert.equal(read(phase, api, [], { [variable]: "/given" }).inputs[name], "/given", variable);
    const both = read(phase, api, [`-${flag}=/flag`], { [variable]: "/given" }).inputs;
    assert.equal(both[name], "/flag", `-${flag}`);
  }
  for (const [variable, flag, phase, since, name] of SWITCHES) {
    const api = `0.${since}`;
    assert.equal(read(phase, api, [], { [variable]: "true" }).inputs[name], true, variable);
    assert.equal(
      read(phase, api, [`-${flag}=false`], { [variable]: "1" }).inputs[name],
      false,
      flag,
    );
  }
  const ids = { CNB_USER_ID: "7", CNB_GROUP_ID: "8" };
  const { uid, gid } = read("extend", "0.12", ["-gid=9"], ids).inputs;
  assert.deepEqual([uid, gid], [7, 9]);
  const only: [string, keyof typeof INPUTS][] = [
    ["CNB_EXEC_ENV", "execEnv"],
    ["CNB_DEPRECATION_MODE", "deprecationMode"],
    ["CNB_EXPERIMENTAL_MODE", "experimentalMode"],
  ];
  for (const [variable, name] of only) {
    assert.equal(read("detect", "0.15", [], { [variable]: "x" }).inputs[name], "x");
  }
  // No row of the code is without one here.
  const known = new Set([...TABLE, ...SWITCHES].map(([, , , , name]) => name as string));
  const rest = Object.keys(INPUTS).filter((name) => !known.has(name)).sort();
  assert.deepEqual(rest, [
    "deprecationMode",
    "execEnv",
    "experimentalMode",
    "gid",
    "insecureRegistries",
    "kanikoCacheTtl",
    "launcherPath",
    "launcherSbomDir",
    "oldRunImage",
    "tags",
    "uid",
  ]);
});
