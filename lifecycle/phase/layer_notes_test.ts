/** A rebuild reads no layer that nobody touched, and finds every touch. */
import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { openExactLook } from "../../registry/layer/libc.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { Digester, digestOf } from "../../registry/oci/digest.ts";
import { openDirCache } from "../cache/dir_cache.ts";
import { compiledHelper } from "../sandbox/helper_testing.ts";
import { analyze } from "./analyze.ts";
import { exportImage } from "./export.ts";
import type { LayerNotes } from "./export_types.ts";
import {
  counting,
  exportInput,
  memoryStore,
  SAMPLE_BUILD,
  sampleBuild,
  writeTree,
} from "./export_testing.ts";
import { noteLayers } from "./layer_notes.ts";
import { readNotes, writeNotes } from "./note_file.ts";
import { restore } from "./restore.ts";
import { tempDir } from "../../registry/temp_testing.ts";

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

/** Where notes are between restore and export, and what restores. */
const WAYS = {
  "in one process": undefined,
  "in two processes": await compiledHelper(),
};

/**
 * Builds, restores into an empty directory, lets `touch` do what buildpacks might, and exports again.
 *
 * @param helper With it notes go through the layers directory, as from one process to another.
 */
async function rebuild(touch: (layers: string, cache: string) => void, helper?: string) {
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
  // A cache that was written a moment ago is not marked: the kernel's clock could not tell a write from the next.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const known = await openDirCache(`${root}/cache`);
  const cache = known;
  const restored = await restore({
    group: SAMPLE_BUILD.buildpacks,
    app: analyzed.metadata,
    cache,
    layers,
    capability: { launchMetadataFromCache: true },
    forLater: true,
    helper,
    looks: helper !== undefined,
  }, quietContext());
  const found = await noteLayers(restored.written, { owner: OWNER }, quietContext());
  if (helper) await writeNotes(layers, { layers: found, cached: cache.marks! });
  await writeTree(root, {
    "layers/samples_java/jre.toml":
      '[types]\nlaunch = true\n[metadata]\nversion = "21"\nbig = 9007199254740993\n',
    "layers/samples_java/deps.toml": "[types]\nlaunch = true\ncache = true\n",
    "layers/samples_java/m2.toml": "[types]\nbuild = true\ncache = true\n",
    "layers/config/metadata.toml": '[[processes]]\ntype = "web"\n',
  });
  touch(`${root}/layers/samples_java`, `${root}/cache`);
  const left = readNotes(layers);
  const notes = helper ? left.layers : found;
  assert.deepEqual([...left.layers.keys()], helper ? [...found.keys()] : []);
  const again = async (notes: LayerNotes | undefined) => {
    const cache = helper ? await openDirCache(`${root}/cache`) : known;
    if (notes) cache.believe!(left.cached);
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

for (const [way, helper] of Object.entries(WAYS)) {
  Deno.test({
    name: `CA-3 EX-10 a rebuild with nothing changed hashes no restored byte, ${way}`,
    ignore,
    fn: async () => {
      const { first, noted, read } = await rebuild(() => {}, helper);
      assert.equal(noted.digest, first);
      assert(noted.hashed < 100_000, `${noted.hashed} bytes were hashed`);
      assert(read.hashed > 2 * BIG, "that is what it saves");
    },
  });

  for (const name of ["deps", "m2"]) {
    Deno.test({
      name: `CA-3 a byte of ${name} that changed in a rebuild is in image and cache, ${way}`,
      ignore,
      fn: async () => {
        const { first, noted } = await rebuild((layers) => flip(`${layers}/${name}/big`), helper);
        assert(noted.hashed > BIG);
        // m2 is not in the image.
        assert.equal(noted.digest === first, name === "m2");
      },
    });
  }
}

/** Changes a byte in the middle, and sets the times back. */
function flip(path: string): void {
  const { atime, mtime } = Deno.statSync(path);
  const file = Deno.openSync(path, { write: true });
  file.seekSync(BIG / 2, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array([8]));
  file.close();
  Deno.utimeSync(path, atime!, mtime!);
}

Deno.test({
  name: "CA-5 a cache layer that was damaged after the restore is read, and written anew",
  ignore,
  fn: async () => {
    let damaged = "";
    const { noted } = await rebuild((_, cache) => {
      for (const { name } of Deno.readDirSync(`${cache}/committed`)) {
        const path = `${cache}/committed/${name}`;
        if (Deno.statSync(path).size < BIG) continue;
        flip(path);
        damaged ||= path;
      }
    }, await compiledHelper());
    assert(damaged !== "" && noted.hashed > BIG, `${noted.hashed} bytes were hashed`);
  },
});

const TOUCHED: Readonly<Record<string, (notes: string) => string>> = {
  "of another boot": (notes) => notes.replace(/"boot":"./, '"boot":"x'),
  "that are no JSON": () => "{",
  "that are something else": () => '{"boot":1,"layers":{}}',
  // Who writes it wants the old layer back, and could have written that.
  "of another layer": (notes) => notes.replaceAll(/"diffId":"sha256:./g, '"diffId":"sha256:0'),
};
for (const [what, change] of Object.entries(TOUCHED)) {
  Deno.test({
    name: `CA-3 notes ${what} change nothing but the time it takes`,
    ignore,
    fn: async () => {
      await using dir = await tempDir();
      const layers = { inside: "/layers", outside: dir.path };
      const digest = digestOf(new Uint8Array());
      const note = { diffId: digest, state: digest, offset: 0 };
      await writeNotes(layers, { layers: new Map([["a:b", note]]), cached: new Map() });
      const [file] = [...Deno.readDirSync(dir.path)];
      const path = `${dir.path}/${file!.name}`;
      assert.deepEqual(readNotes(layers).layers.get("a:b"), note);
      Deno.writeTextFileSync(path, change(Deno.readTextFileSync(path)));
      const { layers: read } = readNotes(layers);
      assert.notDeepEqual(read.get("a:b"), note);
      Deno.removeSync(path);
      Deno.symlinkSync("/etc/passwd", path);
      assert.equal(readNotes(layers).layers.size, 0);
    },
  });
}
