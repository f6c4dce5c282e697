/** `wherry relaunch`: the launcher, its labels and its bill of materials, and nothing else. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { pushImage, readImage } from "../registry/image.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../registry/store/layout.ts";
import { appImage, bench, push, pushIndex } from "./command_testing.ts";
import { VERSION } from "./version.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const HAS_LAUNCHER = await Deno.stat(new URL("../dist/native/amd64/launcher", import.meta.url))
  .then(() => true, () => false);

function test(name: string, act: () => Promise<void>): void {
  const skipped = "skipped: no launcher, want scripts/compile_c.ts";
  Deno.test({ name: HAS_LAUNCHER ? name : `${name} (${skipped})`, ignore: !HAS_LAUNCHER, fn: act });
}

test("relaunch --publish replaces one layer and two labels; the second time nothing is sent", async () => {
  await using shop = await bench();
  const old = await push(appImage(), shop.registry, "app", "1");
  shop.reset();
  const { code, out, err } = await shop.wherry("relaunch", "--publish", `${shop.host}/app:1`);
  equal(code, 0, err);
  match(err, new RegExp(`launcher 0\\.21\\.0 -> ${VERSION.replaceAll(".", "\\.")}`));
  const made = (await readImage(shop.registry, "app", "1", AMD64))!;
  equal(out, `${shop.host}/app@${made.raw.digest}\n`);
  deepEqual(
    made.layers.map(({ diffId }, at) => diffId === old.layers[at]!.diffId),
    [true, true, true, false, true, true],
  );
  deepEqual(made.config.history, old.config.history);
  const { Labels: labels, ...rest } = made.config.config;
  const { Labels: before, ...restBefore } = old.config.config;
  deepEqual(rest, restBefore);
  const label = (all: typeof labels, key: string) => JSON.parse(all![`io.buildpacks.${key}`]!);
  deepEqual(
    { ...label(labels, "lifecycle.metadata"), launcher: 0 },
    { ...label(before, "lifecycle.metadata"), launcher: 0 },
  );
  equal(label(labels, "lifecycle.metadata").launcher.sha, made.layers[3]!.diffId);
  equal(label(labels, "build.metadata").launcher.version, VERSION);
  const apart = ["lifecycle.metadata", "build.metadata"].map((key) => `io.buildpacks.${key}`);
  for (const key of Object.keys(before!)) {
    if (!apart.includes(key)) equal(labels![key], before![key]);
  }
  ok(
    !shop.seen.requests.some((request) =>
      old.layers.some(({ descriptor: { digest } }) => request.includes(digest))
    ),
  );
  equal((await shop.wherry("verify", "--layers", `${shop.host}/app:1`)).code, 0);
  shop.reset();
  const again = await shop.wherry("relaunch", "--publish", `${shop.host}/app:1`);
  match(again.err, /already: nothing to do$/m);
  equal(again.out, out);
  deepEqual(shop.seen.requests.filter((request) => /^(PUT|POST|PATCH)/.test(request)), []);
});

test("SB-6 relaunch takes the old launcher's bill of materials away, and leaves the others", async () => {
  await using shop = await bench();
  const sboms = {
    "buildpacksio_lifecycle/launcher/sbom.cdx.json": {
      components: [{ type: "library", name: "stdlib", version: "go1.19" }],
    },
    "buildpacksio_lifecycle/launcher/sbom.syft.json": { artifacts: [] },
    "samples_java/jre/sbom.cdx.json": {
      components: [{ type: "library", name: "kept", version: "1" }],
    },
  };
  const old = await push(appImage({ sboms }), shop.registry, "app", "1");
  const name = `${shop.host}/app:1`;
  equal((await shop.wherry("relaunch", "--publish", name)).code, 0);
  const { out } = await shop.wherry("sbom", "show", name);
  ok(!out.includes("stdlib"));
  match(out, /^kept +1 /m);
  match(out, /^wherry-launcher /m);
  const made = (await readImage(shop.registry, "app", "1", AMD64))!;
  equal(made.layers.filter(({ diffId }, at) => diffId !== old.layers[at]!.diffId).length, 2);
  match((await shop.wherry("relaunch", "--publish", name)).err, /nothing to do$/m);
});

test("relaunch of an index changes each image and the index; --dry-run says the digest and writes nothing", async () => {
  await using shop = await bench();
  await pushIndex(shop.registry, "app", "1", [appImage(), appImage({ architecture: "arm64" })]);
  const name = `${shop.host}/app:1`;
  shop.reset();
  const dry = await shop.wherry("relaunch", "--publish", "--dry-run", name);
  equal(dry.code, 0, dry.err);
  deepEqual(shop.seen.requests.filter((request) => /^(PUT|POST|PATCH)/.test(request)), []);
  const { out } = await shop.wherry("relaunch", "--publish", name);
  equal(out, dry.out);
  equal((await shop.wherry("verify", name)).code, 0);
  equal((await shop.registry.stat("app", "1"))!.digest, out.trim().split("@")[1]);
});

test("relaunch in the store and in a layout", async () => {
  await using shop = await bench();
  const place = await openLayout(`${shop.dir}/out`, { create: true });
  await pushImage(appImage(), place, LAYOUT_REPOSITORY, { tags: ["1"] });
  const { code, out, err } = await shop.wherry("relaunch", "oci:out:1", "-o", "json");
  equal(code, 0, err);
  equal(JSON.parse(out).decision, "relaunched");
  equal((await shop.wherry("copy", "oci:out:1", "store:mine")).code, 0);
  match((await shop.wherry("relaunch", "mine")).err, /nothing to do$/m);
  const absent = await shop.wherry("relaunch", "absent");
  equal(absent.code, 72);
  match(
    absent.err,
    /^ERROR: Cannot find absent in store; want --publish for the image of the registry\n$/,
  );
});

test("an image without buildpacks, or whose launcher is not in it, is refused", async () => {
  await using shop = await bench();
  await push(
    appImage({ labels: { "io.buildpacks.lifecycle.metadata": "{}" } }),
    shop.registry,
    "app",
    "1",
  );
  const { code, err } = await shop.wherry("relaunch", "--publish", `${shop.host}/app:1`);
  equal(code, 72);
  match(err, /: its label names no launcher\n$/);
});
