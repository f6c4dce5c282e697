import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { encodeJson, readImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { OciError } from "../../registry/oci/error.ts";
import { bytesSource } from "../../registry/source.ts";
import { openStore } from "../../registry/store/store.ts";
import { openDirCache } from "../cache/dir_cache.ts";
import { LifecycleError } from "../error.ts";
import { parseLifecycleLabel } from "../file/lifecycle_metadata.ts";
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
import type { ExportInput } from "./export_types.ts";
import type { Registry } from "../../registry/registry.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const AMD64 = { os: "linux", architecture: "amd64" };

/** Reads back what an export pushed, the way the next build's analyze does. */
async function nextBuild(to: Registry): Promise<Partial<ExportInput>> {
  const previous = await readImage(to, "app", "1", AMD64);
  assert.ok(previous);
  const label = labelOf(previous.config, "io.buildpacks.lifecycle.metadata");
  return { previous, previousMetadata: parseLifecycleLabel(label ?? "") };
}

Deno.test("13.2 layers stand in their order, with history to match", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await writeTree(dir.path, {
    "layers/sbom/launch/samples_java/jre/sbom.cdx.json": "{}",
  });
  const to = counting(memoryRegistry());
  const { image, layers } = await exportImage(
    exportInput(dir.path, memoryStore(), to),
    quietContext(),
  );
  assert.deepEqual(layers.map(({ id, how }) => [id, how]), [
    ["samples/java:deps", "added"],
    ["samples/java:jre", "added"],
    ["buildpacksio/lifecycle:launch.sbom", "added"],
    ["slice-1", "added"],
    ["buildpacksio/lifecycle:launcher", "added"],
    ["buildpacksio/lifecycle:config", "added"],
    ["buildpacksio/lifecycle:process-types", "added"],
  ]);
  assert.deepEqual(image.config.history?.map(({ created_by }) => created_by), [
    "ADD rootfs",
    "Layer: 'deps', Created by buildpack: samples/java@1.2.3",
    "Layer: 'jre', Created by buildpack: samples/java@1.2.3",
    "Software Bill-of-Materials",
    "Application Layer",
    "Buildpacks Application Launcher",
    "Buildpacks Launcher Config",
    "Buildpacks Process Types",
  ]);
  const pushed = await readImage(to, "app", "1", AMD64);
  assert.equal(pushed?.raw.digest, image.raw.digest);
});

Deno.test("23.1 the fixed layers have the diffIDs of Go's tar", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const { layers } = await exportImage(
    exportInput(dir.path, memoryStore(), memoryRegistry()),
    quietContext(),
  );
  const diffId = (id: string) => layers.find((layer) => layer.id.endsWith(id))?.diffId;
  assert.equal(
    diffId(":launcher"),
    "sha256:3ef01a62276c42d9781edd25fceee5c2620c83803a3b03191f2524841936c920",
  );
  assert.equal(
    diffId(":process-types"),
    "sha256:83d85471d9f8a3834b4e27cf701e3f0aef220cc816d9c173c7d32cd73909a590",
  );
});

Deno.test("a rebuild without a change gives the same digest and moves no blob byte", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const to = counting(memoryRegistry());
  const store = memoryStore();
  const first = await exportImage(exportInput(dir.path, store, to), quietContext());
  const next = await nextBuild(to);
  to.reset();
  const before = store.uploads();
  const { ctx, lines } = recordingContext();
  const second = await exportImage(exportInput(dir.path, store, to, next), ctx);
  assert.equal(second.image.raw.digest, first.image.raw.digest);
  assert.equal(to.bytes, 0);
  assert.equal(store.uploads(), before, "nothing was compressed again");
  assert.ok(second.layers.every(({ how }) => how === "reused"));
  assert.ok(lines.includes("Reusing layer 'samples/java:jre'"), lines.join("\n"));
  assert.ok(lines.includes("Reused 1/1 app layer(s)"));
});

