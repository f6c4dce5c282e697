import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { type Image, type Layer, makeImage } from "../../registry/image.ts";
import { filesLayer } from "../../registry/layer/fixed_layers.ts";
import { tarOf } from "../../registry/layer/tar_testing.ts";
import { writeLayer } from "../../registry/layer/write_layer.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { layerOfTar } from "../sandbox/unpack_testing.ts";
import { LifecycleError } from "../error.ts";
import { exportImage } from "./export.ts";
import {
  exportInput,
  memoryStore,
  recordingContext,
  runImage,
  sampleBuild,
} from "./export_testing.ts";
import {
  type ExtendedImage,
  hasExtendedImage,
  readExtendedImage,
  saveExtendedImage,
} from "./extended_image.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const ROOT = { uid: 0, gid: 0 };

async function layerOf(path: string): Promise<Layer> {
  const memory = memoryRegistry();
  const upload = await memory.upload("x");
  const files = new Map([[path, new TextEncoder().encode(path)]]);
  const { diffId, descriptor } = await writeLayer(filesLayer(files, { owner: ROOT }), upload);
  await upload.commit();
  const blob = async () => (await memory.blob("x", descriptor.digest))!;
  return { diffId, descriptor, blob };
}

/** `base` with two layers of extensions. */
async function extend(base: Image): Promise<Image> {
  const layers = [await layerOf("/opt/one"), await layerOf("/opt/two")];
  const { config, history = [] } = base.config;
  return makeImage(
    {
      ...base.config,
      config: { ...config, Env: ["PATH=/opt/bin", "ADDED=1"], User: "1001" },
      history: [
        ...history.filter(({ empty_layer }) => !empty_layer),
        { created_by: "Layer: 'RUN one', Created by extension: some/ext" },
        { created_by: "Layer: 'RUN two', Created by extension: some/ext" },
      ],
    },
    [...base.layers, ...layers],
    base,
  );
}

Deno.test("XT-7 XT-9 EX-2 13.2 an extended run image: its config, its layers, their history", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const base = runImage();
  const extended = await extend(base);
  assert.equal(await hasExtendedImage(`${dir.path}/extended`), false);
  await saveExtendedImage(`${dir.path}/extended`, extended, 1);
  assert.equal(await hasExtendedImage(`${dir.path}/extended`), true);
  const place = `${dir.path}/extended/run/${extended.raw.digest}`;
  assert.deepEqual(
    [...Deno.readDirSync(`${place}/blobs/sha256`)].map(({ name }) => name).sort(),
    [
      ...extended.layers.slice(1).map(({ descriptor }) => descriptor.digest.slice(7)),
      extended.raw.digest.slice(7),
      extended.manifest.config.digest.slice(7),
    ].sort(),
    "only layers above the run image's",
  );
  const read = await readExtendedImage(`${dir.path}/extended`, 1);
  const plain = exportInput(dir.path, memoryStore(), memoryRegistry());
  const run = { ...plain.run, image: base };
  const { image } = await exportImage({ ...plain, run, extended: read }, quietContext());
  assert.deepEqual(
    image.layers.slice(0, 3).map(({ diffId }) => diffId),
    // The bytes our extender writes are what the exporter would make of them.
    extended.layers.map(({ diffId }) => diffId),
  );
  assert.deepEqual(image.config.history?.slice(0, 4).map(({ created_by }) => created_by), [
    "ADD rootfs",
    "Layer: 'RUN one', Created by extension: some/ext",
    "Layer: 'RUN two', Created by extension: some/ext",
    "Layer: 'deps', Created by buildpack: samples/java@1.2.3",
  ]);
  const { Env, User } = image.config.config;
  assert.ok(Env?.includes("ADDED=1"));
  assert.ok(Env?.includes("PATH=/cnb/process:/cnb/lifecycle:/opt/bin"));
  assert.equal(User, "1001");
  const label = JSON.parse(labelOf(image.config, "io.buildpacks.lifecycle.metadata")!);
  // A rebase cuts below the extensions.
  assert.equal(label.runImage.topLayer, base.layers[0]!.diffId);
});

Deno.test("EX-2 none, several, another base, a missing layer: refused", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const parent = `${dir.path}/extended`;
  await assert.rejects(readExtendedImage(parent, 1), /missing extended run image/);
  const base = runImage();
  const extended = await extend(base);
  await saveExtendedImage(parent, extended, 1);
  const other = runImage({}, true);
  const moved = { ...other, layers: [{ ...other.layers[0]!, diffId: extended.layers[1]!.diffId }] };
  const { ctx } = recordingContext();
  const input = exportInput(dir.path, memoryStore(), memoryRegistry());
  await assert.rejects(
    exportImage({
      ...input,
      run: { ...input.run, image: moved },
      extended: await readExtendedImage(parent, 1),
    }, ctx),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 62 && /stands on/.test(error.message),
  );
  await Deno.mkdir(`${parent}/run/second`);
  await assert.rejects(readExtendedImage(parent, 1), /to have only 1 item; found 2/);
  await Deno.remove(`${parent}/run/second`);
  const blob = extended.layers[2]!.descriptor.digest.slice(7);
  await Deno.remove(`${parent}/run/${extended.raw.digest}/blobs/sha256/${blob}`);
  await assert.rejects(readExtendedImage(parent, 1), /lacks layer sha256:/);
});

Deno.test("XT-9 TA-8 layers that are as they would be made are copied, others made again", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  const base = runImage();
  const uploadsOf = async (extended?: ExtendedImage) => {
    const store = memoryStore();
    const input = exportInput(dir.path, store, memoryRegistry());
    const run = { ...input.run, image: base };
    const { image } = await exportImage({ ...input, run, extended }, quietContext());
    return { uploads: store.uploads(), layers: image.layers };
  };
  const usual = await uploadsOf();
  await saveExtendedImage(`${dir.path}/extended`, await extend(base), 1);
  const read = await readExtendedImage(`${dir.path}/extended`, 1);
  const copied = await uploadsOf(read);
  assert.equal(copied.uploads, usual.uploads, "nothing was compressed again");
  assert.deepEqual(
    copied.layers.slice(1, 3).map(({ descriptor }) => descriptor.digest),
    read.layers.map(({ descriptor }) => descriptor.digest),
  );
  // With times in it, and one that says what it is not.
  const dated = await layerOfTar(tarOf({ name: "/opt/one", text: "x", mtime: 7 }));
  const { descriptor, blob } = await layerOf("/opt/two");
  const [first, second] = read.layers;
  const other = await uploadsOf({
    ...read,
    layers: [
      { ...first!, diffId: dated.diffId, descriptor: dated.descriptor, open: dated.blob },
      { ...second!, diffId: first!.diffId, descriptor, open: blob },
    ],
  });
  assert.equal(other.uploads, usual.uploads + 2);
  assert.notEqual(other.layers[1]!.diffId, dated.diffId);
  assert.equal(other.layers[2]!.diffId, second!.diffId);
});
