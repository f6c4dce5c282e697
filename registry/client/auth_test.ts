import assert from "node:assert/strict";
import { digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { bytesSource } from "../source.ts";
import { connectRegistry } from "./client.ts";
import { credentialsFrom, type CredentialWorld } from "./credentials.ts";
import { dockerRegistry, startDockerRegistry } from "./docker_registry_testing.ts";
import type { ClientOptions, Credential } from "./options.ts";
import { errorBody, type QuirkServer, quirkServer, type Seen } from "./quirk_testing.ts";

const FAST: ClientOptions = { retry: { baseMs: 1 } };
const user = (password = "p"): ClientOptions => ({
  ...FAST,
  credentials: () => Promise.resolve<Credential>({ kind: "basic", username: "u", password }),
});
const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.index.v1+json",
  manifests: [],
});
const manifestAnswer = () =>
  new Response(manifest, {
    headers: { "content-type": "application/vnd.oci.image.index.v1+json" },
  });

/** A registry that asks for tokens of `tokens` and takes those in `good`; answers manifests and uploads. */
function bearerRegistry(
  tokens: () => string,
  good: (token: string, seen: Seen) => boolean,
): QuirkServer {
  return quirkServer((seen) => {
    const repository = /^\/v2\/(.+?)\/(?:manifests|blobs)\//.exec(seen.url)?.[1];
    const token = /^Bearer (.*)$/.exec(seen.headers.get("authorization") ?? "")?.[1];
    if (token === undefined || !good(token, seen)) {
      const actions = seen.method === "GET" || seen.method === "HEAD" ? "pull" : "pull,push";
      return errorBody(401, "UNAUTHORIZED", "authentication required", {
        "www-authenticate":
          `Negotiate, Bearer realm="${tokens()}",service="reg",scope="repository:${repository}:${actions}"`,
      });
    }
    if (seen.method === "GET") return manifestAnswer();
    if (seen.method === "HEAD") return new Response(null, { status: 404 });
    if (seen.method === "POST") {
      const mounted = seen.url.includes("mount=");
      return new Response(null, {
        status: mounted ? 201 : 202,
        headers: { location: `/v2/${repository}/blobs/uploads/1?_state=a%2Fb%3D` },
      });
    }
    return new Response(null, { status: 201 });
  });
}

const scopesOf = ({ url }: Seen) => new URL(url, "http://x").searchParams.getAll("scope");

Deno.test("C-AUTH-02 bearer: GET with service, scope and basic credentials", async () => {
  await using tokens = quirkServer(() => Response.json({ token: "T" }));
  await using server = bearerRegistry(
    () => `http://${tokens.host}/t?x=1`,
    (token) => token === "T",
  );
  await using registry = connectRegistry(server.host, user());
  assert.equal(
    (await registry.manifest("app", "1"))?.digest,
    digestOf(new TextEncoder().encode(manifest)),
  );
  assert.equal(tokens.seen.length, 1);
  const [asked] = tokens.seen;
  const query = new URL(asked!.url, "http://x").searchParams;
  assert.deepEqual(Object.fromEntries(query), {
    x: "1",
    service: "reg",
    scope: "repository:app:pull",
    client_id: "wherry",
    account: "u",
  });
  assert.equal(asked!.headers.get("authorization"), `Basic ${btoa("u:p")}`);
  assert.equal(server.seen.at(-1)!.headers.get("user-agent"), "wherry");
  assert.equal(server.seen.at(-1)!.headers.get("accept-encoding"), "identity");
});

Deno.test("C-AUTH-02 anonymous without credentials; the token is used again", async () => {
  await using tokens = quirkServer(() => Response.json({ access_token: "T", expires_in: 300 }));
  await using server = bearerRegistry(() => `http://${tokens.host}/`, (token) => token === "T");
  await using registry = connectRegistry(server.host, FAST);
  await registry.manifest("app", "1");
  await registry.manifest("app", "2");
  assert.equal(tokens.seen.length, 1);
  assert.equal(tokens.seen[0]!.headers.get("authorization"), null);
  assert.equal(server.seen.length, 3);
});

