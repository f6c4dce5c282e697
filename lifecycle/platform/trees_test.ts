import { deepEqual, equal, rejects } from "node:assert/strict";
import { join } from "node:path";
import { type Image, makeImage } from "../../registry/image.ts";
import type { Sample } from "../../registry/layer/tar_testing.ts";
import { tempDir } from "../../registry/temp_testing.ts";
import { compiledHelper, isRoot } from "../sandbox/helper_testing.ts";
import { layerOf, shapeOf } from "../sandbox/unpack_testing.ts";
import { collectTrees, openTree, type TreeOptions } from "./trees.ts";

const helper = await compiledHelper();

function imageOf(...layers: readonly (readonly Sample[])[]): Image {
  const config = { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } };
  return makeImage(config as unknown as Image["config"], layers.map((one) => layerOf(...one)));
}

const base: readonly Sample[] = [{ name: "a", text: "a" }, { name: "b", text: "b" }];

function context(signal = new AbortController().signal) {
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  return { signal, log, now: () => new Date(), meter: () => ({ add() {}, end() {} }) };
}

async function withDir(act: (options: TreeOptions, dir: string) => Promise<void>): Promise<void> {
  await using temp = await tempDir();
  const dir = temp.path;
  await act(
    { helper, dir: join(dir, "unpacked"), owner: isRoot ? "real" : "self" },
    join(dir, "unpacked"),
  );
}

const namesIn = async (dir: string) =>
  (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name.replace(/[0-9a-f]{64}/, "N"))
    .sort();

Deno.test("trees: made once, shared, and named by its layers", () =>
  withDir(async (options) => {
    const image = imageOf(base, [{ name: ".wh.a", text: "" }]);
    await using first = await openTree(image, options, context());
    equal(first.fresh, true);
    deepEqual(
      (await shapeOf(first.path)).filter((line) =>
        line.startsWith("f b") || line.startsWith("f a")
      ),
      ["f b b"],
    );
    let opened = 0;
    const unread = {
      ...image,
      layers: image.layers.map((layer) => ({ ...layer, blob: () => (opened++, layer.blob()) })),
    };
    await using second = await openTree(unread, options, context());
    equal(second.fresh, false);
    equal(second.path, first.path);
    equal(opened, 0, "nothing is unpacked twice");
    await using other = await openTree(imageOf(base), options, context());
    equal(other.fresh, true);
  }));

Deno.test("trees: several at once make one", () =>
  withDir(async (options, dir) => {
    const image = imageOf(base);
    const trees = await Promise.all([1, 2, 3, 4].map(() => openTree(image, options, context())));
    equal(trees.filter(({ fresh }) => fresh).length, 1);
    deepEqual(await namesIn(dir), [`${options.owner}-N`, `${options.owner}-N.lock`]);
    for (const tree of trees) await tree[Symbol.asyncDispose]();
  }));

Deno.test("trees: a failure leaves nothing, and the next try succeeds", () =>
  withDir(async (options, dir) => {
    const image = imageOf(base);
    const broken = {
      ...image,
      layers: [...image.layers, {
        ...image.layers[0]!,
        blob: () => Promise.reject(new Error("the wire broke")),
      }],
    };
    await rejects(openTree(broken, options, context()), /the wire broke/);
    deepEqual(await namesIn(dir), [`${options.owner}-N.lock`]);
    const stop = new AbortController();
    const stuck = {
      ...broken,
      layers: [{
        ...image.layers[0]!,
        blob: () => {
          stop.abort(new Error("enough"));
          return image.layers[0]!.blob();
        },
      }],
    };
    await rejects(openTree(stuck, options, context(stop.signal)), /enough/);
    await using tree = await openTree(image, options, context());
    equal(tree.fresh, true);
  }));

Deno.test("trees: what a killed process left is not taken for the whole", () =>
  withDir(async (options, dir) => {
    const image = imageOf(base);
    const { path } = await (async () => {
      await using tree = await openTree(image, options, context());
      return tree;
    })();
    const top = path.slice(0, -"/root".length);
    await Deno.rename(top, `${top}.part`);
    await Deno.remove(`${top}.part/root/a`);
    {
      await using tree = await openTree(image, options, context());
      equal(tree.fresh, true);
      equal(await Deno.readTextFile(join(tree.path, "a")), "a");
    }
    // A kernel that went down before it wrote everything back.
    const about = join(top, "about.json");
    await Deno.writeTextFile(
      about,
      (await Deno.readTextFile(about)).replace(/"boot":"[^"]*"/, '"boot":"before"'),
    );
    {
      await using tree = await openTree(image, options, context());
      equal(tree.fresh, true);
    }
    await Deno.writeTextFile(
      about,
      (await Deno.readTextFile(about)).replace(/"boot":"[^"]*"/, '"boot":"before"'),
    );
    await Deno.writeTextFile(join(top, "settled"), "");
    await using tree = await openTree(image, options, context());
    equal(tree.fresh, false);
    deepEqual((await namesIn(dir)).length, 2);
  }));

Deno.test("trees: the collector takes what nobody wants and nobody uses", () =>
  withDir(async (options, dir) => {
    const image = imageOf(base);
    const gone = imageOf([{ name: "c", text: "ccc" }]);
    const collect = (graceMs: number, now = new Date()) =>
      collectTrees({
        ...{ helper, dir, graceMs, now },
        isKept: (config) => Promise.resolve(config === image.manifest.config.digest),
      });
    {
      await using _used = await openTree(gone, options, context());
      await using _kept = await openTree(image, options, context());
      deepEqual(await collect(0, new Date(Date.now() + 1e6)), { trees: 0, bytes: 0 }, "in use");
    }
    deepEqual(await collect(60_000), { trees: 0, bytes: 0 }, "used just now");
    let collected = await collect(0, new Date(Date.now() + 1000));
    // Between fork and exec, children of other tests hold our locks: the collector leaves alone what is locked.
    for (let tries = 0; collected.trees === 0 && tries < 100; tries++) {
      collected = await collect(0, new Date(Date.now() + 1000));
    }
    deepEqual(collected, { trees: 1, bytes: 3 });
    deepEqual(await namesIn(dir), [`${options.owner}-N`, `${options.owner}-N.lock`]);
  }));
