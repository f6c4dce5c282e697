import assert from "node:assert/strict";
import fc from "../../registry/oci/property_testing.ts";
import type { BuildPlan, BuildPlanOption } from "../file/build_plan.ts";
import { requiresFor, withoutMet } from "./entries.ts";
import { type Candidate, resolve } from "./resolve.ts";

const need = (name: string) => ({ name, metadata: {} });

/** `+a -b | +c`: provides a and requires b, or provides c. A leading `?` makes it optional. */
function member(id: string, text: string): Candidate {
  const optional = text.startsWith("?");
  const options = text.replace(/^\?/, "").split("|").map((part): BuildPlanOption => {
    const words = part.split(" ").filter((word) => word !== "");
    return {
      provides: words.filter((word) => word.startsWith("+")).map((word) => word.slice(1)),
      requires: words.filter((word) => word.startsWith("-")).map((word) => need(word.slice(1))),
    };
  });
  const plan: BuildPlan = { ...options[0]!, or: options.slice(1) };
  return { id, version: "1", optional, extension: false, plan };
}

/** Ids that take part, or undefined. */
function outcome(...texts: string[]): string | undefined {
  const candidates = texts.map((text, at) => member(String.fromCharCode(97 + at), text));
  const { members } = resolve(candidates);
  return members?.map((at) => candidates[at]!.id).join("");
}

Deno.test("DT-20 one trial: what is met, unmet, used and unused", () => {
  const rows: [string, string[], string | undefined][] = [
    ["nothing wanted", ["", ""], "ab"],
    ["one provides, the next requires", ["+x", "-x"], "ab"],
    ["a member may use its own", ["+x -x"], "a"],
    ["provides of a member come before its requires", ["-x +x"], "a"],
    ["required before it is provided", ["-x", "+x"], undefined],
    ["unused", ["+x"], undefined],
    ["unmet", ["-x"], undefined],
    ["unused but optional", ["?+x", ""], "b"],
    ["unmet but optional", ["", "?-x"], "a"],
    ["dropping one drops its provider", ["?+x", "?-x -y", ""], "c"],
    ["dropping one makes another unmet", ["?+x -z", "-x"], undefined],
    ["two providers share a require", ["+x", "+x", "-x"], "abc"],
    ["a provider after the last require is unused", ["+x", "-x", "+x"], undefined],
    ["a provider between requires is used", ["+x", "-x", "+x", "-x"], "abcd"],
    ["all optional and nothing left", ["?+x"], undefined],
    ["nobody at all", [], undefined],
  ];
  for (const [why, texts, want] of rows) assert.equal(outcome(...texts), want, why);
});

Deno.test("DT-19 alternatives, the last member varying fastest", () => {
  assert.equal(outcome("+x | +y", "-y"), "ab");
  assert.equal(outcome("+x | ", "-y | "), "ab");
  const { trials } = resolve([member("a", "+p|+q"), member("b", "-r|-s|-q")]);
  assert.deepEqual(trials.map(({ choice }) => choice), [
    [0, 0],
    [0, 1],
    [0, 2],
    [1, 0],
    [1, 1],
    [1, 2],
  ]);
  assert.deepEqual(trials.map(({ held }) => held), [false, false, false, false, false, true]);
});

Deno.test("DT-19 an optional member is optional with its last alternative only", () => {
  // With its first alternative it counts as required, so that trial fails and the next is made.
  const { members, trials } = resolve([member("a", "?+x | +y"), member("b", "")]);
  assert.deepEqual(members, [1]);
  assert.deepEqual(trials.map(({ steps }) => steps.map(({ kind, name }) => `${kind} ${name}`)), [
    ["fail x"],
    ["skip y"],
  ]);
  assert.equal(outcome("?+x |", ""), "ab");
});

Deno.test("DT-19 a search that would never end is given up", () => {
  const many = Array.from({ length: 20 }, (_, at) => member(`b${at}`, "+a|+b|+c"));
  assert.throws(() => resolve(many), { name: "RangeError", message: /more than 100000/ });
});