Deno.test("C-AUTH-01 passwords offered before tokens: who has none gets a token", async () => {
  await using tokens = quirkServer(() => Response.json({ token: "T" }));
  await using server = quirkServer(({ headers }) =>
    ["Bearer T", `Basic ${btoa("u:p")}`].includes(headers.get("authorization") ?? "")
      ? manifestAnswer()
      : errorBody(401, "UNAUTHORIZED", "authentication required", {
        "www-authenticate": `Basic realm="r", Bearer realm="http://${tokens.host}/t",service="s"`,
      })
  );
  const identity: Credential = { kind: "identity", token: "I" };
  for (const credential of [undefined, identity]) {
    await using registry = connectRegistry(server.host, {
      ...FAST,
      credentials: () => Promise.resolve(credential),
    });
    assert.ok(await registry.manifest("app", "1"));
    assert.equal(server.seen.at(-1)?.headers.get("authorization"), "Bearer T");
  }
  assert.equal(tokens.seen.length, 2);
  await using known = connectRegistry(server.host, user());
  assert.ok(await known.manifest("app", "1"));
  assert.equal(tokens.seen.length, 2);
});

Deno.test("C-AUTH-04 a token answer may say that what it lacks is null", async () => {
  await using tokens = quirkServer(() =>
    Response.json({ token: null, access_token: "T", refresh_token: null, expires_in: null })
  );
  await using server = bearerRegistry(() => `http://${tokens.host}/t`, (token) => token === "T");
  await using registry = connectRegistry(server.host, FAST);
  assert.ok(await registry.manifest("app", "1"));
});

Deno.test("C-AUTH-06 many at once: one challenge, one token; widened, and one for each repository", async () => {
  await using tokens = quirkServer((seen) => Response.json({ token: scopesOf(seen).join("+") }));
  await using server = bearerRegistry(() => `http://${tokens.host}/`, () => true);
  await using registry = connectRegistry(server.host, user());
  await Promise.all(Array.from({ length: 10 }, (_, at) => registry.manifest("app", `t${at}`)));
  assert.equal(tokens.seen.length, 1);
  assert.equal(server.seen.length, 11);
  await registry.checkAccess("app", "write");
  await registry.manifest("other", "1");
  await registry.manifest("app", "1");
  assert.deepEqual(tokens.seen.map(scopesOf), [
    ["repository:app:pull"],
    ["repository:app:pull,push"],
    ["repository:other:pull"],
  ]);
});

Deno.test("C-AUTH-07, C-AUTH-08 a mount asks for push first and for pull at the source", async () => {
  await using tokens = quirkServer((seen) => Response.json({ token: scopesOf(seen).join("+") }));
  await using server = bearerRegistry(() => `http://${tokens.host}/`, () => true);
  await using registry = connectRegistry(server.host, user());
  await registry.manifest("app", "1");
  const bytes = new Uint8Array(10);
  const descriptor = { mediaType: "x/y", digest: digestOf(bytes), size: 10 };
  const how = await registry.pushBlob("app", descriptor, bytesSource(bytes), { mountFrom: "base" });
  assert.equal(how, "mounted");
  assert.deepEqual(scopesOf(tokens.seen[1]!), ["repository:app:pull,push", "repository:base:pull"]);
});

