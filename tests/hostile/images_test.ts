/** Documents that lie, read by everything that reads documents. */
import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { connectRegistry } from "../../registry/client/client.ts";
import { checkedRealm } from "../../registry/client/token.ts";
import { parseTarget } from "../../registry/client/url.ts";
import { copy } from "../../registry/copy.ts";
import { readImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { OciError } from "../../registry/oci/error.ts";
import { parseDocument } from "../../registry/oci/manifest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { parseReference } from "../../registry/oci/reference.ts";
import { quirkServer } from "../../registry/client/quirk_testing.ts";
import {
  descriptor,
  imageOf,
  lyingRegistry,
  NOWHERE,
  type Served,
  text,
  WRONG_DIGESTS,
} from "./images_testing.ts";

const FAST = { retry: { baseMs: 1, tries: 2 } };
const AMD64 = { os: "linux", architecture: "amd64" };

/** Copies and reads what a registry serves: neither may do more than fail with an error of ours. */
async function refused(served: Served, why?: RegExp): Promise<void> {
  await using server = lyingRegistry(served);
  await using client = connectRegistry(server.host, FAST);
  const to = memoryRegistry();
  await rejects(copy(client, "app", "1", to, "app"), (error) => {
    ok(error instanceof OciError, String(error));
    if (why !== undefined) ok(why.test(error.message), error.message);
    return true;
  });
  deepEqual(await Array.fromAsync(to.tags("app")).catch(() => []), [], "nothing got a name");
}

Deno.test("an honest image passes the same way", async () => {
  await using server = lyingRegistry(imageOf());
  await using client = connectRegistry(server.host, FAST);
  const to = memoryRegistry();
  await copy(client, "app", "1", to, "app");
  equal((await readImage(to, "app", "1", AMD64))?.layers.length, 1);
});

Deno.test("M-01 no bytes are an image here and an index there", () => {
  const config = descriptor(text("{}"));
  const image = { schemaVersion: 2, config, layers: [] };
  const index = { schemaVersion: 2, manifests: [] };
  const both = { ...image, ...index };
  const types = [
    undefined,
    MediaType.ociManifest,
    MediaType.ociIndex,
    MediaType.dockerManifest,
    MediaType.dockerList,
    "application/json",
  ];
  const kinds = new Set<string>();
  for (const header of types) {
    for (const mediaType of [...types, 7, null, "text/plain"]) {
      for (const [name, fields] of Object.entries({ image, index, both })) {
        const bytes = text(JSON.stringify({ ...fields, mediaType }));
        let kind: string;
        try {
          kind = parseDocument(bytes, header).kind;
        } catch (error) {
          ok(error instanceof OciError, String(error));
          continue;
        }
        equal(name, kind === "index" ? "index" : "image", `${header} ${mediaType}`);
        kinds.add(kind);
        // Whoever is not told the type, or told another, must not read the other kind out of it.
        for (const other of types) {
          try {
            equal(parseDocument(bytes, other).kind, kind);
          } catch (error) {
            ok(error instanceof OciError, String(error));
          }
        }
      }
    }
  }
  equal(kinds.size, 2);
});

Deno.test("M-01 keys that only other readers take for ours are refused", () => {
  const config = descriptor(text("{}"));
  for (
    const extra of [
      { Manifests: [] },
      { LAYERS: [] },
      { MediaType: MediaType.ociIndex },
      { "layer\u017f": [] },
      { "\u212aonfig": [] },
      { layers: [{ ...config, Digest: NOWHERE }] },
      { config: { ...config, URLs: ["http://x"] } },
      { subject: { ...config, SIZE: 1 } },
    ]
  ) {
    const bytes = text(JSON.stringify({ schemaVersion: 2, config, layers: [], ...extra }));
    if ("\u212aonfig" in extra) parseDocument(bytes); // folds to "konfig", which is nobody's key
    else throws(() => parseDocument(bytes), /want "/, JSON.stringify(extra));
  }
});

Deno.test("M-02, M-11 nothing but a digest is ever taken for one", async () => {
  const good = descriptor(text("x"), MediaType.ociLayer);
  for (const digest of WRONG_DIGESTS) {
    const bad = { ...good, digest };
    for (
      const fields of [
        { config: bad, layers: [] },
        { config: good, layers: [bad] },
        { config: good, layers: [], subject: bad },
      ]
    ) {
      throws(() => parseDocument(text(JSON.stringify({ schemaVersion: 2, ...fields }))), OciError);
    }
    const index = text(JSON.stringify({ schemaVersion: 2, manifests: [bad] }));
    throws(() => parseDocument(index), OciError);
    await refused(imageOf({ config: { rootfs: { type: "layers", diff_ids: [digest] } } }))
      .catch(async (error) => {
        // `copy` moves configs without reading them; whoever reads one must refuse it.
        if (error.code !== "ERR_ASSERTION") throw error;
        await using server = lyingRegistry(
          imageOf({ config: { rootfs: { type: "layers", diff_ids: [digest] } } }),
        );
        await using client = connectRegistry(server.host, FAST);
        await rejects(readImage(client, "app", "1", AMD64), OciError);
      });
  }
});

Deno.test("M-03 a tag that moves between two calls gives one image or none", async () => {
  const [one, two] = [imageOf(), imageOf({ labels: { other: "image" } })];
  let turn = 0;
  await using server = quirkServer(({ method, url }) => {
    const blob = /\/blobs\/(.+)$/.exec(url)?.[1];
    const blobs = { ...one.blobs, ...two.blobs };
    if (blob !== undefined) {
      const body = blobs[blob];
      return new Response(body ?? null, { status: body ? 200 : 404 });
    }
    const { manifest } = turn++ % 2 === 0 ? one : two;
    return new Response(method === "HEAD" ? null : manifest, {
      headers: { "content-type": MediaType.ociManifest },
    });
  });
  await using client = connectRegistry(server.host, FAST);
  for (let round = 0; round < 4; round++) {
    const to = memoryRegistry();
    const { descriptor: said } = await copy(client, "app", "1", to, "app");
    const image = await readImage(to, "app", "1", AMD64);
    equal(image?.raw.digest, said.digest);
    equal(digestOf(image!.rawConfig), image!.manifest.config.digest);
    const read = await readImage(client, "app", "1", AMD64);
    equal(digestOf(read!.rawConfig), read!.manifest.config.digest);
  }
});

Deno.test("M-04 sizes that lie, of manifest, config and layer", async () => {
  const honest = imageOf();
  const layer = Object.entries(honest.blobs!).find(([, bytes]) => bytes[0] === 0x1f)!;
  const config = Object.values(honest.blobs!).find((bytes) => bytes[0] === 0x7b)!;
  for (const size of [0, 1, layer[1].byteLength - 1, layer[1].byteLength + 1, 2 ** 40]) {
    const layers = [descriptor(layer[1], MediaType.ociLayerGzip, { size })];
    await refused({ ...imageOf({ layers }), blobs: honest.blobs });
    const manifest = { config: descriptor(config, MediaType.ociConfig, { size }) };
    await refused({ ...imageOf({ manifest }), blobs: honest.blobs });
  }
  for (const size of [-1, 1.5, 2 ** 53, 1e300, "7", null, undefined]) {
    const layers = [descriptor(layer[1], MediaType.ociLayerGzip, { size })];
    await refused(imageOf({ layers }), /size/);
  }
});

Deno.test("M-05 inline data and foreign addresses are never used", async () => {
  const honest = imageOf();
  const entry = JSON.parse(new TextDecoder().decode(honest.manifest));
  await using evil = quirkServer(() => new Response("evil"));
  const urls = [`http://${evil.host}/layer`, "http://169.254.169.254/latest/meta-data"];
  const data = btoa("something else");
  const lie = imageOf({
    manifest: { config: { ...entry.config, data, urls } },
    layers: [{ ...entry.layers[0], data, urls }],
  });
  await using server = lyingRegistry({ ...lie, blobs: honest.blobs });
  await using client = connectRegistry(server.host, FAST);
  const to = memoryRegistry();
  await copy(client, "app", "1", to, "app");
  const image = await readImage(to, "app", "1", AMD64);
  equal(digestOf(image!.rawConfig), entry.config.digest);
  equal(evil.seen.length, 0);
  const absent = imageOf({
    layers: [{ ...entry.layers[0], digest: NOWHERE, data, urls }],
  });
  await refused(absent);
  equal(evil.seen.length, 0);
});

Deno.test("M-06 a config with too few, too many or no layers is refused", async () => {
  for (const diff_ids of [[], [NOWHERE, NOWHERE], Array(100_000).fill(NOWHERE)]) {
    await using server = lyingRegistry(
      imageOf({ config: { rootfs: { type: "layers", diff_ids } } }),
    );
    await using client = connectRegistry(server.host, FAST);
    await rejects(readImage(client, "app", "1", AMD64), OciError);
  }
});

Deno.test("M-07 an index of many thousands of children ends, and one that nests without end", async () => {
  const many = text(JSON.stringify({
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: Array.from({ length: 20_000 }, (_, at) => ({
      mediaType: MediaType.ociManifest,
      digest: digestOf(text(String(at))),
      size: 10,
    })),
  }));
  await refused({ manifest: many, contentType: MediaType.ociIndex });
  let inner = imageOf().manifest;
  const nested = new Map([[digestOf(inner) as string, inner]]);
  for (let depth = 0; depth < 50; depth++) {
    const mediaType = depth === 0 ? MediaType.ociManifest : MediaType.ociIndex;
    const manifests = [descriptor(inner, mediaType)];
    inner = text(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests }));
    nested.set(digestOf(inner), inner);
  }
  await using server = quirkServer(({ url }) => {
    const body = nested.get(url.split("/").at(-1)!) ?? inner;
    const type = body.includes(0x22) && new TextDecoder().decode(body).includes('"manifests"')
      ? MediaType.ociIndex
      : MediaType.ociManifest;
    return new Response(body, { headers: { "content-type": type } });
  });
  await using client = connectRegistry(server.host, FAST);
  await rejects(copy(client, "app", "1", memoryRegistry(), "app"), /nest deeper/);
  ok(server.seen.length < 40);
});

