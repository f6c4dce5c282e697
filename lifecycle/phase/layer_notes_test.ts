/** A rebuild reads no layer that nobody touched, and finds every touch. */
import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { openExactLook } from "../../registry/layer/libc.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { Digester } from "../../registry/oci/digest.ts";
import { openDirCache } from "../cache/dir_cache.ts";
import { analyze } from "./analyze.ts";
import { exportImage } from "./export.ts";
import type { LayerNotes } from "./export_types.ts";
import {
  counting,
  exportInput,
  memoryStore,
  SAMPLE_BUILD,
  sampleBuild,
  tempDir,
  writeTree,
} from "./export_testing.ts";
import { noteLayers } from "./layer_notes.ts";
import { restore } from "./restore.ts";

const OWNER = { uid: 1000, gid: 1000 };
const BIG = 3 * 2 ** 20;

/** Runs `act`; the bytes that were hashed meanwhile. */
async function hashedBy(act: () => Promise<void>): Promise<number> {
  const { update } = Digester.prototype;
  let bytes = 0;
  Digester.prototype.update = function (chunk) {
    bytes += chunk.byteLength;
    return update.call(this, chunk);
  };
  try {
    await act();
  } finally {
    Digester.prototype.update = update;
  }
  return bytes;
}

/** Builds, restores into an empty directory, lets `touch` do what buildpacks might, and exports again. */
async function rebuild(touch: (layers: string) => void) {
  await using dir = await tempDir();
  const root = dir.path;
  await sampleBuild(root);
  for (const name of ["deps", "m2"]) {
    await Deno.writeFile(`${root}/layers/samples_java/${name}/big`, new Uint8Array(BIG).fill(7));
  }
  await Deno.mkdir(`${root}/cache`);
  const to = counting(memoryRegistry());
  const store = memoryStore();
  const first = await exportImage(
    exportInput(root, store, to, { cache: await openDirCache(`${root}/cache`) }),
    quietContext(),
  );
  await Deno.remove(`${root}/layers`, { recursive: true });
  await Deno.mkdir(`${root}/layers`);
  const layers = { inside: "/layers", outside: `${root}/layers` };
  const { analyzed, previous, run } = await analyze({
    previous: {
      registry: to,
      repository: "app",
      reference: "1",
      name: "registry.example/app:1",
      repositoryName: "registry.example/app",
    },
    run: exportInput(root, memoryStore(), to).run,
    platform: { os: "linux", architecture: "amd64" },
    owner: OWNER,
    layers,
  }, quietContext());
  const cache = await openDirCache(`${root}/cache`);
  const restored = await restore({
    group: SAMPLE_BUILD.buildpacks,
    app: analyzed.metadata,
    cache,
    layers,
    capability: { launchMetadataFromCache: true },
    forLater: true,
  }, quietContext());
  const notes = await noteLayers(restored.written, { owner: OWNER }, quietContext());
  await writeTree(root, {
    "layers/samples_java/jre.toml":
      '[types]\nlaunch = true\n[metadata]\nversion = "21"\nbig = 9007199254740993\n',
    "layers/samples_java/deps.toml": "[types]\nlaunch = true\ncache = true\n",
    "layers/samples_java/m2.toml": "[types]\nbuild = true\ncache = true\n",
    "layers/config/metadata.toml": '[[processes]]\ntype = "web"\n',
  });
  touch(`${root}/layers/samples_java`);
  const again = async (notes: LayerNotes | undefined) => {
    const result = { digest: "", cached: {} as Record<string, string>, hashed: 0 };
    result.hashed = await hashedBy(async () => {
      const { image } = await exportImage(
        exportInput(root, store, to, {
          ...{ run, previous, previousMetadata: analyzed.metadata, cache, notes },
        }),
        quietContext(),
      );
      result.digest = image.raw.digest;
    });
    for (const { layers } of (await cache.metadata()).buildpacks) {
      for (const [name, { sha }] of Object.entries(layers)) result.cached[name] = sha;
    }
    return result;
  };
  const noted = await again(notes);
  const read = await again(undefined);
  assert.deepEqual({ ...noted, hashed: 0 }, { ...read, hashed: 0 }, "with notes as without");
  return { first: first.image.raw.digest, noted, read };
}

const ignore = openExactLook() === undefined;

Deno.test({
  name: "CA-3 EX-10 a rebuild with nothing changed hashes no restored byte",
  ignore,
  fn: async () => {
    const { first, noted, read } = await rebuild(() => {});
    assert.equal(noted.digest, first);
    assert(noted.hashed < 100_000, `${noted.hashed} bytes were hashed`);
    assert(read.hashed > 2 * BIG, "that is what it saves");
  },
});

for (const name of ["deps", "m2"]) {
  Deno.test({
    name: `CA-3 a byte of ${name} that changed in a rebuild is in the image and the cache`,
    ignore,
    fn: async () => {
      const { first, noted } = await rebuild((layers) => {
        const path = `${layers}/${name}/big`;
        const { atime, mtime } = Deno.statSync(path);
        const file = Deno.openSync(path, { write: true });
        file.seekSync(BIG / 2, Deno.SeekMode.Start);
        file.writeSync(new Uint8Array([8]));
        file.close();
        Deno.utimeSync(path, atime!, mtime!);
      });
      assert(noted.hashed > BIG);
      // m2 is not in the image.
      assert.equal(noted.digest === first, name === "m2");
    },
  });
}
