import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { type Image, type Layer, makeImage } from "../../registry/image.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { LifecycleError } from "../error.ts";
import { parseLifecycleLabel } from "../file/lifecycle_metadata.ts";
import { rebaseImage, type RebaseInput, usualBase } from "./rebase.ts";

const LABEL = "io.buildpacks.lifecycle.metadata";
const { log } = quietContext();

function layer(name: string): Layer {
  const digest = digestOf(new TextEncoder().encode(name));
  const mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
  const blob = () => Promise.reject(new Error("a rebase reads no layer"));
  return { diffId: digest, descriptor: { mediaType, digest, size: name.length }, blob };
}

interface Shape {
  readonly labels?: Readonly<Record<string, string>>;
  readonly arch?: string;
  readonly variant?: string;
  readonly history?: boolean;
  readonly api?: string;
}

function image(names: readonly string[], shape: Shape = {}): Image {
  const { labels = {}, arch = "amd64", variant, history = true, api } = shape;
  return makeImage({
    os: "linux",
    architecture: arch,
    ...(variant ? { variant } : {}),
    config: { Labels: { ...labels }, Env: api ? [`CNB_PLATFORM_API=${api}`] : ["PATH=/base"] },
    rootfs: { type: "layers", diff_ids: [] },
    ...(history ? { history: names.map((name) => ({ created_by: name })) } : {}),
  }, names.map(layer));
}

const DISTRO = {
  "io.buildpacks.base.distro.name": "debian",
  "io.buildpacks.base.distro.version": "12",
};
const OLD = ["os", "old"];

function app(names: readonly string[] = [...OLD, "app"], shape: Shape = {}, top = "old"): Image {
  const metadata = {
    app: ["whatever"],
    runImage: { topLayer: layer(top).diffId, reference: "r@x", image: "run", mirrors: ["m/run"] },
    stack: { runImage: { image: "run" } },
    unknown: { big: 1 },
  };
  const text = JSON.stringify(metadata).replace('"big":1', '"big":9007199254740993');
  return image(names, {
    api: "0.12",
    ...shape,
    labels: { [LABEL]: text, ...DISTRO, "some.label": "stays", ...shape.labels },
  });
}

function rebase(change: Partial<RebaseInput> = {}): Image {
  return rebaseImage({
    app: app(),
    base: image(["os", "new", "newer"], { labels: { ...DISTRO, "io.buildpacks.base.id": "id" } }),
    run: { name: "run", reference: "run@sha256:1" },
    targets: true,
    force: false,
    normalize: (name) => name,
    ...change,
  }, log);
}

const refuses = (change: Partial<RebaseInput>, message: RegExp) =>
  assert.throws(
    () => rebase(change),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 72 && message.test(error.message),
  );

Deno.test("RB-7 RB-8 RB-11 the base's layers and history are exchanged, the app's stay", () => {
  const { layers, config } = rebase();
  const names = ["os", "new", "newer", "app"];
  assert.deepEqual(layers.map(({ diffId }) => diffId), names.map((name) => layer(name).diffId));
  assert.deepEqual(config.history!.map(({ created_by }) => created_by), names);
  assert.equal(config.created, "1980-01-01T00:00:01Z");
  assert.ok(config.history!.every(({ created }) => created === "1980-01-01T00:00:01Z"));
  const bare = rebase({ app: app(undefined, { history: false }) });
  assert.deepEqual(bare.layers.length, 4, "an image without history loses no layer");
  assert.equal(bare.config.history!.length, 4);
});

Deno.test("RB-9 D21 the app's config, on the base's platform", () => {
  const base = image(["x"], { variant: "v3", labels: DISTRO });
  const { config } = rebase({ base });
  assert.equal(config.variant, "v3");
  assert.deepEqual(config.config.Env, ["CNB_PLATFORM_API=0.12"]);
});

Deno.test("RB-10 ANT-2b labels of the base are exchanged; the metadata keeps what nobody knows", () => {
  const { config } = rebase();
  assert.equal(labelOf(config, "io.buildpacks.base.id"), "id");
  assert.equal(labelOf(config, "some.label"), "stays");
  assert.equal(
    labelOf(config, LABEL),
    `{"app":["whatever"],"runImage":{"topLayer":"${layer("newer").diffId}",` +
      '"reference":"run@sha256:1","image":"run","mirrors":["m/run"]},' +
      '"stack":{"runImage":{"image":"run"}},"unknown":{"big":9007199254740993}}',
  );
});

Deno.test("RB-7 a base layer that is not there, or is there twice", () => {
  refuses({ app: app(["os", "app"]) }, /could not find base layer in image/);
  const twice = app(["os", "empty", "app", "empty"], {}, "empty");
  refuses({ app: twice }, /is in it twice/);
  const oldBase = image(["os", "empty"]);
  assert.equal(rebase({ app: twice, oldBase }).layers.length, 5, "the old base tells");
  const endsTwice = app(["os", "empty", "x", "empty", "app"], {}, "empty");
  const longer = image(["os", "empty", "x", "empty"]);
  assert.equal(
    rebase({ app: endsTwice, oldBase: longer }).layers.length,
    4,
    "not at the first one",
  );
});

