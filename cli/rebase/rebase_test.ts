/** `wherry rebase` of one image: what it writes, what it asks for, and what it refuses. */
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { readImage } from "../../registry/image.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { encodeJson } from "../../registry/image.ts";
import { bytesSource } from "../../registry/source.ts";
import { openLayout } from "../../registry/store/layout.ts";
import { openStore } from "../../registry/store/store.ts";
import { madeApp, madeBase, makeScene, put, type Scene } from "./rebase_testing.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const [old, next] = [madeBase("1"), madeBase("2")];

async function scene(): Promise<Scene & { readonly args: readonly string[] }> {
  const made = await makeScene();
  const run = `${made.host}/run:2`;
  await put(made.place, "run", "1", old);
  await put(made.place, "run", "2", next);
  await put(made.place, "app", "1", madeApp(old, "app", { run }));
  return Object.assign(made, {
    args: ["rebase", `${made.host}/app:1`, "--publish", "--run-image", run],
  });
}

Deno.test("RB-12 demand 30: one image on one registry: 8 requests cold, and a second time nothing is written", async () => {
  await using it = await scene();
  const { code, stdout, stderr } = await it.wherry(it.args);
  equal(code, 0, stderr);
  const calls = it.calls();
  ok(calls.length <= 8, calls.join("\n"));
  equal(
    calls.filter((call) => call.startsWith("POST startUpload 201")).length,
    5,
    "5 mounts; the config goes with its manifest",
  );
  deepEqual(calls.filter((call) => call.startsWith("PUT")), ["PUT putManifest 201"]);
  const image = (await readImage(it.place, "app", "1", AMD64))!;
  equal(stdout, `${it.host}/app@${image.raw.digest}\n`);
  deepEqual(
    image.layers.slice(0, 5).map(({ diffId }) => diffId),
    next.layers.map(({ diffId }) => diffId),
  );
  equal(labelOf(image.config, "app.name"), "app");
  match(stderr, /Rebased .*app:1 from .*run@sha256:\S+ to .*run@sha256:/);
  const again = await it.wherry(it.args);
  equal(again.code, 0);
  match(again.stderr, /stands on .* already: nothing to do/);
  equal(again.stdout, stdout);
  equal(it.calls().some((call) => !call.startsWith("GET")), false);
});

Deno.test("C-REFR-05 --referrers says what speaks of the old image only", async () => {
  await using it = await scene();
  const before = (await it.place.stat("app", "1"))!;
  const empty = new TextEncoder().encode("{}");
  const config = { mediaType: "application/vnd.test", digest: digestOf(empty), size: 2 };
  await it.place.pushBlob("app", config, bytesSource(empty));
  const signature = await it.place.pushManifest("app", {
    mediaType: MediaType.ociManifest,
    bytes: encodeJson({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      artifactType: "application/vnd.signature",
      config,
      layers: [],
      subject: before,
    }),
  });
  const { code, stderr } = await it.wherry([...it.args, "--referrers"]);
  equal(code, 0, stderr);
  ok(stderr.includes(`application/vnd.signature ${signature.digest} speaks of the old image`));
});

Deno.test("RB-13 --dry-run says what would be done, and writes nothing; -o json", async () => {
  await using it = await scene();
  const before = await it.place.stat("app", "1");
  const { code, stdout } = await it.wherry([...it.args, "--dry-run", "-o", "json"]);
  equal(code, 0);
  const result = JSON.parse(stdout);
  equal(result.decision, "would rebase");
  equal(result.old.digest, before!.digest);
  equal(result.old.base, `${it.host}/run@${old.raw.digest}`);
  equal(result.new.base, `${it.host}/run@${next.raw.digest}`);
  equal(result.requests, it.seen.filter(({ path }) => path.includes("/app/")).length);
  equal(it.seen.some(({ method }) => method !== "GET"), false);
  equal((await it.place.stat("app", "1"))?.digest, before!.digest);
  const done = JSON.parse((await it.wherry([...it.args, "-o", "json"])).stdout);
  equal(done.decision, "rebased");
  equal(done.new.digest, result.new.digest, "what was foretold");
  deepEqual(done.tags, [`${it.host}/app:1`]);
});

Deno.test("RB-2 the run image of the label, from the image's own registry", async () => {
  await using it = await scene();
  const { code, stderr } = await it.wherry(["rebase", `${it.host}/app:1`, "--publish"]);
  equal(code, 0, stderr);
  const image = (await readImage(it.place, "app", "1", AMD64))!;
  equal(image.layers[0]!.diffId, next.layers[0]!.diffId);
  const none = await it.wherry(["rebase", `${it.host}/none`, "--publish"]);
  equal(none.code, 72);
  match(none.stderr, /Image with name ".*\/none:latest" not found/);
});