Deno.test("DT-22 the plan: one entry a name, providers and requires in order, sorted by name", () => {
  const { plan } = resolve([
    member("a", "+z +b"),
    member("b", "-b +z"),
    { ...member("c", "-z -b"), extension: true },
    member("d", "-z"),
  ]);
  assert.deepEqual(
    plan.entries.map(({ providers, requires }) => [
      requires[0]?.name,
      providers.map(({ id }) => id).join(""),
      requires.length,
    ]),
    [["b", "a", 2], ["z", "ab", 2]],
  );
});

Deno.test("DT-23 a provider that is an extension is marked", () => {
  const { plan } = resolve([{ ...member("a", "+x"), extension: true }, member("b", "-x")]);
  assert.equal(plan.entries[0]?.providers[0]?.extension, true);
});

Deno.test("BPL-5 what a buildpack gets of the plan", () => {
  const { plan } = resolve([member("a", "+x +y"), member("b", "+y -x"), member("c", "-y -x")]);
  const names = (id: string) => requiresFor(plan, id).map(({ name }) => name);
  assert.deepEqual(names("a"), ["x", "x", "y"]);
  assert.deepEqual(names("b"), ["y"]);
  assert.deepEqual(names("c"), []);
  const left = withoutMet(plan, ["x"]);
  assert.deepEqual(left.entries.map(({ requires }) => requires[0]?.name), ["y"]);
});

const names = fc.subarray(["n0", "n1", "n2", "n3"]);
const option = fc.record({ provides: names, requires: names })
  .map(({ provides, requires }): BuildPlanOption => ({ provides, requires: requires.map(need) }));
const candidate = fc.record({
  optional: fc.boolean(),
  first: option,
  or: fc.array(option, { maxLength: 2 }),
}).map(({ optional, first, or }) => ({ optional, plan: { ...first, or } }));
const group = fc.array(candidate, { minLength: 1, maxLength: 5 }).map((list) =>
  list.map((one, at): Candidate => ({ id: `b${at}`, version: "1", extension: false, ...one }))
);

Deno.test("DT-21 renaming what is provided and required changes nothing", () => {
  const rename = (one: BuildPlanOption): BuildPlanOption => ({
    provides: one.provides.map((name) => `${9 - Number(name[1])}-${name}`).reverse(),
    requires: one.requires.map(({ name }) => need(`${9 - Number(name[1])}-${name}`)),
  });
  fc.assert(fc.property(group, (candidates) => {
    const other = candidates.map((one) => ({
      ...one,
      plan: { ...rename(one.plan), or: one.plan.or.map(rename) },
    }));
    assert.deepEqual(resolve(other).members, resolve(candidates).members);
  }));
});

Deno.test("DT-20 an optional member nobody needs never changes the rest", () => {
  fc.assert(fc.property(group, fc.nat(5), (candidates, at) => {
    const unused: Candidate = member("extra", "?+unused");
    const where = Math.min(at, candidates.length);
    const more = [...candidates.slice(0, where), unused, ...candidates.slice(where)];
    const ids = (list: readonly Candidate[]) => resolve(list).members?.map((one) => list[one]!.id);
    assert.deepEqual(ids(more), ids(candidates));
  }));
});

Deno.test("DT-20 what holds is sound: required members stay, all is met and used", () => {
  fc.assert(fc.property(group, (candidates) => {
    const { members, plan, trials } = resolve(candidates);
    if (members === undefined) return;
    const choice = trials.at(-1)!.choice;
    candidates.forEach((one, at) => {
      const last = choice[at] === one.plan.or.length;
      if (!members.includes(at)) assert.ok(one.optional && last);
    });
    const seen = new Set<string>();
    for (const at of members) {
      const one = candidates[at]!.plan;
      const want = choice[at] === 0 ? one : one.or[choice[at]! - 1]!;
      for (const name of want.provides) seen.add(name);
      for (const { name } of want.requires) assert.ok(seen.has(name));
    }
    for (const { providers, requires } of plan.entries) {
      assert.ok(providers.length > 0 && requires.length > 0);
    }
    assert.deepEqual(new Set(plan.entries.map(({ requires }) => requires[0]!.name)), seen);
  }));
});
