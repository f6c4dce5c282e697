import { deepEqual, equal, notEqual, rejects } from "node:assert/strict";
import { copy } from "./copy.ts";
import { type Family, inFamily } from "./family.ts";
import { encodeJson } from "./image.ts";
import { type MemoryRegistry, memoryRegistry } from "./memory.ts";
import type { Descriptor } from "./oci/descriptor.ts";
import { MediaType } from "./oci/media_type.ts";
import { pushBytes, sampleBytes } from "./registry_suite_testing.ts";

const TYPES = {
  oci: [MediaType.ociManifest, MediaType.ociConfig, MediaType.ociLayerGzip, MediaType.ociIndex],
  docker: [
    MediaType.dockerManifest,
    MediaType.dockerConfig,
    MediaType.dockerLayerGzip,
    MediaType.dockerList,
  ],
} as const;

/** An image of `family`, with `more` in its manifest. */
async function image(
  registry: MemoryRegistry,
  family: Family,
  more: Record<string, unknown> = {},
  seed = 1,
): Promise<Descriptor> {
  const [mediaType, config, layer] = TYPES[family];
  const push = async (type: string, at: number) => ({
    ...await pushBytes(registry, "src", sampleBytes(50, at)),
    mediaType: type,
  });
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType,
    config: await push(config, seed),
    layers: [await push(layer, seed + 100), await push(layer, seed + 200)],
    ...more,
  });
  return await registry.pushManifest("src", { mediaType, bytes }, { tags: [`v${seed}`] });
}

async function document(registry: MemoryRegistry, repository: string, reference: string) {
  const raw = await registry.manifest(repository, reference);
  return JSON.parse(new TextDecoder().decode(raw!.bytes));
}

async function turn(from: MemoryRegistry, reference: string, family: Family) {
  const to = memoryRegistry();
  const { descriptor } = await copy(inFamily(from, family), "src", reference, to, "dst");
  return { to, descriptor };
}

Deno.test("C-MT-05 an image is turned into the other family and back, its blobs the same", async () => {
  const from = memoryRegistry();
  const was = await image(from, "docker");
  const { to, descriptor } = await turn(from, "v1", "oci");
  equal(descriptor.mediaType, MediaType.ociManifest);
  const { mediaType, config, layers } = await document(to, "dst", "v1");
  equal(mediaType, MediaType.ociManifest);
  const before = await document(from, "src", "v1");
  deepEqual(config, { ...before.config, mediaType: MediaType.ociConfig });
  deepEqual(
    layers,
    before.layers.map((layer: Descriptor) => ({ ...layer, mediaType: MediaType.ociLayerGzip })),
  );
  const back = memoryRegistry();
  const again = await copy(inFamily(to, "docker"), "dst", "v1", back, "src");
  deepEqual(again.descriptor, was);
});

Deno.test("C-MT-05 what is in the family already stays byte for byte", async () => {
  const from = memoryRegistry();
  const was = await image(from, "oci", { "io.example": { kept: true }, annotations: { a: "b" } });
  equal((await turn(from, "v1", "oci")).descriptor.digest, was.digest);
  const { to } = await turn(from, "v1", "docker");
  equal("annotations" in await document(to, "dst", "v1"), false);
});

Deno.test("C-MT-05 a manifest of both families, which some registries refuse, becomes one of one", async () => {
  const from = memoryRegistry();
  const layer = {
    ...await pushBytes(from, "src", sampleBytes(50, 7)),
    mediaType: MediaType.dockerLayerGzip,
  };
  await image(from, "oci", { layers: [layer] });
  const { to } = await turn(from, "v1", "oci");
  equal((await document(to, "dst", "v1")).layers[0].mediaType, MediaType.ociLayerGzip);
});

Deno.test("C-MT-05 an index is turned with all of its images; attestations stay behind", async () => {
  const from = memoryRegistry();
  const [one, two] = [await image(from, "oci"), await image(from, "docker", {}, 2)];
  const proof = await image(from, "oci", {}, 3);
  const linux = (architecture: string) => ({ os: "linux", architecture });
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: [
      { ...one, platform: linux("amd64") },
      { ...two, platform: linux("arm64") },
      {
        ...proof,
        platform: { os: "unknown", architecture: "unknown" },
        annotations: { "vnd.docker.reference.digest": one.digest },
      },
    ],
  });
  const index = { mediaType: MediaType.ociIndex, bytes };
  await from.pushManifest("src", index, { tags: ["all"] });
  const { to, descriptor } = await turn(from, "all", "docker");
  equal(descriptor.mediaType, MediaType.dockerList);
  const { manifests } = await document(to, "dst", "all");
  deepEqual(manifests.map(({ mediaType }: Descriptor) => mediaType), [
    MediaType.dockerManifest,
    MediaType.dockerManifest,
  ]);
  deepEqual(manifests[1], { ...two, platform: linux("arm64") });
  for (const { digest } of manifests) equal((await to.stat("dst", digest))?.digest, digest);
  const chosen = memoryRegistry();
  const platform = linux("amd64");
  await copy(inFamily(from, "docker"), "src", "all", chosen, "dst", { platform });
  equal((await chosen.stat("dst", "all"))?.digest, manifests[0].digest);
});

Deno.test("C-MT-05 an index that is turned into the other family and back is what it was", async () => {
  const from = memoryRegistry();
  const manifests = [];
  for (const [at, architecture] of ["amd64", "arm64"].entries()) {
    const platform = { architecture, os: "linux", variant: `v${at}` };
    manifests.push({ ...await image(from, "oci", {}, at + 1), platform });
  }
  const bytes = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests });
  const index = { mediaType: MediaType.ociIndex, bytes };
  const { digest } = await from.pushManifest("src", index, { tags: ["all"] });
  const there = inFamily(from, "docker");
  notEqual((await there.stat("src", "all"))?.digest, digest);
  equal((await inFamily(there, "oci").stat("src", "all"))?.digest, digest);
});

Deno.test("C-MT-05 an artefact and an unknown layer are no image of the other family", async () => {
  const from = memoryRegistry();
  const config = {
    ...await pushBytes(from, "src", sampleBytes(50, 9)),
    mediaType: "application/vnd.example.config",
  };
  await image(from, "oci", { config });
  await rejects(() => turn(from, "v1", "docker"), /into a Docker image: its config has the type/);
  const layers = [{ ...config, mediaType: "application/vnd.example.layer" }];
  await image(from, "oci", { layers }, 2);
  await rejects(() => turn(from, "v2", "docker"), /layer 1 has the type "application\/vnd.example/);
});