Deno.test("RB-14 demand 32: an index: every image on its own base, attestations left out", async () => {
  await using it = await makeScene();
  const run = `${it.host}/run:2`;
  const bases = ["1", "2"].map((version) =>
    ["amd64", "arm64"].map((arch) => madeBase(version, { arch }))
  );
  const putIndex = async (
    repository: string,
    tag: string,
    images: readonly { raw: { digest: string; mediaType: string; bytes: Uint8Array } }[],
    more: readonly unknown[] = [],
  ) => {
    const manifests = images.map(({ raw }, at) => ({
      mediaType: raw.mediaType,
      digest: raw.digest,
      size: raw.bytes.byteLength,
      platform: { os: "linux", architecture: ["amd64", "arm64"][at] },
    }));
    const bytes = encodeJson({
      schemaVersion: 2,
      mediaType: MediaType.ociIndex,
      manifests: [...manifests, ...more],
      annotations: { kept: "yes" },
    });
    await it.place.pushManifest(repository, { mediaType: MediaType.ociIndex, bytes }, {
      tags: [tag],
    });
  };
  for (const [at, pair] of bases.entries()) {
    for (const [n, image] of pair.entries()) await put(it.place, "run", `${at}${n}`, image);
    await putIndex("run", `${at + 1}`, pair);
  }
  const apps = bases[0]!.map((base, at) =>
    madeApp(base, `app${at}`, { run, arch: ["amd64", "arm64"][at]! })
  );
  for (const [at, app] of apps.entries()) await put(it.place, "app", `c${at}`, app);
  const proof = { ...apps[0]!.raw };
  await putIndex("app", "1", apps, [{
    mediaType: proof.mediaType,
    digest: proof.digest,
    size: proof.bytes.byteLength,
    platform: { os: "unknown", architecture: "unknown" },
    annotations: { "vnd.docker.reference.type": "attestation-manifest" },
  }]);
  const args = ["rebase", `${it.host}/app:1`, "--publish", "--run-image", run];
  const { code, stderr } = await it.wherry(args);
  equal(code, 0, stderr);
  const raw = (await it.place.manifest("app", "1"))!;
  const index = JSON.parse(new TextDecoder().decode(raw.bytes));
  equal(raw.mediaType, MediaType.ociIndex);
  deepEqual(index.annotations, { kept: "yes" });
  equal(index.manifests.length, 2);
  for (const [at, arch] of ["amd64", "arm64"].entries()) {
    const image = (await readImage(it.place, "app", "1", { os: "linux", architecture: arch }))!;
    equal(image.config.architecture, arch);
    equal(image.layers[0]!.diffId, bases[1]![at]!.layers[0]!.diffId);
    equal(labelOf(image.config, "app.name"), `app${at}`);
  }
  it.calls();
  const again = await it.wherry(args);
  match(again.stderr, /nothing to do/);
  equal(it.calls().some((call) => !call.startsWith("GET")), false);
});

Deno.test("docker media types stay docker's, though the base is of OCI", async () => {
  await using it = await scene();
  const run = `${it.host}/run:2`;
  await put(
    it.place,
    "docker",
    "1",
    madeApp(madeBase("1", { docker: true }), "d", { docker: true, run }),
  );
  const { code, stderr } = await it.wherry(["rebase", `${it.host}/docker:1`, "--publish"]);
  equal(code, 0, stderr);
  const image = (await readImage(it.place, "docker", "1", AMD64))!;
  equal(image.raw.mediaType, MediaType.dockerManifest);
  equal(image.manifest.config.mediaType, MediaType.dockerConfig);
  ok(image.layers.every(({ descriptor }) => descriptor.mediaType === MediaType.dockerLayer));
});

Deno.test("a digest reference: the result is there by its digest; more names by --tag, one PUT each", async () => {
  await using it = await scene();
  const before = (await it.place.stat("app", "1"))!.digest;
  const name = `${it.host}/app@${before}`;
  const { code, stdout, stderr } = await it.wherry([
    ...["rebase", name, "--publish", "--run-image", `${it.host}/run:2`],
    ...["--tag", `${it.host}/app:2`, "--tag", `${it.host}/other:2`],
  ]);
  equal(code, 0, stderr);
  const digest = stdout.trim().split("@")[1]!;
  equal((await it.place.stat("app", "1"))?.digest, before, "nobody asked for that tag");
  equal((await it.place.stat("app", "2"))?.digest, digest);
  equal((await it.place.stat("app", digest))?.digest, digest);
  equal((await it.place.stat("other", "2"))?.digest, digest);
  equal(it.calls().filter((call) => call.startsWith("PUT")).length, 3);
  const elsewhere = await it.wherry([...it.args, "--tag", "elsewhere.example/app:1"]);
  equal(elsewhere.code, 3);
  match(elsewhere.stderr, /want a tag on the registry of/);
});