Deno.test("M-12 hosts that look like others", () => {
  for (
    const name of [
      "d\u043ecker.io/x",
      "docker.io@evil.com/x",
      "https://docker.io/x",
      "docker.io:443:443/x",
      "[fe80::1%25eth0]/x",
      "[::1/x",
      "docker.io\\evil.com/x",
      "docker.io#/x",
      "docker.io?/x",
      "doc ker.io/x",
      "host:port@sha256/x",
    ]
  ) {
    throws(() => parseReference(name), OciError, name);
  }
  equal(parseReference("docker.io.evil.com/x").registry, "docker.io.evil.com");
});

Deno.test("N-03 token servers a registry may not name", () => {
  const registry = parseTarget("https://registry.example/v2/");
  for (
    const realm of [
      "http://registry.example/token",
      "http://auth.evil.example/token",
      "/token",
      "token",
      "file:///etc/passwd",
      "javascript:alert(1)",
      "ftp://auth.example/",
      "https://",
      "https://user:secret@auth.example/token",
      "https://auth.example:99999/token",
      "",
      "h".repeat(2 * 1024 * 1024),
    ]
  ) throws(() => checkedRealm(realm, registry), /token server/, realm.slice(0, 60));
  equal(checkedRealm("https://auth.example/token", registry).host, "auth.example");
});

