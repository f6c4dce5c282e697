/** S-AUTH: clients with certificates, over real TLS. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { makePki, type TestPki } from "../../client/pki_testing.ts";
import { memoryRegistry } from "../../memory.ts";
import { digestOf } from "../../oci/digest.ts";
import { sampleBytes } from "../../registry_suite_testing.ts";
import { createServer, type RequestEntry, type ServerOptions } from "../server.ts";
import { type Listening, serve } from "../serve.ts";

const pki: TestPki | undefined = await makePki();
const stranger: TestPki | undefined = await makePki();

interface World extends AsyncDisposable {
  readonly listening: Listening;
  readonly entries: RequestEntry[];
  readonly names: (string | undefined)[];
  readonly port: number;
}

async function world(options: ServerOptions = {}, drainMs = 5_000): Promise<World> {
  const registry = memoryRegistry();
  const entries: RequestEntry[] = [];
  const names: (string | undefined)[] = [];
  const server = createServer(registry, {
    onRequest: (entry) => entries.push(entry),
    authorize: (_request, _parsed, peer) => {
      names.push(peer.certificate);
      return Promise.resolve({ kind: "allow", user: peer.certificate, registry });
    },
    ...options,
  });
  const { cert, key } = pki!.server;
  const listening = await serve(server, {
    listen: { hostname: "127.0.0.1", port: 0 },
    tls: { cert, key, clientCa: pki!.ca },
    drainMs,
  });
  const { address } = listening;
  ok("port" in address);
  return {
    listening,
    entries,
    names,
    port: address.port,
    [Symbol.asyncDispose]: () => listening.shutdown(),
  };
}

function clientWith(own: { cert: string; key: string } | undefined): Deno.HttpClient {
  return Deno.createHttpClient({ caCerts: [pki!.ca], ...(own ?? {}) });
}

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `S-AUTH certificates: ${name}`, ignore: pki === undefined, fn });
}

test("the client's name reaches the judgement and the log", async () => {
  await using made = await world();
  using client = clientWith(pki!.client);
  for (let at = 0; at < 3; at++) {
    const response = await fetch(`${made.listening.url}/v2/`, { client });
    equal(response.status, 200);
    equal(response.headers.get("docker-distribution-api-version"), "registry/2.0");
    deepEqual(await response.json(), {});
  }
  deepEqual(made.names, ["client", "client", "client"]);
  equal(made.entries[0]?.user, "client");
  equal(made.entries[0]?.remote, "127.0.0.1");
});

test("without one, or with one of another authority, nobody gets in", async () => {
  await using made = await world();
  for (const own of [undefined, stranger!.client]) {
    using client = clientWith(own);
    await rejects(async () => {
      const response = await fetch(`${made.listening.url}/v2/`, { client });
      await response.body?.cancel();
    });
  }
  deepEqual(made.entries, []);
  using client = clientWith(pki!.client);
  const response = await fetch(`${made.listening.url}/healthz`, { client });
  equal(response.status, 200, "and it goes on serving");
  await response.body?.cancel();
});

test("large blobs go in and out, in parts too", async () => {
  await using made = await world();
  using client = clientWith(pki!.client);
  const call = (method: string, path: string, init: RequestInit & { duplex?: "half" } = {}) =>
    fetch(made.listening.url + path, { method, client, ...init });
  const bytes = sampleBytes(8_000_000, 5);
  const digest = digestOf(bytes);
  const started = await call("POST", "/v2/app/blobs/uploads/");
  equal(started.status, 202);
  await started.body?.cancel();
  const location = started.headers.get("location")!;
  const half = 3_000_000;
  const patched = await call("PATCH", location, {
    body: bytes.slice(0, half),
    headers: { "content-range": `0-${half - 1}` },
  });
  equal(patched.status, 202);
  equal(patched.headers.get("range"), `0-${half - 1}`);
  await patched.body?.cancel();
  // A body of unknown length comes in chunks.
  const put = await call("PUT", `${location}?digest=${digest}`, {
    body: new Blob([bytes.slice(half)]).stream(),
    duplex: "half",
  });
  equal(put.status, 201);
  await put.body?.cancel();
  const got = await call("GET", `/v2/app/blobs/${digest}`);
  equal(got.headers.get("content-length"), String(bytes.byteLength));
  equal(digestOf(new Uint8Array(await got.arrayBuffer())), digest);
  const part = await call("GET", `/v2/app/blobs/${digest}`, { headers: { range: "bytes=10-19" } });
  equal(part.status, 206);
  deepEqual(new Uint8Array(await part.arrayBuffer()), bytes.slice(10, 20));
  const head = await call("HEAD", `/v2/app/blobs/${digest}`);
  equal(head.headers.get("content-length"), String(bytes.byteLength));
  equal((await head.arrayBuffer()).byteLength, 0);
});

test("a body that is refused before its end does not spoil the next request", async () => {
  await using made = await world({ manifestLimit: 1000 });
  using client = clientWith(pki!.client);
  for (let at = 0; at < 3; at++) {
    const response = await fetch(`${made.listening.url}/v2/app/manifests/v1`, {
      method: "PUT",
      client,
      body: new Blob([sampleBytes(200_000)]).stream(),
    }).catch(() => undefined); // the client may see the connection end before the answer
    if (response !== undefined) {
      equal(response.status, 413);
      await response.body?.cancel();
    }
    const ping = await fetch(`${made.listening.url}/v2/`, { client });
    equal(ping.status, 200);
    await ping.body?.cancel();
  }
});

test("a client that goes away in its body leaves a server that serves", async () => {
  const gone = Promise.withResolvers<RequestEntry>();
  const entered = Promise.withResolvers<void>();
  await using made = await world({
    onRequest: (entry) => entry.kind === "startUpload" && gone.resolve(entry),
    onBegin: entered.resolve,
  });
  const { cert, key } = pki!.client;
  {
    using connection = await Deno.connectTls({
      hostname: "127.0.0.1",
      port: made.port,
      caCerts: [pki!.ca],
      cert,
      key,
    });
    const path = `/v2/app/blobs/uploads/?digest=${digestOf(sampleBytes(1))}`;
    await connection.write(
      new TextEncoder().encode(
        `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhello`,
      ),
    );
    await entered.promise;
  }
  equal((await gone.promise).status, 400);
  using client = clientWith(pki!.client);
  const response = await fetch(`${made.listening.url}/v2/`, { client });
  equal(response.status, 200);
  await response.body?.cancel();
});

test("what is under way is finished before it ends", async () => {
  const entered = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  const made = await world({
    site: async () => {
      entered.resolve();
      await leave.promise;
      return { response: new Response("done"), user: undefined };
    },
  });
  using client = clientWith(pki!.client);
  const slow = fetch(`${made.listening.url}/slow`, { client });
  await entered.promise;
  const ended = made.listening.shutdown();
  leave.resolve();
  equal(await (await slow).text(), "done");
  await ended;
  await made.listening.finished;
  await rejects(fetch(`${made.listening.url}/v2/`, { client }));
});

test("keys and certificates that do not fit are told before anybody comes", async () => {
  const server = createServer(memoryRegistry());
  const { ca, client } = pki!;
  const { cert, key } = pki!.server;
  const listen = { hostname: "127.0.0.1", port: 0 };
  const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const rows: readonly (readonly [{ cert: string; key: string; clientCa: string }, RegExp])[] = [
    [{ cert: "nonsense", key, clientCa: ca }, /no certificate in its certificate/],
    [{ cert: broken, key, clientCa: ca }, /its certificate cannot be read/],
    [{ cert, key: "nonsense", clientCa: ca }, /its private key cannot be read/],
    [{ cert, key: client.key, clientCa: ca }, /is not that of its certificate/],
    [{ cert, key, clientCa: "" }, /no certificate in what clients are checked against/],
    [{ cert, key, clientCa: key }, /no certificate in what clients are checked against/],
    [{ cert, key, clientCa: ca + broken }, /what clients are checked against cannot be read/],
  ];
  for (const [tls, message] of rows) {
    await rejects(serve(server, { listen, tls }), (error: Error) => {
      match(error.message, message);
      return true;
    });
  }
  const tls = { cert, key, clientCa: ca };
  await rejects(serve(server, { listen: { path: "/x" }, tls }), TypeError);
  await using taken = await serve(server, { listen, tls });
  ok("port" in taken.address);
  await rejects(serve(server, { listen: taken.address, tls }), (error: Error) => {
    match(error.message, /^Cannot listen on 127\.0\.0\.1:[0-9]+: /);
    return true;
  });
});
