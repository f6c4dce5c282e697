/** Rights as a client meets them: requests in, statuses out, over memory. */
import { hashSync } from "bcryptjs";
import { Buffer } from "node:buffer";
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { type MemoryRegistry, memoryRegistry } from "../../memory.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { MediaType } from "../../oci/media_type.ts";
import { pushBytes, pushSampleImage, sampleBytes } from "../../registry_suite_testing.ts";
import { createServer, type RegistryServer, type RequestEntry } from "../server.ts";
import { parseScope } from "./access.ts";
import { Authority } from "./authority.ts";
import { guard } from "./guard.ts";
import { parseHtpasswd } from "./htpasswd.ts";
import { Logins } from "./login.ts";
import { parsePolicy } from "./policy.ts";
import { Tokens } from "./token.ts";
import { answerToken, TOKEN_PATH } from "./token_endpoint.ts";
import { newTokenKey } from "./token_key.ts";

const POLICY = `
[[rule]]
repositories = ["public/**"]
anonymous = true
actions = ["read"]

[[rule]]
repositories = ["team/**"]
users = ["alice"]
actions = ["read", "create", "update"]

[[rule]]
repositories = ["append/**"]
users = ["alice"]
actions = ["read", "create"]

[[rule]]
repositories = ["move/**"]
users = ["alice"]
actions = ["read", "update"]

[[rule]]
repositories = ["**"]
users = ["root"]
actions = ["*"]
`;
const HASHES = ["alice", "bob", "root"].map((user) => `${user}:${hashSync(`${user}-pw`, 4)}`)
  .join("\n");
const basic = (user: string, password = `${user}-pw`) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

interface World {
  readonly registry: MemoryRegistry;
  readonly entries: RequestEntry[];
  readonly tokens: Tokens;
  readonly users: Map<string, string>;
  readonly pauses: number[];
  now: number;
  call(
    method: string,
    path: string,
    headers?: Record<string, string>,
    body?: BodyInit,
    certificate?: string,
  ): Promise<Seen>;
  /** A token as a client gets it. */
  token(headers: Record<string, string>, ...scopes: readonly string[]): Promise<string>;
}

interface Seen {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly code: string | undefined;
}

function world(mode: "basic" | "bearer"): World {
  const registry = memoryRegistry();
  const entries: RequestEntry[] = [];
  const pauses: number[] = [];
  const parsed = parseHtpasswd(HASHES, "htpasswd");
  const users = new Map(parsed.hashes);
  const policy = parsePolicy(POLICY, "policy.toml");
  const clock = () => made.now;
  const wait = (ms: number) => {
    pauses.push(ms);
    return Promise.resolve();
  };
  const file = { current: () => Promise.resolve({ hashes: users, dummies: parsed.dummies }) };
  const tokens = new Tokens({ service: "registry.test", key: newTokenKey(), now: clock });
  const authority = new Authority({
    logins: new Logins(file, { now: clock, wait }),
    policy: () => Promise.resolve(policy),
    ...(mode === "bearer" ? { tokens, realm: "https://registry.test/token" } : {}),
  });
  const server: RegistryServer = createServer(registry, {
    locate: (digest) => registry.locate(digest),
    authorize: guard(registry, authority, newTokenKey().secret),
    onRequest: (entry) => entries.push(entry),
    onError: (error) => {
      throw error;
    },
    site: async (request, peer) =>
      new URL(request.url).pathname === TOKEN_PATH
        ? await answerToken(request, { headers: request.headers, ...peer }, authority, tokens)
        : undefined,
  });
  const made: World = {
    registry,
    entries,
    tokens,
    users,
    pauses,
    now: Date.UTC(2026, 0, 1),
    async call(method, path, headers = {}, body, certificate) {
      const response = await server.fetch(
        new Request(`https://registry.test${path}`, { method, headers, body: body ?? null }),
        { remote: "192.0.2.1", certificate },
      );
      const text = await response.text();
      const code = response.status < 400 || text === ""
        ? undefined
        : JSON.parse(text).errors?.[0].code;
      return { status: response.status, headers: response.headers, text, code };
    },
    async token(headers, ...scopes) {
      const query = new URLSearchParams([
        ["service", "registry.test"],
        ...scopes.map((scope) => ["scope", scope] as [string, string]),
      ]);
      const answer = await made.call("GET", `/token?${query}`, headers);
      equal(answer.status, 200, answer.text);
      return JSON.parse(answer.text).token;
    },
  };
  return made;
}

