import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { type Image, makeImage, pushImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { OciError } from "../../registry/oci/error.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import type { Registry } from "../../registry/registry.ts";
import { LifecycleError } from "../error.ts";
import { analyze } from "./analyze.ts";
import { scratchImage } from "./analyze_scratch.ts";
import { type AnalyzeInput, EMPTY_METADATA } from "./analyze_types.ts";
import { exportImage } from "./export.ts";
import {
  exportInput,
  memoryStore,
  recordingContext,
  runImage,
  sampleBuild,
  writeTree,
} from "./export_testing.ts";
import { runTarget } from "./run_target.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const RUN = {
  image: runImage(),
  name: "registry.example/run:1",
  reference: "registry.example/run@x",
};
const LABEL = "io.buildpacks.lifecycle.metadata";

function input(registry: Registry, change: Partial<AnalyzeInput> = {}): AnalyzeInput {
  return {
    previous: {
      registry,
      repository: "app",
      reference: "1",
      name: "registry.example/app:1",
      repositoryName: "registry.example/app",
    },
    run: RUN,
    platform: AMD64,
    owner: { uid: 1000, gid: 1000 },
    layers: { inside: "/layers", outside: "/nowhere" },
    ...change,
  };
}

function labelled(label: string | undefined): Image {
  return makeImage({
    os: "linux",
    architecture: "amd64",
    config: label === undefined ? {} : { Labels: { [LABEL]: label } },
    rootfs: { type: "layers", diff_ids: [] },
  }, []);
}

Deno.test("AN-6 the target comes from the run image's config and labels", () => {
  assert.deepEqual(runTarget(runImage({ variant: "v2" }).config, "run"), {
    id: "",
    os: "linux",
    arch: "amd64",
    variant: "v2",
    distro: { name: "ubuntu", version: "24.04" },
  });
  const bare = runTarget(labelled(undefined).config, "run");
  assert.equal("distro" in bare, false);
});

Deno.test("AN-6 a run image that says no operating system ends with 32", async () => {
  const run = { ...RUN, image: runImage({ os: "" }) };
  await assert.rejects(
    analyze(input(memoryRegistry(), { run }), quietContext()),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 32 &&
      error.message.startsWith("failed to find OS in run image config"),
  );
});

Deno.test("AN-4 no previous image is said and is no failure", async () => {
  const { ctx, lines } = recordingContext();
  const result = await analyze(input(memoryRegistry()), ctx);
  assert.deepEqual(lines, ['Image with name "registry.example/app:1" not found']);
  assert.equal(result.analyzed.previousReference, "");
  assert.equal(result.previous, undefined);
  assert.deepEqual(result.analyzed.metadata, EMPTY_METADATA);
});

Deno.test("AN-4 a previous image without the label is there, and knows nothing", async () => {
  const registry = memoryRegistry();
  const image = labelled(undefined);
  await pushImage(image, registry, "app", { tags: ["1"] });
  const result = await analyze(input(registry), quietContext());
  assert.equal(result.analyzed.previousReference, `registry.example/app@${image.raw.digest}`);
  assert.deepEqual(result.analyzed.metadata, EMPTY_METADATA);
});

Deno.test("AN-4 a previous image for another processor is ignored: its programs are nothing to reuse", async () => {
  const registry = memoryRegistry();
  const image = makeImage({ ...labelled("{}").config, architecture: "arm64" }, []);
  await pushImage(image, registry, "app", { tags: ["1"] });
  const { ctx, lines } = recordingContext();
  const result = await analyze(input(registry), ctx);
  assert.equal(result.previous, undefined);
  assert.deepEqual(lines, [
    'Ignoring image "registry.example/app:1": it is for linux/arm64, not linux/amd64',
  ]);
});

Deno.test("AN-4 a label that is no JSON is as no previous image", async () => {
  const registry = memoryRegistry();
  await pushImage(labelled("{"), registry, "app", { tags: ["1"] });
  const { ctx, lines } = recordingContext();
  const result = await analyze(input(registry), ctx);
  assert.equal(result.analyzed.previousReference, "");
  assert.equal(result.previous, undefined);
  assert.ok(lines[0]?.startsWith('Warning: Ignoring image "registry.example/app:1": '));
});

