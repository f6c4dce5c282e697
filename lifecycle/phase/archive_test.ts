/** The helper's writer of tars beside the one in TypeScript: what it takes is the very same tar, and what it leaves costs time only. */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { quietContext } from "../../registry/context.ts";
import { FrameDigester } from "../../registry/layer/frame.ts";
import { randomOf } from "../../registry/layer/fuzz_testing.ts";
import { sliceTree } from "../../registry/layer/slices.ts";
import { joined } from "../../registry/layer/tar_testing.ts";
import type { TreeEntry } from "../../registry/layer/entry.ts";
import { walkTree } from "../../registry/layer/tree.ts";
import { isAsNoted, isUnchanged, noteTree } from "../../registry/layer/unchanged.ts";
import { writeLayer } from "../../registry/layer/write_layer.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { openStore } from "../../registry/store/store.ts";
import { openDirCache } from "../cache/dir_cache.ts";
import { compiledHelper } from "../sandbox/helper_testing.ts";
import { archiveWith, lookWith } from "../sandbox/archive.ts";
import { archiveLayer, isLarge, type LayerToArchive, wordsOf } from "./archive.ts";
import { exportImage } from "./export.ts";
import { exportInput, sampleBuild } from "./export_testing.ts";
import { tempDir } from "../../registry/temp_testing.ts";

const OWNER = { uid: 1000, gid: 2000 };
const INSIDE = "/layers/bp/l";

/** The tar that the writer in TypeScript makes. */
async function strictly(entries: Iterable<TreeEntry>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const sink = { write: (chunk: Uint8Array) => Promise.resolve(void chunks.push(chunk.slice())) };
  await writeLayer(entries, sink, { compression: "none" });
  return joined(...chunks);
}

/** What the helper makes, or why it does not. */
async function helped(root: string, layer: LayerToArchive) {
  const blob = await Deno.makeTempFile({ dir: root });
  const spool = await Deno.makeTempFile({ dir: root });
  const { signal } = quietContext();
  const made = await archiveWith(await compiledHelper(), wordsOf(layer), { blob, spool, signal });
  if ("why" in made) return made;
  return { ...made, blob: await Deno.readFile(blob), tar: await Deno.readFile(spool) };
}

/** Checks that the helper takes `layer`, and makes of it what it should. */
async function checkSame(root: string, layer: LayerToArchive, what: string): Promise<void> {
  const made = await helped(root, layer);
  assert.ok("tar" in made, `${what}: ${"why" in made ? made.why : ""}`);
  const wanted = await strictly(layer.entries());
  assert.equal(digestOf(made.tar), digestOf(wanted), `${what}: another tar`);
  assert.equal(made.tarSize, wanted.byteLength, what);
  assert.equal(made.diffId, digestOf(wanted), what);
  assert.equal(made.digest, digestOf(made.blob), what);
  assert.equal(made.size, made.blob.byteLength, what);
  assert.equal(digestOf(gunzipSync(made.blob)), made.diffId, what);
}

/** A layer of all in `outside`. */
function layerOf(outside: string, inside = INSIDE): LayerToArchive {
  const tree = { inside, outside };
  return { id: "l", entries: () => walkTree(tree, { owner: OWNER }), tree };
}

const STEPS = [
  "a",
  "b",
  "a-b",
  "a.b",
  "A",
  "é",
  "日本",
  "x".repeat(60),
  "y".repeat(99),
  "z".repeat(101),
];

