import assert from "node:assert/strict";
import fc from "../../registry/oci/property_testing.ts";
import type { BuildpackLayers, LayerMetadata } from "../file/lifecycle_metadata.ts";
import { decideContents, decideMetadata } from "./restore_decide.ts";

const SHA = "sha256:" + "a".repeat(64);

function layer(flags: string, sha = SHA): LayerMetadata {
  const on = (letter: string) => flags.includes(letter);
  return { sha, data: null, launch: on("l"), build: on("b"), cache: on("c") };
}

function side(one: LayerMetadata | undefined): BuildpackLayers | undefined {
  return one && { key: "bp", version: "1", layers: { x: one } };
}

/** How the TOML of `x` comes back: `app`, `cache` or nothing. */
function from(
  app: LayerMetadata | undefined,
  cache: LayerMetadata | undefined,
  launchMetadataFromCache: boolean,
): string {
  const [decision] = decideMetadata(side(app), side(cache), { launchMetadataFromCache });
  if (decision?.kind !== "restore") return "-";
  return decision.from === "cache" ? "cache" : "app";
}

/**
 * Table 8.4 with the flags of the last build, as its documents are after an ordinary export: the app image
 * lists launch layers, the cache lists cache layers. Columns: both known, only the app image, only the cache
 * below P0.14, only the cache from P0.14 on.
 */
const TABLE: readonly (readonly [string, string, string, string, string])[] = [
  ["", "-", "-", "-", "-"],
  ["l", "app", "app", "-", "-"],
  ["b", "-", "-", "-", "-"],
  ["c", "cache", "-", "cache", "cache"],
  ["lb", "-", "-", "-", "-"],
  ["lc", "app", "-", "-", "cache"],
  ["bc", "cache", "-", "cache", "cache"],
  ["lbc", "app", "-", "-", "cache"],
];

for (const [flags, both, app, old, now] of TABLE) {
  Deno.test(`8.4 metadata of a layer with flags "${flags}"`, () => {
    const launch = flags.includes("l") ? layer(flags) : undefined;
    const cached = flags.includes("c") ? layer(flags) : undefined;
    for (const can of [false, true]) {
      assert.equal(from(launch, cached, can), both, `both, launchMetadataFromCache=${can}`);
      assert.equal(from(launch, undefined, can), app, `app only, launchMetadataFromCache=${can}`);
    }
    assert.equal(from(undefined, cached, false), old, "cache only below P0.14");
    assert.equal(from(undefined, cached, true), now, "cache only from P0.14");
  });
}

Deno.test("RE-8 an app layer with flags of every kind, whatever the cache says of it", () => {
  // The label of a foreign tool may list any layer: only launch layers come back from it.
  for (const flags of ["", "b", "c", "bc"]) {
    assert.equal(from(layer(flags), undefined, true), "-", flags);
  }
  // In the cache's document, but no cache layer there.
  assert.equal(from(layer("lc"), layer("l"), true), "-");
  assert.equal(from(layer("l"), layer("l"), true), "app");
});

Deno.test("RE-9 a cache layer that is no launch layer wins over a launch layer of its name", () => {
  assert.equal(from(layer("l"), layer("c"), true), "cache");
});

/**
 * 23.2: flags; then what happens to TOML and contents with both sides equal, with another sha in the cache, with the
 * app image alone, and with the cache alone below P0.14 and from it on. `app+` is the app image's TOML and the cache's
 * contents, `app-` its TOML removed again with its directory, `app` TOML without contents.
 */
const SHAS: readonly (readonly [string, string, string, string, string, string])[] = [
  ["", "-", "-", "-", "-", "-"],
  ["l", "app", "app", "app", "-", "-"],
  ["b", "-", "-", "-", "-", "-"],
  ["c", "cache+", "cache+", "-", "cache+", "cache+"],
  ["lb", "-", "-", "-", "-", "-"],
  ["lc", "app+", "app-", "-", "-", "cache+"],
  ["bc", "cache+", "cache+", "-", "cache+", "cache+"],
  ["lbc", "app+", "app-", "-", "-", "cache+"],
];

for (const [flags, equal, differs, app, old, now] of SHAS) {
  Deno.test(`23.2 8.4 TOML and contents of a layer with flags "${flags}"`, () => {
    const launch = flags.includes("l") ? layer(flags) : undefined;
    const cached = flags.includes("c") ? layer(flags) : undefined;
    const other = cached && { ...cached, sha: "sha256:" + "b".repeat(64) };
    const told = (a: typeof launch, c: typeof launch, can: boolean) => {
      const [decision] = decideMetadata(side(a), side(c), { launchMetadataFromCache: can });
      if (decision?.kind !== "restore") return "-";
      const { kind } = decideContents(decision.layer.sha, c);
      const from = decision.from === "cache" ? "cache" : "app";
      return from + { restore: "+", remove: "-", leave: "" }[kind];
    };
    for (const can of [false, true]) {
      assert.equal(told(launch, cached, can), equal, `equal ${can}`);
      assert.equal(told(launch, other, can), differs, `differs ${can}`);
      assert.equal(told(launch, undefined, can), app, `app ${can}`);
    }
    assert.equal(told(undefined, cached, false), old, "cache only below P0.14");
    assert.equal(told(undefined, cached, true), now, "cache only");
  });
}

Deno.test("RE-13 without a cache only launch layers that are not cached come back", () => {
  assert.equal(from(layer("l"), undefined, true), "app");
  assert.equal(from(layer("lc"), undefined, true), "-");
});