Deno.test("EX-10 a rebuild into an empty store reuses the previous image's blobs", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const to = counting(memoryRegistry());
  const first = await exportImage(exportInput(dir.path, memoryStore(), to), quietContext());
  const next = await nextBuild(to);
  to.reset();
  const store = memoryStore();
  const second = await exportImage(exportInput(dir.path, store, to, next), quietContext());
  assert.equal(second.image.raw.digest, first.image.raw.digest);
  assert.equal(store.uploads(), 0);
  assert.equal(to.bytes, 0);
});

Deno.test("EX-10 what the previous image has in the repository is not asked for again, nor the base's layers", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const to = memoryRegistry();
  const first = await exportImage(exportInput(dir.path, memoryStore(), to), quietContext());
  const next = await nextBuild(to);
  const asked: string[] = [];
  const push = to.pushBlob.bind(to);
  to.pushBlob = async (...all) => {
    asked.push(all[1].digest);
    return await push(...all);
  };
  await exportImage(exportInput(dir.path, memoryStore(), to, next), quietContext());
  assert.deepEqual(asked, [first.image.manifest.config.digest]);
});

Deno.test("one changed app file moves only the app layer and the config", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const to = counting(memoryRegistry());
  const store = memoryStore();
  await exportImage(exportInput(dir.path, store, to), quietContext());
  const next = await nextBuild(to);
  to.reset();
  await writeTree(dir.path, { "app/lib/x.txt": "y" });
  const { image, layers } = await exportImage(
    exportInput(dir.path, store, to, next),
    quietContext(),
  );
  assert.deepEqual(layers.filter(({ how }) => how !== "reused").map(({ id }) => id), ["slice-1"]);
  const slice = image.layers.at(-4)!.descriptor.digest;
  assert.deepEqual(to.sent.toSorted(), [slice, image.manifest.config.digest].toSorted());
});

Deno.test("the store knows layers of other images: nothing is compressed for a second app", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const store = memoryStore();
  const first = await exportImage(
    exportInput(dir.path, store, memoryRegistry()),
    quietContext(),
  );
  const before = store.uploads();
  const second = await exportImage(
    exportInput(dir.path, store, memoryRegistry()),
    quietContext(),
  );
  assert.equal(second.image.raw.digest, first.image.raw.digest);
  assert.equal(store.uploads() - before, 1, "only the app, of which nothing is assumed");
  assert.equal(second.layers.find(({ id }) => id === "samples/java:jre")?.how, "known");
});

Deno.test("the same input gives the same digest in another directory", async () => {
  const digests = [];
  for (const concurrency of [1, 4]) {
    await using dir = await tempDir();
    await sampleBuild(dir.path);
    await Deno.chmod(`${dir.path}/app`, concurrency === 1 ? 0o700 : 0o775);
    await Deno.chmod(`${dir.path}/layers/samples_java`, concurrency === 1 ? 0o711 : 0o755);
    await Deno.chmod(`${dir.path}/layers/config/metadata.toml`, concurrency === 1 ? 0o600 : 0o664);
    const { image } = await exportImage(
      exportInput(dir.path, memoryStore(), memoryRegistry(), { concurrency }),
      quietContext(),
    );
    digests.push(image.raw.digest);
  }
  assert.equal(digests[0], digests[1]);
});

Deno.test("SL-3 slices make layers of their own, also empty ones, and the rest comes last", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const build = { ...SAMPLE_BUILD, slices: [{ paths: ["lib"] }, { paths: ["nothing/*"] }] };
  const { ctx, lines } = recordingContext();
  const { image, layers } = await exportImage(
    exportInput(dir.path, memoryStore(), memoryRegistry(), { build }),
    ctx,
  );
  const slices = layers.filter(({ id }) => id.startsWith("slice-"));
  assert.deepEqual(slices.map(({ id }) => id), ["slice-1", "slice-2", "slice-3"]);
  assert.equal(
    slices[1]?.diffId,
    "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
  );
  const said = image.config.history?.map(({ created_by }) => created_by) ?? [];
  assert.ok(said.includes("Application Slice: 3"));
  assert.ok(lines.includes("Added 3/3 app layer(s)"));
});

