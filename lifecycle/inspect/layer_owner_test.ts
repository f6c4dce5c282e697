import { deepEqual, equal } from "node:assert/strict";
import type { Image } from "../../registry/image.ts";
import { parseLifecycleLabel } from "../file/lifecycle_metadata.ts";
import { formatOwner, layerOwners } from "./layer_owner.ts";

const sha = (digit: string) => `sha256:${digit.repeat(64)}`;

function imageOf(...digits: readonly string[]): Image {
  return { layers: digits.map((digit) => ({ diffId: sha(digit) })) } as unknown as Image;
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
