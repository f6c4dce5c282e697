/**
 * The transport beside `fetch`, on loopback: `deno bench -A registry/client/transport_bench.ts`. Look at the ratio of
 * the rows of one group, not at the times.
 */
import { Transport } from "./transport.ts";
import { parseTarget } from "./url.ts";

const SIZE = 64 * 1024 * 1024;
const chunk = new Uint8Array(256 * 1024);

const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
  if (request.method === "PUT") {
    for await (const _ of request.body ?? []);
    return new Response(null, { status: 201 });
  }
  return request.url.endsWith("/big")
    ? new Response(stream(), { headers: { "content-length": String(SIZE) } })
    : new Response("{}");
});
const origin = `http://127.0.0.1:${(server.addr as Deno.NetAddr).port}`;
const transport = new Transport();
server.unref();

function stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
  let left = SIZE;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(chunk);
      left -= chunk.byteLength;
      if (left === 0) controller.close();
    },
  }, { highWaterMark: 0 });
}

async function read(body: ReadableStream<Uint8Array> | null): Promise<void> {
  for await (const _ of body ?? []);
}

Deno.bench({
  name: "transport: download 64 MiB",
  group: "download",
  baseline: true,
  async fn() {
    const { body } = await transport.exchange({
      method: "GET",
      target: parseTarget(`${origin}/big`),
    });
    await read(body);
  },
});
Deno.bench({
  name: "fetch: download 64 MiB",
  group: "download",
  async fn() {
    await read((await fetch(`${origin}/big`)).body);
  },
});
Deno.bench({
  name: "transport: upload 64 MiB with its length",
  group: "upload",
  baseline: true,
  async fn() {
    const { body } = await transport.exchange({
      method: "PUT",
      target: parseTarget(`${origin}/`),
      body: { size: SIZE, open: () => Promise.resolve(stream()) },
    });
    await read(body);
  },
});
Deno.bench({
  name: "fetch: upload 64 MiB, chunked",
  group: "upload",
  async fn() {
    await read((await fetch(`${origin}/`, { method: "PUT", body: stream() })).body);
  },
});
Deno.bench({
  name: "transport: small GET",
  group: "small",
  baseline: true,
  async fn() {
    const { body } = await transport.exchange({ method: "GET", target: parseTarget(`${origin}/`) });
    await read(body);
  },
});
Deno.bench({
  name: "fetch: small GET",
  group: "small",
  async fn() {
    await read((await fetch(`${origin}/`)).body);
  },
});
