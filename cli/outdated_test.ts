/** `wherry outdated`: the drift report of a small fleet. */
import { deepEqual, equal, match } from "node:assert/strict";
import { makeImage } from "../registry/image.ts";
import { appImage, bench, layerOf, push } from "./command_testing.ts";

const osOf = (text: string) => layerOf({ name: "etc/os-release", text });

async function fleet() {
  const shop = await bench();
  const runName = `${shop.host}/run:1`;
  const distro = (version: string) => ({
    "io.buildpacks.base.distro.name": "ubuntu",
    "io.buildpacks.base.distro.version": version,
  });
  const run = async (layers: ReturnType<typeof osOf>[], tag: string, version = "24.04") =>
    await push(
      makeImage({
        os: "linux",
        architecture: "amd64",
        config: { Labels: distro(version) },
        rootfs: { type: "layers", diff_ids: [] },
      }, layers),
      shop.registry,
      "run",
      tag,
    );
  const [oldLayers, newLayers] = [[osOf("old")], [osOf("new"), osOf("patch")]];
  const old = await run(oldLayers, "old");
  const now = await run(newLayers, "1");
  const app = async (name: string, on: typeof old, layers: typeof oldLayers, version = "24.04") =>
    await push(
      appImage({
        base: layers,
        runImage: { image: runName },
        reference: `${shop.host}/run@${on.raw.digest}`,
        labels: distro(version),
      }),
      shop.registry,
      name,
      "1",
    );
  await app("behind", old, oldLayers);
  await app("uptodate", now, newLayers);
  await app("jammy", old, oldLayers, "22.04");
  await push(now, shop.registry, "plain", "1");
  const names = ["behind", "uptodate", "jammy", "plain", "absent"].map((name) =>
    `${shop.host}/${name}:1`
  );
  await Deno.writeTextFile(`${shop.dir}/fleet.txt`, names.join("\n"));
  return { shop, runName, old, now };
}

Deno.test("outdated says which image is on which base, and what a rebase would change", async () => {
  const { shop, runName, old, now } = await fleet();
  await using _shop = shop;
  const args = ["outdated", "--from", "fleet.txt", "--run-image", runName];
  const { code, out, err } = await shop.wherry(...args, "-o", "json");
  equal(code, 3, err);
  const { images, bases } = JSON.parse(out);
  deepEqual(images.map(({ status }: { status: string }) => status), [
    "outdated",
    "current",
    "cannot move",
    "not CNB",
    "unreadable",
  ]);
  const [behind, , jammy] = images;
  equal(behind.base, `${shop.host}/run@${old.raw.digest}`);
  equal(behind.new_base, `${shop.host}/run@${now.raw.digest}`);
  deepEqual([behind.layers_out, behind.layers_in, behind.distro], [1, 2, "ubuntu 24.04"]);
  equal(behind.bytes_in, now.layers.reduce((sum, one) => sum + one.descriptor.size, 0));
  match(jammy.reason, /22\.04/);
  deepEqual([jammy.base, jammy.distro], [`${shop.host}/run@${old.raw.digest}`, "ubuntu 22.04"]);
  equal(bases.length, 5);
  const human = await shop.wherry(...args);
  match(human.out, /^ {2}1 +outdated +ubuntu 24\.04 +127\.0\.0\.1:\d+\/run@sha256:[0-9a-f]{12}$/m);
  match(human.out, /^ {2}127\.0\.0\.1:\d+\/behind:1 +outdated +1 layer for 2, \d+ B /m);
  match(human.out, /jammy:1 +cannot move .* distro: \S+ 22\.04 \/ /);
  await Deno.writeTextFile(`${shop.dir}/one.txt`, `${shop.host}/jammy:1\n`);
  const narrow = await shop.as({ width: 80 })
    .wherry("outdated", "--from", "one.txt", "--run-image", runName);
  match(narrow.out, /jammy:1 +cannot move +distro: /, "why it cannot move, on a terminal");
  const csv = await shop.wherry(...args, "-o", "csv");
  equal(csv.out.trim().split("\n").length, 6);
  deepEqual(shop.seen.requests.filter((request) => /^(PUT|POST|PATCH|DELETE)/.test(request)), []);
});

Deno.test("a fleet on the newest base is fine: exit 0", async () => {
  const { shop, runName } = await fleet();
  await using _shop = shop;
  const { code } = await shop.wherry(
    "outdated",
    "--publish",
    `${shop.host}/uptodate:1`,
    "--run-image",
    runName,
  );
  equal(code, 0);
  const none = await shop.wherry("outdated");
  deepEqual([none.code, none.err], [
    3,
    "ERROR: Cannot look at nothing: want NAME... or --from FILE\n",
  ]);
});

Deno.test("an image on scratch has no base to bring up to date: nothing is to do", async () => {
  await using shop = await bench();
  await push(appImage({ base: [], reference: "" }), shop.registry, "static", "1");
  const run = makeImage(
    { os: "linux", architecture: "amd64", config: {}, rootfs: { type: "layers", diff_ids: [] } },
    [osOf("new")],
  );
  await push(run, shop.registry, "run", "1");
  const name = `${shop.host}/static:1`;
  for (const more of [[], ["--run-image", `${shop.host}/run:1`]]) {
    const { code, out } = await shop.wherry("outdated", "--publish", name, ...more);
    equal(code, 0);
    match(out, /static:1 +no base +it stands on no run image$/m);
  }
  const refused = await shop.wherry("rebase", "--publish", name, "--dry-run");
  equal(refused.err, `ERROR: Cannot rebase ${name}: it stands on no run image\n`);
  equal(refused.code, 72);
  const onto = ["--run-image", "scratch"];
  const mapped = ["--run-image-map", `${shop.host}/run=scratch`];
  for (const words of [["rebase", ...onto], ["rebase", ...mapped], ["outdated", ...onto]]) {
    const scratch = await shop.wherry(...words, "--publish", "nobody.invalid/asked");
    deepEqual([scratch.code, scratch.err], [
      3,
      "ERROR: Cannot rebase onto scratch: it is no image; want --run-image NAME\n",
    ]);
  }
});