Deno.test("RB-5 rebasable and target, unless forced", () => {
  const no = app(undefined, { labels: { "io.buildpacks.rebasable": "false" } });
  refuses({ app: no }, /^app image is not marked as rebasable; please provide -force/);
  rebase({ app: no, force: true });
  rebase({ app: app(undefined, { labels: { "io.buildpacks.rebasable": "true" } }) });
  const rows: [string, Shape, Shape, boolean][] = [
    ["same", {}, {}, true],
    ["another architecture", { arch: "arm64" }, {}, false],
    ["a variant on one side", { variant: "v2" }, {}, true],
    ["two variants", { variant: "v2" }, { variant: "v3" }, false],
    ["another distro", { labels: { "io.buildpacks.base.distro.name": "ubuntu" } }, {}, false],
    [
      "only the distro's name",
      { labels: { "io.buildpacks.base.distro.name": "debian" } },
      {},
      true,
    ],
  ];
  for (const [why, theirs, ours, fits] of rows) {
    const change = { base: image(["x"], theirs), app: app(undefined, ours) };
    if (fits) assert.ok(rebase(change), why);
    else refuses(change, /^unable to satisfy target os\/arch constraints; /);
    assert.ok(rebase({ ...change, force: true }), why);
  }
});

Deno.test("RB-6 D19 a base nobody named, unless forced; not asked before P0.12", () => {
  const run = { name: "other", reference: "other@sha256:1" };
  refuses({ run }, /new base image 'other' not found in existing run image metadata: "run"/);
  rebase({ run: { ...run, name: "m/run@sha256:" + "0".repeat(64) } });
  rebase({ run, targets: false });
  const metadata = JSON.parse(labelOf(rebase({ run, force: true }).config, LABEL)!);
  assert.deepEqual(metadata.runImage.image, "other");
  assert.equal(metadata.runImage.mirrors, undefined);
  assert.deepEqual(metadata.stack, { runImage: { image: "other" } });
});

Deno.test("RB-4 stack and mixins of an app from before P0.12", () => {
  const stack = (id: string, mixins: readonly string[] = []) => ({
    "io.buildpacks.stack.id": id,
    "io.buildpacks.stack.mixins": JSON.stringify(mixins),
  });
  const old = (labels: Readonly<Record<string, string>>) => app(undefined, { api: "0.11", labels });
  const base = image(["x"], { labels: stack("s", ["git", "run:curl"]) });
  rebase({ app: old(stack("s", ["curl", "build:git"])), base });
  const force = true;
  refuses({ app: old({}), base, force }, /^stack not defined on app image/);
  refuses(
    { app: old(stack("t")), base, force },
    /^incompatible stack: 's' is not compatible with 't'/,
  );
  const more = old(stack("s", ["zip", "ant"]));
  refuses({ app: more, base, force }, /^missing required mixin\(s\): ant, zip$/);
});

Deno.test("RB-13 the same input gives the same digest, and a second rebase changes nothing", () => {
  const once = rebase();
  assert.equal(rebase().raw.digest, once.raw.digest);
  assert.equal(rebase({ app: once }).raw.digest, once.raw.digest);
});

Deno.test("C-MT-05 an app of Docker's family stays in it, whatever the base's is", () => {
  const plain = app();
  const raw = { ...plain.raw, mediaType: "application/vnd.docker.distribution.manifest.v2+json" };
  const docker = makeImage(plain.config, plain.layers, { ...plain, raw });
  const types = (
    { raw, manifest }: Image,
  ) => [raw.mediaType, manifest.config.mediaType, ...manifest.layers.map((one) => one.mediaType)];
  assert.ok(
    types(rebase({ app: docker })).every((type) => /^application\/vnd\.docker\./.test(type)),
  );
  assert.ok(types(rebase()).every((type) => /^application\/vnd\.oci\./.test(type)));
});

Deno.test("ANT-2b a base as lifecycles write it is read as the schema reads it; any other is left to the schema", () => {
  const run = { topLayer: "sha256:a", reference: "run@sha256:b" };
  const usual = [
    [run, undefined],
    [{ ...run, image: "run", mirrors: [] }, { runImage: { image: "run", mirrors: ["a", "b"] } }],
    [{ ...run, mirrors: ["x"], more: 1 }, { runImage: {}, more: 2 }],
    [{ topLayer: "", reference: "" }, { runImage: { image: "" } }],
  ] as const;
  for (const [runImage, stack] of usual) {
    const { runImage: under, stack: named } = parseLifecycleLabel(
      JSON.stringify({ runImage, stack }),
    );
    assert.deepEqual(usualBase(runImage, stack), {
      runImage: under,
      ...(named === undefined ? {} : { stack: named }),
    });
  }
  const others = [
    [undefined, undefined],
    [null, undefined],
    [{ topLayer: "sha256:a" }, undefined],
    [{ ...run, image: null }, undefined],
    [{ ...run, mirrors: [1] }, undefined],
    [run, null],
    [run, {}],
    [run, { runImage: { image: 1 } }],
    [[run], undefined],
  ] as const;
  for (const [runImage, stack] of others) assert.equal(usualBase(runImage, stack), undefined);
});
