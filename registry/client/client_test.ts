import assert from "node:assert/strict";
import { digestOf } from "../oci/digest.ts";
import { isOciError, OciError } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import { encodeJson, type Layer, makeImage, pushImage, readImage } from "../image.ts";
import type { ImageConfig } from "../oci/config.ts";
import { bytesSource, collect, readAll, type Source } from "../source.ts";
import { connectRegistry, Registries } from "./client.ts";
import { dockerRegistry, startDockerRegistry } from "./docker_registry_testing.ts";
import type { ClientOptions, RegistryClient } from "./options.ts";
import { quirkServer } from "./quirk_testing.ts";

const ignore = dockerRegistry === undefined;

const NO_WAIT: ClientOptions = { retry: { baseMs: 1 } };

const CONFIG: ImageConfig = {
  os: "linux",
  architecture: "amd64",
  config: {},
  rootfs: { type: "layers", diff_ids: [] },
};

function random(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  const words = new Uint32Array(bytes.buffer, 0, size >> 2);
  let state = seed >>> 0 || 1;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return bytes;
}

function blobOf(bytes: Uint8Array) {
  return { mediaType: MediaType.ociLayer, digest: digestOf(bytes), size: bytes.byteLength };
}

async function push(registry: RegistryClient, repository: string, bytes: Uint8Array) {
  return await registry.pushBlob(repository, blobOf(bytes), bytesSource(bytes));
}

async function pushSmallImage(
  registry: RegistryClient,
  repository: string,
  tags: readonly string[],
) {
  const config = encodeJson({
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [] },
  });
  await push(registry, repository, config);
  const manifest = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: { ...blobOf(config), mediaType: MediaType.ociConfig },
    layers: [],
  });
  return await registry.pushManifest(repository, {
    mediaType: MediaType.ociManifest,
    bytes: manifest,
  }, { tags });
}

