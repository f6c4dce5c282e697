/** `wherry diff`: the layer, the file, the field, and whose it is. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { collect } from "../registry/source.ts";
import { decompress } from "../registry/layer/decompress.ts";
import { digestOf } from "../registry/oci/digest.ts";
import { bytesSource } from "../registry/source.ts";
import { appImage, bench, layerOf, push, pushIndex } from "./command_testing.ts";

const file = (text: string, more: Record<string, unknown> = {}) => ({
  name: "layers/samples_java/jre/lib",
  text,
  ...more,
});

Deno.test("diff names the layer, the buildpack, the file and the header field", async () => {
  await using shop = await bench();
  const a = appImage({
    layers: { "samples/java:jre": layerOf(file("one"), { name: "layers/old", text: "" }) },
  });
  const b = appImage({
    layers: {
      "samples/java:jre": layerOf(file("two", { mtime: 7, uid: 5 }), {
        name: "layers/new",
        text: "",
      }),
    },
    labels: { "org.example.x": "1" },
  });
  await push(a, shop.registry, "app", "a");
  await push(b, shop.registry, "app", "b");
  const names = [`${shop.host}/app:a`, `${shop.host}/app:b`] as const;
  const { code, out, err } = await shop.wherry("diff", ...names);
  equal(code, 1);
  match(out, /^Layer jre \(samples\/java@1\.2\.3\): changed$/m);
  match(
    out,
    /^ {2}\* \/layers\/samples_java\/jre\/lib: owner 0:0 -> 5:0, mtime 0 -> 7, content [0-9a-f]{12} -> [0-9a-f]{12}$/m,
  );
  match(out, /^ {2}- \/layers\/old \(only in a\)$/m);
  match(out, /^ {2}\+ \/layers\/new \(only in b\)$/m);
  match(out, /^ {2}label org\.example\.x: \(not there\) -> 1$/m);
  match(
    out,
    /label io\.buildpacks\.lifecycle\.metadata: buildpacks\[0\]\.layers\.jre\.sha: sha256:/,
  );
  match(err, /1 layer differ; made by: samples\/java@1\.2\.3/);
  const json = JSON.parse((await shop.wherry("diff", ...names, "-o", "json")).out);
  equal(json.same, false);
  deepEqual(json.layers.map(({ name, how }: Record<string, string>) => [name, how]), [[
    "jre",
    "changed",
  ]]);
  const same = await shop.wherry("diff", names[0], names[0]);
  deepEqual([same.code, same.out], [0, ""]);
});

Deno.test("diff reads only layers that differ, and none with --no-files", async () => {
  await using shop = await bench();
  await push(appImage(), shop.registry, "app", "a");
  const b = await push(
    appImage({ app: [layerOf({ name: "workspace/main.txt", text: "changed" })] }),
    shop.registry,
    "app",
    "b",
  );
  const names = [`${shop.host}/app:a`, `${shop.host}/app:b`] as const;
  const layers = () =>
    shop.seen.requests.filter((request) =>
      b.layers.some(({ descriptor }) => request.includes(descriptor.digest)) ||
      request.includes(appImage().layers[2]!.descriptor.digest)
    ).length;
  shop.reset();
  await shop.wherry("diff", ...names);
  equal(layers(), 2);
  shop.reset();
  await shop.wherry("diff", ...names, "--no-files");
  equal(layers(), 0);
});

Deno.test("diff tells another compression, another order and another base apart", async () => {
  await using shop = await bench();
  const layer = layerOf({ name: "workspace/a", text: "1" }, { name: "workspace/b", text: "2" });
  const turned = layerOf({ name: "workspace/b", text: "2" }, { name: "workspace/a", text: "1" });
  const tar = await Array.fromAsync(decompress(await (await layer.blob()).open()));
  const blob = new Uint8Array(gzipSync(tar[0]!, { level: 0 }));
  const again = {
    ...layer,
    descriptor: { ...layer.descriptor, digest: digestOf(blob), size: blob.byteLength },
    blob: () => Promise.resolve(bytesSource(blob)),
  };
  ok(await collect(await bytesSource(blob).open(), 1e6));
  const base = (text: string) => [layerOf({ name: "etc/os", text })];
  await push(appImage({ app: [layer], base: base("1") }), shop.registry, "app", "a");
  await push(appImage({ app: [again], base: base("1") }), shop.registry, "app", "again");
  await push(appImage({ app: [turned], base: base("1") }), shop.registry, "app", "turned");
  await push(appImage({ app: [layer], base: base("2") }), shop.registry, "app", "base");
  const diff = async (other: string, ...more: string[]) =>
    (await shop.wherry("diff", `${shop.host}/app:a`, `${shop.host}/app:${other}`, ...more)).out;
  match(await diff("again"), /recompressed\n.*\n {2}the same files, compressed in another way$/m);
  match(await diff("turned"), /its entries stand in another order$/m);
  const changed = await diff("base");
  match(changed, /^Layer #1 \(run image\): changed$/m);
  ok(!changed.includes("/etc/os"));
  match(await diff("base", "--base"), /^ {2}\* \/etc\/os: content/m);
});

Deno.test("of two packages, what is in another version's directory is the same file", async () => {
  await using shop = await bench();
  for (const version of ["1.0.0", "1.1.0"]) {
    await shop.wherry("buildpack", "new", "acme/tool", "--path", version, "--version", version);
    await Deno.writeTextFile(`${shop.dir}/${version}/data`, version);
    await shop.wherry("buildpack", "package", `tool:${version}`, "--path", version);
  }
  const { code, out } = await shop.wherry("diff", "tool:1.0.0", "tool:1.1.0");
  equal(code, 1);
  match(out, /^Layer #1 \(acme\/tool@1\.0\.0 \/ acme\/tool@1\.1\.0\): changed$/m);
  const dir = "/cnb/buildpacks/acme_tool/1.0.0";
  const files = out.split("\n").filter((line) => /^ {2}[*+-] /.test(line));
  deepEqual(files.map((line) => line.replace(/content .*/, "content")), [
    `  * ${dir}/buildpack.toml: content`,
    `  * ${dir}/data: content`,
  ]);
});

