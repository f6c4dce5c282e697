/** `wherry sbom` as its users meet it, with the registry counting. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { appImage, bench, layerOf, push } from "./command_testing.ts";

const component = (name: string, version: string) => ({
  type: "library",
  name,
  version,
  purl: `pkg:npm/${name}@${version}`,
  licenses: [{ license: { id: "MIT" } }],
});
const SBOMS = {
  "samples_java/jre/sbom.cdx.json": { components: [component("left-pad", "1.0.0")] },
  "samples_java/jre/sbom.syft.json": { artifacts: [] },
  "samples_java/sbom.cdx.json": {
    components: [component("evil\u001b]0;title\u0007", "2")],
  },
};

Deno.test("SB-7 sbom show reads the layer of the label and no other", async () => {
  await using shop = await bench();
  const image = await push(
    appImage({ sboms: SBOMS, base: [layerOf({ name: "big", text: "x".repeat(10_000) })] }),
    shop.registry,
    "app",
    "1",
  );
  shop.reset();
  const { code, out, err } = await shop.wherry("sbom", "show", `${shop.host}/app:1`);
  equal(code, 0, err);
  match(out, /^PACKAGE +VERSION +TYPE +LICENCE +BUILDPACK +LAYER$/m);
  match(out, /^left-pad +1\.0\.0 +npm +MIT +samples\/java +jre$/m);
  // deno-lint-ignore no-control-regex
  ok(!/[\x00-\x09\x0b-\x1f]/.test(out), "N-11");
  const sbom = image.layers[2]!.descriptor.digest;
  const blobs = shop.seen.requests.filter((request) => request.includes("/blobs/"));
  deepEqual(blobs, [
    `GET /v2/app/blobs/${image.manifest.config.digest}`,
    `GET /v2/app/blobs/${sbom}`,
  ]);
});

Deno.test("sbom list, show of one document byte for byte, --merge, and what to do when there are several", async () => {
  await using shop = await bench();
  await push(appImage({ sboms: SBOMS }), shop.registry, "app", "1");
  const name = `${shop.host}/app:1`;
  const list = await shop.wherry("sbom", "list", name, "-o", "json");
  deepEqual(
    JSON.parse(list.out).documents.map((one: Record<string, unknown>) => [
      one["buildpack"],
      one["layer"],
      one["format"],
      one["packages"],
    ]),
    [
      ["samples/java", "jre", "cyclonedx", 1],
      ["samples/java", "jre", "syft", 0],
      ["samples/java", "", "cyclonedx", 1],
    ],
  );
  const one = await shop.wherry("sbom", "show", name, "--format", "cdx", "--layer", "jre");
  equal(one.out, JSON.stringify(SBOMS["samples_java/jre/sbom.cdx.json"]));
  const several = await shop.wherry("sbom", "show", name, "--format", "cyclonedx");
  equal(several.code, 3);
  match(several.err, /^ERROR: Cannot show 2 documents as one: want --merge, or [^\n]+\n$/);
  const none = await shop.wherry("sbom", "show", name, "--format", "spdx");
  match(none.err, /wrote cyclonedx, syft; want another --format, or --merge to convert\n$/);
  const merged = JSON.parse((await shop.wherry("sbom", "show", name, "--merge")).out);
  equal(merged.specVersion, "1.5");
  equal(merged.components.length, 2);
  equal(merged.metadata.component.name, name);
});

Deno.test("sbom download writes pack's layout", async () => {
  await using shop = await bench();
  await push(appImage({ sboms: SBOMS }), shop.registry, "app", "1");
  const { code, out } = await shop.wherry(
    "sbom",
    "download",
    "--remote",
    `${shop.host}/app:1`,
    "-o",
    "out",
  );
  equal(code, 0);
  equal(
    out,
    [
      "out/layers/sbom/launch/samples_java/jre/sbom.cdx.json",
      "out/layers/sbom/launch/samples_java/jre/sbom.syft.json",
      "out/layers/sbom/launch/samples_java/sbom.cdx.json",
      "",
    ].join("\n"),
  );
  const path = join(shop.dir, out.split("\n")[0]!);
  equal(await Deno.readTextFile(path), JSON.stringify(SBOMS["samples_java/jre/sbom.cdx.json"]));
});

Deno.test("an image without a bill of materials is said to have none, in one line", async () => {
  await using shop = await bench();
  await push(appImage(), shop.registry, "app", "1");
  const { code, out, err } = await shop.wherry("sbom", "show", `${shop.host}/app:1`);
  deepEqual([code, out], [1, ""]);
  match(
    err,
    /^ERROR: Cannot find a bill of materials in [^\n]+ wrote none, and none is attached\n$/,
  );
  const absent = await shop.wherry("sbom", "show", `${shop.host}/absent:1`);
  deepEqual([absent.code, absent.out], [3, ""]);
  match(absent.err, /^ERROR: Cannot find [^\n]+: the store has none, its registry has none\n$/);
});

Deno.test("sbom attach: a referrer with the format's artifactType, the same each time, read where there is no layer", async () => {
  await using shop = await bench();
  const image = await push(appImage({ sboms: SBOMS }), shop.registry, "app", "1");
  const name = `${shop.host}/app:1`;
  const args = ["sbom", "attach", name, "--format", "cyclonedx,spdx"];
  const first = await shop.wherry(...args);
  equal(first.code, 0, first.err);
  equal((await shop.wherry(...args)).out, first.out);
  const found = await shop.registry.referrers("app", image.raw.digest);
  deepEqual(found.map(({ artifactType }) => artifactType).sort(), [
    "application/spdx+json",
    "application/vnd.cyclonedx+json",
  ]);
  ok(first.out.includes(found[0]!.digest));
  match((await shop.wherry("sbom", "list", name)).out, /^Attached:\n {2}FORMAT/m);

  const bare = await push(appImage(), shop.registry, "bare", "1");
  await Deno.writeTextFile(
    `${shop.dir}/mine.json`,
    JSON.stringify({ bomFormat: "CycloneDX", components: [component("mine", "3")] }),
  );
  const given = await shop.wherry("sbom", "attach", `${shop.host}/bare:1`, "--file", "mine.json");
  equal(given.code, 0, given.err);
  equal((await shop.registry.referrers("bare", bare.raw.digest)).length, 1);
  match((await shop.wherry("sbom", "show", `${shop.host}/bare:1`)).out, /^mine +3 +npm +MIT/m);
  await Deno.writeTextFile(`${shop.dir}/other.json`, "[1]");
  const bad = await shop.wherry("sbom", "attach", `${shop.host}/bare:1`, "--file", "other.json");
  deepEqual([bad.code, bad.err], [
    3,
    'ERROR: Cannot attach "other.json": it is no CycloneDX, SPDX or Syft document\n',
  ]);
});

Deno.test("LB-3 the list that old platforms left in a label", async () => {
  await using shop = await bench();
  const bom = [{
    name: "jdk",
    metadata: { version: "11.0.1", licenses: [{ type: "GPL-2.0" }] },
    buildpack: { id: "samples/java", version: "1" },
  }];
  const labels = { "io.buildpacks.build.metadata": JSON.stringify({ bom, processes: [] }) };
  await push(appImage({ labels }), shop.registry, "app", "1");
  const { out } = await shop.wherry("inspect", "--bom", `${shop.host}/app:1`);
  match(out, /^jdk +11\.0\.1 +- +GPL-2\.0 +samples\/java +-$/m);
});

Deno.test("SB-7 a label that names a layer which is not there is said so", async () => {
  await using shop = await bench();
  const labels = {
    "io.buildpacks.lifecycle.metadata": JSON.stringify({
      sbom: { sha: "sha256:".padEnd(71, "1") },
    }),
  };
  await push(appImage({ labels }), shop.registry, "app", "1");
  const { code, err } = await shop.wherry("sbom", "show", `${shop.host}/app:1`);
  equal(code, 1);
  match(err, /its label names layer sha256:1+, which is not in it\n$/);
});

Deno.test("N-11 names that a buildpack chose, and documents that are damaged, say nothing to a terminal", async () => {
  await using shop = await bench();
  const odd = "x\u001b]0;title\u0007";
  const sboms = {
    [`${odd}/${odd}/sbom.cdx.json`]: "{",
    [`${odd}/other/sbom.cdx.json`]: { components: [component("kept", "1")] },
  };
  await push(appImage({ sboms }), shop.registry, "app", "1");
  const name = `${shop.host}/app:1`;
  for (
    const args of [
      ["sbom", "show", name],
      ["sbom", "list", name],
      ["sbom", "show", name, "--merge"],
      ["sbom", "show", name, "--format", "cyclonedx"],
      ["sbom", "show", name, "--buildpack", "absent"],
      ["sbom", "download", name, "-o", "out"],
      ["sbom", "query", "kept", name],
      ["inspect", name, "--files"],
    ]
  ) {
    const { out, err } = await shop.wherry(...args);
    // deno-lint-ignore no-control-regex
    ok(!/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(out + err), JSON.stringify(out + err));
    ok(/it is not JSON|Cannot|kept|sbom\.cdx\.json/.test(out + err), args.join(" "));
  }
});
