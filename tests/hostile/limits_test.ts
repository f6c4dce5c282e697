/** Registries that never end: every wait, page, redirect and body has a limit. */
import { equal, ok, rejects } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { connectRegistry } from "../../registry/client/client.ts";
import { quirkServer } from "../../registry/client/quirk_testing.ts";
import { OciError } from "../../registry/oci/error.ts";

const FAST = { retry: { baseMs: 1, tries: 1 } };

function endless(text: string): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text.repeat(Math.ceil(65536 / text.length)));
  return new ReadableStream({ pull: (controller) => controller.enqueue(bytes) });
}

async function refused(act: Promise<unknown>): Promise<string> {
  let message = "";
  await rejects(act, (error) => {
    ok(error instanceof OciError, String(error));
    ok(!/[\r\n]/.test(error.message) && error.message.length < 5000, error.message);
    message = error.message;
    return true;
  });
  return message;
}

Deno.test("N-12 an error body without end is cut", async () => {
  for (const text of ["denied ", '{"errors":[', "[", "\u001b[31m", "\n"]) {
    await using server = quirkServer(() => new Response(endless(text), { status: 403 }));
    await using client = connectRegistry(server.host, FAST);
    await refused(client.manifest("app", "1"));
    await refused(Array.fromAsync(client.tags("app")));
  }
});

Deno.test("N-12 an error body is not unpacked", async () => {
  const bomb = new Uint8Array(gzipSync(new Uint8Array(64 * 1024 * 1024).fill(0x41)));
  await using server = quirkServer(() =>
    new Response(bomb, { status: 400, headers: { "content-encoding": "gzip" } })
  );
  await using client = connectRegistry(server.host, FAST);
  ok(!(await refused(client.manifest("app", "1"))).includes("AAAA"));
});

Deno.test("N-12 lists that grow for ever end, and so do single pages", async () => {
  await using server = quirkServer((_, nth) =>
    Response.json({ tags: [`t${nth}`], repositories: [`r${nth}`] }, {
      headers: { link: `</v2/app/tags/list?last=${nth}>; rel="next"` },
    })
  );
  await using client = connectRegistry(server.host, FAST);
  ok(/pages/.test(await refused(Array.fromAsync(client.tags("app")))));
  ok(server.seen.length < 20_000, String(server.seen.length));
  await using page = quirkServer(() => new Response(endless('{"tags":["a",')));
  await using other = connectRegistry(page.host, FAST);
  ok(/too long/.test(await refused(Array.fromAsync(other.tags("app")))));
});

Deno.test("N-12 redirects end, of documents, blobs and uploads", async () => {
  const digest = `sha256:${"a".repeat(64)}` as Parameters<typeof client.blob>[1];
  await using server = quirkServer((_, nth) =>
    new Response(null, { status: 307, headers: { location: `/v2/elsewhere/${nth}` } })
  );
  await using client = connectRegistry(server.host, FAST);
  await refused(client.manifest("app", "1"));
  await refused((async () => (await client.blob("app", digest))?.open())());
  await refused(client.upload("app"));
  ok(server.seen.length < 60, String(server.seen.length));
});

Deno.test("N-12 tokens that are never good enough end", async () => {
  await using server = quirkServer(({ url }, nth) =>
    url.startsWith("/token") ? Response.json({ token: `t${nth}` }) : new Response(null, {
      status: 401,
      headers: {
        "www-authenticate":
          `Bearer realm="http://${server.host}/token",scope="repository:x${nth}:pull"`,
      },
    })
  );
  await using client = connectRegistry(server.host, FAST);
  await refused(client.manifest("app", "1"));
  ok(server.seen.length < 12, String(server.seen.length));
  equal(server.seen.filter(({ url }) => url.startsWith("/token")).length < 5, true);
});

Deno.test("N-02, N-12 a next page at an address that is none is refused (found by fuzzing)", async () => {
  for (const link of ["javascript:1", "http://[", "file:///etc/passwd", "//", "http://a:99999/"]) {
    await using server = quirkServer(() =>
      Response.json({ tags: ["a"] }, { headers: { link: `<${link}>; rel="next"` } })
    );
    await using client = connectRegistry(server.host, FAST);
    await refused(Array.fromAsync(client.tags("app")));
    equal(server.seen.length, 1);
  }
});
