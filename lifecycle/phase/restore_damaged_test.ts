/** CA-5 while layers are hashed on their way to the disk: nothing of a damaged one stays, and the restore goes on. */
import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { type Sample, tarOf } from "../../registry/layer/tar_testing.ts";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import type { Cache } from "../cache/cache.ts";
import { openDirCache } from "../cache/dir_cache.ts";
import { LifecycleError } from "../error.ts";
import { EMPTY_METADATA } from "./analyze_types.ts";
import { recordingContext } from "./export_testing.ts";
import { compiledHelper } from "../sandbox/helper_testing.ts";
import { restore } from "./restore.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const GROUP = [{ id: "some/bp", version: "1", api: "0.10", homepage: "" }];
const OWN = "/layers/some_bp";

/** A layer `name` with a read-only directory, a large file and a small one at the end. */
function layerTar(name: string, ...more: readonly Sample[]): Uint8Array<ArrayBuffer> {
  return tarOf(
    { name: "/layers", type: "directory", mode: 0o755 },
    { name: OWN, type: "directory", mode: 0o755 },
    { name: `${OWN}/${name}`, type: "directory", mode: 0o755 },
    { name: `${OWN}/${name}/locked`, type: "directory", mode: 0o500 },
    { name: `${OWN}/${name}/locked/large`, text: "0123456789abcde\n".repeat(40_000) },
    ...more,
    { name: `${OWN}/${name}/last`, text: "last" },
  );
}

