import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import type { Cache } from "../cache/cache.ts";
import { openDirCache } from "../cache/dir_cache.ts";
import { LifecycleError } from "../error.ts";
import type { LifecycleMetadata } from "../file/lifecycle_metadata.ts";
import { analyze } from "./analyze.ts";
import { exportImage } from "./export.ts";
import {
  counting,
  exportInput,
  memoryStore,
  recordingContext,
  SAMPLE_BUILD,
  sampleBuild,
  writeTree,
} from "./export_testing.ts";
import { restore } from "./restore.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const P014 = { launchMetadataFromCache: true };
const GROUP = SAMPLE_BUILD.buildpacks;

/** A first build with everything, and what the second build's analyze says of it. */
async function firstBuild(root: string) {
  await sampleBuild(root);
  await writeTree(root, {
    "layers/sbom/launch/samples_java/jre/sbom.cdx.json": '{"of":"jre"}',
    "layers/sbom/launch/samples_java/sbom.spdx.json": '{"of":"the buildpack"}',
    "layers/sbom/cache/samples_java/m2/sbom.syft.json": '{"of":"m2"}',
    "layers/samples_java/m2/private/key": "x",
  });
  await Deno.chmod(`${root}/layers/samples_java/m2`, 0o700);
  await Deno.mkdir(`${root}/cache`, { recursive: true });
  const cache = await openDirCache(`${root}/cache`);
  const to = counting(memoryRegistry());
  const store = memoryStore();
  const first = await exportImage(exportInput(root, store, to, { cache }), quietContext());
  return { to, store, first };
}

async function lookAt(root: string, to: ReturnType<typeof counting>) {
  return await analyze({
    previous: {
      registry: to,
      repository: "app",
      reference: "1",
      name: "registry.example/app:1",
      repositoryName: "registry.example/app",
    },
    run: exportInput(root, memoryStore(), to).run,
    platform: AMD64,
    owner: { uid: 1000, gid: 1000 },
    layers: { inside: "/layers", outside: `${root}/layers` },
  }, quietContext());
}

