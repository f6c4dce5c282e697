/** `wherry inspect` as its users meet it, with the registry counting. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { parse as parseToml } from "smol-toml";
import { parse as parseYaml } from "yaml";
import { makeImage, pushContents } from "../registry/image.ts";
import { memoryRegistry } from "../registry/memory.ts";
import { appImage, bench, layerOf, push, pushIndex } from "./command_testing.ts";
import { makeScene } from "./rebase/rebase_testing.ts";
import { tokenDoor } from "./token_door_testing.ts";

const MiB = 1024 * 1024;

Deno.test("inspect of a 1 GB image takes 3 requests and less than 200 KB at most, an index included", async () => {
  await using shop = await bench();
  const small = appImage({
    base: Array.from({ length: 15 }, (_, at) => layerOf({ name: `base/${at}`, text: `${at}` })),
  });
  // The blobs are small; only their descriptors speak of a gigabyte, which is all that inspect may look at.
  await pushContents(small, shop.registry, "big");
  const layers = small.layers.map((layer) => ({
    ...layer,
    descriptor: { ...layer.descriptor, size: 60 * MiB },
  }));
  const big = makeImage(small.config, layers);
  await pushContents(
    { ...small, manifest: big.manifest, rawConfig: big.rawConfig, layers: [] },
    shop.registry,
    "big",
  );
  await shop.registry.pushManifest("big", big.raw, { tags: ["1"] });
  shop.reset();
  const { code, out, err } = await shop.wherry("inspect", `${shop.host}/big:1`);
  equal(code, 0, err);
  match(out, /^Size: 1\.3 GB in 20 layers$/m);
  ok(shop.seen.requests.length <= 3, shop.seen.requests.join("\n"));
  ok(shop.seen.bytes < 200_000, String(shop.seen.bytes));
  ok(shop.seen.requests.every((request) => !/blobs\/uploads|POST|PUT/.test(request)));

  const other = appImage({ architecture: "arm64" });
  await pushIndex(shop.registry, "multi", "1", [other, appImage()]);
  shop.reset();
  const multi = await shop.wherry("inspect", `${shop.host}/multi:1`);
  match(multi.out, /^Index: sha256:[0-9a-f]{64} of linux\/arm64, linux\/amd64 \(shown\)$/m);
  ok(shop.seen.requests.length <= 3, shop.seen.requests.join("\n"));
  const asked = await shop.wherry("inspect", `${shop.host}/multi:1`, "--platform", "linux/arm64");
  match(asked.out, /^Platform: linux\/arm64$/m);
});

Deno.test("behind tokens inspect asks once more and for one token, the next time for the token first, and for no document twice", async () => {
  const place = memoryRegistry();
  let host = "";
  await using it = await makeScene(tokenDoor(place, () => host), place);
  host = it.host;
  await pushIndex(place, "multi", "1", [appImage({ architecture: "arm64" }), appImage()]);
  await pushIndex(place, "multi", "2", [appImage({ labels: { a: "b" } })]);
  const inspect = async (tag: string) => {
    const { code, stderr } = await it.wherry(["inspect", `${host}/multi:${tag}`]);
    equal(code, 0, stderr);
    return it.calls();
  };
  const documents = ["GET getManifest 200", "GET getManifest 200", "GET getBlob 200"];
  deepEqual(await inspect("1"), ["GET getManifest 401", "GET other 200", ...documents]);
  deepEqual(await inspect("2"), ["GET other 200", ...documents]);
  deepEqual(await inspect("2"), ["GET other 200", "GET getManifest 200"]);
  deepEqual(await inspect("1"), ["GET other 200", "GET getManifest 200"]);
});

Deno.test("an index without this machine's platform is looked at all the same", async () => {
  await using shop = await bench();
  await pushIndex(shop.registry, "only", "1", [appImage({ architecture: "riscv64" })]);
  const { code, out } = await shop.wherry("inspect", `${shop.host}/only:1`);
  equal(code, 0);
  match(out, /^Platform: linux\/riscv64$/m);
  const wrong = await shop.wherry("inspect", `${shop.host}/only:1`, "--platform", "linux/arm64");
  equal(wrong.code, 3);
  match(wrong.err, /it has linux\/riscv64; the store has none$/m);
});

Deno.test("a name that is in the store and in its registry: the store's is looked at and that is said; --remote looks at the other", async () => {
  await using shop = await bench();
  const there = await push(appImage(), shop.registry, "app", "1");
  const name = `${shop.host}/app:1`;
  equal((await shop.wherry("pull", name)).code, 0);
  const newer = await push(
    appImage({ sboms: { "a/b/sbom.cdx.json": {} } }),
    shop.registry,
    "app",
    "1",
  );
  const digest = async (...words: readonly string[]) => {
    const { out, err } = await shop.wherry("verify", name, "-o", "json", ...words);
    return [
      JSON.parse(out).images[0].digest,
      /^\S+app:1 is the one in the store; --remote /m.test(err),
    ];
  };
  deepEqual(await digest(), [there.raw.digest, true]);
  deepEqual(await digest("--remote"), [newer.raw.digest, false]);
  const both = await shop.wherry("inspect", name);
  match(both.out, /^REMOTE:\nDigest: (\S+)[^]*^LOCAL:\nDigest: (?!\1)/m);
  const remote = await shop.wherry("inspect", name, "--remote");
  equal(remote.out.includes("LOCAL"), false);
  equal(
    JSON.parse((await shop.wherry("inspect", name, "--remote", "-o", "json")).out).local_info,
    null,
  );
});

Deno.test("inspect says run images, distro, who made each layer, launcher and the fixed date", async () => {
  await using shop = await bench();
  await push(
    appImage({ sboms: { "samples_java/jre/sbom.cdx.json": {} } }),
    shop.registry,
    "app",
    "1",
  );
  const { out } = await shop.wherry("inspect", `${shop.host}/app:1`);
  for (
    const wanted of [
      /^REMOTE:$/m,
      /^Created: fixed date \(reproducible build\)$/m,
      /^Launcher: 0\.21\.0$/m,
      /^ {2}Distro: ubuntu 24\.04$/m,
      /^Run Images:\n {2}registry\.test\/run:1\n {2}mirror\.test\/run:1$/m,
      /^Rebasable: true$/m,
      /^ {2}samples\/java +1\.2\.3 +https:\/\/x\.test$/m,
      /^ {2}web \(default\) +- +java +-jar app\.jar +\/workspace +samples\/java$/m,
      /^ {2}\d+ B +run image +- +sha256:[0-9a-f]{12}$/m,
      /^ {2}\d+ B +samples\/java@1\.2\.3 +jre /m,
      /^ {2}\d+ B +bill of materials +- /m,
      /^LOCAL:\n\(not present\)$/m,
    ]
  ) match(out, wanted);
});

Deno.test("json, yaml and toml have pack's keys and say the same", async () => {
  await using shop = await bench();
  await push(appImage(), shop.registry, "app", "1");
  const name = `${shop.host}/app:1`;
  const text = async (form: string) => (await shop.wherry("inspect", name, "-o", form)).out;
  const json = JSON.parse(await text("json"));
  deepEqual(parseYaml(await text("yaml")), json);
  const toml = JSON.parse(JSON.stringify(parseToml(await text("toml"))));
  equal(toml.image_name, name);
  equal(toml.remote_info.base_image.reference, json.remote_info.base_image.reference);
  equal("local_info" in toml, false);
  equal(json.local_info, null);
  const info = json.remote_info;
  for (
    const key of [
      "stack rebasable base_image run_images buildpacks extensions processes",
    ].join(" ").split(" ")
  ) ok(key in info, key);
  deepEqual(info.run_images, [{ name: "registry.test/run:1" }, { name: "mirror.test/run:1" }]);
  deepEqual(info.processes[0], {
    type: "web",
    shell: "",
    command: "java",
    default: true,
    args: ["-jar", "app.jar"],
    "working-dir": "/workspace",
    buildpack: "samples/java",
  });
  const bad = await shop.wherry("inspect", name, "-o", "xml");
  deepEqual([bad.code, bad.err], [
    3,
    'ERROR: Cannot print as "xml": want human, json, yaml or toml\n',
  ]);
});

const REASONS: readonly (readonly [why: string, labels: Record<string, string>, said: RegExp])[] = [
  ["RB-5 the label", { "io.buildpacks.rebasable": "false" }, /rebasable is false/],
  ["no buildpacks", { "io.buildpacks.lifecycle.metadata": "[]" }, /cannot be read/],
  ["RB-7 another top layer", {
    "io.buildpacks.lifecycle.metadata": JSON.stringify({
      runImage: { topLayer: "sha256:".padEnd(71, "0"), reference: "r" },
    }),
  }, /the last layer of its run image is not in it/],
  ["scratch", {
    "io.buildpacks.lifecycle.metadata": JSON.stringify({ runImage: { topLayer: "" } }),
  }, /it stands on no run image/],
];
for (const [why, labels, said] of REASONS) {
  Deno.test(`inspect says why an image is not rebasable: ${why}`, async () => {
    await using shop = await bench();
    await push(appImage({ labels }), shop.registry, "app", "1");
    const { out } = await shop.wherry("inspect", `${shop.host}/app:1`);
    match(out, new RegExp(`^Rebasable: false \\(.*${said.source}\\)$`, "m"));
  });
}

Deno.test("on a narrow terminal columns give way, in a pipe none does", async () => {
  await using shop = await bench();
  await push(appImage(), shop.registry, "app", "1");
  const name = `${shop.host}/app:1`;
  const narrow = await shop.as({ width: 60 }).wherry("inspect", name);
  const tables = narrow.out.split("\n").filter((line) => /^ {2}\d+ B|^ {2}web /.test(line));
  ok(tables.every((line) => line.length <= 60), tables.join("\n"));
  ok(!narrow.out.includes("WORK DIR"));
  ok((await shop.wherry("inspect", name)).out.includes("WORK DIR"));
});

Deno.test("--layers and --files say what is in each layer, whose it is and what is wasted", async () => {
  await using shop = await bench();
  await push(
    appImage({
      base: [layerOf({ name: "etc/conf", text: "12345" })],
      layers: { "samples/java:jre": layerOf({ name: "etc/conf", text: "1", uid: 7, gid: 8 }) },
      app: [layerOf({ name: "workspace/x\x1b]0;title\x07", text: "abc" })],
    }),
    shop.registry,
    "app",
    "1",
  );
  const name = `${shop.host}/app:1`;
  const layers = await shop.wherry("inspect", name, "--layers");
  match(layers.out, /^\d+ B +5 B +1 +0 +0 +5 B +run image +- +sha256:/m);
  match(layers.out, /^\d+ B +1 B +0 +1 +0 +- +samples\/java@1\.2\.3 +jre +sha256:/m);
  match(layers.out, /^6 layers, 17 B of files, 5 B wasted \(70\.6% efficient\)$/m);
  match(layers.out, /^ {2}5 B +1 +\/etc\/conf$/m);
  const files = await shop.wherry("inspect", name, "--files");
  match(files.out, /^Layer 2 of 6: samples\/java@1\.2\.3 jre, \d+ B, sha256:/m);
  match(files.out, /^\* -rw-r--r-- +7:8 +1 \/etc\/conf$/m);
  // deno-lint-ignore no-control-regex
  ok(!/[\x00-\x09\x0b-\x1f]/.test(files.out));
  const app = await shop.wherry("inspect", name, "--files", "--no-base", "-o", "json");
  const rows = app.out.trim().split("\n").map((line) => JSON.parse(line));
  deepEqual(
    rows.map(({ path, change }) => [path, change])[0],
    ["/etc/conf", "added"],
  );
  const both = await shop.wherry("inspect", name, "--files", "--layers");
  equal(both.code, 3);
});