Deno.test("RE-10 RE-12 contents follow the cache's sha", () => {
  assert.deepEqual(decideContents(SHA, layer("c")), { kind: "restore", sha: SHA });
  assert.deepEqual(decideContents("sha256:other", layer("c")), {
    kind: "remove",
    why: "wrong sha",
  });
  assert.deepEqual(decideContents(undefined, layer("c")), { kind: "remove", why: "wrong sha" });
  assert.deepEqual(decideContents(SHA, layer("l")), { kind: "leave" });
  assert.deepEqual(decideContents(SHA, undefined), { kind: "leave" });
});

Deno.test("RE-21 names that are no file names of a layer are left out", () => {
  for (const name of ["..", ".", "a/b", "../../etc", "", "store", "launch", "build", "a\0b"]) {
    const app = { key: "bp", version: "1", layers: { [name]: layer("l") } };
    const [decision] = decideMetadata(app, undefined, { launchMetadataFromCache: true });
    assert.equal(decision?.kind, "skip", name);
  }
});

Deno.test("names of JavaScript's own objects are ordinary layer names", () => {
  const app = { key: "bp", version: "1", layers: { constructor: layer("l") } };
  const decisions = decideMetadata(app, { key: "bp", version: "1", layers: {} }, {
    launchMetadataFromCache: true,
  });
  assert.deepEqual(decisions.map(({ name, kind }) => [name, kind]), [["constructor", "restore"]]);
});

const anyLayer = fc.option(
  fc.record({
    sha: fc.constantFrom("sha256:1", "sha256:2"),
    data: fc.constant(null),
    launch: fc.boolean(),
    build: fc.boolean(),
    cache: fc.boolean(),
  }),
  { nil: undefined },
);

Deno.test("8.4 property: what is restored is launch or cache, and from the side that has it so", () => {
  fc.assert(fc.property(anyLayer, anyLayer, fc.boolean(), (app, cache, can) => {
    const [decision] = decideMetadata(side(app), side(cache), { launchMetadataFromCache: can });
    if (decision?.kind !== "restore") return;
    if (decision.from === "cache") {
      assert.ok(cache?.cache);
      assert.equal(decision.layer, cache);
      assert.ok(!cache.launch || (can && app === undefined));
    } else {
      assert.ok(app?.launch);
      assert.equal(decision.layer, app);
      assert.ok(!app.build || app.cache, "launch+build layers are made again");
      assert.ok(!app.cache || cache?.cache, "a cached layer without its cache is made again");
    }
  }));
});

Deno.test("8.4 property: contents come only for metadata with the cache's own sha", () => {
  fc.assert(fc.property(anyLayer, anyLayer, fc.boolean(), (app, cache, can) => {
    const [decision] = decideMetadata(side(app), side(cache), { launchMetadataFromCache: can });
    const sha = decision?.kind === "restore" ? decision.layer.sha : undefined;
    const contents = decideContents(sha, cache);
    if (contents.kind === "restore") assert.ok(cache?.cache && sha === cache.sha);
    if (cache?.cache && sha !== cache.sha) assert.equal(contents.kind, "remove");
  }));
});

Deno.test("8.4 property: a newer platform API only ever brings back more", () => {
  fc.assert(fc.property(anyLayer, anyLayer, (app, cache) => {
    if (from(app, cache, false) !== "-") {
      assert.equal(from(app, cache, true), from(app, cache, false));
    }
  }));
});

/**
 * The whole of 8.4 by documents, not by what an export would have written: both sides give the layer the same
 * flags. A row is a set of flags; the columns are who has it (a app, c cache; = equal sha, ! another) and the
 * platform API. A cell is whose metadata comes (A app, C cache, - none) and what becomes of a directory
 * (r restored, x removed, . left alone).
 */
const MATRIX = `
      a.13 a.14 c.13 c.14 a=c.13 a=c.14 a!c.13 a!c.14
-     -.   -.   -.   -.   -.     -.     -.     -.
l     A.   A.   -.   -.   A.     A.     A.     A.
b     -.   -.   -.   -.   -.     -.     -.     -.
c     -.   -.   Cr   Cr   Cr     Cr     Cr     Cr
lb    -.   -.   -.   -.   -.     -.     -.     -.
lc    -.   -.   -x   Cr   Ar     Ar     Ax     Ax
bc    -.   -.   Cr   Cr   Cr     Cr     Cr     Cr
lbc   -.   -.   -x   Cr   Ar     Ar     Ax     Ax
`;

const [heads = [], ...rows] = MATRIX.trim().split("\n").map((line) => line.trim().split(/ +/));
for (const [flags = "", ...cells] of rows) {
  heads.forEach((head, at) => {
    Deno.test(`8.4 ${flags} ${head}: ${cells[at]}`, () => {
      const [sides = "", api] = head.split(".");
      const app = sides.includes("a") ? layer(flags) : undefined;
      const cache = sides.includes("c")
        ? layer(flags, sides.includes("!") ? "sha256:other" : SHA)
        : undefined;
      const [decision] = decideMetadata(side(app), side(cache), {
        launchMetadataFromCache: api === "14",
      });
      const restored = decision?.kind === "restore" ? decision : undefined;
      const contents = decideContents(restored?.layer.sha, cache).kind;
      const seen = (restored ? restored.from === "cache" ? "C" : "A" : "-") +
        { restore: "r", remove: "x", leave: "." }[contents];
      assert.equal(seen, cells[at]);
    });
  });
}
