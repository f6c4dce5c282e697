import { deepEqual, equal } from "node:assert/strict";
import type { Image } from "../../registry/image.ts";
import { parseLifecycleLabel } from "../file/lifecycle_metadata.ts";
import { formatOwner, layerOwners } from "./layer_owner.ts";

const sha = (digit: string) => `sha256:${digit.repeat(64)}`;

function imageOf(...digits: readonly string[]): Image {
  const layers = digits.map((digit) => ({ diffId: sha(digit) }));
  return { layers, config: { config: {} } } as unknown as Image;
}

const LABEL = parseLifecycleLabel(JSON.stringify({
  runImage: { topLayer: sha("b"), reference: "run@x" },
  buildpacks: [
    { key: "a/one", version: "1", layers: { jre: { sha: sha("1") }, dup: { sha: sha("2") } } },
    { key: "a/two", version: "", layers: { dup: { sha: sha("2") } } },
  ],
  sbom: { sha: sha("3") },
  app: [{ sha: sha("4") }, { sha: sha("5") }],
  launcher: { sha: sha("6") },
  config: { sha: sha("7") },
  "process-types": { sha: sha("8") },
}));

Deno.test("LB-1 the label says who made each layer; what is below the top layer is the base's", () => {
  const image = imageOf("a", "b", "1", "2", "2", "3", "4", "5", "6", "7", "8", "9");
  deepEqual(
    layerOwners(image, LABEL).map((owner) => `${formatOwner(owner)} ${owner.name}`.trim()),
    [
      "run image",
      "run image",
      "a/one@1 jre",
      "a/one@1 dup",
      "a/two dup",
      "bill of materials",
      "app slice 1",
      "app slice 2",
      "launcher",
      "launcher config",
      "process types",
      "-",
    ],
  );
});

Deno.test("an image without labels, or whose base is not in it, has no base", () => {
  equal(layerOwners(imageOf("a"), undefined)[0]!.kind, "unknown");
  equal(layerOwners(imageOf("a", "1"), LABEL)[0]!.kind, "unknown");
});

Deno.test("a builder's labels say which buildpack is in which layer, its history what is below and the rest", () => {
  const image = imageOf("0", "1", "2", "3", "4");
  const module = (digit: string) => ({ api: "0.10", layerDiffID: sha(digit) });
  const label = JSON.stringify({
    "a/one": { "1": module("2"), "2": module("3") },
    "a/two": { "1": module("3") },
  });
  const builder = {
    ...image,
    config: {
      config: {
        Labels: {
          "io.buildpacks.builder.metadata": "{}",
          "io.buildpacks.buildpack.layers": label,
        },
      },
      history: ["RUN x", "directories", "", "", "order.toml"].map((text) => ({ created_by: text })),
    },
  } as unknown as Image;
  const said = (of: Image) =>
    layerOwners(of, undefined).map((owner) => `${formatOwner(owner)} ${owner.name}`.trim());
  const modules = ["a/one@1", "a/one@2, a/two@1"];
  deepEqual(said(builder), [
    "build image",
    "builder directories",
    ...modules,
    "builder order.toml",
  ]);
  // Without a history that names them, and in a package, only the modules are known.
  const bare = { ...builder, config: { ...builder.config, history: undefined } };
  deepEqual(said(bare as unknown as Image), ["builder", "builder", ...modules, "builder"]);
  const labels = { "io.buildpacks.buildpack.layers": label };
  const packed = { ...image, config: { config: { Labels: labels } } } as unknown as Image;
  deepEqual(said(packed), ["-", "-", ...modules, "-"]);
  labels["io.buildpacks.buildpack.layers"] = "{";
  deepEqual(said(packed), ["-", "-", "-", "-", "-"]);
});