Deno.test("--previous-image is read and left alone; --tag-template and --backup-tag", async () => {
  await using it = await scene();
  const before = (await it.place.stat("app", "1"))!.digest;
  const run = ["--publish", "--run-image", `${it.host}/run:2`];
  const to = await it.wherry([
    "rebase",
    `${it.host}/new:1`,
    "--previous-image",
    `${it.host}/app:1`,
    ...run,
  ]);
  equal(to.code, 0, to.stderr);
  equal((await it.place.stat("app", "1"))?.digest, before);
  const made = (await it.place.stat("new", "1"))!.digest;
  const templated = await it.wherry([
    ...["rebase", `${it.host}/app:1`, ...run],
    ...["--tag-template", "{tag}-on-{base}", "--backup-tag", "{tag}-before"],
  ]);
  equal(templated.code, 0, templated.stderr);
  const tag = `1-on-${next.raw.digest.slice(7, 19)}`;
  deepEqual(await Array.fromAsync(it.place.tags("app")), ["1", "1-before", tag]);
  equal((await it.place.stat("app", tag))?.digest, made);
  equal((await it.place.stat("app", "1"))?.digest, before);
});

Deno.test("RB-15 in the store and in an OCI layout; base layers are brought there", async () => {
  await using it = await scene();
  const run = `${it.host}/run:2`;
  const app = madeApp(old, "app", { run });
  {
    await using store = await openStore(`${it.dir}/store`);
    await put(store, it.host.replace(":", "_") + "/app", "1", app);
    const layout = await openLayout(`${it.dir}/layout`, { create: true });
    await put(layout, "layout", "latest", app);
  }
  const { code, stderr, stdout } = await it.wherry(["rebase", `${it.host}/app:1`]);
  equal(code, 0, stderr);
  equal(it.calls().some((call) => !call.startsWith("GET")), false, "the registry is only read");
  const digest = stdout.trim().split("@")[1]!;
  {
    await using store = await openStore(`${it.dir}/store`);
    equal((await store.stat(it.host.replace(":", "_") + "/app", "1"))?.digest, digest);
    const fsck = await it.wherry(["store", "fsck"]);
    equal(fsck.code, 0, fsck.stderr);
  }
  const inLayout = await it.wherry(["rebase", "oci:layout", "--run-image", run]);
  equal(inLayout.code, 0, inLayout.stderr);
  equal(inLayout.stdout, `oci:layout@${digest}\n`, "one image, whichever place");
  const absent = await it.wherry(["rebase", "nothing"]);
  equal(absent.code, 72);
  match(
    absent.stderr,
    /"nothing:latest" not found in the store .*--publish means the one in its registry/,
  );
  const archive = await it.wherry(["rebase", "oci-archive:x.tar"]);
  equal(archive.code, 3);
});

Deno.test("demand 31: each refusal names its check and both values", async () => {
  await using it = await scene();
  const run = `${it.host}/run:2`;
  const rows: readonly (readonly [string, Parameters<typeof madeApp>[2], string, RegExp])[] = [
    [
      "label",
      { labels: { "io.buildpacks.rebasable": "false" } },
      "rebasable label",
      /the image has "false"/,
    ],
    ["arch", { arch: "arm64" }, "architecture", /the image has "arm64", the new base "amd64"/],
    ["distro", { distro: "11" }, "distro", /the image has "debian 11", the new base "debian 12"/],
    [
      "name",
      { run: `${it.host}/other:1` },
      "run image name",
      /the image names ".*other:1", the new base is ".*run:2"/,
    ],
  ];
  for (const [name, shape, check, both] of rows) {
    await put(it.place, name, "1", madeApp(old, name, { run, ...shape }));
    const args = ["rebase", `${it.host}/${name}:1`, "--publish", "--run-image", run, "-o", "json"];
    const { code, stderr, stdout } = await it.wherry(args);
    equal(code, 72, stderr);
    match(stderr, new RegExp(`Cannot rebase .*${name}:1: ${check}: `));
    match(stderr, both);
    match(stderr, /--force makes this a warning/);
    doesNotMatch(stderr, /[{}]/, "no JSON for people");
    const result = JSON.parse(stdout);
    deepEqual([result.decision, result.check.name], ["refused", check]);
    const forced = await it.wherry([...args, "--force"]);
    equal(forced.code, 0, forced.stderr);
    match(forced.stderr, new RegExp(`Warning: .*${check}: `));
    doesNotMatch(forced.stderr, /[{}]/);
  }
  const other = await it.wherry([...it.args.slice(0, 3), "--run-image", `${it.host}/nothing`]);
  equal(other.code, 1, "RB-2: new base not found");
  match(other.stderr, /Cannot find run image ".*nothing:latest"/);
});

