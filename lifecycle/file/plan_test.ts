import assert from "node:assert/strict";
import { EMPTY_BUILD_PLAN, formatBuildpackPlan, parseBuildPlan } from "./build_plan.ts";
import { formatGroupToml, parseGroupToml } from "./group_toml.ts";
import { formatPlanToml, parsePlanToml } from "./plan_toml.ts";

Deno.test("BPL-1 a build plan with alternatives", () => {
  const source = `[[provides]]
name = "node"

[[requires]]
name = "node"

[requires.metadata]
version = "~1"
big = 9007199254740993

[[or]]
[[or.provides]]
name = "bun"

[[or]]
`;
  const plan = parseBuildPlan(source, "x");
  assert.deepEqual(plan.provides, ["node"]);
  assert.equal(plan.requires[0]?.metadata.big, 9007199254740993n);
  assert.deepEqual(plan.or[0]?.provides, ["bun"]);
  assert.deepEqual(plan.or[1], { provides: [], requires: [] });
});

Deno.test("BPL-2 a top-level version is refused, wherever it is", () => {
  for (
    const source of [
      '[[requires]]\nname = "a"\nversion = "1"\n',
      '[[requires]]\nname = "a"\nversion = "1"\n[requires.metadata]\nversion = "1"\n',
      '[[or]]\n[[or.requires]]\nname = "a"\nversion = "1"\n',
    ]
  ) {
    assert.throws(() => parseBuildPlan(source, "plan"), {
      message: /^Cannot parse plan:[34]: the require "a" .* want it in metadata\.version$/,
    });
  }
});

Deno.test("BPL-4 an empty file is a plan of nothing", () => {
  assert.deepEqual(parseBuildPlan("", "x"), EMPTY_BUILD_PLAN);
});

Deno.test("BPL-5 the plan a buildpack is given", () => {
  const source = '[[requires]]\nname = "a"\n[requires.metadata]\nv = 1.0\n';
  const text = formatBuildpackPlan(parseBuildPlan(source, "x").requires);
  assert.equal(text, '[[entries]]\n  name = "a"\n  [entries.metadata]\n    v = 1.0\n');
  assert.equal(formatBuildpackPlan([]), "");
});

Deno.test("PLN-1 plan.toml", () => {
  const plan = {
    entries: [{
      providers: [{ id: "a", version: "1", extension: false }, {
        id: "e",
        version: "2",
        extension: true,
      }],
      requires: [{ name: "x", metadata: {} }],
    }],
  };
  const text = formatPlanToml(plan);
  assert.equal(text.match(/extension/g)?.length, 1);
  assert.deepEqual(parsePlanToml(text, "x"), plan);
});

Deno.test("GRP-1 group.toml never says optional", () => {
  const group = {
    group: [{ id: "a/b", version: "1", api: "0.10", homepage: "h" }],
    extensions: [{ id: "e", version: "1", api: "0.10", homepage: "" }],
  };
  const text = formatGroupToml(group);
  assert.match(text, /\[\[group-extensions\]\]/);
  assert.doesNotMatch(text, /optional/);
  assert.deepEqual(parseGroupToml(text, "x"), group);
});
