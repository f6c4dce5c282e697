import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { copy } from "../copy.ts";
import { encodeJson, readImage } from "../image.ts";
import { memoryRegistry } from "../memory.ts";
import { digestOf, hexOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import { describeBytes, pushSampleImage, sampleBytes } from "../registry_suite_testing.ts";
import { bytesSource, readAll } from "../source.ts";
import { tempDir } from "../temp_testing.ts";
import { type Entry, sampleImage, tarOf } from "./archive_testing.ts";
import { readDockerArchive, writeDockerArchive } from "./docker_archive.ts";
import { openLayout } from "./layout.ts";
import { readOciArchive, writeOciArchive } from "./oci_archive.ts";

function test(name: string, body: (dir: string) => Promise<void>): void {
  Deno.test(name, async () => {
    await using temp = await tempDir();
    const dir = temp.path;
    await body(dir);
  });
}

const AMD64 = { os: "linux", architecture: "amd64" };

test("oci archive: written, read, the same bytes each time", async (dir) => {
  const images = [
    { image: sampleImage(1), names: ["v1", "latest"] },
    { image: sampleImage(2), names: [] },
  ];
  const [file, again] = [join(dir, "a.tar"), join(dir, "b.tar")];
  await writeOciArchive(file, images);
  await writeOciArchive(again, images);
  deepEqual(await Deno.readFile(file), await Deno.readFile(again));
  deepEqual((await Array.fromAsync(Deno.readDir(dir), ({ name }) => name)).sort(), [
    "a.tar",
    "b.tar",
  ]);
  await using archive = await readOciArchive(file);
  deepEqual(
    archive.images,
    images.map(({ image, names }) => ({ digest: image.raw.digest, names })),
  );
  for (const reference of ["v1", images[1]!.image.raw.digest]) {
    const to = memoryRegistry();
    await copy(archive.reader, archive.repository, reference, to, "app", { tags: ["x"] });
    const back = await readImage(to, "app", "x", AMD64);
    equal(back?.layers.length, 2);
  }
});

test("docker archive: written, read, the same bytes each time", async (dir) => {
  const image = sampleImage();
  const file = join(dir, "a.tar");
  await writeDockerArchive(file, [{ image, names: ["app:1", "registry.example/app:2"] }]);
  const first = await Deno.readFile(file);
  await writeDockerArchive(file, [{ image, names: ["app:1", "registry.example/app:2"] }]);
  deepEqual(await Deno.readFile(file), first);
  await using archive = await readDockerArchive(file);
  deepEqual(archive.images[0]?.names, ["app:1", "registry.example/app:2"]);
  const back = await readImage(archive.reader, archive.repository, "app:1", AMD64);
  deepEqual(back?.rawConfig, image.rawConfig);
  deepEqual(back?.layers.map((layer) => layer.diffId), image.layers.map((layer) => layer.diffId));
  deepEqual(
    back?.layers.map((layer) => layer.descriptor),
    image.layers.map((layer) => layer.descriptor),
  );
  await copy(
    archive.reader,
    archive.repository,
    archive.images[0]!.digest,
    memoryRegistry(),
    "app",
  );
});

test("archive: a compressed one is read, and leaves no temporary file", async (dir) => {
  const [plain, file] = [join(dir, "a.tar"), join(dir, "a.tar.gz")];
  await writeDockerArchive(plain, [{ image: sampleImage(), names: ["app:1"] }]);
  await Deno.writeFile(file, gzipSync(await Deno.readFile(plain)));
  await using archive = await readDockerArchive(file);
  equal(archive.images.length, 1);
  await copy(archive.reader, archive.repository, "app:1", memoryRegistry(), "app", { tags: ["x"] });
});

test("archive: a layer that is not what it says leaves the old file", async (dir) => {
  const file = join(dir, "a.tar");
  await Deno.writeTextFile(file, "before");
  const image = sampleImage();
  const wrong = { ...image.layers[0]!, blob: () => Promise.resolve(bytesSource(sampleBytes(3))) };
  const broken = { ...image, layers: [wrong, image.layers[1]!] };
  for (const write of [writeOciArchive, writeDockerArchive]) {
    await rejects(
      () => write(file, [{ image: broken, names: ["app:1"] }]),
      (error) => isOciError(error, "SIZE_INVALID", "DIGEST_INVALID"),
    );
  }
  equal(await Deno.readTextFile(file), "before");
  equal((await Array.fromAsync(Deno.readDir(dir))).length, 1);
});

test("docker archive: as old docker save wrote it, with links between layers", async (dir) => {
  const layer = tarOf([{ name: "f", body: sampleBytes(100) }]);
  const config = encodeJson({
    os: "linux",
    architecture: "amd64",
    rootfs: { type: "layers", diff_ids: [digestOf(layer), digestOf(layer)] },
  });
  const manifest = [{ Config: "c.json", RepoTags: null, Layers: ["a/layer.tar", "b/layer.tar"] }];
  const file = join(dir, "old.tar");
  const bytes = tarOf([
    { name: "./a/layer.tar", body: layer },
    { name: "b/layer.tar", link: "../a/layer.tar" },
    { name: "c.json", body: config },
    { name: "manifest.json", body: encodeJson(manifest) },
  ]);
  await Deno.writeFile(file, bytes);
  await using archive = await readDockerArchive(file);
  deepEqual(archive.images[0]?.names, []);
  const image = await readImage(archive.reader, "any", archive.images[0]!.digest, AMD64);
  equal(image?.layers[1]?.diffId, digestOf(layer));
});

test("X-01 absolute names, as package files of pack have them, lie in the archive", async (dir) => {
  const layer = tarOf([{ name: "f", body: sampleBytes(100) }]);
  const config = encodeJson({ rootfs: { type: "layers", diff_ids: [digestOf(layer)] } });
  const blob = (bytes: Uint8Array) => ({
    name: `/blobs/sha256/${digestOf(bytes).slice(7)}`,
    body: bytes,
  });
  const manifest = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.dockerManifest,
    config: {
      mediaType: MediaType.dockerConfig,
      digest: digestOf(config),
      size: config.byteLength,
    },
    layers: [{
      mediaType: MediaType.dockerLayer,
      digest: digestOf(layer),
      size: layer.byteLength,
    }],
  });
  const index = encodeJson({
    schemaVersion: 2,
    manifests: [{
      mediaType: MediaType.dockerManifest,
      digest: digestOf(manifest),
      size: manifest.byteLength,
    }],
  });
  const file = join(dir, "pack.cnb");
  await Deno.writeFile(
    file,
    tarOf([
      { name: "/oci-layout", body: encodeJson({ imageLayoutVersion: "1.0.0" }) },
      { name: "/index.json", body: index },
      blob(manifest),
      blob(config),
      blob(layer),
    ]),
  );
  await using archive = await readOciArchive(file);
  const image = await readImage(archive.reader, "any", archive.images[0]!.digest, AMD64);
  deepEqual(await readAll(await image!.layers[0]!.blob(), 1 << 20), layer);
});