Deno.test("EX-9 slices in another order are still found in the previous image", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const to = counting(memoryRegistry());
  const store = memoryStore();
  const slices = [{ paths: ["lib"] }, { paths: ["*.jar"] }];
  const build = { ...SAMPLE_BUILD, slices };
  await exportImage(exportInput(dir.path, store, to, { build }), quietContext());
  const turned = { ...SAMPLE_BUILD, slices: slices.toReversed() };
  const { layers } = await exportImage(
    exportInput(dir.path, store, to, { ...await nextBuild(to), build: turned }),
    quietContext(),
  );
  assert.ok(layers.every(({ id, how }) => !id.startsWith("slice-") || how === "reused"));
});

Deno.test("EX-7 a launch layer without a directory is the previous image's", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const to = counting(memoryRegistry());
  const first = await exportImage(exportInput(dir.path, memoryStore(), to), quietContext());
  const next = await nextBuild(to);
  await Deno.remove(`${dir.path}/layers/samples_java/jre`, { recursive: true });
  const second = await exportImage(
    exportInput(dir.path, memoryStore(), to, next),
    quietContext(),
  );
  assert.equal(second.image.raw.digest, first.image.raw.digest);
});

Deno.test("EX-7 a launch and cache layer without contents fails with 62", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await Deno.remove(`${dir.path}/layers/samples_java/deps`, { recursive: true });
  const to = memoryRegistry();
  await assert.rejects(
    exportImage(exportInput(dir.path, memoryStore(), to), quietContext()),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 62 &&
      error.message === "layer 'samples/java:deps' is cache=true but has no contents",
  );
  assert.equal(await to.manifest("app", "1"), undefined);
});

Deno.test("EX-8 a layer TOML that cannot be read fails with 62 and the layer's name", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await writeTree(dir.path, {
    "layers/samples_java/odd.toml": "[types\n",
    "layers/samples_java/worse.toml": "launch = true\n",
  });
  await assert.rejects(
    exportImage(exportInput(dir.path, memoryStore(), memoryRegistry()), quietContext()),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 62 &&
      error.message.startsWith(
        "failed to parse metadata for layers '[samples/java:odd samples/java:worse]': ",
      ),
  );
});

Deno.test("SV-1 a tag that fails does not stop the others, and the phase ends with 62", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const registry = memoryRegistry();
  const to = counting(registry, (tag) => tag === "locked");
  const destinations = ["locked", "a", "b"].map((tag) => ({
    repository: tag === "b" ? "other" : "app",
    tag,
    name: `registry.example/app:${tag}`,
  }));
  const { ctx, lines } = recordingContext();
  await assert.rejects(
    exportImage(exportInput(dir.path, memoryStore(), to, { destinations }), ctx),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 62 && /locked/.test(error.message),
  );
  assert.ok(await registry.manifest("app", "a"));
  assert.ok(await registry.manifest("other", "b"));
  assert.equal(await registry.manifest("app", "locked"), undefined);
  assert.ok(lines.includes("      registry.example/app:locked - tag locked is locked"));
  assert.ok(lines.includes("      registry.example/app:a"));
});

Deno.test("SV-1 self-check: with a blob of the base that nobody has, no tag moves", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const registry = memoryRegistry();
  const input = exportInput(dir.path, memoryStore(), registry);
  const { image } = input.run;
  const gone = image.layers.map((layer) => ({
    ...layer,
    blob: () => Promise.reject(new OciError("BLOB_UNKNOWN", "the registry lacks it")),
  }));
  const run = { ...input.run, image: { ...image, layers: gone } };
  await assert.rejects(
    exportImage({ ...input, run }, quietContext()),
    (error) => error instanceof LifecycleError && error.exitCode === 62,
  );
  assert.equal(await registry.manifest("app", "1"), undefined);
});