Deno.test({ name: "docker-registry: push, pull, list, delete", ignore }, async (t) => {
  await using server = await startDockerRegistry();
  await using registry = connectRegistry(server.host, NO_WAIT);
  const big = random(5 * 1024 * 1024 + 3);

  await t.step("C-UP-01 a blob is sent once, with its length", async () => {
    assert.equal(await push(registry, "app", big), "uploaded");
    assert.equal(await push(registry, "app", big), "exists");
    const { methods, bytesSent } = registry.stats()[server.host]!;
    assert.deepEqual(methods, { HEAD: 1, POST: 1, PUT: 1 });
    assert.equal(bytesSent, big.byteLength);
  });

  await t.step("C-UP-01 another client asks before it sends", async () => {
    await using other = connectRegistry(server.host, NO_WAIT);
    assert.equal(await push(other, "app", big), "exists");
    assert.deepEqual(other.stats()[server.host]!.methods, { HEAD: 1 });
  });

  await t.step("C-UP-11 the empty blob", async () => {
    assert.equal(await push(registry, "app", new Uint8Array()), "uploaded");
    const source = await registry.blob("app", digestOf(new Uint8Array()));
    assert.equal(source?.size, 0);
  });

  await t.step("C-MNT-01 a blob is mounted from another repository", async () => {
    await using other = connectRegistry(server.host, NO_WAIT);
    const how = await other.pushBlob("other", blobOf(big), bytesSource(big), { mountFrom: "app" });
    assert.equal(how, "mounted");
    assert.deepEqual(other.stats()[server.host]!.methods, { POST: 1 });
  });

  await t.step(
    "C-MNT-02 a mount that cannot be becomes an upload, in the session it opened",
    async () => {
      await using other = connectRegistry(server.host, NO_WAIT);
      const bytes = random(2048, 7);
      const how = await other.pushBlob("other", blobOf(bytes), bytesSource(bytes), {
        mountFrom: "none",
      });
      assert.equal(how, "uploaded");
      assert.deepEqual(other.stats()[server.host]!.methods, { POST: 1, HEAD: 1, PUT: 1 });
    },
  );

  await t.step("C-DL-01 a blob is read and verified, from any offset", async () => {
    const source = await registry.blob("app", digestOf(big));
    assert.equal(source?.size, big.byteLength);
    assert.deepEqual(await readAll(source!, big.byteLength), big);
    const tail = await collect(await source!.open({ offset: 5 * 1024 * 1024 }), 10);
    assert.deepEqual(tail, big.subarray(5 * 1024 * 1024));
    assert.deepEqual(await readAll(source!, big.byteLength), big);
  });

  await t.step("a blob that is not there is undefined", async () => {
    assert.equal(await registry.blob("app", digestOf(random(10))), undefined);
  });

  await t.step("C-PUT-01 manifests and tags", async () => {
    const pushed = await pushSmallImage(registry, "app", ["a", "b"]);
    for (const reference of ["a", "b", pushed.digest]) {
      const manifest = await registry.manifest("app", reference);
      assert.equal(manifest?.digest, pushed.digest);
      assert.equal(manifest?.mediaType, MediaType.ociManifest);
      assert.deepEqual(await registry.stat("app", reference), pushed);
    }
    assert.equal(await registry.manifest("app", "none"), undefined);
    assert.equal(await registry.stat("none", "none"), undefined);
    assert.deepEqual(await Array.fromAsync(registry.tags("app")), ["a", "b"]);
    assert.deepEqual(await Array.fromAsync(registry.tags("app", { after: "a" })), ["b"]);
    assert.deepEqual(await Array.fromAsync(registry.repositories()), ["app", "other"]);
    assert.deepEqual(await registry.referrers("app", pushed.digest), []);
  });

  await t.step("tags of an unknown repository are NAME_UNKNOWN", async () => {
    await assert.rejects(
      () => Array.fromAsync(registry.tags("none")),
      (error) => isOciError(error, "NAME_UNKNOWN"),
    );
  });

  await t.step("C-PUT-03 a manifest with a missing blob names it", async () => {
    const missing = blobOf(random(99, 3));
    const bytes = encodeJson({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { ...missing, mediaType: MediaType.ociConfig },
      layers: [],
    });
    await assert.rejects(
      () =>
        registry.pushManifest("app", { mediaType: MediaType.ociManifest, bytes }, { tags: ["x"] }),
      (error) => {
        assert(isOciError(error, "MANIFEST_BLOB_UNKNOWN"), String(error));
        assert.deepEqual(error.detail, [missing.digest]);
        assert.match(
          error.message,
          /^Cannot push 127\.0\.0\.1:\d+\/app:x: PUT was answered with 400 MANIFEST/,
        );
        return true;
      },
    );
  });

  await t.step("C-PUT-03 a blob that was lost meanwhile is sent again", async () => {
    const bytes = random(77, 21);
    await push(registry, "lost", bytes);
    {
      await using other = connectRegistry(server.host, NO_WAIT);
      await other.deleteBlob("lost", digestOf(bytes));
    }
    const manifest = {
      mediaType: MediaType.ociManifest,
      bytes: encodeJson({
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: { ...blobOf(bytes), mediaType: MediaType.ociConfig },
        layers: [],
      }),
    };
    await assert.rejects(() => registry.pushManifest("lost", manifest, { tags: ["x"] }));
    assert.equal(await push(registry, "lost", bytes), "uploaded");
    await registry.pushManifest("lost", manifest, { tags: ["x"] });
  });

  await t.step("an image goes and comes; nothing moves the second time", async () => {
    const layers = [random(200_000, 31), random(1_500_000, 32)].map((bytes): Layer => ({
      diffId: digestOf(bytes),
      descriptor: blobOf(bytes),
      blob: () => Promise.resolve(bytesSource(bytes)),
    }));
    const image = makeImage(CONFIG, layers);
    const moved = await pushImage(image, registry, "image", { tags: ["1"] });
    assert.deepEqual(moved, ["uploaded", "uploaded"]);
    await using other = connectRegistry(server.host, NO_WAIT);
    const back = await readImage(other, "image", "1", { os: "linux", architecture: "amd64" });
    assert.equal(back?.raw.digest, image.raw.digest);
    assert.deepEqual(other.stats()[server.host]!.methods, { GET: 2 });
    assert.deepEqual(await pushImage(image, other, "image", { tags: ["2"] }), ["exists", "exists"]);
    assert.equal(other.stats()[server.host]!.bytesSent, image.raw.bytes.byteLength);
    assert.deepEqual(await pushImage(back!, other, "copy", { tags: ["1"] }), [
      "mounted",
      "mounted",
    ]);
  });

  await t.step("C-UP-09 an upload of unknown digest and size, in pieces", async () => {
    const bytes = random(9 * 1024 * 1024, 5);
    const upload = await registry.upload("app");
    for (let at = 0; at < bytes.byteLength; at += 700_000) {
      await upload.write(bytes.subarray(at, at + 700_000));
    }
    assert.equal(upload.size, bytes.byteLength);
    const descriptor = await upload.commit();
    assert.equal(descriptor.digest, digestOf(bytes));
    const source = await registry.blob("app", descriptor.digest);
    assert.deepEqual(await readAll(source!, bytes.byteLength), bytes);
  });

  await t.step("C-UP-09 a small upload, and one with the wrong digest", async () => {
    const upload = await registry.upload("app");
    await upload.write(random(100, 8));
    assert.equal((await upload.commit()).digest, digestOf(random(100, 8)));
    const wrong = await registry.upload("app");
    await wrong.write(random(100, 9));
    await assert.rejects(
      () => wrong.commit(digestOf(new Uint8Array())),
      (error) => isOciError(error, "DIGEST_INVALID"),
    );
    await wrong.abort();
  });

  await t.step("M-04 bytes that are not what was promised are refused", async () => {
    const bytes = random(3000, 11);
    const lie: Source = bytesSource(bytes);
    await assert.rejects(
      () => registry.pushBlob("app", { ...blobOf(bytes), digest: digestOf(random(3000, 12)) }, lie),
      (error) => isOciError(error, "DIGEST_INVALID"),
    );
    await assert.rejects(
      () => registry.pushBlob("app", { ...blobOf(bytes), size: 2999 }, lie),
      (error) => isOciError(error, "SIZE_INVALID"),
    );
    const short: Source = { size: 4000, open: lie.open };
    await assert.rejects(
      () => registry.pushBlob("app", { ...blobOf(bytes), size: 4000 }, short),
      /it was to have 4000 bytes and has 3000/,
    );
  });

  await t.step("C-DEL-01 delete", async () => {
    const { digest } = await pushSmallImage(registry, "gone", ["x"]);
    assert.equal(await registry.deleteManifest("gone", digest), true);
    assert.equal(await registry.deleteManifest("gone", digest), false);
    assert.equal(await registry.manifest("gone", "x"), undefined);
    assert.equal(await registry.deleteBlob("app", digestOf(big)), true);
    assert.equal(await registry.deleteBlob("app", digestOf(big)), false);
    assert.equal(await push(registry, "app", big), "uploaded");
  });

  await t.step("AN-3 access checks of an open registry pass", async () => {
    await registry.checkAccess("fresh", "read");
    await registry.checkAccess("fresh", "write");
  });

  await t.step("an abort ends an upload and leaves nothing open", async () => {
    const controller = new AbortController();
    const endless: Source = {
      size: 1 << 30,
      open: () =>
        Promise.resolve(
          new ReadableStream({
            pull(stream) {
              stream.enqueue(new Uint8Array(1 << 16));
            },
          }),
        ),
    };
    let sent = 0;
    await assert.rejects(
      () =>
        registry.pushBlob("app", { ...blobOf(random(4, 4)), size: 1 << 30 }, endless, {
          signal: controller.signal,
          onProgress: (bytes) => {
            sent += bytes;
            if (sent > 1 << 20) controller.abort(new Error("enough"));
          },
        }),
      /enough/,
    );
  });
});