const blob = sampleBytes(100, 7);
const digest = digestOf(blob);

/** A repository with one image under `v1`, put there behind the server's back. */
async function fill(registry: MemoryRegistry, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    await pushSampleImage(registry, name, { tags: ["v1"] });
    await pushBytes(registry, name, blob);
  }
}

const EMPTY = JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] });
const putIndex = (
  world: World,
  path: string,
  headers: Record<string, string>,
) => world.call("PUT", path, { ...headers, "content-type": MediaType.ociIndex }, EMPTY);

Deno.test("S-AUTH the ping asks for a login even where everybody may read something", async () => {
  const plain = world("basic");
  const answer = await plain.call("GET", "/v2/");
  equal(answer.status, 401);
  equal(answer.code, "UNAUTHORIZED");
  equal(answer.headers.get("www-authenticate"), 'Basic realm="wherry"');
  equal(answer.headers.get("docker-distribution-api-version"), "registry/2.0");
  equal((await plain.call("GET", "/v2/", basic("alice"))).status, 200);
  const tokens = world("bearer");
  equal(
    (await tokens.call("GET", "/v2/")).headers.get("www-authenticate"),
    'Bearer realm="https://registry.test/token",service="registry.test"',
  );
  equal(
    (await tokens.call("GET", "/v2/team/app/manifests/v1")).headers.get("www-authenticate"),
    'Bearer realm="https://registry.test/token",service="registry.test",scope="repository:team/app:pull"',
  );
  equal((await tokens.call("GET", "/v2/", basic("alice"))).status, 200, "a password is fine too");
});

Deno.test("S-AUTH wrong credentials are refused even where none is needed", async () => {
  const made = world("bearer");
  await fill(made.registry, "public/app");
  const path = "/v2/public/app/manifests/v1";
  equal((await made.call("GET", path)).status, 200);
  for (
    const header of [
      basic("alice", "wrong").authorization,
      basic("alice", "").authorization,
      basic("nobody").authorization,
      "Basic",
      "Basic %%%",
      "Bearer",
      "Bearer x.y.z",
      "Negotiate abc",
      "",
      `Basic ${"A".repeat(10_000)}`,
    ]
  ) {
    const answer = await made.call("GET", path, { authorization: header });
    equal(answer.status, 401, header);
    ok(!answer.text.includes("wrong"), "no secret in the answer");
  }
});

Deno.test("R-10 unknown users and wrong passwords get the same answer", async () => {
  const made = world("basic");
  const known = await made.call("GET", "/v2/", basic("alice", "wrong"));
  const unknown = await made.call("GET", "/v2/", basic("nobody", "wrong"));
  equal(known.text, unknown.text);
  deepEqual([...known.headers], [...unknown.headers]);
  deepEqual(made.pauses, [200, 200]);
});

Deno.test("R-10 after ten wrong passwords the eleventh is not looked at", async () => {
  const made = world("basic");
  for (let at = 0; at < 10; at++) await made.call("GET", "/v2/", basic("alice", `no${at}`));
  const answer = await made.call("GET", "/v2/", basic("alice"));
  equal(answer.status, 429);
  equal(answer.code, "TOOMANYREQUESTS");
  equal(answer.headers.get("retry-after"), "60");
  made.now += 60_000;
  equal((await made.call("GET", "/v2/", basic("alice"))).status, 200);
});