/** Fills `outside` with what `random` wants. */
async function grow(outside: string, random: () => number): Promise<void> {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const noise = crypto.getRandomValues(new Uint8Array(65536));
  for (let n = 0; n < 30; n++) {
    const directory = `${outside}/${
      Array.from({ length: Math.floor(random() * 6) }, () => pick(STEPS)).join("/")
    }`;
    const path = `${directory}/${pick(STEPS)}${n}`;
    await Deno.mkdir(directory, { recursive: true });
    const kind = pick(["file", "file", "noise", "symlink", "directory", "link"]);
    if (kind === "directory") await Deno.mkdir(path);
    else if (kind === "symlink") await Deno.symlink(pick(STEPS).repeat(1 + n % 3), path);
    else {
      const size = pick([0, 1, 511, 512, 513, 5000, 70_000, 3000, 700_000]);
      const body = new Uint8Array(size);
      for (let at = 0; at < size; at++) {
        body[at] = kind === "noise" ? noise[at * 7 % 65521]! : at * at >> 7 & 63;
      }
      await Deno.writeFile(path, body);
      if (kind === "link") await Deno.link(path, `${path}.other`);
    }
    if (kind !== "symlink") {
      await Deno.chmod(path, pick([0o644, 0o755, 0o4755, 0o2700, 0o1777, 0o600]));
    }
  }
}

Deno.test("TA-2 TA-5 TA-6 TA-7 the helper makes the tar that the writer in TypeScript makes", async () => {
  await using dir = await tempDir();
  const random = randomOf(9);
  for (let n = 0; n < 5; n++) {
    const outside = `${dir.path}/${n}`;
    await Deno.mkdir(outside);
    await grow(outside, random);
    await checkSame(dir.path, layerOf(outside), `tree ${n}`);
    const app = { inside: "/workspace", outside };
    const slices = [{ paths: ["a*", "*/b"] }];
    for (const entries of await sliceTree(app, slices, { owner: OWNER })) {
      await checkSame(dir.path, { id: "app", entries: () => entries }, `slices of tree ${n}`);
    }
  }
});

Deno.test("TA-7 TA-8 names of every length, in ASCII and not, have the headers of the writer in TypeScript", async () => {
  await using dir = await tempDir();
  const outside = `${dir.path}/tree`;
  for (let length = 1; length <= 240; length += 3) {
    for (const letter of ["n", "é"]) {
      const name = letter.repeat(length).slice(
        0,
        letter === "é" ? Math.floor(length / 2) + 1 : length,
      );
      await Deno.mkdir(`${outside}/${name.slice(0, 60)}/é`, { recursive: true });
      await Deno.writeTextFile(`${outside}/${name.slice(0, 60)}/${name}.`, "x");
      await Deno.writeTextFile(`${outside}/${name.slice(0, 60)}/é/${name}.`, "");
      await Deno.symlink(name, `${outside}/${name.slice(0, 60)}/l${name}`);
    }
  }
  await checkSame(dir.path, layerOf(outside), "short place");
  await checkSame(dir.path, layerOf(outside, `/${"long/".repeat(30)}é/l`), "long place");
  await checkSame(
    dir.path,
    layerOf(outside, `/${"p".repeat(97)}/${"q".repeat(54)}`),
    "split place",
  );
});

Deno.test("TA-6 what is odd is left to the writer in TypeScript", async () => {
  await using dir = await tempDir();
  const odd = async (what: string, make: (outside: string) => Promise<unknown>, owner = OWNER) => {
    const outside = await Deno.makeTempDir({ dir: dir.path });
    await make(outside);
    const tree = { inside: INSIDE, outside };
    const made = await helped(dir.path, {
      id: what,
      entries: () => walkTree(tree, { owner }),
      tree,
    });
    assert.ok("why" in made, what);
  };
  await odd("fifo", async (outside) => {
    const { success } = await new Deno.Command("mkfifo", { args: [`${outside}/f`] }).output();
    assert.ok(success);
  });
  using stack = new DisposableStack();
  await odd("socket", (outside) => {
    stack.use(Deno.listen({ transport: "unix", path: `${outside}/s` }));
    return Promise.resolve();
  });
  await odd("owner", (outside) => Deno.writeTextFile(`${outside}/f`, ""), {
    uid: 3_000_000,
    gid: 0,
  });
  await odd("text", async (outside) => {
    const script = `touch "$1/$(printf 'a\\377')"`;
    const { success } = await new Deno.Command("sh", { args: ["-c", script, "sh", outside] })
      .output();
    assert.ok(success);
  });
});

