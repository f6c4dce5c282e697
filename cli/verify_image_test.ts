/** `wherry verify`: each way an image can contradict itself or the specs. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { encodeJson, type Image, makeImage } from "../registry/image.ts";
import { digestOf } from "../registry/oci/digest.ts";
import { bytesSource } from "../registry/source.ts";
import { appImage, bench, layerOf, push, pushIndex } from "./command_testing.ts";

Deno.test("an image as a build leaves it is well, its layers too", async () => {
  await using shop = await bench();
  await push(appImage({ sboms: { "x/sbom.cdx.json": {} } }), shop.registry, "app", "1");
  const { code, out, err } = await shop.wherry("verify", `${shop.host}/app:1`, "--layers");
  equal(code, 0, out);
  ok(!out.includes("FAULT"));
  match(out, /^ok +layer 2, samples\/java@1\.2\.3 jre: sha256:/m);
  match(err, /is well$/m);
});

const LABEL = "io.buildpacks.lifecycle.metadata";

/** A well image whose label was changed. */
function changed(change: (label: Record<string, never>) => void, image = appImage()): Image {
  const label = JSON.parse(image.config.config.Labels![LABEL]!);
  change(label);
  return withConfig(image, {
    Labels: { ...image.config.config.Labels, [LABEL]: JSON.stringify(label) },
  });
}

function withConfig(image: Image, config: Record<string, unknown>): Image {
  return makeImage(
    { ...image.config, config: { ...image.config.config, ...config } } as Image["config"],
    image.layers,
  );
}

const ABSENT = `sha256:${"0".repeat(64)}`;
const ROWS: readonly (readonly [what: string, image: () => Image, said: RegExp])[] = [
  [
    "LB-1 a layer the label names is not there",
    () => changed((label) => Object.assign(label["launcher"]!, { sha: ABSENT })),
    /launcher is sha256:0+, which is not in it/,
  ],
  [
    "LB-1 the label has another shape",
    () => changed((label) => Object.assign(label, { buildpacks: 1 })),
    /Cannot parse label io\.buildpacks\.lifecycle\.metadata/,
  ],
  [
    "RB-7 the base's last layer is not there",
    () => changed((label) => Object.assign(label["runImage"]!, { topLayer: ABSENT })),
    /sha256:0+ is not in it/,
  ],
  [
    "RB-7 the base's last layer is there twice",
    () => {
      const twice = layerOf({ name: "etc", type: "directory" });
      return appImage({ base: [twice], app: [twice] });
    },
    /is in it twice: a rebase has to read the old base/,
  ],
  [
    "CF-1 the entrypoint is a process it does not have",
    () => withConfig(appImage(), { Entrypoint: ["/cnb/process/worker"] }),
    /its entrypoint is process "worker", which it does not have/,
  ],
  [
    "CF-1 the entrypoint is no launcher",
    () => withConfig(appImage(), { Entrypoint: ["/bin/sh"] }),
    /its entrypoint is "\/bin\/sh", want the launcher or a process/,
  ],
  [
    "no buildpacks",
    () => withConfig(appImage(), { Labels: {} }),
    /there is none: the image was not made by buildpacks/,
  ],
  [
    "the history has another length",
    () => makeImage({ ...appImage().config, history: [] }, appImage().layers),
    /6 layers, 0 in the history/,
  ],
];
for (const [what, image, said] of ROWS) {
  Deno.test(`verify says: ${what}`, async () => {
    await using shop = await bench();
    await push(image(), shop.registry, "app", "1");
    const { code, out } = await shop.wherry("verify", `${shop.host}/app:1`);
    equal(code, 1);
    match(out, said);
  });
}

Deno.test("a layer whose tar is not what the config says, or no tar at all, is found by --layers", async () => {
  await using shop = await bench();
  const good = layerOf({ name: "workspace/main", text: "x" });
  const noTar = new TextEncoder().encode("no tar".repeat(200));
  const image = appImage({
    app: [
      { ...good, diffId: digestOf(new TextEncoder().encode("other")) },
      {
        diffId: digestOf(noTar),
        descriptor: { ...good.descriptor, digest: digestOf(noTar), size: noTar.byteLength },
        blob: () => Promise.resolve(bytesSource(noTar)),
      },
    ],
  });
  await push(image, shop.registry, "app", "1");
  equal((await shop.wherry("verify", `${shop.host}/app:1`)).code, 0);
  const { code, out } = await shop.wherry("verify", `${shop.host}/app:1`, "--layers", "-o", "json");
  equal(code, 1);
  const faults = JSON.parse(out).images[0].checks.flatMap((check: { faults: string[] }) =>
    check.faults
  );
  equal(faults.length, 2);
  match(faults[0], new RegExp(`^its tar is ${good.diffId}, the config says sha256:`));
  match(faults[1], /^Cannot read tar/);
});

Deno.test("CF-6 a base of the other family of media types is no fault, a layer of the app is", async () => {
  await using shop = await bench();
  const image = appImage();
  const docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
  const mixed = async (at: number) => {
    const layers = image.manifest.layers.map((one, index) =>
      index === at ? { ...one, mediaType: docker } : one
    );
    await push(image, shop.registry, "app", "1");
    await shop.registry.pushManifest("app", {
      mediaType: image.raw.mediaType,
      bytes: encodeJson({ ...image.manifest, layers }),
    }, { tags: ["1"] });
    return await shop.wherry("verify", `${shop.host}/app:1`);
  };
  equal((await mixed(0)).code, 0);
  match((await mixed(2)).out, /application\/vnd\.docker\.image\.rootfs\.diff\.tar\.gzip in a /);
});

Deno.test("verify of an index looks at every image of it", async () => {
  await using shop = await bench();
  const bad = changed(
    (label) => Object.assign(label["config"]!, { sha: "" }),
    appImage({ architecture: "arm64" }),
  );
  await pushIndex(shop.registry, "app", "1", [appImage(), bad]);
  const { code, out } = await shop.wherry("verify", `${shop.host}/app:1`);
  equal(code, 1);
  match(out, /^linux\/amd64 sha256:[0-9a-f]+$/m);
  match(out, /^linux\/arm64 sha256:[0-9a-f]+$[^]*it names no layer for config$/m);
  const one = await shop.wherry("verify", `${shop.host}/app:1`, "--platform", "linux/amd64");
  deepEqual(one.code, 0);
});