Deno.test("23.2 CF-6 a base of mixed types is taken, is not opened, and is of one kind afterwards", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const to = memoryRegistry();
  const input = exportInput(dir.path, memoryStore(), to);
  const types = [
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    // Plain bytes under a type that says gzip, as an empty cache image has them.
    "application/vnd.oci.image.layer.v1.tar+gzip",
  ];
  const text = (value: string) => new TextEncoder().encode(value);
  const put = async (bytes: Uint8Array<ArrayBuffer>, mediaType: string) => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
    await to.pushBlob("run", descriptor, bytesSource(bytes));
    return descriptor;
  };
  const layers = await Promise.all(types.map((type, at) => put(text(`no archive ${at}`), type)));
  const config = encodeJson({
    ...input.run.image.config,
    rootfs: { type: "layers", diff_ids: types.map((_, at) => digestOf(text(`tar ${at}`))) },
    history: types.map((type) => ({ created_by: type })),
  });
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType,
    config: await put(config, "application/vnd.oci.image.config.v1+json"),
    layers,
  });
  await to.pushManifest("run", { mediaType, bytes }, { tags: ["mixed"] });
  const image = (await readImage(to, "run", "mixed", AMD64))!;
  const exported = await exportImage({ ...input, run: { ...input.run, image } }, quietContext());
  const all = exported.image.manifest.layers;
  assert.deepEqual(
    all.slice(0, 3).map(({ digest, size }) => [digest, size]),
    layers.map(({ digest, size }) => [digest, size]),
  );
  assert.ok(
    all.every((one) => one.mediaType.startsWith("application/vnd.oci.image.layer.v1.tar+")),
  );
});

Deno.test("EX-5 layers wait as the blobs they become: an export needs no room for plain tars", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const big = `${dir.path}/layers/samples_java/jre/zeros`;
  await Deno.writeFile(big, new Uint8Array());
  await Deno.truncate(big, 64 * 1024 * 1024);
  const store = await openStore(`${dir.path}/scratch`);
  await using _closed = store;
  let most = 0;
  const to = memoryRegistry();
  const push = to.pushBlob.bind(to);
  to.pushBlob = async (...all) => {
    most = Math.max(most, await bytesIn(`${dir.path}/scratch`));
    return await push(...all);
  };
  await exportImage(exportInput(dir.path, store, to), quietContext());
  most = Math.max(most, await bytesIn(`${dir.path}/scratch`));
  assert.ok(most > 0 && most < 8 * 1024 * 1024, `${most} bytes`);
});

async function bytesIn(directory: string): Promise<number> {
  let sum = 0;
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    // Blocks, not sizes: a database keeps files that are mostly holes.
    const used = async () => ((await Deno.lstat(path).catch(() => undefined))?.blocks ?? 0) * 512;
    sum += isDirectory ? await bytesIn(path) : await used();
  }
  return sum;
}

Deno.test("LB-5 a buildpack cannot write labels of the lifecycle", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const labels = [
    { key: "io.buildpacks.lifecycle.metadata", value: "{}" },
    { key: "org.example.a", value: "1" },
    { key: "org.example.a", value: "2" },
  ];
  const { ctx, lines } = recordingContext();
  const { image } = await exportImage(
    exportInput(dir.path, memoryStore(), memoryRegistry(), { build: { ...SAMPLE_BUILD, labels } }),
    ctx,
  );
  assert.notEqual(labelOf(image.config, "io.buildpacks.lifecycle.metadata"), "{}");
  assert.equal(labelOf(image.config, "org.example.a"), "2");
  assert.ok(lines.some((line) => /^Warning: .*io\.buildpacks\.lifecycle\.metadata/.test(line)));
});

Deno.test("SV-3 a cache that cannot be written is a warning; the image is there", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await Deno.mkdir(`${dir.path}/cache`);
  const cache = await openDirCache(`${dir.path}/cache`);
  const broken = {
    ...cache,
    metadata: () => cache.metadata(),
    draft: () => Promise.reject(new Error("disk full")),
  };
  const to = memoryRegistry();
  const { ctx, lines } = recordingContext();
  await exportImage(exportInput(dir.path, memoryStore(), to, { cache: broken }), ctx);
  assert.ok(await to.manifest("app", "1"));
  assert.ok(lines.includes("Warning: Failed to export cache: disk full"));
});