const CONFIG = encodeJson({ os: "linux", rootfs: { diff_ids: [digestOf(sampleBytes(9))] } });
const manifestOf = (Layers: readonly string[], Config = "c.json") =>
  encodeJson([{ Config, RepoTags: ["x:1"], Layers }]);

const HOSTILE: readonly { why: string; entries: readonly Entry[]; message: RegExp }[] = [
  {
    why: "X-01 a name that leads outside",
    entries: [{ name: "../../etc/cron.d/x", body: sampleBytes(3) }],
    message: /leads outside/,
  },
  {
    why: "X-16 a layer that links to itself",
    entries: [
      { name: "manifest.json", body: manifestOf(["l"]) },
      { name: "c.json", body: CONFIG },
      { name: "l", link: "l" },
    ],
    message: /circle|outside/,
  },
  {
    why: "X-16 two links in a circle",
    entries: [
      { name: "manifest.json", body: manifestOf(["l"]) },
      { name: "c.json", body: CONFIG },
      { name: "l", link: "m" },
      { name: "m", link: "l", type: "link" },
    ],
    message: /circle|outside/,
  },
  {
    why: "X-16 a layer that links outside",
    entries: [
      { name: "manifest.json", body: manifestOf(["l"]) },
      { name: "c.json", body: CONFIG },
      { name: "l", link: "../../../etc/passwd" },
    ],
    message: /\\u0000outside|has no|outside/,
  },
  {
    why: "X-16 a config named outside",
    entries: [{ name: "manifest.json", body: manifestOf([], "../../../etc/passwd") }],
    message: /outside/,
  },
  {
    why: "X-16 a layer that is absent",
    entries: [
      { name: "manifest.json", body: manifestOf(["l"]) },
      { name: "c.json", body: CONFIG },
    ],
    message: /has no "l"/,
  },
  {
    why: "M-06 a layer of another diffID",
    entries: [
      { name: "manifest.json", body: manifestOf(["l"]) },
      { name: "c.json", body: CONFIG },
      { name: "l", body: sampleBytes(3) },
    ],
    message: /its config says/,
  },
  {
    why: "M-06 more layers than diffIDs",
    entries: [
      { name: "manifest.json", body: manifestOf(["l", "l"]) },
      { name: "c.json", body: CONFIG },
      { name: "l", body: sampleBytes(9) },
    ],
    message: /lists 2 layers/,
  },
  { why: "no manifest", entries: [{ name: "x" }], message: /no manifest\.json/ },
  {
    why: "a manifest that is not JSON",
    entries: [{ name: "manifest.json", body: sampleBytes(20) }],
    message: /not JSON/,
  },
  {
    why: "a manifest of another shape",
    entries: [{ name: "manifest.json", body: encodeJson([{ Config: 1 }]) }],
    message: /0\.Config/,
  },
];