Deno.test("M-02 names and digests are checked before they reach an address", async () => {
  await using registry = connectRegistry("127.0.0.1:1");
  await assert.rejects(() => registry.manifest("../x", "1"), OciError);
  await assert.rejects(() => registry.manifest("x", "a/b"), OciError);
  await assert.rejects(() => registry.blob("x", "sha256:../../x" as never), OciError);
});

Deno.test("a registry that is down is named, with the reason", async () => {
  await using registry = connectRegistry("127.0.0.1:1", { retry: { tries: 2, baseMs: 1 } });
  await assert.rejects(
    () => registry.manifest("app", "1"),
    (error) => {
      assert(isOciError(error, "UNAVAILABLE"), String(error));
      assert.equal(
        error.message,
        "Cannot read 127.0.0.1:1/app:1: 127.0.0.1:1: the connection was refused",
      );
      return true;
    },
  );
});

Deno.test("Registries gives one object per host", async () => {
  await using registries = new Registries();
  assert.equal(registries.client("h.io"), registries.client("H.io"));
  assert.equal(registries.client("docker.io"), registries.client("index.docker.io"));
  assert.notEqual(registries.client("h.io"), registries.client("h.io:444"));
});

Deno.test("a manifest that was begun is read once, by whoever asks first; the next is asked for anew", async () => {
  const requests: string[] = [];
  const body = JSON.stringify({ schemaVersion: 2, manifests: [] });
  await using server = quirkServer(({ url }) => {
    requests.push(url);
    return new Response(body, {
      headers: { "content-type": MediaType.ociIndex },
    });
  });
  await using registry = connectRegistry(server.host);
  await registry.begin("app", "1");
  const [first, second] = await Promise.all([
    registry.manifest("app", "1"),
    registry.manifest("app", "1"),
  ]);
  assert.equal(first!.digest, second!.digest);
  assert.deepEqual(requests, ["/v2/app/manifests/1", "/v2/app/manifests/1"]);
  await registry.begin("app", "2"); // nobody asks for it: it ends with the client
});