Deno.test("X-17 a file that is another one than was listed is left to the writer in TypeScript", async () => {
  await using dir = await tempDir();
  const outside = `${dir.path}/app`;
  await Deno.mkdir(outside);
  await Deno.writeTextFile(`${outside}/f`, "as it was");
  const [entries] = await sliceTree({ inside: "/workspace", outside }, [], { owner: OWNER });
  await Deno.writeTextFile(`${outside}/f`, "as it is now");
  const made = await helped(dir.path, { id: "app", entries: () => entries! });
  assert.deepEqual(made, { why: "changed" });
});

Deno.test("EX-5 a store takes what the helper wrote, and is as it was when the helper leaves it", async () => {
  await using dir = await tempDir();
  const outside = `${dir.path}/tree`;
  await Deno.mkdir(outside);
  await Deno.writeFile(`${outside}/f`, new Uint8Array(3_000_000).fill(7));
  const layer = layerOf(outside);
  assert.ok(isLarge(layer.entries()));
  const helper = await compiledHelper();
  await using store = await openStore(`${dir.path}/store`);
  const upload = await store.upload("layers", { resumable: false });
  let bytes = 0;
  const onProgress = (more: number) => bytes += more;
  const descriptor = await upload.writtenBy!((blob) =>
    archiveLayer(helper, layer, { blob, onProgress }, quietContext())
  );
  assert.ok(descriptor);
  assert.deepEqual(Object.keys(descriptor), ["mediaType", "digest", "size"]);
  assert.equal(bytes, (await strictly(layer.entries())).byteLength);
  const blob = await store.blob("layers", descriptor.digest);
  assert.equal(blob?.size, descriptor.size);
  await Array.fromAsync(await blob!.open()); // hashed on the way
  const other = await store.upload("layers", { resumable: false });
  const none = await other.writtenBy!(async (path) => {
    await Deno.writeTextFile(path, "half of something");
    return undefined;
  });
  assert.equal(none, undefined);
  await other.write(new TextEncoder().encode("whole"));
  assert.equal((await other.commit()).digest, digestOf(new TextEncoder().encode("whole")));
  const wrong = await store.upload("layers", { resumable: false });
  await assert.rejects(
    wrong.writtenBy!(() => Promise.resolve({ digest: digestOf(new Uint8Array()), size: 1 })),
    /it has 0 bytes, want 1/,
  );
});

Deno.test("EX-5 CA-1 an export with the helper is the one without, but for the blobs", async () => {
  await using dir = await tempDir();
  await sampleBuild(dir.path);
  for (const name of ["jre", "deps", "m2", "../../app"]) {
    await Deno.writeFile(
      `${dir.path}/layers/samples_java/${name}/large`,
      new Uint8Array(2_000_000).fill(name.length),
    );
  }
  const exportWith = async (helper: string | undefined) => {
    const root = await Deno.makeTempDir({ dir: dir.path });
    await Deno.mkdir(`${root}/cache`);
    await using store = await openStore(`${root}/store`);
    const cache = await openDirCache(`${root}/cache`);
    const input = exportInput(dir.path, store, memoryRegistry(), { cache, helper });
    const { image, layers } = await exportImage(input, quietContext());
    const files = [...Deno.readDirSync(`${root}/cache/committed`)].map(({ name }) => name).sort();
    for (const name of files.filter((file) => file.endsWith(".tar"))) {
      assert.equal(`${digestOf(await Deno.readFile(`${root}/cache/committed/${name}`))}.tar`, name);
    }
    assert.deepEqual([...Deno.readDirSync(`${root}/cache`)].length, 2, "a spool was left");
    return {
      layers,
      files,
      config: image.rawConfig,
      blobs: image.layers.map(({ descriptor }) => descriptor),
    };
  };
  const slow = await exportWith(undefined);
  const fast = await exportWith(await compiledHelper());
  const broken = await exportWith("/bin/false");
  assert.deepEqual({ ...fast, blobs: [] }, { ...slow, blobs: [] });
  assert.deepEqual(broken, slow);
  const other = fast.blobs.filter(({ digest }, at) => digest !== slow.blobs[at]!.digest);
  assert.equal(other.length, 3);
});