Deno.test("SV-3 in parallel the cache is written while the image is pushed; a failed push ends it", async () => {
  for (const fails of [false, true]) {
    await using dir = await tempDir();
    await sampleBuild(dir.path);
    await Deno.mkdir(`${dir.path}/cache`);
    const cache = await openDirCache(`${dir.path}/cache`);
    const drafted = Promise.withResolvers<void>();
    const pushing = Promise.withResolvers<void>();
    const ends: string[] = [];
    const slow = {
      ...cache,
      metadata: () => cache.metadata(),
      async draft(signal?: AbortSignal) {
        drafted.resolve();
        await pushing.promise;
        const draft = await cache.draft(signal);
        return {
          ...draft,
          keep: draft.keep.bind(draft),
          add: draft.add.bind(draft),
          abort: async () => {
            ends.push("abort");
            await draft.abort();
          },
          commit: async (metadata: Parameters<typeof draft.commit>[0]) => {
            ends.push("commit");
            await draft.commit(metadata);
          },
        };
      },
    };
    const registry = memoryRegistry();
    const to = Object.assign(counting(registry), {
      async pushManifest(...args: Parameters<typeof registry.pushManifest>) {
        await drafted.promise; // one after the other it would wait for ever
        if (fails) {
          setTimeout(pushing.resolve, 0);
          throw new Error("no");
        }
        pushing.resolve();
        return await registry.pushManifest(...args);
      },
    });
    const input = exportInput(dir.path, memoryStore(), to, { cache: slow, parallel: true });
    const done = exportImage(input, quietContext());
    if (fails) await assert.rejects(done);
    else await done;
    assert.equal(ends.includes("commit"), !fails, ends.join());
    await cache.close();
  }
});

Deno.test("LTM-5 a process type that cannot be a file name fails with 62", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const processes = [{ ...SAMPLE_BUILD.processes[0]!, type: "../web" }];
  await assert.rejects(
    exportImage(
      exportInput(dir.path, memoryStore(), memoryRegistry(), {
        build: { ...SAMPLE_BUILD, processes },
      }),
      quietContext(),
    ),
    (error) => error instanceof LifecycleError && error.exitCode === 62,
  );
});

Deno.test("EX-10 reused layers are mounted from another repository, copied from another registry", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const here = counting(memoryRegistry());
  await exportImage(exportInput(dir.path, memoryStore(), here), quietContext());
  const next = await nextBuild(here);
  const destinations = [{ repository: "team/other", tag: "1", name: "other:1" }];
  here.reset();
  const store = memoryStore();
  const mounted = await exportImage(
    exportInput(dir.path, store, here, { ...next, destinations }),
    quietContext(),
  );
  const base = mounted.image.layers[0]!.descriptor;
  assert.deepEqual(
    here.sent.filter((digest) => digest !== base.digest),
    [mounted.image.manifest.config.digest],
    "the base here comes from nowhere, the app's layers from the other repository",
  );
  const far = counting(memoryRegistry());
  const copied = await exportImage(
    exportInput(dir.path, store, far, { ...next, destinations }),
    quietContext(),
  );
  assert.equal(copied.image.raw.digest, mounted.image.raw.digest);
  assert.equal(
    new Set(far.sent).size,
    new Set(copied.image.layers.map(({ descriptor }) => descriptor.digest)).size + 1,
  );
  assert.equal(store.uploads(), 0);
});

Deno.test("SB-6 wherry's own bills of materials lie where the Go lifecycle puts them", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const bytes = new TextEncoder().encode("{}");
  const { layers } = await exportImage(
    exportInput(dir.path, memoryStore(), memoryRegistry(), {
      ownSboms: [
        { of: "lifecycle", file: "sbom.cdx.json", bytes },
        { of: "launcher", file: "sbom.cdx.json", bytes },
      ],
    }),
    quietContext(),
  );
  const sbom = `${dir.path}/layers/sbom`;
  assert.ok(await Deno.stat(`${sbom}/build/buildpacksio_lifecycle/sbom.cdx.json`));
  assert.ok(await Deno.stat(`${sbom}/launch/buildpacksio_lifecycle/launcher/sbom.cdx.json`));
  assert.ok(layers.some(({ id }) => id === "buildpacksio/lifecycle:launch.sbom"));
});