for (const mode of ["basic", "bearer"] as const) {
  Deno.test(`S-AUTH ${mode}: each repository has its own rights`, async () => {
    const made = world(mode);
    await fill(made.registry, "public/app", "team/app", "other/app");
    const as = async (user: string | undefined, repository: string) => {
      const headers: Record<string, string> = user === undefined ? {} : basic(user);
      if (mode === "basic") return headers;
      return bearer(await made.token(headers, `repository:${repository}:pull,push,delete`));
    };
    const rows: readonly (readonly [string | undefined, string, readonly number[]])[] = [
      // GET, start an upload, DELETE
      [undefined, "public/app", [200, 401, 401]],
      [undefined, "team/app", [401, 401, 401]],
      ["alice", "public/app", [200, 403, 403]],
      ["alice", "team/app", [200, 202, 403]],
      ["alice", "other/app", [403, 403, 403]],
      ["bob", "public/app", [200, 403, 403]],
      ["bob", "team/app", [403, 403, 403]],
      ["root", "other/app", [200, 202, 202]],
    ];
    for (const [user, repository, wanted] of rows) {
      const headers = await as(user, repository);
      const seen = [
        await made.call("GET", `/v2/${repository}/manifests/v1`, headers),
        await made.call("POST", `/v2/${repository}/blobs/uploads/`, headers),
        await made.call("DELETE", `/v2/${repository}/blobs/${digest}`, headers),
      ];
      deepEqual(seen.map(({ status }) => status), wanted, `${user} in ${repository}`);
      for (const { status, code } of seen) {
        if (status === 401) equal(code, "UNAUTHORIZED");
        if (status === 403) equal(code, "DENIED");
      }
    }
  });
}

Deno.test("S-AUTH who may not read cannot tell what is there from what is not", async () => {
  const made = world("basic");
  await fill(made.registry, "team/app");
  for (const headers of [{}, basic("bob")]) {
    for (
      const [there, absent] of [
        ["/v2/team/app/manifests/v1", "/v2/team/app/manifests/v2"],
        ["/v2/team/app/tags/list", "/v2/team/no/tags/list"],
        [`/v2/team/app/blobs/${digest}`, `/v2/team/app/blobs/${digestOf(sampleBytes(9, 9))}`],
      ] as const
    ) {
      for (const method of ["GET", "HEAD"]) {
        const one = await made.call(method, there, headers);
        const other = await made.call(method, absent, headers);
        equal(one.status, other.status);
        ok(one.status === 401 || one.status === 403);
        deepEqual([...one.headers.keys()], [...other.headers.keys()]);
      }
    }
  }
});

Deno.test("S-AUTH create sets a tag anew, update moves it", async () => {
  const made = world("basic");
  const alice = basic("alice");
  equal((await putIndex(made, "/v2/append/app/manifests/v1", alice)).status, 201);
  equal((await putIndex(made, "/v2/append/app/manifests/v1", alice)).status, 403);
  equal((await putIndex(made, "/v2/append/app/manifests/v2?tag=v1", alice)).status, 403);
  equal((await putIndex(made, "/v2/append/app/manifests/v2?tag=v3", alice)).status, 201);
  equal((await putIndex(made, "/v2/move/app/manifests/v1", alice)).status, 403);
  await fill(made.registry, "move/app");
  equal((await putIndex(made, "/v2/move/app/manifests/v1", alice)).status, 201);
  const own = digestOf(new TextEncoder().encode(EMPTY));
  equal((await putIndex(made, `/v2/move/app/manifests/${own}`, alice)).status, 201);
  equal((await putIndex(made, `/v2/move/app/manifests/${own}?tag=v9`, alice)).status, 403);
});

for (const [repository, who] of [["append/app", "create"], ["move/app", "update"]] as const) {
  Deno.test(`S-AUTH a right to ${who} alone is held to in the moment a tag is set`, async () => {
    const made = world("basic");
    await pushSampleImage(made.registry, repository, { seed: 9, tags: ["other"] });
    const other = (await made.registry.manifest(repository, "other"))!;
    const put = made.registry.pushManifest.bind(made.registry);
    if (who === "update") await put(repository, other, { tags: ["v1"] });
    // Somebody else is quicker: between the question for the right and the put.
    made.registry.pushManifest = async (...args) => {
      if (who === "create") await put(repository, other, { tags: ["v1"] });
      else await made.registry.deleteManifest(repository, "v1");
      return await put(...args);
    };
    const answer = await putIndex(made, `/v2/${repository}/manifests/v1`, basic("alice"));
    deepEqual([answer.status, answer.code], [403, "DENIED"]);
    const left = (await made.registry.stat(repository, "v1"))?.digest;
    equal(left, who === "create" ? other.digest : undefined);
  });
}

