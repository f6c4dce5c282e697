/** Section 17 of the CNB rules: what a lifecycle's registry client owes, each rule as one scene. */
import assert from "node:assert/strict";
import { encodeJson, makeImage, pushImage, readImage } from "../image.ts";
import { copy } from "../copy.ts";
import { memoryRegistry } from "../memory.ts";
import { digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import { bytesSource, readAll } from "../source.ts";
import { connectRegistry } from "./client.ts";
import type { ClientOptions, Credential } from "./options.ts";
import { errorBody, quirkServer, type Seen } from "./quirk_testing.ts";

const FAST: ClientOptions = { retry: { baseMs: 1 } };
const PLATFORM = { os: "linux", architecture: "amd64" };
const text = (value: string) => new TextEncoder().encode(value);
const basic: Credential = { kind: "basic", username: "u", password: "p" };
const asUser: ClientOptions = { ...FAST, credentials: () => Promise.resolve(basic) };
const index = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] });
const answerIndex = () => new Response(index, { headers: { "content-type": MediaType.ociIndex } });
const describe = (bytes: Uint8Array) => ({
  mediaType: "application/octet-stream",
  digest: digestOf(bytes),
  size: bytes.byteLength,
});

/** Takes every upload and manifest as the spec says; `more` answers first. */
function obedient(more: (seen: Seen) => Response | undefined = () => undefined) {
  return quirkServer((seen) => {
    const own = more(seen);
    if (own !== undefined) return own;
    const { method, url } = seen;
    if (method === "HEAD" || method === "GET") return new Response(null, { status: 404 });
    if (method === "POST") {
      return new Response(null, { status: 202, headers: { location: "/v2/app/blobs/uploads/1" } });
    }
    if (method === "PATCH") {
      return new Response(null, { status: 202, headers: { location: "/v2/app/blobs/uploads/1" } });
    }
    const digest = url.includes("/manifests/")
      ? digestOf(seen.body)
      : new URL(url, "http://x").searchParams.get("digest")!;
    return new Response(null, { status: 201, headers: { "docker-content-digest": digest } });
  });
}

async function smallImage(layers: readonly string[] = ["one", "two"]) {
  const memory = memoryRegistry();
  const made = [];
  for (const name of layers) {
    const bytes = text(name);
    const descriptor = { ...describe(bytes), mediaType: MediaType.ociLayer };
    await memory.pushBlob("from", descriptor, bytesSource(bytes));
    made.push({
      diffId: descriptor.digest,
      descriptor,
      blob: () => Promise.resolve(bytesSource(bytes)),
    });
  }
  const rootfs = { type: "layers" as const, diff_ids: [] };
  return makeImage({ ...PLATFORM, config: {}, rootfs }, made);
}

Deno.test("RG-3 AU-4 a token server without GET is asked with POST and the password", async () => {
  await using tokens = quirkServer(({ method, body }) => {
    if (method === "GET") return new Response("no such method", { status: 405 });
    const form = new URLSearchParams(new TextDecoder().decode(body));
    assert.deepEqual(Object.fromEntries(form), {
      grant_type: "password",
      username: "u",
      password: "p",
      client_id: "wherry",
      service: "reg",
      scope: "repository:app:pull",
    });
    return Response.json({ access_token: "T" });
  });
  await using server = quirkServer(({ headers }) =>
    headers.get("authorization") === "Bearer T"
      ? answerIndex()
      : errorBody(401, "UNAUTHORIZED", "no", {
        "www-authenticate":
          `Bearer realm="http://${tokens.host}/t",service="reg",scope="repository:app:pull"`,
      })
  );
  await using registry = connectRegistry(server.host, asUser);
  assert.equal((await registry.manifest("app", "1"))?.digest, digestOf(index));
  assert.deepEqual(tokens.seen.map(({ method }) => method), ["GET", "POST"]);
});

Deno.test("RG-3 a token that is refused in the middle, or is too narrow, is renewed for that request", async () => {
  let issued = 0;
  await using tokens = quirkServer(() => Response.json({ token: `T${++issued}` }));
  let asked = 0;
  await using server = quirkServer(({ headers }) => {
    asked++;
    const token = headers.get("authorization");
    const challenge = (error: string) =>
      errorBody(401, "UNAUTHORIZED", "no", {
        "www-authenticate":
          `Bearer realm="http://${tokens.host}/t",service="reg",scope="repository:app:pull"${error}`,
      });
    if (token === null) return challenge("");
    if (token === "Bearer T1" && asked > 2) return challenge(',error="insufficient_scope"');
    return answerIndex();
  });
  await using registry = connectRegistry(server.host, asUser);
  for (const tag of ["1", "2", "3"]) assert(await registry.manifest("app", tag));
  assert.equal(issued, 2);
});