for (const { why, entries, message } of HOSTILE) {
  test(`docker archive: ${why}`, async (dir) => {
    const file = join(dir, "evil.tar");
    await Deno.writeFile(file, tarOf(entries));
    await rejects(() => readDockerArchive(file), (error) => {
      ok(isOciError(error, "MANIFEST_INVALID"), String(error));
      match(error.message, message);
      return true;
    });
  });
}

test("archive: cut short, or none at all", async (dir) => {
  const file = join(dir, "a.tar");
  await writeOciArchive(file, [{ image: sampleImage(), names: ["v1"] }]);
  await Deno.truncate(file, 20_000);
  await rejects(() => readOciArchive(file), (error) => isOciError(error, "MANIFEST_INVALID"));
  await rejects(
    () => readOciArchive(join(dir, "no")),
    (error) => isOciError(error, "NAME_UNKNOWN"),
  );
  await rejects(() => readOciArchive(dir), (error) => isOciError(error, "UNAVAILABLE"));
});

test("layout: index.json says what is there, in the OCI form", async (dir) => {
  const path = join(dir, "layout");
  const layout = await openLayout(path, { create: true });
  const child = await pushSampleImage(layout, "x", { seed: 1 });
  const read = async () => JSON.parse(await Deno.readTextFile(join(path, "index.json"))).manifests;
  deepEqual(await read(), [child], "reachable though it has no name yet");
  const bytes = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [child] });
  await layout.pushManifest("x", { mediaType: MediaType.ociIndex, bytes }, { tags: ["v1", "v2"] });
  const entry = describeBytes(bytes, MediaType.ociIndex);
  const named = (name: string) => ({
    ...entry,
    annotations: { "org.opencontainers.image.ref.name": name },
  });
  deepEqual(await read(), [named("v1"), named("v2")], "its index lists it now");
  deepEqual(JSON.parse(await Deno.readTextFile(join(path, "oci-layout"))), {
    imageLayoutVersion: "1.0.0",
  });
  const names = (await Array.fromAsync(Deno.readDir(path), ({ name }) => name)).sort();
  deepEqual(names, ["blobs", "index.json", "oci-layout"]);
  const again = await openLayout(path);
  equal((await again.stat("x", "v2"))?.digest, entry.digest);
});