Deno.test("S-AUTH what a caller with half a right expects itself is still its own", async () => {
  const made = world("basic");
  await fill(made.registry, "move/app");
  const headers = { ...basic("alice"), "if-match": `"${digest}"` };
  const answer = await putIndex(made, "/v2/move/app/manifests/v1", headers);
  deepEqual([answer.status, answer.code], [412, "PRECONDITION_FAILED"]);
});

Deno.test("S-AUTH the catalog shows what the caller may read", async () => {
  const made = world("bearer");
  await fill(made.registry, "public/app", "team/app", "other/app");
  const names = async (headers: Record<string, string>, query = "") =>
    JSON.parse((await made.call("GET", `/v2/_catalog${query}`, headers)).text).repositories;
  deepEqual(await names(basic("alice")), ["public/app", "team/app"]);
  deepEqual(await names(basic("bob")), ["public/app"]);
  deepEqual(await names(basic("root")), ["other/app", "public/app", "team/app"]);
  deepEqual(await names(basic("alice"), "?n=1"), ["public/app"]);
  equal((await made.call("GET", "/v2/_catalog")).status, 401);
  const without = await made.token(basic("alice"), "repository:team/app:pull");
  const refused = await made.call("GET", "/v2/_catalog", bearer(without));
  equal(refused.status, 401);
  match(
    refused.headers.get("www-authenticate") ?? "",
    /scope="registry:catalog:\*",error="insufficient_scope"/,
  );
  const token = await made.token(basic("alice"), "registry:catalog:*");
  deepEqual(await names(bearer(token)), ["public/app", "team/app"]);
});

Deno.test("S-AUTH a token allows what it says and no more", async () => {
  const made = world("bearer");
  await fill(made.registry, "team/app", "team/web");
  const token = await made.token(basic("alice"), "repository:team/app:pull");
  const headers = bearer(token);
  equal((await made.call("GET", "/v2/", headers)).status, 200);
  equal((await made.call("GET", "/v2/team/app/manifests/v1", headers)).status, 200);
  const other = await made.call("GET", "/v2/team/web/manifests/v1", headers);
  equal(other.status, 401);
  match(other.headers.get("www-authenticate") ?? "", /error="insufficient_scope"/);
  const push = await made.call("POST", "/v2/team/app/blobs/uploads/", headers);
  equal(push.status, 401);
  match(push.headers.get("www-authenticate") ?? "", /scope="repository:team\/app:pull,push"/);
  equal((await made.call("DELETE", "/v2/team/app/manifests/v1", headers)).status, 403);
});

Deno.test("S-AUTH a token ends with its time, its user's rights and its user", async () => {
  const made = world("bearer");
  await fill(made.registry, "team/app");
  const path = "/v2/team/app/manifests/v1";
  const token = await made.token(basic("alice"), "repository:team/app:pull");
  equal((await made.call("GET", path, bearer(token))).status, 200);
  const forged = await made.tokens.issue("bob", [parseScope("repository:team/app:pull")!]);
  equal((await made.call("GET", path, bearer(forged.token))).status, 403, "the policy still rules");
  made.users.delete("alice");
  equal((await made.call("GET", path, bearer(token))).status, 401, "she is gone");
  made.users.set("alice", hashSync("x", 4));
  equal((await made.call("GET", path, bearer(token))).status, 200);
  made.now += 310_000;
  const old = await made.call("GET", path, bearer(token));
  equal(old.status, 401);
  match(old.headers.get("www-authenticate") ?? "", /error="invalid_token"/);
});

