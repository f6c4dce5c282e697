import assert from "node:assert/strict";
import { digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { MediaType } from "../oci/media_type.ts";
import { encodeJson } from "../image.ts";
import { bytesSource, collect, readAll } from "../source.ts";
import { connectRegistry } from "./client.ts";
import type { ClientOptions } from "./options.ts";
import { errorBody, quirkServer, rawServer, say } from "./quirk_testing.ts";

const FAST: ClientOptions = { retry: { baseMs: 1 } };
const big = new Uint8Array(3 * 1024 * 1024 + 11).map((_, at) => at * 31 + (at >> 8));
const bigDigest = digestOf(big);
const text = (value: string) => new TextEncoder().encode(value);
const indexBytes = encodeJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] });
const indexAnswer = (headers: HeadersInit = {}) =>
  new Response(indexBytes, { headers: { "content-type": MediaType.ociIndex, ...headers } });
const describe = (bytes: Uint8Array) => ({
  mediaType: "application/octet-stream",
  digest: digestOf(bytes),
  size: bytes.byteLength,
});

Deno.test("C-GET-03 HEAD that is not allowed, or says too little, becomes GET", async () => {
  for (const head of [{ status: 405 }, { status: 200 }, { status: 403 }]) {
    await using server = quirkServer(({ method }) =>
      method === "HEAD" ? new Response(null, head) : indexAnswer()
    );
    await using registry = connectRegistry(server.host, FAST);
    assert.deepEqual(await registry.stat("app", "1"), {
      mediaType: MediaType.ociIndex,
      digest: digestOf(indexBytes),
      size: indexBytes.byteLength,
    });
    assert.deepEqual(server.seen.map(({ method }) => method), ["HEAD", "GET"]);
  }
});

Deno.test("C-GET-06 a read that is denied is an error, not absence", async () => {
  await using server = quirkServer(() => errorBody(403, "DENIED", "no"));
  await using registry = connectRegistry(server.host, FAST);
  await assert.rejects(
    () => registry.manifest("app", "1"),
    /^OciError: Cannot read \S+\/app:1: the registry denies it to an unknown user \(403 DENIED: no\)$/,
  );
});

Deno.test("C-GET-01 by digest it is verified; by tag the registry's claim is only compared", async () => {
  await using server = quirkServer(() =>
    indexAnswer({ "docker-content-digest": `sha256:${"0".repeat(64)}` })
  );
  const warnings: string[] = [];
  const log = {
    debug() {},
    info() {},
    warn: (line: string) => void warnings.push(line),
    error() {},
  };
  await using registry = connectRegistry(server.host, { ...FAST, log });
  assert.equal((await registry.manifest("app", "1"))?.digest, digestOf(indexBytes));
  assert.equal(warnings.length, 1);
  await assert.rejects(
    () => registry.manifest("app", `sha256:${"0".repeat(64)}`),
    (error) => isOciError(error, "DIGEST_INVALID"),
  );
});

Deno.test("C-GET-02, M-04 a manifest without end is given up", async () => {
  await using server = quirkServer(() =>
    new Response(
      new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65536)) }),
      { headers: { "content-type": MediaType.ociIndex } },
    )
  );
  await using registry = connectRegistry(server.host, FAST);
  await assert.rejects(
    () => registry.manifest("app", "1"),
    (error) => isOciError(error, "SIZE_INVALID"),
  );
});

Deno.test("C-MT-02 the type comes from the body when the header means nothing", async () => {
  await using server = quirkServer(() =>
    indexAnswer({ "content-type": "text/plain; charset=utf-8" })
  );
  await using registry = connectRegistry(server.host, FAST);
  assert.equal((await registry.manifest("app", "1"))?.mediaType, MediaType.ociIndex);
});

Deno.test("M-01 header and body that contradict each other are refused", async () => {
  await using server = quirkServer(() => indexAnswer({ "content-type": MediaType.ociManifest }));
  await using registry = connectRegistry(server.host, FAST);
  await assert.rejects(
    () => registry.manifest("app", "1"),
    (error) => isOciError(error, "MANIFEST_INVALID"),
  );
});