Deno.test("AN-4 an image whose documents disagree is corrupt and ignored", async () => {
  const registry = memoryRegistry();
  const { rawConfig, manifest } = labelled(undefined);
  const blob = new TextEncoder().encode("layer");
  const layer = { mediaType: MediaType.ociLayer, digest: digestOf(blob), size: blob.byteLength };
  const bytes = new TextEncoder().encode(JSON.stringify({ ...manifest, layers: [layer] }));
  const { bytesSource } = await import("../../registry/source.ts");
  await registry.pushBlob("app", layer, bytesSource(blob));
  await registry.pushBlob("app", manifest.config, bytesSource(rawConfig));
  await registry.pushManifest("app", { mediaType: MediaType.ociManifest, bytes }, { tags: ["1"] });
  const { ctx, lines } = recordingContext();
  const result = await analyze(input(registry), ctx);
  assert.equal(result.previous, undefined);
  assert.deepEqual(lines, ['Ignoring image "registry.example/app:1" because it was corrupt']);
});

Deno.test("AN-7 a registry that refuses is an error, not an absent image", async () => {
  const registry = memoryRegistry();
  registry.manifest = () =>
    Promise.reject(new OciError("UNAUTHORIZED", "Cannot read: who are you"));
  await assert.rejects(
    analyze(input(registry), quietContext()),
    (error) => error instanceof LifecycleError && error.exitCode === 32,
  );
});

Deno.test("AN-3 a right that is refused ends with 32 before anything is read", async () => {
  const registry = memoryRegistry();
  registry.manifest = () => Promise.reject(new Error("asked too early"));
  const access = [
    { name: "registry.example/run:1", mode: "read" as const, check: () => Promise.resolve() },
    {
      name: "registry.example/app:1",
      mode: "read/write" as const,
      check: () => Promise.reject(new Error("403 Forbidden")),
    },
  ];
  await assert.rejects(
    analyze(input(registry, { access }), quietContext()),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 32 &&
      error.message === "validating registry write access: failed to ensure registry " +
          "read/write access to registry.example/app:1: 403 Forbidden",
  );
});

Deno.test("AN-5 the previous image's SBOMs are put back, unless layers are skipped", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  await writeTree(dir.path, { "layers/sbom/launch/samples_java/jre/sbom.cdx.json": '{"a":1}' });
  const registry = memoryRegistry();
  await exportImage(exportInput(dir.path, memoryStore(), registry), quietContext());
  for (const skipLayers of [true, false]) {
    await using fresh = await tempDir();
    const layers = { inside: "/layers", outside: fresh.path };
    const { analyzed } = await analyze(input(registry, { layers, skipLayers }), quietContext());
    const path = `${fresh.path}/sbom/launch/samples_java/jre/sbom.cdx.json`;
    assert.equal(
      await Deno.readTextFile(path).catch(() => undefined),
      skipLayers ? undefined : '{"a":1}',
    );
    // AN-8: what is known of layers stays known, for reuse at export.
    assert.ok(analyzed.metadata.buildpacks.length > 0);
  }
});

Deno.test("AN-5 an SBOM layer that the image does not have ends with 32", async () => {
  const registry = memoryRegistry();
  const label = JSON.stringify({ sbom: { sha: "sha256:" + "a".repeat(64) } });
  await pushImage(labelled(label), registry, "app", { tags: ["1"] });
  await assert.rejects(
    analyze(input(registry), quietContext()),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 32 && /SBOM/.test(error.message),
  );
});

Deno.test("scratch is an image without layers that does not run as root", async () => {
  const platform = { os: "linux", architecture: "arm64", variant: "v8" };
  const image = scratchImage(platform, { uid: 1000, gid: 2000 });
  assert.equal(image.layers.length, 0);
  assert.equal(image.config.config.User, "1000:2000");
  assert.match(image.config.config.Env?.[0] ?? "", /^PATH=\//);
  const { analyzed, run } = await analyze(
    { ...input(memoryRegistry()), run: "scratch", platform },
    quietContext(),
  );
  assert.equal(run.reference, "");
  assert.equal(analyzed.runImage.reference, "");
  assert.deepEqual(analyzed.runImage.target, {
    id: "",
    os: "linux",
    arch: "arm64",
    variant: "v8",
  });
});

Deno.test("an image on scratch consists of the app's layers, and its label names no base", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const { run } = await analyze(
    { ...input(memoryRegistry()), run: "scratch" },
    quietContext(),
  );
  const { image } = await exportImage(
    exportInput(dir.path, memoryStore(), memoryRegistry(), { run, runNames: undefined }),
    quietContext(),
  );
  assert.equal(image.layers.length, 6);
  const label = JSON.parse(image.config.config.Labels?.[LABEL] ?? "");
  assert.deepEqual(label.runImage, { topLayer: "", reference: "" });
  assert.equal(image.config.history?.length, 6);
  assert.ok(
    image.config.config.Env?.includes(
      "PATH=/cnb/process:/cnb/lifecycle:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
  );
});