Deno.test("S-AUTH the token endpoint speaks GET with Basic and POST with a form", async () => {
  const made = world("bearer");
  const form = (fields: Record<string, string>) =>
    made.call(
      "POST",
      "/token",
      { "content-type": "application/x-www-form-urlencoded" },
      new URLSearchParams(fields).toString(),
    );
  const given = await form({
    grant_type: "password",
    username: "alice",
    password: "alice-pw",
    service: "registry.test",
    scope: "repository:team/app:pull,push repository:other/app:pull",
  });
  equal(given.status, 200);
  equal(given.headers.get("cache-control"), "no-store");
  const fields = JSON.parse(given.text);
  equal(fields.token, fields.access_token);
  equal(fields.expires_in, 300);
  const subject = await made.tokens.verify(fields.token);
  deepEqual(subject?.kind === "issued" && subject.access, [
    { type: "repository", name: "team/app", actions: ["pull", "push"] },
  ]);
  equal((await form({ grant_type: "password", username: "alice", password: "no" })).status, 401);
  equal((await form({ grant_type: "refresh_token", refresh_token: "x" })).status, 400);
  equal((await form({ padding: "x".repeat(100_000) })).status, 400);
  equal((await made.call("POST", "/token", {}, "{}")).status, 400);
  equal((await made.call("DELETE", "/token")).status, 405);
  const wrong = await made.call("GET", "/token", basic("alice", "no"));
  equal(wrong.status, 401);
  equal(wrong.headers.get("www-authenticate"), 'Basic realm="wherry"');
  const token = await made.token(basic("alice"), "repository:team/app:pull");
  equal((await made.call("GET", "/token", bearer(token))).status, 401, "no token for a token");
  for (const entry of made.entries) ok(!JSON.stringify(entry).includes("alice-pw"));
});

Deno.test("S-AUTH somebody unknown gets a token for what is public", async () => {
  const made = world("bearer");
  await fill(made.registry, "public/app", "team/app");
  const scopes = ["repository:public/app:pull,push", "repository:team/app:pull"];
  const token = await made.token({}, ...scopes);
  equal((await made.call("GET", "/v2/public/app/manifests/v1", bearer(token))).status, 200);
  equal((await made.call("GET", "/v2/team/app/manifests/v1", bearer(token))).status, 401);
  equal((await made.call("POST", "/v2/public/app/blobs/uploads/", bearer(token))).status, 401);
});

Deno.test("R-01 a mount needs the right to read its source", async () => {
  for (const mode of ["basic", "bearer"] as const) {
    const made = world(mode);
    await fill(made.registry, "other/app");
    const mount = async (user: string, query: string, ...scopes: readonly string[]) => {
      const own = "repository:team/app:pull,push";
      const headers = mode === "basic"
        ? basic(user)
        : bearer(await made.token(basic(user), own, ...scopes));
      const answer = await made.call("POST", `/v2/team/app/blobs/uploads/?${query}`, headers);
      return answer.status;
    };
    const source = "repository:other/app:pull";
    const absent = digestOf(sampleBytes(5, 99));
    equal(await mount("alice", `mount=${digest}&from=other/app`, source), 202, "no right");
    equal(await mount("alice", `mount=${absent}&from=other/app`, source), 202, "the same answer");
    equal(await mount("alice", `mount=${digest}`, source), 202, "nor by leaving the source out");
    equal(await made.registry.blob("team/app", digest), undefined);
    if (mode === "bearer") {
      equal(
        await mount("root", `mount=${digest}&from=other/app`),
        202,
        "the token does not say so",
      );
    }
    equal(await mount("root", `mount=${digest}&from=other/app`, source), 201);
    ok(await made.registry.blob("team/app", digest));
  }
});

