/** A config in one message with its manifest: between wherry and wherry only, and never believed unseen. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { CONFIG_BYTES, MANIFEST_BYTES, WITH } from "../along.ts";
import { encodeJson } from "../image.ts";
import { memoryRegistry } from "../memory.ts";
import { digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import { describeBytes, sampleBytes } from "../registry_suite_testing.ts";
import { serve } from "../server/serve.ts";
import { createServer } from "../server/server.ts";
import { bytesSource, readAll } from "../source.ts";
import { connectRegistry } from "./client.ts";

const CONFIG = encodeJson({ os: "linux", rootfs: { diff_ids: [] } });

function manifestOf(config: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: describeBytes(config, MediaType.ociConfig),
    layers: [],
  });
}

const MANIFEST = manifestOf(CONFIG);
const IMAGE = { mediaType: MediaType.ociManifest, bytes: MANIFEST };
const FRESH = { fresh: true, manifestFollows: true };

async function served(
  body: (it: {
    readonly place: ReturnType<typeof memoryRegistry>;
    readonly host: string;
    readonly url: string;
  }) => Promise<void>,
): Promise<void> {
  const place = memoryRegistry();
  const listen = { hostname: "127.0.0.1", port: 0 };
  await using server = await serve(createServer(place), { listen });
  const host = server.url.slice("http://".length);
  await body({ place, host, url: `http://${host}/v2/app` });
}

Deno.test("a config comes with its manifest and goes with it: one request each way", async () => {
  await served(async ({ place, host }) => {
    await place.pushBlob("app", describeBytes(CONFIG), bytesSource(CONFIG));
    await place.pushManifest("app", IMAGE, { tags: ["1"] });
    await using client = connectRegistry(host, { plainHosts: [host] });
    const raw = await client.manifest("app", "1", { withConfig: true });
    deepEqual(raw!.bytes, MANIFEST);
    deepEqual(await readAll((await client.blob("app", digestOf(CONFIG)))!, 1000), CONFIG);
    equal(client.stats()[host]!.requests, 1);
    ok(await client.blob("app", digestOf(CONFIG)), "kept once only");
    equal(client.stats()[host]!.requests, 2);

    const config = encodeJson({ os: "linux", rootfs: { diff_ids: [] }, second: true });
    const bytes = manifestOf(config);
    await client.pushBlob("app", describeBytes(config), bytesSource(config), FRESH);
    equal(client.stats()[host]!.requests, 2, "nothing has left yet");
    const image = { mediaType: MediaType.ociManifest, bytes };
    await client.pushManifest("app", image, { tags: ["2", "3"] });
    deepEqual(client.stats()[host]!.methods, { GET: 2, PUT: 1 });
    equal((await place.stat("app", "3"))!.digest, digestOf(bytes));
    deepEqual(await readAll((await place.blob("app", digestOf(config)))!, 1000), config);
  });
});

Deno.test("one that was to go along is kept until it did: a tag that moved is refused, the next put is whole", async () => {
  await served(async ({ place, host }) => {
    await place.pushBlob("app", describeBytes(CONFIG), bytesSource(CONFIG));
    await place.pushManifest("app", IMAGE, { tags: ["1"] });
    await using client = connectRegistry(host, { plainHosts: [host] });
    await client.manifest("app", "1", { withConfig: true });
    const config = encodeJson({ os: "linux", rootfs: { diff_ids: [] }, third: true });
    const image = { mediaType: MediaType.ociManifest, bytes: manifestOf(config) };
    await client.pushBlob("app", describeBytes(config), bytesSource(config), FRESH);
    await rejects(
      client.pushManifest("app", image, {
        tags: ["1"],
        expect: [{ tag: "1", is: [digestOf(sampleBytes(1))] }],
      }),
      (error) => isOciError(error, "PRECONDITION_FAILED"),
    );
    equal((await place.stat("app", "1"))!.digest, digestOf(MANIFEST));
    await client.pushManifest("app", image, {
      tags: ["1"],
      expect: [{ tag: "1", is: [digestOf(MANIFEST)] }],
    });
    equal((await place.stat("app", "1"))!.digest, digestOf(image.bytes));
  });
});

Deno.test("who does not ask for it, or for an index or a long config, gets the manifest alone", async () => {
  await served(async ({ place, url }) => {
    const long = encodeJson({ os: "linux", rootfs: { diff_ids: [] }, long: "x".repeat(70_000) });
    for (const config of [CONFIG, long]) {
      await place.pushBlob("app", describeBytes(config), bytesSource(config));
    }
    await place.pushManifest("app", IMAGE, { tags: ["1"] });
    const other = { mediaType: MediaType.ociManifest, bytes: manifestOf(long) };
    await place.pushManifest("app", other, { tags: ["long"] });
    const manifests = [{ ...describeBytes(MANIFEST, MediaType.ociManifest) }];
    const index = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests });
    await place.pushManifest("app", { mediaType: MediaType.ociIndex, bytes: index }, {
      tags: ["index"],
    });
    const ask = async (tag: string, headers: Record<string, string>) => {
      const answer = await fetch(`${url}/manifests/${tag}`, { headers });
      const bytes = new Uint8Array(await answer.arrayBuffer());
      return { bytes, along: answer.headers.get(MANIFEST_BYTES), headers: answer.headers };
    };
    deepEqual((await ask("1", {})).bytes, MANIFEST);
    deepEqual((await ask("1", { [WITH]: "all" })).bytes, MANIFEST);
    deepEqual((await ask("index", { [WITH]: "config" })).bytes, index);
    deepEqual((await ask("long", { [WITH]: "config" })).bytes, other.bytes);
    const both = await ask("1", { [WITH]: "config" });
    equal(both.along, String(MANIFEST.byteLength));
    equal(both.bytes.byteLength, MANIFEST.byteLength + CONFIG.byteLength);
    equal(both.headers.get("cache-control"), "no-store");
  });
});

Deno.test("C-PUT a config that came along is what its digest says, or nothing is stored", async () => {
  await served(async ({ place, url }) => {
    const put = async (
      body: Uint8Array<ArrayBuffer>,
      size: string,
      type: string = MediaType.ociManifest,
    ) => {
      const answer = await fetch(`${url}/manifests/x`, {
        method: "PUT",
        headers: { "content-type": type, [CONFIG_BYTES]: size },
        body,
      });
      return { status: answer.status, text: await answer.text() };
    };
    const both = (config: Uint8Array) => new Uint8Array([...MANIFEST, ...config]);
    const wrong = CONFIG.slice();
    wrong[3]! ^= 1;
    const refused = await put(both(wrong), String(wrong.byteLength));
    equal(refused.status, 400, refused.text);
    ok(refused.text.includes("DIGEST_INVALID"), refused.text);
    for (const size of ["0", "-1", "1e3", "65537", "999999999", ""]) {
      equal((await put(both(CONFIG), size)).status, 400, size);
    }
    equal((await put(both(CONFIG), String(CONFIG.byteLength - 1))).status, 400);
    equal((await put(CONFIG, String(CONFIG.byteLength))).status, 400);
    const index = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] });
    const odd = new Uint8Array([...index, ...CONFIG]);
    equal((await put(odd, String(CONFIG.byteLength), MediaType.ociIndex)).status, 400);
    equal(await place.stat("app", "x"), undefined);
    equal(await place.blob("app", digestOf(CONFIG)), undefined);
    equal((await put(both(CONFIG), String(CONFIG.byteLength))).status, 201);
    ok(await place.blob("app", digestOf(CONFIG)));
  });
});

Deno.test("a config that is not what its manifest says is not taken from an answer", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) =>
      request.url.includes("/blobs/")
        ? new Response(CONFIG)
        : new Response(new Uint8Array([...MANIFEST, ...sampleBytes(CONFIG.byteLength)]), {
          headers: {
            "content-type": MediaType.ociManifest,
            [MANIFEST_BYTES]: String(MANIFEST.byteLength),
          },
        }),
  );
  const host = `127.0.0.1:${server.addr.port}`;
  await using client = connectRegistry(host, { plainHosts: [host] });
  equal((await client.manifest("app", "1", { withConfig: true }))!.digest, digestOf(MANIFEST));
  deepEqual(await readAll((await client.blob("app", digestOf(CONFIG)))!, 1000), CONFIG);
  equal(client.stats()[host]!.requests, 2);
});