Deno.test("C-RETRY 429 with Retry-After is obeyed, in both forms; then the answer comes", async () => {
  const clock = Date.parse("2026-01-01T00:00:00Z");
  const pauses = ["7", "Thu, 01 Jan 2026 00:00:09 GMT"];
  await using server = quirkServer((_, nth) =>
    nth <= 2
      ? errorBody(429, "TOOMANYREQUESTS", "slow down", { "retry-after": pauses[nth - 1]! })
      : indexAnswer()
  );
  const waited: number[] = [];
  await using registry = connectRegistry(server.host, {
    now: () => clock + waited.reduce((sum, ms) => sum + ms, 0),
    retry: {
      baseMs: 1,
      wait: (ms) => {
        waited.push(ms);
        return Promise.resolve();
      },
    },
  });
  assert(await registry.manifest("app", "1"));
  assert.deepEqual(waited, [7000, 2000]);
});

Deno.test("C-RETRY what does not get better is reported after the last try", async () => {
  await using server = quirkServer(() => errorBody(503, "UNAVAILABLE", "maintenance"));
  await using registry = connectRegistry(server.host, { retry: { baseMs: 1, tries: 3 } });
  await assert.rejects(
    () => registry.manifest("app", "1"),
    /GET was answered with 503 UNAVAILABLE: maintenance/,
  );
  assert.equal(server.seen.length, 3);
});