Deno.test("RG-4 the four kinds of manifests are asked for; bytes must match digest and size", async () => {
  await using server = quirkServer(answerIndex);
  await using registry = connectRegistry(server.host, FAST);
  await registry.manifest("app", "1");
  const accepted = server.seen[0]!.headers.get("accept")!.split(/,\s*/).sort();
  assert.deepEqual(accepted.filter((type) => type !== "*/*"), [
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
  ]);
  await assert.rejects(
    () => registry.manifest("app", digestOf(text("other"))),
    (error) => isOciError(error, "DIGEST_INVALID"),
  );
  const config = text('{"os":"linux","architecture":"amd64","rootfs":{"type":"layers"}}');
  const wrong = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: { mediaType: MediaType.ociConfig, digest: digestOf(config), size: 3 },
    layers: [],
  });
  await using liar = quirkServer(({ url }) =>
    url.includes("/manifests/")
      ? new Response(wrong, { headers: { "content-type": MediaType.ociManifest } })
      : new Response(config)
  );
  await using lied = connectRegistry(liar.host, FAST);
  await assert.rejects(
    () => readImage(lied, "app", "1", PLATFORM),
    (error) => isOciError(error, "SIZE_INVALID", "MANIFEST_INVALID", "DIGEST_INVALID"),
  );
});

Deno.test("RG-5 existence costs a HEAD; a registry without HEAD gets a GET", async () => {
  await using server = quirkServer(() =>
    new Response(null, {
      headers: {
        "content-type": MediaType.ociIndex,
        "content-length": "3",
        "docker-content-digest": digestOf(text("abc")),
      },
    })
  );
  await using registry = connectRegistry(server.host, FAST);
  assert(await registry.stat("app", "1"));
  assert.deepEqual(server.calls(), ["HEAD /v2/app/manifests/1"]);
  await using old = quirkServer(({ method }) =>
    method === "HEAD" ? new Response(null, { status: 405 }) : answerIndex()
  );
  await using other = connectRegistry(old.host, FAST);
  assert(await other.stat("app", "1"));
  assert.deepEqual(old.seen.map(({ method }) => method), ["HEAD", "GET"]);
});

Deno.test("RG-6 exists: HEAD; mount: 201 ends it, 202 uploads; Location keeps its query", async () => {
  const blob = text("blob");
  const descriptor = describe(blob);
  await using has = obedient(({ method }) =>
    method === "HEAD" ? new Response(null, { headers: { "content-length": "4" } }) : undefined
  );
  await using there = connectRegistry(has.host, FAST);
  assert.equal(await there.pushBlob("app", descriptor, bytesSource(blob)), "exists");
  assert.deepEqual(has.seen.map(({ method }) => method), ["HEAD"]);

  const from = { mountFrom: "base" };
  await using mounts = obedient(({ method }) =>
    method === "POST" ? new Response(null, { status: 201 }) : undefined
  );
  await using mounting = connectRegistry(mounts.host, FAST);
  assert.equal(await mounting.pushBlob("app", descriptor, bytesSource(blob), from), "mounted");
  const asked = mounts.seen.find(({ method }) => method === "POST")!;
  assert.deepEqual(Object.fromEntries(new URL(asked.url, "http://x").searchParams), {
    mount: descriptor.digest,
    from: "base",
  });

  await using refuses = obedient(({ method }) =>
    method === "POST"
      ? new Response(null, { status: 202, headers: { location: "/v2/up?state=a%2Fb&x" } })
      : undefined
  );
  await using refused = connectRegistry(refuses.host, FAST);
  assert.equal(await refused.pushBlob("app", descriptor, bytesSource(blob), from), "uploaded");
  const put = refuses.seen.find(({ method }) => method === "PUT")!;
  assert.equal(
    put.url.replaceAll("%3A", ":"),
    `/v2/up?state=a%2Fb&x&digest=${descriptor.digest}`,
  );
});

Deno.test("RG-6 foreign layers stay where they are, and their addresses are not followed", async () => {
  const image = await smallImage();
  const foreign = {
    ...image.layers[0]!,
    descriptor: {
      ...image.layers[0]!.descriptor,
      mediaType: MediaType.dockerForeignLayerGzip,
      urls: ["http://127.0.0.1:1/layer"],
    },
    blob: () => Promise.reject(new Error("the foreign layer was opened")),
  };
  await using server = obedient();
  await using registry = connectRegistry(server.host, FAST);
  await pushImage(makeImage(image.config, [foreign, image.layers[1]!]), registry, "app", {
    tags: ["1"],
  });
  const digest = foreign.descriptor.digest;
  assert(
    !server.seen.some(({ url }) =>
      url.includes(digest) || url.includes(encodeURIComponent(digest))
    ),
  );
});