Deno.test("N-13 tokens of two users of one realm are never mixed", async () => {
  await using server = quirkServer(({ url, headers }) => {
    if (url.startsWith("/token")) {
      const user = atob((headers.get("authorization") ?? " Og==").split(" ")[1]!).split(":")[0];
      return Response.json({ token: `token-of-${user}`, expires_in: 600 });
    }
    const token = headers.get("authorization");
    if (token === null) {
      return new Response(null, {
        status: 401,
        headers: { "www-authenticate": `Bearer realm="http://${server.host}/token",service="s"` },
      });
    }
    return new Response(null, { status: 404 });
  });
  const as = (username: string) =>
    connectRegistry(server.host, {
      ...FAST,
      credentials: () => Promise.resolve({ kind: "basic", username, password: "p" }),
    });
  await using ann = as("ann");
  await using bob = as("bob");
  await Promise.all([0, 1, 2].flatMap((n) => [ann.stat(`a${n}`, "1"), bob.stat(`a${n}`, "1")]));
  const tokens = new Map<string, Set<string>>();
  for (const { url, headers } of server.seen) {
    if (url.startsWith("/token")) continue;
    const token = headers.get("authorization");
    if (token !== null) tokens.set(token, (tokens.get(token) ?? new Set()).add(url));
  }
  deepEqual([...tokens.keys()].sort(), ["Bearer token-of-ann", "Bearer token-of-bob"]);
  for (const asked of tokens.values()) equal(asked.size, 3);
});
