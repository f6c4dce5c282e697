/** Addresses a server may be asked for: read once, from their bytes, or refused. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { memoryRegistry } from "../../registry/memory.ts";
import { serve } from "../../registry/server/serve.ts";
import { createServer } from "../../registry/server/server.ts";
import { pushSampleImage } from "../../registry/registry_suite_testing.ts";

/** Sends exactly this request line: `fetch` would tidy the path up first. */
async function ask(port: number, line: string, headers = ""): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const request = `${line}\r\nHost: registry.test\r\nConnection: close\r\n${headers}\r\n`;
  await connection.write(Uint8Array.from(request, (char) => char.charCodeAt(0)));
  let answer = "";
  const chunk = new Uint8Array(65536);
  try {
    for (let got = await connection.read(chunk); got !== null; got = await connection.read(chunk)) {
      answer += new TextDecoder().decode(chunk.subarray(0, got));
    }
  } catch {
    // it was cut off, which is an answer too
  }
  return answer;
}

const PATHS: readonly string[] = [
  "/v2/../../etc/passwd",
  "/v2/secret/../app/manifests/v1",
  "/v2/secret/%2e%2e/app/manifests/v1",
  "/v2/a%2fb/manifests/v1",
  "/v2/app%2fmanifests%2fv1",
  "/v2/app/manifests/..%2f..%2fx",
  "/v2/app/manifests/%00",
  "/v2/app/blobs/sha256:%2e%2e",
  "/v2//app/manifests/v1",
  "/v2/app//manifests/v1",
  "/v2/app/manifests/v1/",
  "/v2/APP/manifests/v1",
  "/v2/_uploads/manifests/v1",
  "/v2/.hidden/tags/list",
  "/v2/app/manifests/v1%0d%0aX-Evil:1",
  "/v2/app/\\..\\manifests/v1",
  `/v2/${"a/".repeat(200)}b/manifests/v1`,
  `/v2/app/manifests/${"v".repeat(129)}`,
  `/v2/app/manifests/${"v".repeat(100_000)}`,
  "/v2/app/manifests/%ff%fe",
  "/v2/app/manifests/\xff",
  "/v2/app/manifests/%zz",
  "/v2/app/tags/list?n=-1",
  "/v2/app/tags/list?n=99999999999999999999",
  "/V2/app/manifests/v1",
  "http://other.test/v2/app/manifests/v1x",
  "*",
];

Deno.test("R-05 odd addresses lead to nothing, and the server goes on", async () => {
  const registry = memoryRegistry();
  await pushSampleImage(registry, "app", { tags: ["v1"] });
  const before = await Array.fromAsync(registry.repositories());
  await using server = await serve(createServer(registry), {
    listen: { hostname: "127.0.0.1", port: 0 },
  });
  const { port } = server.address as { readonly port: number };
  equal((await ask(port, "GET /v2/app/manifests/v1 HTTP/1.1")).split(" ")[1], "200");
  for (const path of PATHS) {
    for (const method of ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "get", "TRACE", "X"]) {
      const answer = await ask(port, `${method} ${path} HTTP/1.1`, "Content-Length: 0\r\n");
      const status = Number(answer.split(" ")[1] ?? "400");
      ok(!/^x-evil/im.test(answer), path);
      // Paths with dots are cleaned up by the platform before anybody sees them: a public name, read as such.
      const clean = /%2e%2e\/|\/\.\.\//.test(path) && /app\/manifests\/v1$/.test(path);
      const list = /tags\/list\?n=/.test(path);
      if (clean || list) ok(status < 500, `${method} ${path}: ${status}`);
      else ok(status >= 400 && status < 500, `${method} ${path}: ${status}`);
    }
  }
  await pushSampleImage(registry, "app", { tags: ["v1"] }); // a cleaned-up DELETE has taken it away
  const spoofed =
    "X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /v2/x\r\nX-Rewrite-URL: /v2/x\r\n";
  equal((await ask(port, "GET /v2/app/manifests/v1 HTTP/1.1", spoofed)).split(" ")[1], "200");
  deepEqual(await Array.fromAsync(registry.repositories()), before);
});

Deno.test("R-05 a repository may be named as a route is", async () => {
  const registry = memoryRegistry();
  for (const name of ["blobs/uploads", "manifests", "a/manifests/b", "tags/list", "v2"]) {
    await pushSampleImage(registry, name, { tags: ["manifests"] });
    const server = createServer(registry);
    const { status } = await server.fetch(
      new Request(`http://registry.test/v2/${name}/manifests/manifests`),
    );
    equal(status, 200, name);
  }
});