Deno.test("C-AUTH-08, C-MNT-02 a token server that refuses the source: a narrow token, and an upload", async () => {
  await using tokens = quirkServer((seen) =>
    scopesOf(seen).length > 1
      ? errorBody(401, "DENIED", "not yours")
      : Response.json({ token: "T" })
  );
  await using server = bearerRegistry(() => `http://${tokens.host}/`, () => true);
  await using registry = connectRegistry(server.host, user());
  await registry.manifest("app", "1");
  const bytes = new Uint8Array(10);
  const descriptor = { mediaType: "x/y", digest: digestOf(bytes), size: 10 };
  const how = await registry.pushBlob("app", descriptor, bytesSource(bytes), { mountFrom: "base" });
  assert.equal(how, "uploaded");
  const put = server.seen.at(-1)!;
  assert.equal(
    put.url,
    `/v2/app/blobs/uploads/1?_state=a%2Fb%3D&digest=${encodeURIComponent(descriptor.digest)}`,
  );
  assert.equal(put.headers.get("content-length"), "10");
  assert.equal(put.headers.get("transfer-encoding"), null);
  const asked = tokens.seen.length;
  const more = { ...descriptor, digest: digestOf(new Uint8Array(11)), size: 11 };
  await registry.pushBlob("app", more, bytesSource(new Uint8Array(11)), { mountFrom: "base" });
  assert.equal(tokens.seen.length, asked, "what is refused once is not asked for each layer");
});

Deno.test("C-AUTH-03 an identity token goes by POST; the refresh token it brings is used next", async () => {
  await using tokens = quirkServer((_, nth) =>
    Response.json({ access_token: `T${nth}`, refresh_token: "R2" })
  );
  await using server = bearerRegistry(() => `http://${tokens.host}/`, () => true);
  await using registry = connectRegistry(server.host, {
    ...FAST,
    credentials: () => Promise.resolve({ kind: "identity", token: "R1" }),
  });
  await registry.manifest("app", "1");
  await registry.manifest("other", "1");
  const forms = tokens.seen.map(({ method, body }) => {
    assert.equal(method, "POST");
    return Object.fromEntries(new URLSearchParams(new TextDecoder().decode(body)));
  });
  assert.deepEqual(forms[0], {
    grant_type: "refresh_token",
    refresh_token: "R1",
    client_id: "wherry",
    service: "reg",
    scope: "repository:app:pull",
  });
  assert.equal(forms[1]!["refresh_token"], "R2");
});

Deno.test("C-AUTH-03 a server without POST is asked with GET", async () => {
  await using tokens = quirkServer(({ method }) =>
    method === "POST" ? new Response(null, { status: 405 }) : Response.json({ token: "T" })
  );
  await using server = bearerRegistry(() => `http://${tokens.host}/`, () => true);
  await using registry = connectRegistry(server.host, {
    ...FAST,
    credentials: () => Promise.resolve({ kind: "identity", token: "R1" }),
  });
  await registry.manifest("app", "1");
  assert.deepEqual(tokens.calls(), ["POST /", "GET /"]);
});

Deno.test("C-AUTH-04 a token is renewed before it ends; short and odd lives mean a minute", async () => {
  let clock = Date.parse("2026-01-01T00:00:00Z");
  await using tokens = quirkServer(() =>
    Response.json({ token: "T", expires_in: 1, issued_at: "2030-01-01T00:00:00Z" })
  );
  await using server = bearerRegistry(() => `http://${tokens.host}/`, () => true);
  await using registry = connectRegistry(server.host, { ...FAST, now: () => clock });
  await registry.manifest("app", "1");
  clock += 54_000;
  await registry.manifest("app", "1");
  assert.equal(tokens.seen.length, 1);
  clock += 2_000;
  await registry.manifest("app", "1");
  assert.equal(tokens.seen.length, 2);
});

Deno.test("C-AUTH-09 a token that is refused later is renewed once, and the body sent again", async () => {
  let good = "T1";
  await using tokens = quirkServer((_, nth) =>
    Response.json({ token: `T${nth}`, expires_in: 3600 })
  );
  await using server = bearerRegistry(() => `http://${tokens.host}/`, (token, seen) => {
    if (seen.method === "PUT" && good === "T1") good = "T2";
    return token === good;
  });
  await using registry = connectRegistry(server.host, user());
  const bytes = new Uint8Array(100_000).fill(7);
  const descriptor = { mediaType: "x/y", digest: digestOf(bytes), size: bytes.byteLength };
  assert.equal(await registry.pushBlob("app", descriptor, bytesSource(bytes)), "uploaded");
  const puts = server.seen.filter(({ method }) => method === "PUT");
  assert.equal(puts.length, 2);
  assert.deepEqual(puts[1]!.body, bytes);
});