Deno.test("LOG-7 what export says, in its order", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await Deno.mkdir(`${dir.path}/cache`);
  const cache = await openDirCache(`${dir.path}/cache`);
  const { ctx, lines } = recordingContext();
  const { image } = await exportImage(
    exportInput(dir.path, memoryStore(), memoryRegistry(), { cache }),
    ctx,
  );
  assert.deepEqual(lines, [
    "Adding layer 'samples/java:deps'",
    "Adding layer 'samples/java:jre'",
    "Added 1/1 app layer(s)",
    "Adding layer 'buildpacksio/lifecycle:launcher'",
    "Adding layer 'buildpacksio/lifecycle:config'",
    "Adding layer 'buildpacksio/lifecycle:process-types'",
    "Adding label 'io.buildpacks.lifecycle.metadata'",
    "Adding label 'io.buildpacks.build.metadata'",
    "Adding label 'io.buildpacks.project.metadata'",
    "Adding label 'org.example.team'",
    "Setting default process type 'web'",
    "Saving registry.example/app:1...",
    `*** Images (${image.raw.digest}):`,
    "      registry.example/app:1",
    "Adding cache layer 'samples/java:deps'",
    "Adding cache layer 'samples/java:m2'",
  ]);
});

Deno.test("LOG-7 one image of several for an index is not said to be saved under the name", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const { ctx, lines } = recordingContext();
  const destinations = [{ repository: "app", name: "registry.example/app:1" }];
  const input = exportInput(dir.path, memoryStore(), memoryRegistry(), {});
  await exportImage({ ...input, destinations }, ctx);
  assert.ok(lines.includes("Saving registry.example/app:1 (by its digest alone)..."));
  assert.ok(lines.includes("      registry.example/app:1 (by its digest alone)"));
});

Deno.test("CA-5 a damaged cache layer is written anew at export", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await Deno.mkdir(`${dir.path}/cache`);
  const to = memoryRegistry();
  const first = await openDirCache(`${dir.path}/cache`);
  await exportImage(exportInput(dir.path, memoryStore(), to, { cache: first }), quietContext());
  const sha = (await first.metadata()).buildpacks[0]!.layers["m2"]!.sha;
  const file = `${dir.path}/cache/committed/${sha}.tar`;
  const whole = await Deno.readFile(file);
  await Deno.writeTextFile(file, "damaged");
  const { ctx, lines } = recordingContext();
  const cache = await openDirCache(`${dir.path}/cache`);
  await exportImage(exportInput(dir.path, memoryStore(), to, { cache }), ctx);
  assert.deepEqual(await Deno.readFile(file), whole);
  assert.ok(
    lines.some((line) =>
      line.startsWith("Warning: Skipping reuse for layer samples/java:m2: expected")
    ),
  );
  assert.ok(lines.includes("Reusing cache layer 'samples/java:deps'"));
  assert.ok(lines.includes("Adding cache layer 'samples/java:m2'"));
});

Deno.test("8.4 a cache layer without contents is a warning, and not cached", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await Deno.mkdir(`${dir.path}/cache`);
  await Deno.remove(`${dir.path}/layers/samples_java/m2`, { recursive: true });
  const cache = await openDirCache(`${dir.path}/cache`);
  const { ctx, lines } = recordingContext();
  await exportImage(exportInput(dir.path, memoryStore(), memoryRegistry(), { cache }), ctx);
  assert.ok(
    lines.includes("Warning: Failed to cache layer 'samples/java:m2' because it has no contents"),
  );
  assert.deepEqual(Object.keys((await cache.metadata()).buildpacks[0]!.layers), ["deps"]);
});

Deno.test("LAY-4 a directory without a TOML is no layer, nor is one whose TOML is all false", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await writeTree(dir.path, {
    "layers/samples_java/stray/file": "x",
    "layers/samples_java/off.toml": "[types]\n",
    "layers/samples_java/off/file": "x",
    "layers/samples_java/launch.toml": "[[processes]]\n",
  });
  const { layers } = await exportImage(
    exportInput(dir.path, memoryStore(), memoryRegistry()),
    quietContext(),
  );
  assert.deepEqual(
    layers.map(({ id }) => id).filter((id) => id.startsWith("samples/")),
    ["samples/java:deps", "samples/java:jre"],
  );
});