Deno.test("X-17 an aborted layer ends the helper", async () => {
  await using dir = await tempDir();
  const helper = await compiledHelper();
  const stop = new AbortController();
  const words = function* () {
    yield ["d", "/a", "755", 0, 0];
    stop.abort(new Error("enough"));
    yield ["d", "/b", "755", 0, 0];
  };
  const options = { spool: await Deno.makeTempFile({ dir: dir.path }), signal: stop.signal };
  await assert.rejects(archiveWith(helper, words(), options), /enough/);
});

const TOUCHES: Readonly<Record<string, (at: string) => void>> = {
  "the same bytes again, with the old times": (at) => {
    const { atime, mtime } = Deno.statSync(`${at}/d/f`);
    Deno.writeTextFileSync(`${at}/d/f`, "x".repeat(700));
    Deno.utimeSync(`${at}/d/f`, atime!, mtime!);
  },
  "a mode": (at) => Deno.chmodSync(`${at}/d/f`, 0o600),
  "a name": (at) => Deno.renameSync(`${at}/d/f`, `${at}/d/g`),
  "an empty file more": (at) => Deno.writeTextFileSync(`${at}/d/more`, ""),
  "a file less": (at) => Deno.removeSync(`${at}/empty`),
  "a link to elsewhere": (at) => {
    Deno.removeSync(`${at}/d/link`);
    Deno.symlinkSync("g", `${at}/d/link`);
  },
  "another file with the same bytes": (at) => {
    Deno.copyFileSync(`${at}/large`, `${at}/copy`);
    Deno.renameSync(`${at}/copy`, `${at}/large`);
  },
  "a directory's mode": (at) => Deno.chmodSync(`${at}/d`, 0o711),
};

Deno.test("CA-3 the helper sees of a tree what the walk in TypeScript sees, and every touch", async () => {
  await using dir = await tempDir();
  const { signal } = quietContext();
  const helper = await compiledHelper();
  for (const [touch, act] of Object.entries(TOUCHES)) {
    const outside = await Deno.makeTempDir({ dir: dir.path });
    Deno.mkdirSync(`${outside}/d/deeper/${"n".repeat(200)}`, { recursive: true });
    Deno.writeTextFileSync(`${outside}/d/f`, "x".repeat(700));
    Deno.writeTextFileSync(`${outside}/empty`, "", { mode: 0o400 });
    Deno.writeTextFileSync(`${outside}/large`, "y".repeat(600_000));
    Deno.symlinkSync("../empty", `${outside}/d/link`);
    const layer = layerOf(outside);
    const frame = new FrameDigester();
    for (const entry of layer.entries()) frame.addEntry(entry);
    frame.addEnd();
    const diffId = digestOf(new Uint8Array());
    const note = await noteTree({
      ...{ diffId, frame: frame.digest(), outside },
      entries: layer.entries,
    });
    assert.ok(note, touch);
    const same = async () => {
      const seen = await lookWith(helper, wordsOf(layer), signal);
      assert.ok("frame" in seen, JSON.stringify(seen));
      assert.equal(isAsNoted(note, seen), isUnchanged(note, layer.entries()), touch);
      return isAsNoted(note, seen);
    };
    assert.equal(await same(), true, touch);
    act(outside);
    assert.equal(await same(), false, touch);
  }
  const odd = layerOf(await Deno.makeTempDir({ dir: dir.path }));
  await new Deno.Command("mkfifo", { args: [`${odd.tree!.outside}/pipe`] }).output();
  assert.deepEqual(await lookWith(helper, wordsOf(odd), signal), { why: "kind" });
});