Deno.test("two indexes are compared platform by platform; --platform compares one", async () => {
  await using shop = await bench();
  const arm = (text: string) =>
    appImage({ architecture: "arm64", app: [layerOf({ name: "workspace/a", text })] });
  const other = appImage({ architecture: "riscv64" });
  await pushIndex(shop.registry, "app", "a", [appImage(), arm("1")]);
  await pushIndex(shop.registry, "app", "b", [appImage(), arm("2"), other]);
  const names = [`${shop.host}/app:a`, `${shop.host}/app:b`] as const;
  const { code, out, err } = await shop.wherry("diff", ...names);
  equal(code, 1);
  match(out, /^Platform linux\/amd64: same$/m);
  match(
    out,
    /^Platform linux\/arm64: changed\n\nFields:(?:\n.+)+\n\nLayer #\d+ \(app\): changed$/m,
  );
  match(out, /^ {2}\* \/workspace\/a: content/m);
  match(out, /^Platform linux\/riscv64: only in b$/m);
  match(err, /2 of 3 platforms differ; \d+ fields? and 1 layer differ; made by: app$/m);
  const raw = (await shop.registry.manifest("app", "a"))!;
  const bytes = new TextEncoder().encode(new TextDecoder().decode(raw.bytes) + "\n");
  await shop.registry.pushManifest("app", { ...raw, bytes }, { tags: ["c"] });
  const form = await shop.wherry("diff", names[0], `${shop.host}/app:c`);
  equal(form.code, 1);
  match(form.err, /^0 of 2 platforms differ; only the index itself does$/m);
  const json = JSON.parse((await shop.wherry("diff", ...names, "-o", "json")).out);
  deepEqual(
    json.platforms.map(({ platform, how }: Record<string, string>) => `${platform} ${how}`),
    ["linux/amd64 same", "linux/arm64 changed", "linux/riscv64 only in b"],
  );
  equal((await shop.wherry("diff", names[0], names[0])).code, 0);
  await push(appImage(), shop.registry, "app", "one");
  const mixed = await shop.wherry("diff", names[0], `${shop.host}/app:one`);
  match(mixed.err, /app:a is an index: its image for linux\/amd64 is compared\nThey are the same/);
  const one = await shop.wherry("diff", ...names, "--platform", "linux/amd64");
  equal(one.code, 0, one.err);
});