/** A cache of the layers `a`, `b` and `c`; the file of `b` holds `bytes`, whatever its name says. */
async function scene(
  bytes: (whole: Uint8Array<ArrayBuffer>) => Uint8Array,
  whole = layerTar("b"),
) {
  const dir = await tempDir();
  await Deno.mkdir(`${dir.path}/cache`);
  await Deno.mkdir(`${dir.path}/layers`);
  const cache = await openDirCache(`${dir.path}/cache`);
  const draft = await cache.draft();
  const layers: Record<string, { sha: Digest; data: null } & Record<string, unknown>> = {};
  for (const name of ["a", "b", "c"]) {
    const tar = name === "b" ? whole : layerTar(name);
    const sha = await draft.add(async (sink) => {
      await sink.write(tar);
      return digestOf(tar);
    });
    layers[name] = { sha, data: null, launch: false, build: true, cache: true };
  }
  await draft.commit({
    sbom: { sha: "" },
    buildpacks: [{ key: "some/bp", version: "1", layers: layers as never }],
  });
  const file = `${dir.path}/cache/committed/${layers["b"]!.sha}.tar`;
  await Deno.writeFile(file, bytes(whole));
  return {
    root: dir.path,
    sha: layers["b"]!.sha,
    own: `${dir.path}/layers/some_bp`,
    cache: await openDirCache(`${dir.path}/cache`),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

/** With the helper and without: nobody is to see a difference. */
const WAYS = { "by the helper": await compiledHelper(), "by itself": undefined };

async function run(root: string, cache: Cache, ctx = quietContext(), helper?: string) {
  return await restore({
    group: GROUP,
    app: EMPTY_METADATA,
    cache,
    layers: { inside: "/layers", outside: `${root}/layers` },
    capability: { launchMetadataFromCache: true },
    forLater: true,
    helper,
  }, ctx);
}

const names = (directory: string) =>
  [...Deno.readDirSync(directory)].map(({ name }) => name).sort();

function flipped(whole: Uint8Array<ArrayBuffer>, at: number): Uint8Array {
  const bytes = whole.slice();
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  return bytes;
}

const DAMAGES: Readonly<Record<string, (whole: Uint8Array<ArrayBuffer>) => Uint8Array>> = {
  "a bit of the first header": (whole) => flipped(whole, 3),
  "a bit in the middle of a file": (whole) => flipped(whole, 300_000),
  "a bit of the last file": (whole) => flipped(whole, -3 * 512),
  "a bit behind the end": (whole) => flipped(whole, -1),
  "its end is cut off": (whole) => whole.slice(0, -1024),
  "cut in the middle": (whole) => whole.slice(0, 400_000),
  "bytes behind it": (whole) => new Uint8Array([...whole, ...new Uint8Array(512)]),
  "nothing": () => new Uint8Array(),
  "another layer": () => layerTar("b", { name: `${OWN}/b/evil`, text: "x" }),
  "of another name": () => layerTar("c"),
};

for (const [way, helper] of Object.entries(WAYS)) {
  Deno.test(`CA-5 RE-11 nothing of a damaged layer stays on disk; the others come back, ${way}`, async () => {
    for (const [what, damage] of Object.entries(DAMAGES)) {
      await using at = await scene(damage);
      const { ctx, lines } = recordingContext();
      const result = await run(at.root, at.cache, ctx, helper);
      assert.deepEqual(names(at.own), ["a", "a.toml", "b.toml", "c", "c.toml"], what);
      assert.deepEqual(result.contents.toSorted(), ["some/bp:a", "some/bp:c"], what);
      assert.deepEqual(result.written.map(({ id }) => id).sort(), ["some/bp:a", "some/bp:c"], what);
      assert.deepEqual(names(`${at.own}/c`), ["last", "locked"], what);
      const found = digestOf(await Deno.readFile(`${at.root}/cache/committed/${at.sha}.tar`));
      assert.deepEqual(lines.filter((line) => line.startsWith("Warning")), [
        `Warning: Skipping restore for layer some/bp:b: expected layer contents to have SHA '${at.sha}'; found '${found}'`,
      ], what);
      assert.ok(!lines.includes('Restoring data for "some/bp:b" from cache'), what);
    }
  });

  Deno.test(`CA-5 what lay in the place of a damaged layer goes too, ${way}`, async () => {
    await using at = await scene((whole) => flipped(whole, -3 * 512));
    await Deno.mkdir(`${at.own}/b/of-old`, { recursive: true });
    await run(at.root, at.cache, quietContext(), helper);
    assert.deepEqual(names(at.own), ["a", "a.toml", "b.toml", "c", "c.toml"]);
  });

  Deno.test(`RE-19 RE-20 a sound layer is read once, with its modes, and not hashed again, ${way}`, async () => {
    await using at = await scene((whole) => whole);
    let asked = 0;
    const { cache } = at;
    const counted: Cache = {
      name: cache.name,
      metadata: () => cache.metadata(),
      layer: (...all) => {
        asked++;
        return cache.layer(...all);
      },
      unchecked: (diffId) => cache.unchecked!(diffId),
      draft: (...all) => cache.draft(...all),
      close: () => cache.close(),
    };
    const result = await run(at.root, counted, quietContext(), helper);
    assert.equal(result.contents.length, 3);
    assert.equal(asked, 0);
    assert.equal((await Deno.stat(`${at.own}/b/locked`)).mode! & 0o777, 0o500);
    // Known to be whole: from now on it is believed, as it was after the check.
    await Deno.writeTextFile(`${at.root}/cache/committed/${at.sha}.tar`, "x");
    assert.ok(await cache.layer(at.sha));
  });

  Deno.test(`RE-21 X-11 an archive that is whole but not to be had is a warning, and leaves nothing, ${way}`, async () => {
    const evil = layerTar("b", { name: `${OWN}/c/evil`, text: "x" });
    await using at = await scene((whole) => whole, evil);
    const { ctx, lines } = recordingContext();
    const result = await run(at.root, at.cache, ctx, helper);
    assert.deepEqual(result.contents.toSorted(), ["some/bp:a", "some/bp:c"]);
    assert.deepEqual(names(at.own), ["a", "a.toml", "b.toml", "c", "c.toml"]);
    const warnings = lines.filter((line) => line.startsWith("Warning"));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /some\/bp:b: Cannot restore .*lies outside/);
  });
}

Deno.test("CA-5 RE-5 a restore that ends in the middle of a layer leaves nothing that was not checked", async () => {
  for (const stopped of [false, true]) {
    await using at = await scene((whole) => whole);
    const stop = new AbortController();
    const half = (await Deno.readFile(`${at.root}/cache/committed/${at.sha}.tar`)).slice(
      0,
      300_000,
    );
    let pulls = 0;
    const stream = () =>
      new ReadableStream({
        async pull(controller) {
          if (pulls++ === 0) return controller.enqueue(half);
          assert.deepEqual(names(`${at.own}/b`), ["locked"], "it is being written");
          await Promise.resolve();
          if (stopped) stop.abort(new Error("stop"));
          controller.error(new Deno.errors.Interrupted("the disk fails"));
        },
      }, { highWaterMark: 0 });
    const { cache } = at;
    const failing: Cache = {
      name: cache.name,
      metadata: () => cache.metadata(),
      layer: (...all) => cache.layer(...all),
      unchecked: async (diffId) => {
        const there = await cache.unchecked!(diffId);
        if (diffId !== at.sha) return there;
        return { ...there, tar: { size: half.length, open: () => Promise.resolve(stream()) } };
      },
      draft: (...all) => cache.draft(...all),
      close: () => cache.close(),
    };
    const error = await run(at.root, failing, quietContext({ signal: stop.signal })).then(
      () => assert.fail("it succeeded"),
      (error) => error,
    );
    if (stopped) assert.match(String(error), /stop/);
    else assert.ok(error instanceof LifecycleError && error.exitCode === 42, String(error));
    assert.ok(!names(at.own).includes("b"));
  }
});