Deno.test("demand 15: --run-image-map: a base that was copied elsewhere is the one the image names", async () => {
  await using it = await scene();
  await put(it.place, "moved", "1", madeApp(old, "moved", { run: "registry.invalid/team/run:2" }));
  const name = `${it.host}/moved:1`;
  const bare = await it.wherry(["rebase", name, "--publish"]);
  equal(bare.code, 72);
  match(
    bare.stderr,
    /its label names registry.invalid\/team\/run:2, on a host that only the image names/,
  );
  const map = ["--run-image-map", `registry.invalid/team/run=${it.host}/run`];
  const { code, stderr } = await it.wherry(["rebase", name, "--publish", ...map]);
  equal(code, 0, stderr);
  const image = (await readImage(it.place, "moved", "1", AMD64))!;
  const label = JSON.parse(labelOf(image.config, "io.buildpacks.lifecycle.metadata")!);
  equal(label.runImage.image, "registry.invalid/team/run:2", "the name others know it by");
  equal(label.runImage.reference, `${it.host}/run@${next.raw.digest}`);
});

Deno.test("RB-6 an image that names no run image, since it was built on a directory, stands on any that fits, and takes its name", async () => {
  await using it = await scene();
  await put(it.place, "local", "1", madeApp(old, "local", { run: "" }));
  const on = async (run: string) => {
    const said = await it.wherry(["rebase", `${it.host}/local:1`, "--publish", "--run-image", run]);
    equal(said.code, 0, said.stderr);
    doesNotMatch(said.stderr, /Warning/);
    const { config } = (await readImage(it.place, "local", "1", AMD64))!;
    return JSON.parse(labelOf(config, "io.buildpacks.lifecycle.metadata")!).runImage.image;
  };
  equal((await it.wherry(["copy", `${it.host}/run:2`, "oci:base"])).code, 0);
  equal(await on("oci:base"), undefined, "a directory has no name");
  equal(await on(`${it.host}/run:1`), `${it.host}/run:1`);
  const other = await it.wherry([...it.args.slice(0, 3), "--run-image", "oci:base"]);
  equal(other.code, 72);
  match(
    other.stderr,
    /run image name: the image names ".*run:2", the new base is "none"; --force makes this a warning\n/,
  );
});

Deno.test("demand 33: names in results are whole: of other repositories, of the store, of layouts", async () => {
  await using it = await scene();
  const tags = [`${it.host}/app:two`, `${it.host}/other/app:x`];
  const { stdout, stderr } = await it.wherry([
    ...it.args,
    ...tags.flatMap((tag) => ["--tag", tag]),
    ...["-o", "json"],
  ]);
  deepEqual(JSON.parse(stdout).tags, [`${it.host}/app:1`, ...tags], stderr);
  const run = ["--run-image", `${it.host}/run:1`, "--force"];
  equal((await it.wherry(["copy", `${it.host}/app:two`, "store:shop"])).code, 0);
  const inStore = await it.wherry(["rebase", "store:shop", ...run, "--tag", "store:more/shop:7"]);
  match(inStore.stdout, /^shop@sha256:[0-9a-f]{64}\n$/, inStore.stderr);
  match((await it.wherry(["ls"])).stdout, /^more\/shop +7 /m);
  equal((await it.wherry(["copy", `${it.host}/app:two`, "oci:lay:a"])).code, 0);
  const inLayout = await it.wherry([
    "rebase",
    "oci:lay:a",
    ...run,
    "--tag",
    "oci:lay:b",
    "-o",
    "json",
  ]);
  deepEqual(JSON.parse(inLayout.stdout).tags, ["oci:lay:a", "oci:lay:b"], inLayout.stderr);
  const layout = await openLayout(`${it.dir}/lay`, {});
  equal((await layout.stat("layout", "b"))?.digest, (await layout.stat("layout", "a"))?.digest);
  for (const tag of ["oci:other:b", "b", "store:b"]) {
    const { code, stderr } = await it.wherry(["rebase", "oci:lay:a", ...run, "--tag", tag]);
    equal(code, 3);
    match(stderr, /Cannot tag \S+: want a tag of the same layout, as in oci:lay:TAG/);
  }
});

Deno.test("a template that can become no tag is refused before anything is read", async () => {
  await using it = await scene();
  for (const flag of ["--tag-template", "--backup-tag"]) {
    const { code, stderr } = await it.wherry([...it.args, flag, "{tga}"]);
    equal(code, 3);
    match(stderr, /Cannot use tag "\{tga\}" of "\{tga\}": want \{tag\}/);
    const plan = ["rebase", "plan", `${it.host}/app:1`, "--tag-template", "{tag} x"];
    equal((await it.wherry(plan)).code, 3);
    deepEqual(it.calls().filter((call) => !call.startsWith("GET")), []);
  }
});