function text(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

Deno.test("8 a build finds again what it may, and exports the same image", async () => {
  await using dir = await tempDir();
  const { to, store, first } = await firstBuild(dir.path);
  await Deno.remove(`${dir.path}/layers`, { recursive: true });
  await Deno.mkdir(`${dir.path}/layers`);
  const { analyzed, previous, run } = await lookAt(dir.path, to);
  const cache = await openDirCache(`${dir.path}/cache`);
  const { ctx, lines } = recordingContext();
  const layers = { inside: "/layers", outside: `${dir.path}/layers` };
  const result = await restore(
    { group: GROUP, app: analyzed.metadata, cache, layers, capability: P014 },
    ctx,
  );
  assert.deepEqual(result.metadata, [
    "samples/java:deps",
    "samples/java:jre",
    "samples/java:m2",
  ]);
  assert.deepEqual(result.contents.toSorted(), ["samples/java:deps", "samples/java:m2"]);
  const bp = `${dir.path}/layers/samples_java`;
  assert.equal(
    text(`${bp}/jre.toml`),
    '[metadata]\n  big = 9007199254740993\n  version = "21"\n',
    "LAY-3: no types; no digit is lost",
  );
  assert.equal(text(`${bp}/jre/bin/java`), undefined, "RE-12: a launch layer has no contents");
  assert.equal(text(`${bp}/m2/private/key`), "x");
  assert.equal((await Deno.stat(`${bp}/m2`)).mode! & 0o777, 0o700);
  assert.equal(text(`${bp}/store.toml`), "[metadata]\n  seen = 1\n");
  assert.equal(text(`${bp}/jre.sbom.cdx.json`), '{"of":"jre"}');
  assert.equal(text(`${bp}/m2.sbom.syft.json`), '{"of":"m2"}');
  assert.equal(text(`${dir.path}/layers/sbom/launch/samples_java/jre/sbom.cdx.json`), undefined);
  assert.deepEqual(
    lines.toSorted(),
    [
      'Restoring data for "samples/java:deps" from cache',
      'Restoring data for "samples/java:m2" from cache',
      "Restoring data for SBOM from cache",
      'Restoring metadata for "samples/java:deps" from app image',
      'Restoring metadata for "samples/java:jre" from app image',
      'Restoring metadata for "samples/java:m2" from cache',
    ].toSorted(),
  );

  // The buildpack says its types again; jre has no directory and is reused by sha.
  await writeTree(dir.path, {
    "layers/samples_java/jre.toml":
      '[types]\nlaunch = true\n[metadata]\nversion = "21"\nbig = 9007199254740993\n',
    "layers/samples_java/deps.toml": "[types]\nlaunch = true\ncache = true\n",
    "layers/samples_java/m2.toml": "[types]\nbuild = true\ncache = true\n",
    "layers/config/metadata.toml": '[[processes]]\ntype = "web"\n',
    "layers/sbom/launch/samples_java/jre/sbom.cdx.json": '{"of":"jre"}',
    "layers/sbom/launch/samples_java/sbom.spdx.json": '{"of":"the buildpack"}',
    "layers/sbom/cache/samples_java/m2/sbom.syft.json": '{"of":"m2"}',
  });
  to.reset();
  const again = recordingContext();
  const second = await exportImage(
    exportInput(dir.path, store, to, {
      run,
      previous,
      previousMetadata: analyzed.metadata,
      cache,
    }),
    again.ctx,
  );
  assert.equal(second.image.raw.digest, first.image.raw.digest);
  assert.equal(to.bytes, 0);
  assert.deepEqual(again.lines.filter((line) => line.includes("cache layer")), [
    "Reusing cache layer 'samples/java:deps'",
    "Reusing cache layer 'samples/java:m2'",
    "Reusing cache layer 'buildpacksio/lifecycle:cache.sbom'",
  ]);
});

Deno.test("RE-7 with skip-layers only store.toml comes back", async () => {
  await using dir = await tempDir();
  const { to } = await firstBuild(dir.path);
  await Deno.remove(`${dir.path}/layers`, { recursive: true });
  await Deno.mkdir(`${dir.path}/layers`);
  const { analyzed } = await lookAt(dir.path, to);
  await restore({
    group: GROUP,
    app: analyzed.metadata,
    cache: await openDirCache(`${dir.path}/cache`),
    layers: { inside: "/layers", outside: `${dir.path}/layers` },
    skipLayers: true,
    capability: P014,
  }, quietContext());
  const names = [...Deno.readDirSync(`${dir.path}/layers/samples_java`)].map(({ name }) => name);
  assert.deepEqual(names, ["store.toml"]);
  assert.deepEqual([...Deno.readDirSync(`${dir.path}/layers`)].length, 1);
});

Deno.test("RE-15 buildpacks outside the group get nothing back", async () => {
  await using dir = await tempDir();
  const { to } = await firstBuild(dir.path);
  await Deno.remove(`${dir.path}/layers`, { recursive: true });
  await Deno.mkdir(`${dir.path}/layers`);
  const { analyzed } = await lookAt(dir.path, to);
  const result = await restore({
    group: [{ id: "samples/other", version: "1", api: "0.10", homepage: "" }],
    app: analyzed.metadata,
    cache: await openDirCache(`${dir.path}/cache`),
    layers: { inside: "/layers", outside: `${dir.path}/layers` },
    capability: P014,
  }, quietContext());
  assert.deepEqual(result, { metadata: [], contents: [], written: [] });
  assert.deepEqual([...Deno.readDirSync(`${dir.path}/layers`)], []);
});

Deno.test("RE-11 a damaged cache layer is a warning; its TOML stays, the rest is restored", async () => {
  await using dir = await tempDir();
  const { to } = await firstBuild(dir.path);
  const cache = await openDirCache(`${dir.path}/cache`);
  const { buildpacks } = await cache.metadata();
  const sha = buildpacks[0]!.layers["m2"]!.sha;
  await Deno.truncate(`${dir.path}/cache/committed/${sha}.tar`, 1000);
  await Deno.remove(`${dir.path}/layers`, { recursive: true });
  await Deno.mkdir(`${dir.path}/layers`);
  const { analyzed } = await lookAt(dir.path, to);
  const { ctx, lines } = recordingContext();
  const result = await restore({
    group: GROUP,
    app: analyzed.metadata,
    cache,
    layers: { inside: "/layers", outside: `${dir.path}/layers` },
    capability: P014,
  }, ctx);
  assert.deepEqual(result.contents, ["samples/java:deps"]);
  assert.ok(result.metadata.includes("samples/java:m2"));
  assert.ok(
    lines.some((line) => line.startsWith("Warning: Skipping restore for layer samples/java:m2: ")),
    lines.join("\n"),
  );
  assert.equal(text(`${dir.path}/layers/samples_java/m2.toml`)?.trim(), "");
});

Deno.test("RE-18 a lost SBOM layer of the cache is a warning", async () => {
  await using dir = await tempDir();
  await firstBuild(dir.path);
  const cache = await openDirCache(`${dir.path}/cache`);
  const { sbom } = await cache.metadata();
  await Deno.remove(`${dir.path}/cache/committed/${sbom.sha}.tar`);
  const { ctx, lines } = recordingContext();
  await restore({
    group: GROUP,
    app: EMPTY,
    cache,
    layers: { inside: "/layers", outside: `${dir.path}/layers` },
    capability: P014,
  }, ctx);
  assert.ok(lines.some((line) => line.startsWith("Warning: Skipping restore for SBOM: ")));
});

const EMPTY: LifecycleMetadata = {
  app: [],
  buildpacks: [],
  config: { sha: "" },
  launcher: { sha: "" },
  processTypes: { sha: "" },
  runImage: { topLayer: "", reference: "" },
};

/** A cache that says `sha` for layer `x` and holds nothing. */
function saying(sha: string): Cache {
  const layer = { sha, data: null, launch: true, build: false, cache: true };
  return {
    name: "fake",
    metadata: () =>
      Promise.resolve({
        sbom: { sha: "" },
        buildpacks: [{ key: "samples/java", version: "1", layers: { x: layer } }],
      }),
    layer: () => Promise.reject(new Error("not asked for")),
    draft: () => Promise.reject(new Error("not asked for")),
    close: () => Promise.resolve(),
  };
}

Deno.test("RE-10 a layer whose cache has another sha is removed, TOML, directory and .sha", async () => {
  await using dir = await tempDir();
  await writeTree(dir.path, { "layers/samples_java/x/old": "", "layers/samples_java/x.sha": "" });
  const sha = "sha256:" + "a".repeat(64);
  const layer = { sha, data: null, launch: true, build: false, cache: true };
  const app = {
    ...EMPTY,
    buildpacks: [{ key: "samples/java", version: "0", layers: { x: layer } }],
  };
  const { ctx, lines } = recordingContext();
  await restore({
    group: GROUP,
    app,
    cache: saying("sha256:" + "b".repeat(64)),
    layers: { inside: "/layers", outside: `${dir.path}/layers` },
    capability: P014,
  }, ctx);
  assert.ok(lines.includes('Removing "samples/java:x", wrong sha'));
  assert.deepEqual([...Deno.readDirSync(`${dir.path}/layers/samples_java`)], []);
});

Deno.test("RE-21 names from a hostile label write nothing outside the layers directory", async () => {
  await using dir = await tempDir();
  await Deno.mkdir(`${dir.path}/layers`);
  const layer = {
    sha: "sha256:" + "a".repeat(64),
    data: null,
    launch: true,
    build: false,
    cache: false,
  };
  const app = {
    ...EMPTY,
    buildpacks: [{ key: "samples/java", version: "0", layers: { "../../out": layer } }],
  };
  const result = await restore({
    group: GROUP,
    app,
    layers: { inside: "/layers", outside: `${dir.path}/layers` },
    capability: P014,
  }, quietContext());
  assert.deepEqual(result.metadata, []);
  assert.equal(text(`${dir.path}/out.toml`), undefined);
});

Deno.test("RE-17 links in an SBOM tree are not followed, neither way", async () => {
  await using dir = await tempDir();
  await writeTree(dir.path, {
    "secret": "secret",
    "layers/sbom/launch/samples_java/x/sbom.spdx.json": "{}",
    "layers/samples_java/x": null,
  });
  await Deno.symlink(
    `${dir.path}/secret`,
    `${dir.path}/layers/sbom/launch/samples_java/x/sbom.cdx.json`,
  );
  await Deno.symlink(`${dir.path}/secret`, `${dir.path}/layers/samples_java/x.sbom.spdx.json`);
  await restore({
    group: GROUP,
    app: EMPTY,
    layers: { inside: "/layers", outside: `${dir.path}/layers` },
    capability: P014,
  }, quietContext());
  assert.equal(text(`${dir.path}/secret`), "secret");
  assert.equal(text(`${dir.path}/layers/samples_java/x.sbom.spdx.json`), "{}");
  assert.equal(text(`${dir.path}/layers/samples_java/x.sbom.cdx.json`), undefined);
});

Deno.test("RE-5 a layers directory that cannot be written fails with 42", async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(`${dir.path}/layers`, "a file");
  const app = {
    ...EMPTY,
    buildpacks: [{ key: "samples/java", version: "0", layers: {}, store: { metadata: { a: 1n } } }],
  };
  await assert.rejects(
    restore({
      group: GROUP,
      app,
      layers: { inside: "/layers", outside: `${dir.path}/layers` },
      capability: P014,
    }, quietContext()),
    (error) => error instanceof LifecycleError && error.exitCode === 42,
  );
});
