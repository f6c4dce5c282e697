import assert from "node:assert/strict";
import { digestOf } from "../oci/digest.ts";
import { bytesSource, readAll } from "../source.ts";
import { connectRegistry } from "./client.ts";
import type { ClientOptions } from "./options.ts";
import { makePki } from "./pki_testing.ts";
import { quirkServer } from "./quirk_testing.ts";

const pki = await makePki();
const ignore = pki === undefined;
const trusting = (): ClientOptions => ({ retry: { baseMs: 1 }, caCerts: [pki!.ca] });
const blob = new TextEncoder().encode("blob");
const descriptor = { mediaType: "x/y", digest: digestOf(blob), size: blob.byteLength };

Deno.test(
  { name: "C-CONN-01 a registry on this machine may speak https, and then does", ignore },
  async () => {
    await using server = quirkServer(() => new Response(blob), pki!.server);
    await using registry = connectRegistry(server.host, trusting());
    assert.deepEqual(await readAll((await registry.blob("app", descriptor.digest))!, 10), blob);
  },
);

Deno.test(
  { name: "N-05 a certificate that is not trusted is no reason to go on without", ignore },
  async () => {
    await using server = quirkServer(() => new Response(blob), pki!.server);
    await using registry = connectRegistry(server.host, { retry: { baseMs: 1 } });
    await assert.rejects(
      () => registry.blob("app", descriptor.digest),
      /its certificate is not trusted .*; give its authority with --ca-cert, or name the host with --insecure-registry$/,
    );
    assert.equal(server.seen.length, 0);
  },
);

Deno.test({ name: "C-CONN-05 insecure means unchecked for that host", ignore }, async () => {
  await using server = quirkServer(() => new Response(blob), pki!.server);
  await using registry = connectRegistry(server.host, { insecureHosts: [server.host] });
  assert(await registry.blob("app", descriptor.digest));
});

Deno.test({ name: "C-DL-05, N-05 a redirect out of TLS is refused", ignore }, async () => {
  await using plain = quirkServer(() => new Response(blob));
  await using server = quirkServer(
    () => new Response(null, { status: 307, headers: { location: `http://${plain.host}/` } }),
    pki!.server,
  );
  await using registry = connectRegistry(server.host, trusting());
  await assert.rejects(
    () => registry.blob("app", descriptor.digest),
    /the registry redirects out of TLS/,
  );
  assert.equal(plain.seen.length, 0);
});

Deno.test(
  { name: "C-AUTH-12 a realm out of TLS is refused, and gets no password", ignore },
  async () => {
    await using plain = quirkServer(() => Response.json({ token: "T" }));
    await using server = quirkServer(
      () =>
        new Response(null, {
          status: 401,
          headers: { "www-authenticate": `Bearer realm="http://${plain.host}/t"` },
        }),
      pki!.server,
    );
    await using registry = connectRegistry(server.host, {
      ...trusting(),
      credentials: () => Promise.resolve({ kind: "basic", username: "u", password: "p" }),
    });
    await assert.rejects(
      () => registry.manifest("app", "1"),
      /names a token server without TLS, 127/,
    );
    assert.equal(plain.seen.length, 0);
  },
);

Deno.test({
  name: "C-UP-03 a registry that calls itself http behind TLS is uploaded to with TLS",
  ignore,
}, async () => {
  await using server = quirkServer(({ method, headers }) => {
    if (method === "HEAD") return new Response(null, { status: 404 });
    const location = `http://${headers.get("host")}/up?state=1`;
    return new Response(null, { status: method === "POST" ? 202 : 201, headers: { location } });
  }, pki!.server);
  await using registry = connectRegistry(server.host, trusting());
  assert.equal(await registry.pushBlob("app", descriptor, bytesSource(blob)), "uploaded");
  assert.deepEqual(server.calls(), [
    "HEAD /v2/app/blobs/" + descriptor.digest,
    "POST /v2/app/blobs/uploads/",
    "PUT /up",
  ]);
});

Deno.test({ name: "N-02 an upload is not sent out of TLS to another host", ignore }, async () => {
  await using plain = quirkServer(() => new Response(null, { status: 201 }));
  await using server = quirkServer(
    ({ method }) =>
      method === "HEAD" ? new Response(null, { status: 404 }) : new Response(null, {
        status: 202,
        headers: { location: `http://localhost:${plain.host.split(":")[1]}/` },
      }),
    pki!.server,
  );
  await using registry = connectRegistry(server.host, trusting());
  await assert.rejects(
    () => registry.pushBlob("app", descriptor, bytesSource(blob)),
    /the registry leads out of TLS/,
  );
  assert.equal(plain.seen.length, 0);
});
