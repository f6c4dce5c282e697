/** `wherry sbom query` over a small fleet, with the registry counting. */
import { JOURNAL, pushLines } from "../lifecycle/fleet/artifact.ts";
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { appImage, bench, push, pushIndex } from "./command_testing.ts";

const sbom = (version: string) => ({
  "samples_java/jre/sbom.cdx.json": {
    components: [{
      type: "library",
      group: "com.fasterxml.jackson.core",
      name: "jackson-core",
      version,
      purl: `pkg:maven/com.fasterxml.jackson.core/jackson-core@${version}`,
      licenses: [{ license: { id: "Apache-2.0" } }],
    }],
  },
});
const QUERY = "pkg:maven/com.fasterxml.jackson.core/jackson-core@<2.15";

async function fleet() {
  const shop = await bench();
  const old = await push(appImage({ sboms: sbom("2.14.1") }), shop.registry, "team/old", "1");
  await push(appImage({ sboms: sbom("2.15.0") }), shop.registry, "team/new", "1");
  await push(appImage(), shop.registry, "team/bare", "1");
  return { shop, old, names: ["old", "new", "bare"].map((name) => `${shop.host}/team/${name}:1`) };
}

Deno.test("sbom query says which images of a list hold a package, and the second time asks once an image", async () => {
  const { shop, names } = await fleet();
  await using _shop = shop;
  await Deno.writeTextFile(`${shop.dir}/fleet.txt`, `# all\n${names.join("\n")}\n`);
  const first = await shop.wherry("sbom", "query", QUERY, "--from", "fleet.txt");
  equal(first.code, 0, first.err);
  match(
    first.out,
    new RegExp(`^${names[0]} +com\\.fasterxml\\.jackson\\.core/jackson-core +2\\.14\\.1 `, "m"),
  );
  equal(first.out.split("\n").length, 3);
  match(first.err, /1 of 3 images holds it; 1 has no bill of materials$/m);
  shop.reset();
  const second = await shop.wherry("sbom", "query", QUERY, "--from", "fleet.txt");
  equal(second.out, first.out);
  const asked = shop.seen.requests.filter((request) => request !== "GET /v2/");
  // To an image without the layer anybody may attach something at any time.
  const heads = asked.filter((request) => request.startsWith("HEAD "));
  deepEqual([asked.length, heads.length], [4, 3], asked.join("\n"));
  ok(asked.some((request) => /^GET \/v2\/team\/bare\/referrers\//.test(request)));
  // Another question is answered from the same cache.
  const other = await shop.wherry(
    "sbom",
    "query",
    "license:apache*",
    "--from",
    "fleet.txt",
    "-o",
    "csv",
  );
  deepEqual(other.out.split("\n").slice(0, 1), ["IMAGE,PACKAGE,VERSION,LICENCE,BUILDPACK"]);
  equal(other.out.trim().split("\n").length, 3);
});

Deno.test("sbom query finds what is attached to an image without the layer, also after it was asked in vain", async () => {
  const { shop, names } = await fleet();
  await using _shop = shop;
  const bare = names[2]!;
  const before = await shop.wherry("sbom", "query", "left-pad@<2", bare);
  match(before.err, /0 of 1 image holds it; 1 has no bill of materials/);
  const document = (version: string) => ({
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    components: [{
      type: "library",
      name: "left-pad",
      version,
      purl: `pkg:npm/left-pad@${version}`,
    }],
  });
  for (const version of ["1.3.0", "2.0.0"]) {
    await Deno.writeTextFile(`${shop.dir}/bom.cdx.json`, JSON.stringify(document(version)));
    const attached = await shop.wherry("sbom", "attach", bare, "--file", "bom.cdx.json");
    equal(attached.code, 0, attached.err);
    const found = await shop.wherry("sbom", "query", "left-pad@<2", bare);
    match(found.out, /left-pad +1\.3\.0/);
    match(found.err, /1 of 1 image holds it$/m);
  }
});

Deno.test("what a cluster runs is asked by digest: no request the second time, and where it runs is said", async () => {
  const { shop, old, names } = await fleet();
  await using _shop = shop;
  const pods = {
    items: [{
      kind: "Pod",
      metadata: { namespace: "prod", name: "shop-1" },
      spec: { containers: [{ name: "web", image: names[0] }] },
      status: {
        containerStatuses: [{ name: "web", imageID: `${shop.host}/team/old@${old.raw.digest}` }],
      },
    }],
  };
  await Deno.writeTextFile(`${shop.dir}/pods.json`, JSON.stringify(pods));
  const first = await shop.wherry(
    "sbom",
    "query",
    "jackson-core",
    "--from",
    "pods.json",
    "-o",
    "json",
  );
  deepEqual(JSON.parse(first.out).found[0].where, ["prod/shop-1/web"]);
  shop.reset();
  const second = await shop.wherry("sbom", "query", "jackson-core", "--from", "pods.json");
  match(second.out, /RUNS IN\n.* prod\/shop-1\/web$/m);
  deepEqual(shop.seen.requests, []);
});

Deno.test("an image that cannot be asked is told of, the others are answered, exit 1", async () => {
  const { shop, names } = await fleet();
  await using _shop = shop;
  const { code, out, err } = await shop.wherry(
    "sbom",
    "query",
    QUERY,
    names[0]!,
    `${shop.host}/absent:1`,
  );
  equal(code, 1);
  ok(out.includes("jackson-core"));
  match(err, /Warning: Cannot ask [^\n]+\/absent:1: it is not there\n/);
  const bad = await shop.wherry("sbom", "query", "pkg:maven", names[0]!);
  deepEqual([bad.code, bad.err], [
    3,
    'ERROR: Cannot read query "pkg:maven": want pkg:TYPE/NAME\n',
  ]);
  const none = await shop.wherry("sbom", "query", "x");
  deepEqual([none.code, none.err], [
    3,
    "ERROR: Cannot query nothing: want NAME... or --from FILE\n",
  ]);
});

Deno.test("an artifact that a pattern finds has no bill of materials, and no other command takes it for an image", async () => {
  const { shop, names } = await fleet();
  await using _shop = shop;
  const lines = new TextEncoder().encode("{}\n");
  const to = { registry: shop.registry, repository: "team/runs", tag: "7" };
  await pushLines(to, JOURNAL, [], lines, AbortSignal.timeout(10_000));
  const ask = () => shop.wherry("sbom", "query", QUERY, names[0]!, `${shop.host}/team/runs:*`);
  const { code, err } = await ask();
  equal(code, 0, err);
  match(err, /1 of 2 images holds it; 1 has no bill of materials/);
  shop.reset();
  equal((await ask()).code, 0);
  equal(shop.seen.requests.filter((one) => one.includes("/team/runs/manifests/")).length, 1);
  for (const words of [["inspect"], ["verify"], ["sbom", "list"]]) {
    const { code, err } = await shop.wherry(...words, `${shop.host}/team/runs:7`);
    equal(code, 1);
    match(
      err,
      /Cannot use team\/runs:7 as an image: it is "application\/vnd\.wherry\.journal\.v1\+jsonl"/,
    );
  }
});

Deno.test("every image of an index is asked, the second time with one request; --platform asks one", async () => {
  await using shop = await bench();
  const arm = (version: string) => appImage({ architecture: "arm64", sboms: sbom(version) });
  await pushIndex(shop.registry, "both", "1", [appImage({ sboms: sbom("2.15.0") }), arm("2.14.1")]);
  await pushIndex(shop.registry, "same", "1", [appImage({ sboms: sbom("2.14.0") }), arm("2.14.0")]);
  const names = [`${shop.host}/both:1`, `${shop.host}/same:1`];
  const first = await shop.wherry("sbom", "query", QUERY, ...names);
  equal(first.code, 0, first.err);
  match(first.out, / PLATFORMS\n/);
  match(first.out, /both:1 .* 2\.14\.1 .* linux\/arm64$/m);
  match(first.out, /same:1 .* 2\.14\.0 .* linux\/amd64, linux\/arm64$/m);
  equal(first.out.trim().split("\n").length, 3);
  shop.reset();
  const again = await shop.wherry("sbom", "query", QUERY, ...names, "-o", "json");
  deepEqual(shop.seen.requests.filter((one) => one !== "GET /v2/").sort(), [
    "HEAD /v2/both/manifests/1",
    "HEAD /v2/same/manifests/1",
  ]);
  deepEqual(JSON.parse(again.out).found[0].packages[0].platforms, ["linux/arm64"]);
  const amd = ["--platform", "linux/amd64"];
  const one = await shop.wherry("sbom", "query", QUERY, ...names, ...amd);
  equal(one.out.trim().split("\n").length, 2);
  match(one.err, /1 of 2 images holds it$/m);
  const none = await shop.wherry("sbom", "query", "no-such-package", names[0]!);
  match(none.err, /^0 of 1 image holds it/m);
});
