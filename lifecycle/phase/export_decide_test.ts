import assert from "node:assert/strict";
import { decideCached, decideLaunch } from "./export_decide.ts";

const SHA = "sha256:" + "a".repeat(64);
const REUSE_NOTHING = "cannot reuse 'bp:x', previous image has no metadata for layer 'bp:x'";
const NO_CONTENTS = "layer 'bp:x' is cache=true but has no contents";

/** Flags; then what happens with directory and previous, without directory with and without previous; cache. */
const TABLE: readonly (readonly [string, string, string, string, string, string])[] = [
  ["", "none", "none", "none", "none", "none"],
  ["l", "make", "reuse", REUSE_NOTHING, "none", "none"],
  ["b", "none", "none", "none", "none", "none"],
  ["c", "none", "none", "none", "cache", "warn"],
  ["lb", "make", "reuse", REUSE_NOTHING, "none", "none"],
  ["lc", "make", NO_CONTENTS, NO_CONTENTS, "cache", "warn"],
  ["bc", "none", "none", "none", "cache", "warn"],
  ["lbc", "make", NO_CONTENTS, NO_CONTENTS, "cache", "warn"],
];

for (const [flags, there, known, unknown, cached, empty] of TABLE) {
  Deno.test(`EX-6 EX-7 export of a layer with flags "${flags}"`, () => {
    const types = {
      launch: flags.includes("l"),
      build: flags.includes("b"),
      cache: flags.includes("c"),
    };
    const previous = { sha: SHA, data: null, launch: true, build: false, cache: false };
    const told = (hasDirectory: boolean, before: typeof previous | undefined) => {
      const decision = decideLaunch("bp:x", types, hasDirectory, before);
      return decision.kind === "fail" ? decision.why : decision.kind;
    };
    assert.equal(told(true, previous), there);
    assert.equal(told(true, undefined), there);
    assert.equal(told(false, previous), known);
    assert.equal(told(false, undefined), unknown);
    assert.equal(told(false, { ...previous, sha: "" }), unknown);
    assert.equal(decideCached(types, true), cached);
    assert.equal(decideCached(types, false), empty);
  });
}

Deno.test("EX-6 the previous image's diffID is the candidate", () => {
  const types = { launch: true, build: false, cache: false };
  const previous = { sha: SHA, data: null, ...types };
  assert.deepEqual(decideLaunch("bp:x", types, true, previous), { kind: "make", candidate: SHA });
  assert.deepEqual(decideLaunch("bp:x", types, false, previous), { kind: "reuse", sha: SHA });
});