Deno.test("C-RETRY other refusals are final", async () => {
  await using server = quirkServer(() => new Response("\u001b[2Jnope", { status: 418 }));
  await using registry = connectRegistry(server.host, FAST);
  await assert.rejects(
    () => registry.manifest("app", "1"),
    /GET was answered with 418 UNSUPPORTED: \[2Jnope/,
  );
  assert.equal(server.seen.length, 1);
});

Deno.test("C-UP-03 Location: relative, with a query, at another host without credentials", async () => {
  await using storage = quirkServer(() => new Response(null, { status: 201 }));
  const locations = ["/up/1?state=a+b%2Fc==&x", "?only=query", `http://${storage.host}/s?sig=%2B`];
  for (const location of locations) {
    await using server = quirkServer(({ method }) =>
      method === "HEAD"
        ? new Response(null, { status: 404 })
        : new Response(null, { status: method === "POST" ? 202 : 201, headers: { location } })
    );
    await using registry = connectRegistry(server.host, FAST);
    const bytes = text(`blob ${location}`);
    assert.equal(await registry.pushBlob("app", describe(bytes), bytesSource(bytes)), "uploaded");
    const put = [...server.seen, ...storage.seen].filter(({ method }) => method === "PUT").at(-1)!;
    const path = location.startsWith("?")
      ? `/v2/app/blobs/uploads/${location}`
      : location.replace(`http://${storage.host}`, "");
    assert.equal(put.url, `${path}&digest=${encodeURIComponent(digestOf(bytes))}`);
    assert.deepEqual(put.body, bytes);
    assert.equal(put.headers.get("content-length"), String(bytes.byteLength));
  }
});

Deno.test("a source that fails is not taken for a connection that fails", async () => {
  await using server = quirkServer(({ method }) =>
    new Response(null, { status: method === "HEAD" ? 404 : 202, headers: { location: "/u" } })
  );
  await using registry = connectRegistry(server.host, FAST);
  let opened = 0;
  const open = async () => {
    opened++;
    return (await Deno.open("/does/not/exist")).readable;
  };
  await assert.rejects(
    () => registry.pushBlob("app", describe(text("abc")), { size: 3, open }),
    Deno.errors.NotFound,
  );
  assert.equal(opened, 1);
});

Deno.test("C-UP-01 the source is opened while the upload begins, and let go when it does not", async () => {
  const opened = Promise.withResolvers<void>();
  let cancelled = 0;
  await using server = quirkServer(async ({ method }) => {
    if (method === "HEAD") return new Response(null, { status: 404 });
    await opened.promise;
    return errorBody(403, "DENIED", "no");
  });
  await using registry = connectRegistry(server.host, FAST);
  const open = () => {
    opened.resolve();
    return Promise.resolve(
      new ReadableStream<Uint8Array<ArrayBuffer>>({ cancel: () => void cancelled++ }),
    );
  };
  await assert.rejects(
    () => registry.pushBlob("app", describe(big), { size: big.byteLength, open }),
    (error) => isOciError(error, "DENIED"),
  );
  assert.equal(cancelled, 1);
});

Deno.test("C-UP-01 what takes no long body gets pieces", async () => {
  let stored = new Uint8Array();
  await using server = quirkServer(({ method, body }) => {
    const headers = { location: "/v2/app/blobs/uploads/1" };
    switch (method) {
      case "HEAD":
        return new Response(null, { status: 404 });
      case "POST":
        return new Response(null, { status: 202, headers });
      case "PATCH":
        stored = new Uint8Array([...stored, ...body]);
        return new Response(null, { status: 202, headers: { ...headers, range: "0-0" } });
      case "PUT":
        return new Response(null, { status: body.byteLength > 1_000_000 ? 413 : 201 });
      default:
        return new Response(null, { status: 204 });
    }
  });
  await using registry = connectRegistry(server.host, FAST);
  const bytes = new Uint8Array(5 * 1024 * 1024).fill(3);
  assert.equal(await registry.pushBlob("app", describe(bytes), bytesSource(bytes)), "uploaded");
  assert.equal(digestOf(stored), digestOf(bytes));
});

Deno.test("C-UP-06 a piece that is cut off is taken up where the registry says", async () => {
  let stored = new Uint8Array();
  let cut = true;
  await using server = quirkServer(({ method, body, headers }) => {
    const common = { location: "/v2/app/blobs/uploads/1" };
    const range = () => ({ ...common, range: `0-${stored.byteLength - 1}` });
    if (method === "PATCH") {
      assert.equal(
        headers.get("content-range"),
        `${stored.byteLength}-${stored.byteLength + body.byteLength - 1}`,
      );
      const kept = cut ? body.subarray(0, 1_000_000) : body;
      stored = new Uint8Array([...stored, ...kept]);
      if (cut) {
        cut = false;
        return new Response(null, { status: 503 });
      }
      return new Response(null, { status: 202, headers: range() });
    }
    if (method === "GET") return new Response(null, { status: 204, headers: range() });
    return new Response(null, { status: method === "POST" ? 202 : 201, headers: common });
  });
  await using registry = connectRegistry(server.host, FAST);
  const upload = await registry.upload("app");
  await upload.write(big);
  await upload.write(big);
  const { digest } = await upload.commit();
  assert.equal(digest, digestOf(stored));
});

Deno.test("C-UP-01 an upload that is cut begins anew; progress counts no byte twice", async () => {
  let puts = 0;
  const bodies: number[] = [];
  await using server = rawServer(async (connection, head) => {
    if (head.startsWith("HEAD")) {
      return await say(
        connection,
        "HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
      );
    }
    if (head.startsWith("POST")) {
      return await say(
        connection,
        "HTTP/1.1 202 Yes\r\nlocation: /u\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
      );
    }
    if (head.startsWith("DELETE")) {
      return await say(connection, "HTTP/1.1 204 Gone\r\nconnection: close\r\n\r\n");
    }
    const limit = ++puts === 1 ? 1_000_000 : Number(/content-length: (\d+)/i.exec(head)![1]);
    const buffer = new Uint8Array(65536);
    let got = 0;
    while (got < limit) {
      const count = await connection.read(buffer);
      if (count === null) break;
      got += count;
    }
    bodies.push(got);
    if (puts > 1) {
      await say(
        connection,
        "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
      );
    }
  });
  await using registry = connectRegistry(server.host, FAST);
  let progress = 0;
  const how = await registry.pushBlob("app", describe(big), bytesSource(big), {
    onProgress: (bytes) => progress += bytes,
  });
  assert.equal(how, "uploaded");
  assert.equal(puts, 2);
  assert.equal(bodies[1], big.byteLength);
  assert.equal(progress, big.byteLength);
});

Deno.test("C-DL-03 a download that is cut goes on with Range, and is verified as a whole", async () => {
  await using server = rawServer(async (connection, head, nth) => {
    const from = Number(/range: bytes=(\d+)-/i.exec(head)?.[1] ?? 0);
    const status = from === 0
      ? "200 OK"
      : `206 Partial\r\ncontent-range: bytes ${from}-${big.byteLength - 1}/${big.byteLength}`;
    await say(connection, `HTTP/1.1 ${status}\r\ncontent-length: ${big.byteLength - from}\r\n\r\n`);
    const end = nth === 3 ? big.byteLength : from + 1_200_000;
    await say(connection, big.subarray(from, end));
  });
  await using registry = connectRegistry(server.host, FAST);
  const source = await registry.blob("app", bigDigest);
  assert.deepEqual(await readAll(source!, big.byteLength), big);
  assert.equal(server.heads.length, 3);
});

Deno.test("C-DL-03 what is short and is cut is asked for again: a config, a listing, a token", async () => {
  const config = new TextEncoder().encode('{"os":"linux"}');
  const cut = new Set<string>();
  let host = "";
  await using server = rawServer(async (connection, head) => {
    const path = head.split(" ")[1]!;
    const answer = (status: string, text: string) => {
      const bytes = new TextEncoder().encode(text);
      const first = !cut.has(path);
      cut.add(path);
      const head = `HTTP/1.1 ${status}\r\ncontent-length: ${bytes.byteLength}\r\n`;
      return say(connection, `${head}connection: close\r\n\r\n`).then(() =>
        say(connection, bytes.subarray(0, first ? bytes.byteLength / 2 : undefined))
      );
    };
    if (path.startsWith("/token")) return await answer("200 OK", '{"token":"t"}');
    if (!/authorization: Bearer t/i.test(head)) {
      const challenge = `www-authenticate: Bearer realm="http://${host}/token",service="s"`;
      const first = `HTTP/1.1 401 No\r\n${challenge}\r\ncontent-length: 0\r\n`;
      return await say(connection, `${first}connection: close\r\n\r\n`);
    }
    const tags = path.includes("/tags/");
    await answer("200 OK", tags ? '{"tags":["a"]}' : new TextDecoder().decode(config));
  });
  host = server.host;
  await using registry = connectRegistry(host, FAST);
  const source = await registry.blob("app", digestOf(config));
  assert.deepEqual(await readAll(source!, 100), config);
  assert.deepEqual(await Array.fromAsync(registry.tags("app")), ["a"]);
  assert.equal(cut.size, 3, [...cut].join(" "));
});

Deno.test("C-DL-03 a registry without ranges: what came already is skipped", async () => {
  await using server = rawServer(async (connection, _head, nth) => {
    await say(connection, `HTTP/1.1 200 OK\r\ncontent-length: ${big.byteLength}\r\n\r\n`);
    await say(connection, nth === 1 ? big.subarray(0, 2_000_000) : big);
  });
  await using registry = connectRegistry(server.host, FAST);
  const source = await registry.blob("app", bigDigest);
  assert.deepEqual(await readAll(source!, big.byteLength), big);
});

Deno.test("C-DL-03 a range that is not the one asked for is refused", async () => {
  await using server = rawServer(async (connection, _head, nth) => {
    if (nth === 1) {
      await say(connection, `HTTP/1.1 200 OK\r\ncontent-length: ${big.byteLength}\r\n\r\n`);
      return await say(connection, big.subarray(0, 1000));
    }
    await say(
      connection,
      `HTTP/1.1 206 P\r\ncontent-range: bytes 0-9/10\r\ncontent-length: 10\r\n\r\n0123456789`,
    );
  });
  await using registry = connectRegistry(server.host, FAST);
  const source = await registry.blob("app", bigDigest);
  await assert.rejects(
    () => readAll(source!, big.byteLength),
    (error) => isOciError(error, "SIZE_INVALID"),
  );
});

Deno.test("C-DL-01 wrong bytes are an error at their end, small and large", async () => {
  await using server = quirkServer(({ url }) =>
    new Response(url.includes(bigDigest) ? big.map(() => 1) : "wrong")
  );
  await using registry = connectRegistry(server.host, FAST);
  await assert.rejects(
    () => registry.blob("app", digestOf(text("right"))),
    (error) => isOciError(error, "DIGEST_INVALID"),
  );
  const source = await registry.blob("app", bigDigest);
  let got = 0;
  await assert.rejects(async () => {
    for await (const chunk of await source!.open()) got += chunk.byteLength;
  }, (error) => isOciError(error, "DIGEST_INVALID"));
  assert.equal(got, big.byteLength);
});

Deno.test("C-DL-07 bytes are hashed as they come: no decoding of Content-Encoding", async () => {
  const zipped = new Uint8Array(
    await new Response(
      new Blob([text("hello")]).stream().pipeThrough(new CompressionStream("gzip")),
    ).arrayBuffer(),
  );
  await using server = quirkServer(() =>
    new Response(zipped, { headers: { "content-encoding": "gzip" } })
  );
  await using registry = connectRegistry(server.host, FAST);
  const source = await registry.blob("app", digestOf(zipped));
  assert.deepEqual(await readAll(source!, 1000), zipped);
  await assert.rejects(
    () => registry.blob("app", digestOf(text("hello"))),
    /sent with Content-Encoding "gzip"/,
  );
});

Deno.test.each([[301], [302], [303], [307], [308]])(
  "C-DL-05, N-01 %s to another host: followed, without Authorization",
  async (status) => {
    await using storage = quirkServer(() => new Response("blob"));
    await using server = quirkServer(({ headers }) =>
      headers.has("authorization")
        ? new Response(null, {
          status: status!,
          headers: { location: `http://${storage.host}/b?sig=1` },
        })
        : new Response(null, { status: 401, headers: { "www-authenticate": 'Basic realm="r"' } })
    );
    await using registry = connectRegistry(server.host, {
      ...FAST,
      credentials: () => Promise.resolve({ kind: "basic", username: "u", password: "p" }),
    });
    const source = await registry.blob("app", digestOf(text("blob")));
    assert.deepEqual(await readAll(source!, 10), text("blob"));
    assert.equal(storage.seen.length, 1);
    assert(!storage.seen[0]!.headers.has("authorization"));
  },
);

Deno.test("C-AUTH-14 a host reached by redirect that challenges gets an anonymous token, for this once", async () => {
  await using tokens = quirkServer((_, nth) => Response.json({ token: `T${nth}` }));
  await using storage = quirkServer(({ headers }) =>
    headers.get("authorization")?.startsWith("Bearer T")
      ? new Response("blob")
      : new Response(null, {
        status: 401,
        headers: {
          "www-authenticate": `Bearer realm="http://${tokens.host}/t",scope="repository:s:pull"`,
        },
      })
  );
  await using server = quirkServer(({ headers }) =>
    headers.get("authorization") === `Basic ${btoa("u:p")}`
      ? new Response(null, { status: 307, headers: { location: `http://${storage.host}/b` } })
      : new Response(null, { status: 401, headers: { "www-authenticate": 'Basic realm="r"' } })
  );
  await using registry = connectRegistry(server.host, {
    ...FAST,
    credentials: () => Promise.resolve({ kind: "basic", username: "u", password: "p" }),
  });
  for (let at = 0; at < 2; at++) assert(await registry.blob("app", digestOf(text("blob"))));
  assert.equal(tokens.seen.length, 2);
  for (const { headers } of tokens.seen) assert(!headers.has("authorization"));
  assert.deepEqual(storage.seen.map(({ headers }) => headers.get("authorization")), [
    null,
    "Bearer T1",
    null,
    "Bearer T2",
  ]);
});

Deno.test("C-DL-06 a signed address that has expired: the registry is asked for another, once", async () => {
  for (const expired of [1, 9]) {
    let signed = 0;
    await using storage = quirkServer(({ url }) =>
      Number(/sig=(\d+)/.exec(url)?.[1]) <= expired
        ? new Response("<Error>expired</Error>", { status: 403 })
        : new Response(big)
    );
    await using server = quirkServer(() =>
      new Response(null, {
        status: 307,
        headers: { location: `http://${storage.host}/blob?sig=${++signed}` },
      })
    );
    await using registry = connectRegistry(server.host, FAST);
    if (expired === 1) {
      const source = await registry.blob("app", bigDigest);
      assert.deepEqual(await readAll(source!, big.byteLength), big);
    } else await assert.rejects(() => registry.blob("app", bigDigest), /403/);
    assert.equal(signed, 2);
  }
});

Deno.test("C-DL-05 no more than ten redirects", async () => {
  await using server = quirkServer(({ url }) =>
    new Response(null, { status: 302, headers: { location: url } })
  );
  await using registry = connectRegistry(server.host, FAST);
  await assert.rejects(() => registry.manifest("app", "1"), /redirects more than 10 times/);
  assert.equal(server.seen.length, 11);
});

Deno.test("C-LIST-01 pages by Link, relative and absolute; a list without end ends", async () => {
  await using server = quirkServer(({ url }, nth) => {
    if (url.includes("loop")) {
      return Response.json({ tags: ["a"] }, { headers: { link: `<${url}&x=${nth}>; rel="next"` } });
    }
    const last = new URL(url, "http://x").searchParams.get("last");
    if (last === null) {
      return Response.json({ tags: ["b", "a"] }, {
        headers: { link: '</v2/app/tags/list?n=2&last=b>; rel="next"' },
      });
    }
    if (last === "b") {
      const link = `<http://${server.host}/v2/app/tags/list?last=c>; rel=next`;
      return Response.json({ tags: ["c"] }, { headers: { link } });
    }
    return Response.json({ tags: null });
  });
  await using registry = connectRegistry(server.host, FAST);
  assert.deepEqual(await Array.fromAsync(registry.tags("app")), ["a", "b", "c"]);
  assert.equal(server.seen.length, 3);
  assert.deepEqual(await Array.fromAsync(registry.tags("loop")), ["a"]);
});

Deno.test("C-LIST-01 a Link to another host is not followed", async () => {
  await using server = quirkServer(() =>
    Response.json({ tags: ["a"] }, {
      headers: { link: '<http://elsewhere.example/x>; rel="next"' },
    })
  );
  await using registry = connectRegistry(server.host, FAST);
  await assert.rejects(() => Array.fromAsync(registry.tags("app")), /it goes on at another host/);
});

Deno.test("C-REFR-01 the referrers API; C-REFR-02, C-REFR-03 the tag that stands in for it", async () => {
  const documents = new Map<
    string,
    { readonly type: string; readonly bytes: Uint8Array<ArrayBuffer> }
  >();
  await using server = quirkServer(({ method, url, body, headers }) => {
    if (url.includes("/referrers/")) return new Response("404 page not found", { status: 404 });
    if (method === "PUT") {
      documents.set(url, { type: headers.get("content-type")!, bytes: new Uint8Array(body) });
      return new Response(null, { status: 201 });
    }
    const found = documents.get(url);
    return found === undefined
      ? new Response(null, { status: 404 })
      : new Response(found.bytes, { headers: { "content-type": found.type } });
  });
  await using registry = connectRegistry(server.host, FAST);
  const subject = { mediaType: MediaType.ociManifest, digest: bigDigest, size: 5 };
  const push = async (name: string) =>
    await registry.pushManifest("app", {
      mediaType: MediaType.ociManifest,
      bytes: encodeJson({
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: { mediaType: `application/${name}`, digest: digestOf(text("{}")), size: 2 },
        layers: [],
        subject,
        annotations: { name },
      }),
    });
  const pushed = await Promise.all(["one", "two"].map(push));
  await push("one");
  const listed = await registry.referrers("app", bigDigest);
  assert.deepEqual(
    new Set(listed.map(({ digest }) => digest)),
    new Set(pushed.map(({ digest }) => digest)),
  );
  assert.equal(listed.length, 2);
  const [one] = await registry.referrers("app", bigDigest, { artifactType: "application/one" });
  assert.deepEqual(one?.annotations, { name: "one" });
  assert(documents.has(`/v2/app/manifests/sha256-${bigDigest.slice(7)}`));
});

Deno.test("C-MISC-01 a Warning is shown once, harmlessly", async () => {
  await using server = quirkServer(() => indexAnswer({ warning: '299 - "old \\"client\\""' }));
  const warnings: string[] = [];
  const log = {
    debug() {},
    info() {},
    warn: (line: string) => void warnings.push(line),
    error() {},
  };
  await using registry = connectRegistry(server.host, { ...FAST, log });
  await registry.manifest("app", "1");
  await registry.manifest("app", "1");
  assert.deepEqual(warnings, [`${server.host}: old "client"`]);
});

Deno.test("C-RETRY no more small requests at once than allowed, after the first", async () => {
  let now = 0;
  let most = 0;
  const gate = Promise.withResolvers<void>();
  let served = 0;
  await using server = quirkServer(async () => {
    most = Math.max(most, ++now);
    if (++served > 4) gate.resolve();
    if (served > 1) await gate.promise;
    now--;
    return indexAnswer();
  });
  await using registry = connectRegistry(server.host, { ...FAST, maxSmall: 4 });
  await Promise.all(Array.from({ length: 30 }, (_, at) => registry.manifest("app", `t${at}`)));
  assert.equal(most, 4);
});

Deno.test("an idle server is given up", async () => {
  const gate = Promise.withResolvers<void>();
  await using server = rawServer(async (connection) => {
    await say(connection, "HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\nabc");
    await gate.promise;
  });
  await using registry = connectRegistry(server.host, {
    retry: { baseMs: 1, tries: 2 },
    idleTimeoutMs: 20,
  });
  const source = await registry.blob("app", bigDigest);
  await assert.rejects(
    async () => await collect(await source!.open(), 10_000_000),
    /no progress in time|bytes before/,
  );
  gate.resolve();
});

Deno.test("a blob nobody opens is given back when the client is closed", async () => {
  await using server = quirkServer(() => new Response(big));
  await using registry = connectRegistry(server.host, FAST);
  assert.equal((await registry.blob("app", bigDigest))?.size, big.byteLength);
});

Deno.test("C-CONN-08 a host that is not allowed is not reached", async () => {
  await using server = quirkServer(() => indexAnswer());
  await using registry = connectRegistry(server.host, { ...FAST, allowHost: () => false });
  await assert.rejects(() => registry.manifest("app", "1"), /this host is not allowed here/);
  assert.equal(server.seen.length, 0);
});
