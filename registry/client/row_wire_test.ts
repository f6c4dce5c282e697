import { equal, match, rejects } from "node:assert/strict";
import { Row } from "../row.ts";
import { rawServer, say } from "./quirk_testing.ts";
import { connectRegistry } from "./client.ts";
import { digestOfMade } from "../oci/digest.ts";
import { bytesSource } from "../source.ts";
import { Transport } from "./transport.ts";
import { TransportError } from "./transport_error.ts";
import { parseTarget } from "./url.ts";

const OK = "HTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\n";

/** Reads until so many requests without a body have come. */
async function heads(connection: Deno.TcpConn, count: number): Promise<void> {
  const into = new Uint8Array(4096);
  let text = "";
  while (text.split("\r\n\r\n").length <= count) {
    const got = await connection.read(into);
    if (got === null) return;
    text += new TextDecoder().decode(into.subarray(0, got));
  }
}

async function ask(transport: Transport, host: string, path: string, row: Row): Promise<string> {
  const target = parseTarget(`http://${host}/${path}`);
  const { bytes } = await transport.exchange({ method: "GET", target, row });
  return new TextDecoder().decode(await bytes(10));
}

Deno.test("requests of a row leave before any is answered, over one connection, and get their own answers", async () => {
  await using server = rawServer(async (connection) => {
    await heads(connection, 2);
    await say(connection, `${OK}a${OK}b`);
    await say(connection, `${OK}c`);
    await heads(connection, 1);
    await say(connection, `${OK}d`);
  });
  await using transport = new Transport();
  const row = new Row();
  const all = ["1", "2", "3"].map((path) => ask(transport, server.host, path, row));
  equal((await Promise.all(all)).join(""), "abc");
  equal(await ask(transport, server.host, "4", row), "d", "and the connection is kept");
  equal(server.heads.length, 1);
});

Deno.test("where the server closes behind an answer, the next of the row may be sent again", async () => {
  await using server = rawServer(async (connection, _, nth) => {
    if (nth === 1) await heads(connection, 1);
    await say(
      connection,
      "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 1\r\n\r\na",
    );
  });
  await using transport = new Transport();
  const row = new Row();
  const first = ask(transport, server.host, "1", row);
  const second = ask(transport, server.host, "2", row);
  equal(await first, "a");
  await rejects(second, (error) => error instanceof TransportError && error.stale);
});

Deno.test("who stands in a row behind an answer that nobody reads to its end waits no longer than for any", async () => {
  await using server = rawServer(async (connection) => {
    await heads(connection, 1);
    await say(connection, "HTTP/1.1 401 No\r\ncontent-length: 5\r\n\r\na");
    await heads(connection, 1); // the client cuts it
  });
  await using transport = new Transport({ answerTimeoutMs: 100 });
  const row = new Row();
  const target = parseTarget(`http://${server.host}/1`);
  const first = transport.exchange({ method: "GET", target, row });
  const second = ask(transport, server.host, "2", row);
  equal((await first).status, 401);
  await rejects(second, (error) => error instanceof TransportError && error.fault === "timeout");
});

Deno.test("a client sends what its row has lost once more, alone", async () => {
  const bytes = new TextEncoder().encode('{"schemaVersion":2}');
  const mediaType = "application/x";
  await using server = rawServer(async (connection, head, nth) => {
    if (nth === 2) await heads(connection, 1);
    const status = head.startsWith("GET") ? "200 OK" : "201 Created";
    const body = head.startsWith("GET") ? "{}" : "";
    await say(
      connection,
      `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: ${mediaType}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
  });
  await using client = connectRegistry(server.host, { plainHosts: [server.host] });
  await client.manifest("app", "1");
  client.facts.singlePost = true;
  const row = new Row();
  const descriptor = { mediaType, digest: digestOfMade(bytes), size: bytes.byteLength };
  const left = Promise.withResolvers<void>();
  const pushing = client.pushBlob("app", descriptor, bytesSource(bytes), {
    row,
    fresh: true,
    onLeft: left.resolve,
  });
  await left.promise;
  const putting = client.pushManifest("app", { mediaType, bytes }, { row, tags: ["1"] });
  equal(await pushing, "uploaded");
  equal((await putting).digest, descriptor.digest);
  equal(server.heads.length, 3);
  match(server.heads[1]!, /^POST \/v2\/app\/blobs\/uploads\/\?digest=/);
  match(server.heads[2]!, /^PUT \/v2\/app\/manifests\/1 /);
});
