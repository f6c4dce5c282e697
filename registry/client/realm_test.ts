/** Token servers that earlier commands were sent to: what is gained, and what happens when it is so no longer. */
import { deepEqual, equal, rejects } from "node:assert/strict";
import { isOciError } from "../oci/error.ts";
import { connectRegistry } from "./client.ts";
import type { ClientOptions, KnownRealm, RealmMemory } from "./options.ts";
import { makePki } from "./pki_testing.ts";
import { errorBody, type QuirkServer, quirkServer } from "./quirk_testing.ts";

const pki = await makePki();

const index = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json" };

/** A registry with its token server in it, which lets nobody in without a token, or everybody. */
function registry(open = false, service = "reg"): QuirkServer {
  const server: QuirkServer = quirkServer(({ url, headers, method }) => {
    if (url.startsWith("/token")) return Response.json({ token: "T" });
    if (open || headers.get("authorization") === "Bearer T") {
      if (method === "GET") {
        return Response.json({ ...index, manifests: [] }, {
          headers: { "content-type": index.mediaType },
        });
      }
      return new Response(null, {
        status: method === "POST" ? 202 : 404,
        headers: { location: "/v2/app/blobs/uploads/1" },
      });
    }
    return errorBody(401, "UNAUTHORIZED", "who is it", {
      "www-authenticate": `Bearer realm="http://${server.host}/token",service="${service}"`,
    });
  });
  return server;
}

/** What one command leaves for the next. */
function memory(known?: KnownRealm): RealmMemory & { known: KnownRealm | undefined } {
  return {
    known,
    realm() {
      return Promise.resolve(this.known);
    },
    keepRealm(_host, realm) {
      this.known = realm;
    },
    forgetRealm() {
      this.known = undefined;
    },
  };
}

async function read(server: QuirkServer, realms: RealmMemory, more: ClientOptions = {}) {
  await using client = connectRegistry(server.host, { retry: { baseMs: 1 }, realms, ...more });
  const before = server.seen.length;
  const found = await client.manifest("app", "1");
  equal(found?.mediaType, index.mediaType);
  return server.calls().slice(before).map((call) => call.replace(/\?.*/, ""));
}

const MANIFEST = "GET /v2/app/manifests/1";

Deno.test("C-AUTH-15 the next command asks for a token first, and no request is refused", async () => {
  await using server = registry();
  const realms = memory();
  deepEqual(await read(server, realms), [MANIFEST, "GET /token", MANIFEST]);
  deepEqual(realms.known, { realm: `http://${server.host}/token`, service: "reg" });
  deepEqual(await read(server, realms), ["GET /token", MANIFEST]);
});

Deno.test("C-AUTH-15 a token server that is gone, or gives none, is forgotten and keeps nobody out", async () => {
  await using server = registry();
  await using wrong = quirkServer(() => new Response("no", { status: 503 }));
  for (const realm of [`http://${wrong.host}/token`, "http://127.0.0.1:1/token", "no address"]) {
    const realms = memory({ realm, service: "reg" });
    deepEqual(await read(server, realms), [MANIFEST, "GET /token", MANIFEST]);
    equal(realms.known?.realm, `http://${server.host}/token`);
  }
  equal(wrong.seen.length, 1, "it is asked once, and not as often as one that is named now");
});

Deno.test("C-AUTH-15 a registry that lets everybody in by now is read, whatever its token server says", async () => {
  await using server = registry(true);
  await using wrong = quirkServer(() => errorBody(401, "UNAUTHORIZED", "no"));
  const realms = memory({ realm: `http://${wrong.host}/token` });
  deepEqual(await read(server, realms), [MANIFEST]);
  equal(realms.known, undefined);
});

Deno.test("C-AUTH-15 a token of another server is taken for none, and the registry's own word counts", async () => {
  await using server = registry(false, "new");
  await using other = quirkServer(() => Response.json({ token: "OLD" }));
  const realms = memory({ realm: `http://${other.host}/token`, service: "old" });
  deepEqual(await read(server, realms), [MANIFEST, "GET /token", MANIFEST]);
  deepEqual(realms.known, { realm: `http://${server.host}/token`, service: "new" });
});

Deno.test("C-AUTH-09 who is refused by the token server is not sent there twice for one request", async () => {
  await using tokens = quirkServer(() => errorBody(401, "UNAUTHORIZED", "wrong password"));
  await using server = quirkServer(() =>
    errorBody(401, "UNAUTHORIZED", "who is it", {
      "www-authenticate": `Bearer realm="http://${tokens.host}/token",service="reg"`,
    })
  );
  const realms = memory({ realm: `http://${tokens.host}/token`, service: "reg" });
  await using client = connectRegistry(server.host, {
    retry: { baseMs: 1 },
    realms,
    credentials: () => Promise.resolve({ kind: "basic", username: "u", password: "p" }),
  });
  await rejects(
    () => client.manifest("app", "1"),
    (error) => isOciError(error, "UNAUTHORIZED") && error.message.includes("wrong password"),
  );
  equal(tokens.seen.length, 1);
});

Deno.test("C-AUTH-12 without TLS only a token server of the registry itself is remembered: anybody may have named another", async () => {
  await using tokens = quirkServer(() => Response.json({ token: "T" }));
  await using server = quirkServer(({ headers }) =>
    headers.has("authorization")
      ? Response.json({ ...index, manifests: [] }, { headers: { "content-type": index.mediaType } })
      : errorBody(401, "UNAUTHORIZED", "who is it", {
        "www-authenticate": `Bearer realm="http://${tokens.host}/token"`,
      })
  );
  const realms = memory();
  equal((await read(server, realms)).length, 2);
  equal(realms.known, undefined);
});

Deno.test({
  name:
    "C-AUTH-12 nor another's of a registry whose certificate nobody checks; one that is checked is believed",
  ignore: pki === undefined,
}, async () => {
  await using tokens = quirkServer(() => Response.json({ token: "T" }), pki!.server);
  await using server = quirkServer(
    ({ headers }) =>
      headers.has("authorization")
        ? Response.json({ ...index, manifests: [] }, {
          headers: { "content-type": index.mediaType },
        })
        : errorBody(401, "UNAUTHORIZED", "who is it", {
          "www-authenticate": `Bearer realm="https://${tokens.host}/token"`,
        }),
    pki!.server,
  );
  const realms = memory();
  const trusting = { caCerts: [pki!.ca] };
  for (const lax of ["insecureHosts", "unverifiedHosts"]) {
    await read(server, realms, { ...trusting, [lax]: [server.host] });
    equal(realms.known, undefined, lax);
  }
  await read(server, realms, trusting);
  equal(realms.known?.realm, `https://${tokens.host}/token`);
});

Deno.test("C-AUTH-15 one that asks only writers for a token is read without: it is not remembered", async () => {
  await using server = registry();
  const realms = memory();
  await using client = connectRegistry(server.host, { retry: { baseMs: 1 }, realms });
  await client.checkAccess("app", "write");
  equal(realms.known, undefined);
});