Deno.test("C-AUTH-09 the same answer twice ends it: no loop", async () => {
  await using tokens = quirkServer((_, nth) => Response.json({ token: `T${nth}` }));
  await using server = bearerRegistry(() => `http://${tokens.host}/`, () => false);
  await using registry = connectRegistry(server.host, user());
  await assert.rejects(() => registry.manifest("app", "1"), (error) => {
    assert(isOciError(error, "UNAUTHORIZED"));
    assert.equal(
      error.message,
      `Cannot read ${server.host}/app:1: the registry refused the credentials of user "u" (401 UNAUTHORIZED: authentication required)`,
    );
    return true;
  });
  assert.equal(tokens.seen.length, 1);
  assert.equal(server.seen.length, 2);
});

Deno.test("C-AUTH-10 a 401 without a challenge: the ping tells", async () => {
  await using server = quirkServer(({ url, headers }) => {
    if (headers.get("authorization") === `Basic ${btoa("u:p")}`) return manifestAnswer();
    return new Response(null, {
      status: 401,
      headers: url === "/v2/" ? { "www-authenticate": 'Basic realm="r"' } : {},
    });
  });
  await using registry = connectRegistry(server.host, user());
  assert(await registry.manifest("app", "1"));
  assert.deepEqual(server.calls(), [
    "GET /v2/app/manifests/1",
    "GET /v2/",
    "GET /v2/app/manifests/1",
  ]);
});

Deno.test("C-AUTH-12 an https registry may not name a realm without TLS", async () => {
  const { checkedRealm } = await import("./token.ts");
  const { parseTarget } = await import("./url.ts");
  const secure = parseTarget("https://r.io/");
  const plain = parseTarget("http://localhost:5000/");
  assert.throws(() => checkedRealm("http://r.io/token", secure), /without TLS, r\.io/);
  assert.equal(checkedRealm("https://auth.io/t", secure).host, "auth.io");
  assert.equal(checkedRealm("http://localhost:1/t", plain).host, "localhost:1");
  for (
    const realm of ["/relative", "file:///etc/passwd", "https://u:p@r.io/", "javascript:1", ""]
  ) {
    assert.throws(() => checkedRealm(realm, secure), /cannot be used/, realm);
  }
});

Deno.test("C-AUTH-13 redirects of a token server get no secret at another host", async () => {
  await using elsewhere = quirkServer(() => Response.json({ token: "T" }));
  await using tokens = quirkServer(() =>
    new Response(null, { status: 307, headers: { location: `http://${elsewhere.host}/x` } })
  );
  await using server = bearerRegistry(() => `http://${tokens.host}/`, () => true);
  await using registry = connectRegistry(server.host, user());
  await registry.manifest("app", "1");
  assert(tokens.seen[0]!.headers.has("authorization"));
  assert(!elsewhere.seen[0]!.headers.has("authorization"));
});

Deno.test("C-AUTH-16 a refused login says that public images need none; N-10 without the secret", async () => {
  await using tokens = quirkServer(() => errorBody(401, "UNAUTHORIZED", "bad \u001b[31mpassword"));
  await using server = bearerRegistry(() => `http://${tokens.host}/`, () => true);
  await using registry = connectRegistry(server.host, user("hush"));
  await assert.rejects(() => registry.manifest("app", "1"), (error: Error) => {
    assert.equal(
      error.message,
      `Cannot read ${server.host}/app:1: the token server ${tokens.host} refused the credentials of user "u" (401: bad  [31mpassword); a public image can be read without logging in`,
    );
    return true;
  });
});

