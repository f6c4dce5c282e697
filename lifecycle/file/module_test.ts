import assert from "node:assert/strict";
import { escapeId, inExecEnv, isModuleId, moduleName } from "./module.ts";

Deno.test("BPT-2 what may be an id", () => {
  for (const id of ["a", "A.b-9", "samples/go", "a/b/c", "configs"]) assert.ok(isModuleId(id), id);
  for (
    const id of [
      "",
      "config",
      "app",
      "generated",
      "sbom",
      "a b",
      "a_b",
      "ä",
      "..",
      "a/../b",
      "/a",
      "a/",
      "a//b",
      "a\n",
    ]
  ) assert.ok(!isModuleId(id), JSON.stringify(id));
});

Deno.test("3 an escaped id has every / replaced", () => {
  assert.equal(escapeId("a/b/c"), "a_b_c");
});

Deno.test("a module is named id@version", () => {
  assert.equal(moduleName({ id: "a/b", version: "1" }), "a/b@1");
  assert.equal(moduleName({ id: "a/b", version: "" }), "a/b");
});

Deno.test("DT-12 nothing and * are for every execution environment", () => {
  assert.ok(inExecEnv([], "test"));
  assert.ok(inExecEnv(["*"], "test"));
  assert.ok(inExecEnv(["production", "test"], "test"));
  assert.ok(!inExecEnv(["production"], "test"));
});