Deno.test("RG-7 what is tried again: the statuses that say not now, three tries at least", async () => {
  for (const status of [408, 429, 499, 500, 502, 503, 504, 522]) {
    await using server = quirkServer((_, nth) =>
      nth <= 2 ? errorBody(status, "X", "later") : answerIndex()
    );
    await using registry = connectRegistry(server.host, {
      retry: { baseMs: 1, wait: () => Promise.resolve() },
    });
    assert(await registry.manifest("app", "1"), `${status}`);
    assert.equal(server.seen.length, 3, `${status}`);
  }
  for (const status of [400, 403, 501]) {
    await using server = quirkServer(() => errorBody(status, "X", "never"));
    await using registry = connectRegistry(server.host, FAST);
    await assert.rejects(() => registry.manifest("app", "1"));
    assert.equal(server.seen.length, 1, `${status}`);
  }
});

Deno.test("RG-8 storage that a blob is redirected to gets no credentials", async () => {
  const blob = text("blob");
  await using storage = quirkServer(() => new Response(blob));
  await using server = quirkServer(({ headers }) =>
    headers.get("authorization") === null
      ? errorBody(401, "UNAUTHORIZED", "no", { "www-authenticate": 'Basic realm="r"' })
      : new Response(null, { status: 307, headers: { location: `http://${storage.host}/s?sig=1` } })
  );
  await using registry = connectRegistry(server.host, asUser);
  const source = await registry.blob("app", digestOf(blob));
  assert.deepEqual(await readAll(source!, 10), blob);
  assert.equal(storage.seen.length, 1);
  assert.equal(storage.seen[0]!.headers.get("authorization"), null);
});

Deno.test("RG-10 blobs, then config, then the manifest of each child, then the index, the tag last", async () => {
  const memory = memoryRegistry();
  const children = [];
  for (const name of ["a", "b"]) {
    const image = await smallImage([name]);
    await pushImage(image, memory, "from", { tags: [name] });
    const { digest, mediaType, bytes } = image.raw;
    children.push({ digest, mediaType, size: bytes.byteLength, platform: PLATFORM });
  }
  const bytes = encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociIndex,
    manifests: children,
  });
  await memory.pushManifest("from", { mediaType: MediaType.ociIndex, bytes }, { tags: ["all"] });
  await using server = obedient();
  await using registry = connectRegistry(server.host, FAST);
  await copy(memory, "from", "all", registry, "app", { tags: ["1", "2"] });
  const done = server.seen.filter(({ method, url }) =>
    method === "PUT" || (method === "POST" && url.includes("digest="))
  );
  const manifests = done.map(({ url }) => /\/manifests\/([^?]+)/.exec(url)?.[1]);
  const first = manifests.findIndex((one) => one !== undefined);
  assert(first >= 2, "a manifest came before the blobs it names");
  const order = manifests.filter((one) => one !== undefined).map(decodeURIComponent);
  assert.deepEqual(order.slice(0, 2).sort(), children.map(({ digest }) => digest).sort());
  assert.deepEqual([...new Set(order.slice(2))].filter((one) => !one.includes(":")), ["1", "2"]);
  assert(order.slice(2).every((one) => one === "1" || one === "2" || one === digestOf(bytes)));
  for (const child of children) {
    const { config, layers } = JSON.parse(
      new TextDecoder().decode((await memory.manifest("from", child.digest))!.bytes),
    );
    const put = manifests.findIndex((one) => one && decodeURIComponent(one) === child.digest);
    for (const { digest } of [config, ...layers]) {
      const blob = done.findIndex(({ url }) =>
        decodeURIComponent(url).includes(`digest=${digest}`)
      );
      assert(blob >= 0 && blob < put, `${digest} before the manifest that names it`);
    }
  }
});

Deno.test("RG-11 every upload says its length: some registries take none without", async () => {
  await using server = obedient();
  await using registry = connectRegistry(server.host, FAST);
  const big = new Uint8Array(3_000_000).map((_, at) => at * 7);
  for (const bytes of [text("small"), big]) {
    await registry.pushBlob("app", describe(bytes), bytesSource(bytes));
  }
  const upload = await registry.upload("app");
  await upload.write(big);
  await upload.commit();
  const sent = server.seen.filter(({ method }) => method === "PATCH" || method === "PUT");
  assert(sent.length >= 3);
  for (const { headers, body, method, url } of sent) {
    assert.equal(headers.get("content-length"), String(body.byteLength), `${method} ${url}`);
    assert.equal(headers.get("transfer-encoding"), null);
  }
});
