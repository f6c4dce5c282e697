import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { digestOf, parseDigest } from "../../registry/oci/digest.ts";
import type { Cache } from "../cache/cache.ts";
import { openDirCache } from "../cache/dir_cache.ts";
import { exportImage } from "./export.ts";
import {
  counting,
  exportInput,
  memoryStore,
  recordingContext,
  sampleBuild,
  writeTree,
} from "./export_testing.ts";
import { tempDir } from "../../registry/temp_testing.ts";

/** A finished build with a cache directory. */
async function scene() {
  const dir = await tempDir();
  await sampleBuild(dir.path);
  await Deno.mkdir(`${dir.path}/cache`);
  const place = `${dir.path}/cache`;
  return {
    root: dir.path,
    place,
    cache: await openDirCache(place),
    names: () => [...Deno.readDirSync(place)].map(({ name }) => name).sort(),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

/** `cache` with some of it replaced. */
function changed(cache: Cache, change: Partial<Cache>): Cache {
  return {
    name: cache.name,
    metadata: () => cache.metadata(),
    layer: (...all) => cache.layer(...all),
    draft: (...all) => cache.draft(...all),
    spool: () => cache.spool!(),
    close: () => cache.close(),
    ...change,
  };
}

const SETTLED = ["committed", "wherry.lock"];

Deno.test("12 EX-5 a layer for image and cache is read once: the cache gets the bytes the image was made of", async () => {
  for (const parallel of [false, true]) {
    for (const compression of ["gzip", "zstd"] as const) {
      await using at = await scene();
      const deps = `${at.root}/layers/samples_java/deps`;
      const cache = changed(at.cache, {
        async draft(signal) {
          await Deno.writeTextFile(`${deps}/a.jar`, "not what is in the image");
          return await at.cache.draft(signal);
        },
      });
      const { ctx, lines } = recordingContext();
      const input = exportInput(at.root, memoryStore(), memoryRegistry(), { cache });
      const { layers } = await exportImage({ ...input, compression, parallel }, ctx);
      const { deps: saved } = (await at.cache.metadata()).buildpacks[0]!.layers;
      assert.equal(saved!.sha, layers.find(({ id }) => id === "samples/java:deps")!.diffId);
      const tar = await Deno.readFile(`${at.place}/committed/${saved!.sha}.tar`);
      assert.equal(digestOf(tar), saved!.sha);
      assert.deepEqual(at.names(), SETTLED);
      assert.deepEqual(lines.filter((line) => line.includes("cache layer")), [
        "Adding cache layer 'samples/java:deps'",
        "Adding cache layer 'samples/java:m2'",
      ]);
    }
  }
});

Deno.test("12 a tar that was read once is the one that two readings give", async () => {
  await using one = await scene();
  await using two = await scene();
  const twice = changed(two.cache, { spool: () => Promise.reject(new Error("none here")) });
  for (const { root, cache } of [one, { root: two.root, cache: twice }]) {
    const files: Record<string, string> = {};
    for (let at = 0; at < 30; at++) {
      files[`layers/samples_java/deps/${at}`] = `${at} `.repeat(33_333 * at);
    }
    await writeTree(root, files);
    await exportImage(
      exportInput(root, memoryStore(), memoryRegistry(), { cache }),
      quietContext(),
    );
  }
  const saved = async ({ place }: { readonly place: string }) => {
    const names = [...Deno.readDirSync(`${place}/committed`)].map(({ name }) => name).sort();
    return await Promise.all(names.map(async (name) => [
      name,
      digestOf(await Deno.readFile(`${place}/committed/${name}`)),
    ]));
  };
  assert.deepEqual(await saved(one), await saved(two));
});

Deno.test("SV-3 an export that fails leaves nothing of its tars in the cache", async () => {
  for (const parallel of [false, true]) {
    await using at = await scene();
    const to = counting(memoryRegistry(), () => true);
    const input = exportInput(at.root, memoryStore(), to, { cache: at.cache, parallel });
    await assert.rejects(exportImage(input, quietContext()));
    await at.cache.close();
    assert.deepEqual(at.names(), SETTLED);
    if (parallel) continue; // the cache may have been whole before the push failed
    assert.deepEqual((await at.cache.metadata()).buildpacks, []);
    assert.deepEqual([...Deno.readDirSync(`${at.place}/committed`)], []);
  }
});

Deno.test("SV-3 a tar that cannot be written while the image is made is written after it", async () => {
  const full = () => {
    throw new Error("disk full");
  };
  const spools: Record<string, NonNullable<Cache["spool"]>> = {
    "none can be started": () => Promise.reject(new Error("disk full")),
    "it ends in the middle": () => Promise.resolve({ write: full, drop: () => Promise.resolve() }),
    "it is gone": () => Promise.resolve({ write: () => {}, drop: () => Promise.resolve() }),
  };
  for (const [what, spool] of Object.entries(spools)) {
    await using at = await scene();
    const { ctx, lines } = recordingContext();
    const cache = changed(at.cache, { spool });
    await exportImage(exportInput(at.root, memoryStore(), memoryRegistry(), { cache }), ctx);
    const { deps } = (await at.cache.metadata()).buildpacks[0]!.layers;
    assert.ok(await (await openDirCache(at.place)).layer(parseDigest(deps!.sha)), what);
    assert.deepEqual(lines.filter((line) => line.includes("Warning")), [], what);
  }
});

Deno.test("CA-3 what may be in the cache already is not written beside it", async () => {
  await using at = await scene();
  let started = 0;
  const cache = changed(at.cache, {
    spool: () => {
      started++;
      return at.cache.spool!();
    },
  });
  const run = async () => {
    const { ctx, lines } = recordingContext();
    await exportImage(exportInput(at.root, memoryStore(), memoryRegistry(), { cache }), ctx);
    return lines.filter((line) => line.includes("cache layer"));
  };
  await run();
  assert.equal(started, 1, "m2 is for the cache alone");
  assert.deepEqual(await run(), [
    "Reusing cache layer 'samples/java:deps'",
    "Reusing cache layer 'samples/java:m2'",
  ]);
  assert.equal(started, 1);
});

Deno.test("CA-3 a layer that changed is written while the image is made", async () => {
  await using at = await scene();
  const store = memoryStore();
  const to = memoryRegistry();
  await exportImage(exportInput(at.root, store, to, { cache: at.cache }), quietContext());
  await writeTree(at.root, { "layers/samples_java/deps/a.jar": "another" });
  let started = 0;
  const cache = changed(at.cache, {
    spool: () => {
      started++;
      return at.cache.spool!();
    },
  });
  await exportImage(exportInput(at.root, store, to, { cache }), quietContext());
  assert.equal(started, 1);
  assert.deepEqual(at.names(), SETTLED);
  assert.equal([...Deno.readDirSync(`${at.place}/committed`)].length, 3);
});