test("layout: two writers take turns", async (dir) => {
  const [one, two] = [
    await openLayout(join(dir, "l"), { create: true }),
    await openLayout(join(dir, "l"), { create: true }),
  ];
  await Promise.all(
    Array.from(
      { length: 20 },
      (_, seed) => pushSampleImage(seed % 2 === 0 ? one : two, "x", { seed, tags: [`t${seed}`] }),
    ),
  );
  equal((await Array.fromAsync(one.tags("x"))).length, 20);
});

test("layout: what is none is refused", async (dir) => {
  await rejects(() => openLayout(join(dir, "no")), (error) => isOciError(error, "NAME_UNKNOWN"));
  await Deno.writeTextFile(join(dir, "thesis.txt"), "x");
  await rejects(() => openLayout(dir, { create: true }), /thesis/);
  await Deno.writeTextFile(join(dir, "oci-layout"), '{"imageLayoutVersion":"2.0.0"}');
  await rejects(() => openLayout(dir), /2\.0\.0/);
  await Deno.writeTextFile(join(dir, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  await rejects(() => openLayout(dir), /no index\.json/);
  await Deno.writeTextFile(
    join(dir, "index.json"),
    '{"schemaVersion":2,"manifests":[{"digest":"x"}]}',
  );
  await rejects(() => openLayout(dir), /manifests\.0/);
});

test("layout: X-15 links and special files are refused unread", async (dir) => {
  const path = join(dir, "layout");
  const layout = await openLayout(path, { create: true });
  const { digest } = await pushSampleImage(layout, "x", { tags: ["v1"] });
  const secret = join(dir, "secret");
  await Deno.writeFile(secret, sampleBytes(1000, 1));
  const layer = join(path, "blobs", "sha256", hexOf(digestOf(sampleBytes(1000, 1))));
  await Deno.remove(layer);
  await Deno.symlink(secret, layer);
  const denied = (error: unknown) => isOciError(error, "DENIED");
  await rejects(() => layout.blob("x", digestOf(sampleBytes(1000, 1))), denied);
  const manifest = join(path, "blobs", "sha256", hexOf(digest));
  await Deno.remove(manifest);
  await new Deno.Command("mkfifo", { args: [manifest] }).output();
  await rejects(() => layout.manifest("x", "v1"), denied);
  await Deno.rename(join(path, "blobs"), join(dir, "blobs"));
  await Deno.symlink(join(dir, "blobs"), join(path, "blobs"));
  await rejects(() => layout.blob("x", digest), denied);
  await Deno.rename(join(path, "index.json"), join(dir, "index.json"));
  await Deno.symlink(join(dir, "index.json"), join(path, "index.json"));
  await rejects(() => openLayout(path), denied);
  notEqual((await Deno.readFile(secret)).byteLength, 0);
});

test("layout: a manifest that was changed is refused", async (dir) => {
  const layout = await openLayout(join(dir, "l"), { create: true });
  const { digest } = await pushSampleImage(layout, "x", { tags: ["v1"] });
  const path = join(dir, "l", "blobs", "sha256", hexOf(digest));
  await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("amd64", "arm64") + " ");
  await rejects(() => layout.manifest("x", "v1"), (error) => isOciError(error, "DIGEST_INVALID"));
});

Deno.test("ST-08 an archive takes the place of files only", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  await Deno.symlink("/dev/null", join(dir, "link"));
  for (const name of [dir, join(dir, "link"), "/proc/self/fd/1", "/dev/fd/1"]) {
    await rejects(
      () => writeOciArchive(name, [{ image: sampleImage(), names: ["v1"] }]),
      (error: Error) =>
        isOciError(error, "UNAVAILABLE") &&
        error.message === `Cannot write archive ${name}: it is not a regular file`,
    );
  }
  equal(await Deno.readLink(join(dir, "link")), "/dev/null");
});