Deno.test("R-13 an upload is gone on with by whoever began it, in its repository", async () => {
  const made = world("basic");
  const started = await made.call("POST", "/v2/team/app/blobs/uploads/", basic("alice"));
  const location = started.headers.get("location")!;
  match(location, /^\/v2\/team\/app\/blobs\/uploads\//);
  const id = location.split("/").at(-1)!;
  const as = (user: string, path = location) => made.call("GET", path, basic(user));
  equal((await as("alice")).status, 204);
  equal((await as("root")).status, 404, "another user with every right");
  equal((await as("root", `/v2/other/app/blobs/uploads/${id}`)).status, 404);
  equal((await as("alice", `/v2/append/app/blobs/uploads/${id}`)).status, 404);
  equal((await as("alice", `/v2/team/app/blobs/uploads/${id.split(".")[0]}`)).status, 404);
  const other = id.slice(0, -1) + (id.endsWith("0") ? "1" : "0");
  equal((await as("alice", `/v2/team/app/blobs/uploads/${other}`)).status, 404);
  equal((await as("bob")).status, 403);
  const put = await made.call("PUT", `${location}?digest=${digest}`, basic("alice"), blob);
  equal(put.status, 201);
  ok(await made.registry.blob("team/app", digest as Digest));
});

Deno.test("R-08 web pages cannot change anything in a user's name", async () => {
  const made = world("basic");
  const alice = basic("alice");
  const start = (headers: Record<string, string>) =>
    made.call("POST", "/v2/team/app/blobs/uploads/", { ...alice, ...headers });
  equal((await start({})).status, 202);
  equal((await start({ "sec-fetch-site": "none" })).status, 202);
  equal((await start({ "sec-fetch-site": "same-origin" })).status, 403);
  equal((await start({ "sec-fetch-site": "cross-site" })).status, 403);
  equal((await start({ "sec-fetch-site": "same-site" })).status, 403);
  equal((await start({ "origin": "https://evil.test" })).status, 403);
  equal((await start({ "origin": "null" })).status, 403);
  const rebound = { "origin": "http://evil.test", "host": "evil.test" };
  equal((await start(rebound)).status, 403, "a name that was made to resolve to us");
  const read = await made.call("GET", "/v2/", { ...alice, "origin": "https://evil.test" });
  equal(read.status, 200);
  equal(read.headers.get("access-control-allow-origin"), null);
});

Deno.test("R-07 spoofed hosts change no address in an answer", async () => {
  for (const mode of ["basic", "bearer"] as const) {
    const made = world(mode);
    const spoof = {
      "host": "evil.test",
      "x-forwarded-host": "evil.test",
      "x-forwarded-proto": "gopher",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-prefix": "/evil",
      "x-original-url": "/evil",
      "forwarded": "host=evil.test;proto=gopher",
    };
    const started = await made.call("POST", "/v2/team/app/blobs/uploads/", {
      ...basic("alice"),
      ...spoof,
    });
    match(started.headers.get("location") ?? "", /^\/v2\/team\/app\/blobs\/uploads\//);
    const challenged = await made.call("GET", "/v2/", spoof);
    ok(!(challenged.headers.get("www-authenticate") ?? "").includes("evil"));
    equal(made.entries[0]?.remote, "192.0.2.1", "nor the address that counts failures");
  }
});

Deno.test("S-AUTH the log entry names who it was, and nobody when that was not proven", async () => {
  const made = world("basic");
  await made.call("GET", "/v2/", basic("alice"));
  await made.call("GET", "/v2/", basic("alice", "wrong"));
  await made.call("GET", "/v2/");
  await made.call("GET", "/v2/other/app/tags/list", basic("bob"));
  deepEqual(made.entries.map(({ user, status }) => [user, status]), [
    ["alice", 200],
    [undefined, 401],
    [undefined, 401],
    ["bob", 403],
  ]);
});

Deno.test("S-AUTH the name in a verified certificate is a user, a login says more", async () => {
  const made = world("bearer");
  await fill(made.registry, "team/app", "other/app");
  const get = async (repository: string, certificate?: string, headers = {}) => {
    const path = `/v2/${repository}/manifests/v1`;
    return (await made.call("GET", path, headers, undefined, certificate)).status;
  };
  equal(await get("team/app", "alice"), 200);
  equal(await get("other/app", "alice"), 403);
  equal(await get("team/app", "unknown"), 403);
  equal(await get("team/app"), 401);
  equal(await get("other/app", "alice", basic("root")), 200);
  equal(
    await get("team/app", "alice", basic("root", "wrong")),
    401,
    "a wrong login is not passed over",
  );
  equal((await made.call("GET", "/v2/", {}, undefined, "anybody")).status, 200);
});
