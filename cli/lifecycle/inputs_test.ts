import assert from "node:assert/strict";
import { flagsOf, readInputs } from "./inputs.ts";
import type { PhaseName } from "./inputs_table.ts";

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
  ];
  for (const [words, env, want] of rows) {
    assert.equal(read("detect", "0.13", words, env).inputs.layersDir, want);
  }
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
