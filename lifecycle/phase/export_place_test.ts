/** Export into the places it is used with: the store on disk, and a registry over HTTP. */
import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { connectRegistry } from "../../registry/client/client.ts";
import { readImage } from "../../registry/image.ts";
import { extractLayer } from "../../registry/layer/extract.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import type { Registry } from "../../registry/registry.ts";
import { createServer, type RequestEntry } from "../../registry/server/server.ts";
import { serve } from "../../registry/server/serve.ts";
import { openStore } from "../../registry/store/store.ts";
import { LifecycleError } from "../error.ts";
import { analyze } from "./analyze.ts";
import { exportImage } from "./export.ts";
import { exportInput, memoryStore, runImage, sampleBuild, writeTree } from "./export_testing.ts";
import type { ExportInput } from "./export_types.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const AMD64 = { os: "linux", architecture: "amd64" };

async function previousOf(root: string, to: Registry): Promise<Partial<ExportInput>> {
  const { analyzed, previous } = await analyze({
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
    skipLayers: true,
  }, quietContext());
  assert.ok(previous);
  return { previous, previousMetadata: analyzed.metadata };
}

Deno.test("the local store is store and destination at once; its layers unpack to the build", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await using store = await openStore(`${dir.path}/store`);
  const { image } = await exportImage(exportInput(dir.path, store, store), quietContext());
  const read = await readImage(store, "app", "1", AMD64);
  assert.equal(read?.raw.digest, image.raw.digest);
  await using elsewhere = await tempDir();
  await sampleBuild(elsewhere.path);
  const other = await exportImage(
    exportInput(elsewhere.path, memoryStore(), memoryRegistry()),
    quietContext(),
  );
  assert.equal(other.image.raw.digest, image.raw.digest, "whatever the place");
  const jre = read!.layers[2]!;
  await using out = await tempDir();
  const blob = await jre.blob();
  await extractLayer(await blob.open(), { directories: { "/layers": out.path } });
  assert.equal(
    await Deno.readTextFile(`${out.path}/samples_java/jre/bin/java`),
    "#!/bin/sh\n",
  );
  const again = await exportImage(
    exportInput(dir.path, store, store, await previousOf(dir.path, store)),
    quietContext(),
  );
  assert.equal(again.image.raw.digest, image.raw.digest);
  assert.ok(again.layers.every(({ how }) => how === "reused"));
});

Deno.test("a registry over HTTP: a rebuild sends no blob, one changed file one layer", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const requests: RequestEntry[] = [];
  const server = createServer(memoryRegistry(), {
    onRequest: (entry) => void requests.push(entry),
  });
  await using listening = await serve(server, { listen: { hostname: "127.0.0.1", port: 0 } });
  const { address } = listening;
  assert.ok("port" in address);
  await using to = connectRegistry(`127.0.0.1:${address.port}`);
  const store = memoryStore();
  const blobBytes = () =>
    requests.filter(({ kind }) => kind !== "putManifest").reduce(
      (sum, { bytesIn }) => sum + bytesIn,
      0,
    );
  const first = await exportImage(exportInput(dir.path, store, to), quietContext());
  const whole = first.image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  assert.equal(blobBytes(), whole + first.image.manifest.config.size);

  requests.length = 0;
  const next = await previousOf(dir.path, to);
  const second = await exportImage(exportInput(dir.path, store, to, next), quietContext());
  assert.equal(second.image.raw.digest, first.image.raw.digest);
  assert.equal(blobBytes(), 0, JSON.stringify(requests));

  requests.length = 0;
  await writeTree(dir.path, { "app/lib/x.txt": "changed" });
  const third = await exportImage(exportInput(dir.path, store, to, next), quietContext());
  const slice = third.layers.findIndex(({ id }) => id === "slice-1") + 1;
  assert.equal(
    blobBytes(),
    third.image.layers[slice]!.descriptor.size + third.image.manifest.config.size,
  );
});

Deno.test("an export that is stopped leaves no name, no upload, nothing under way", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await using store = await openStore(`${dir.path}/store`);
  const controller = new AbortController();
  const reason = new Error("Ctrl-C");
  const ctx = quietContext({
    signal: controller.signal,
    log: { ...quietContext().log, info: () => controller.abort(reason) },
  });
  await assert.rejects(
    exportImage(exportInput(dir.path, store, store), ctx),
    (error) => error === reason,
  );
  assert.equal(await store.manifest("app", "1"), undefined);
  const next = await exportImage(exportInput(dir.path, store, store), quietContext());
  assert.ok(await store.manifest("app", next.image.raw.digest));
});

Deno.test("a layer that cannot be packed fails with 62 and stops the others", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await using store = await openStore(`${dir.path}/store`);
  const path = `${dir.path}/layers/samples_java/jre/bad`;
  // A name that is not UTF-8, which Deno itself cannot make.
  const made = await new Deno.Command("sh", {
    args: ["-c", `touch "$(printf '%s\\377' "$1")"`, "sh", path],
  }).output();
  assert.ok(made.success);
  await assert.rejects(
    exportImage(exportInput(dir.path, store, store, { concurrency: 4 }), quietContext()),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 62 && /UTF-8/.test(error.message),
  );
  assert.equal(await store.manifest("app", "1"), undefined);
});

Deno.test("a registry that refuses blobs ends with 62 and leaves no name", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const to = memoryRegistry();
  to.pushBlob = () => Promise.reject(new Error("no space left"));
  await assert.rejects(
    exportImage(exportInput(dir.path, memoryStore(), to), quietContext()),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 62 &&
      error.message === "failed to write image to the following tags: " +
          "[registry.example/app:1: no space left]",
  );
  assert.equal(await to.manifest("app", "1"), undefined);
});

Deno.test("CF-6 an image stays in the family of its base, whatever compression was asked for", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  for (const docker of [true, false]) {
    for (const compression of ["gzip", "zstd"] as const) {
      const run = { image: runImage({}, docker), name: "run", reference: "run@x" };
      const { image } = await exportImage(
        exportInput(dir.path, memoryStore(), memoryRegistry(), { run, compression }),
        quietContext(),
      );
      const types = [
        image.raw.mediaType,
        ...image.manifest.layers.map(({ mediaType }) => mediaType),
      ];
      assert.ok(
        types.every((type) => type.startsWith("application/vnd.docker.") === docker),
        types.join(" "),
      );
      assert.equal(types.at(-1)?.endsWith("+zstd"), !docker && compression === "zstd");
    }
  }
});

Deno.test("CF-6 a zstd layer of the previous image is made anew for a base with Docker's types", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const to = memoryRegistry();
  const store = memoryStore();
  await exportImage(exportInput(dir.path, store, to, { compression: "zstd" }), quietContext());
  const next = await previousOf(dir.path, to);
  const run = { image: runImage({}, true), name: "run", reference: "run@x" };
  const { image } = await exportImage(
    exportInput(dir.path, store, to, { ...next, run }),
    quietContext(),
  );
  assert.ok(image.manifest.layers.every(({ mediaType }) => mediaType.endsWith(".tar.gzip")));
  await Deno.remove(`${dir.path}/layers/samples_java/jre`, { recursive: true });
  await assert.rejects(
    exportImage(exportInput(dir.path, store, to, { ...next, run }), quietContext()),
    /cannot reuse 'samples\/java:jre': previous image has no layer .* that fits this run image/,
  );
});