Deno.test("C-AUTH-05 a token answer without end is given up", async () => {
  await using tokens = quirkServer(() =>
    new Response(
      new ReadableStream({
        pull(controller) {
          controller.enqueue(new Uint8Array(65536).fill(0x20));
        },
      }),
    )
  );
  await using server = bearerRegistry(() => `http://${tokens.host}/`, () => true);
  await using registry = connectRegistry(server.host, user());
  await assert.rejects(() => registry.manifest("app", "1"), /an answer that is no token/);
});

// htpasswd of Debian's apache2-utils, for user "u" and password "p:ss".
const HTPASSWD = "u:$2y$05$S5G0ILSWyJ7q.N4NWBWNn.SpGmHs9ix.yyXB/ZAfkfiz0MgjXwRKW";

Deno.test(
  { name: "docker-registry with htpasswd", ignore: dockerRegistry === undefined },
  async (t) => {
    await using server = await startDockerRegistry({ htpasswd: HTPASSWD });
    const bytes = new Uint8Array(5000).fill(1);
    const descriptor = { mediaType: "x/y", digest: digestOf(bytes), size: bytes.byteLength };

    await t.step("C-AUTH-15 basic is sent at once when it is known to be wanted", async () => {
      await using registry = connectRegistry(server.host, user("p:ss"));
      assert.equal(await registry.pushBlob("app", descriptor, bytesSource(bytes)), "uploaded");
      const { methods } = registry.stats()[server.host]!;
      assert.deepEqual(methods, { HEAD: 2, POST: 1, PUT: 1 });
    });

    await t.step("wrong credentials, in words for people", async () => {
      await using registry = connectRegistry(server.host, user("wrong"));
      await assert.rejects(() => registry.checkAccess("app", "write"), (error) => {
        assert(isOciError(error, "UNAUTHORIZED"));
        assert.equal(
          error.message,
          `Cannot push to ${server.host}/app: the registry refused the credentials of user "u" (401 UNAUTHORIZED: authentication required)`,
        );
        return true;
      });
    });

    await t.step("no credentials", async () => {
      await using registry = connectRegistry(server.host, FAST);
      await assert.rejects(
        () => registry.pushBlob("app", descriptor, bytesSource(bytes)),
        /^OciError: Cannot push to 127\S+\/app: the registry wants credentials, and none were found \(401 UNAUTHORIZED\)$/,
      );
    });
  },
);

Deno.test("C-AUTH-16, N-10 a refusal says where the credentials were found, and none of the secret", async () => {
  await using tokens = quirkServer(() => new Response("bad password", { status: 401 }));
  const challenges = ['Basic realm="r"', `Bearer realm="http://${tokens.host}/t",service="s"`];
  for (const challenge of challenges) {
    await using server = quirkServer(() =>
      errorBody(401, "UNAUTHORIZED", "no", { "www-authenticate": challenge })
    );
    const auth = btoa("ann:s3cret");
    const file = JSON.stringify({ auths: { [server.host]: { auth } } });
    const worlds: readonly (readonly [CredentialWorld, string])[] = [
      [{
        env: { HOME: "/h" },
        readFile: (path) => Promise.resolve(path === "/h/.docker/config.json" ? file : undefined),
      }, "/h/.docker/config.json"],
      [
        { env: { CNB_REGISTRY_AUTH: JSON.stringify({ [server.host]: `Basic ${auth}` }) } },
        "CNB_REGISTRY_AUTH",
      ],
    ];
    for (const [world, place] of worlds) {
      await using registry = connectRegistry(server.host, {
        ...FAST,
        credentials: credentialsFrom(world),
      });
      await assert.rejects(() => registry.manifest("app", "1"), (error: Error) => {
        assert.ok(
          error.message.includes(`the credentials of user "ann" from ${place} (401`),
          error.message,
        );
        assert.ok(!error.message.includes("s3cret") && !error.message.includes(auth));
        return true;
      });
    }
  }
});
