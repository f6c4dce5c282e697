import assert from "node:assert/strict";
import { quirkServer } from "../quirk_testing.ts";
import { TransportError } from "../transport_error.ts";
import { cloudKeychains, firstCredential } from "./keychain.ts";
import { testWorld } from "./keychain_testing.ts";

const HOSTS = {
  AMAZON: "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
  AZURE: "corp.azurecr.io",
  GOOGLE: "gcr.io",
} as const;

for (const [name, host] of Object.entries(HOSTS)) {
  Deno.test(`AU-3 C-CRED CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_${name} asks nobody`, async () => {
    await using server = quirkServer(() => new Response(null, { status: 404 }));
    const here = `http://${server.host}`;
    const endpoints = { awsMetadata: here, googleMetadata: here, azureMetadata: here };
    const env = { [`CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_${name}`]: "true" };
    assert.equal(await cloudKeychains(testWorld({ env, endpoints }))(host, "app"), undefined);
    assert.equal(server.seen.length, 0);
    assert.equal(await cloudKeychains(testWorld({ env: {}, endpoints }))(host, "app"), undefined);
    assert.equal(server.seen.length, 1);
  });

  Deno.test(`C-CRED ${host}: a silent metadata service is given up after its time, once`, async () => {
    using silent = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const connections: Deno.Conn[] = [];
    const accepting = (async () => {
      for await (const connection of silent) connections.push(connection); // nothing is ever said
    })();
    const here = `http://127.0.0.1:${silent.addr.port}`;
    const endpoints = { awsMetadata: here, googleMetadata: here, azureMetadata: here };
    // With the usual time; without any this would never end.
    const keychain = cloudKeychains(testWorld({ env: {}, endpoints, probeMs: undefined }));
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, at) => keychain(host, `app${at}`)),
    );
    assert(all.every((credential) => credential === undefined));
    assert.equal(await keychain(host, "more"), undefined);
    silent.close();
    await accepting;
    assert.equal(connections.length, 1);
    for (const connection of connections) connection.close();
  });
}

Deno.test("C-CRED-05 one look serves all at once and until the token ends", async () => {
  let time = 1_000_000;
  await using server = quirkServer((_, nth) =>
    Response.json({ access_token: `t${nth}`, expires_in: 3600 })
  );
  const world = testWorld({
    env: { GOOGLE_APPLICATION_CREDENTIALS: "/key.json" },
    endpoints: { googleToken: `http://${server.host}/` },
    now: () => time,
  }, {
    "/key.json": JSON.stringify({
      type: "authorized_user",
      client_id: "c",
      client_secret: "s",
      refresh_token: "r",
    }),
  });
  const keychain = cloudKeychains(world);
  const all = await Promise.all(Array.from({ length: 100 }, () => keychain("gcr.io", "p/a")));
  assert(all.every((one) => one?.kind === "basic" && one.password === "t1"));
  time += 3600_000 - 301_000;
  assert.equal((await keychain("eu.gcr.io", "p/a") as { password: string }).password, "t1");
  time += 2_000;
  assert.equal((await keychain("eu.gcr.io", "p/a") as { password: string }).password, "t2");
  assert.equal(server.seen.length, 2);
});

Deno.test("C-CRED-05 what failed is not asked again by the next image, but later it is", async () => {
  let time = 1_000_000;
  await using server = quirkServer(() => new Response(null, { status: 403 }));
  const world = testWorld({
    env: { AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "canary" },
    endpoints: { ecr: () => `http://${server.host}` },
    now: () => time,
  });
  const keychain = cloudKeychains(world);
  await keychain(HOSTS.AMAZON, "a");
  await keychain(HOSTS.AMAZON, "b");
  assert.equal(server.seen.length, 1);
  time += 61_000;
  await keychain(HOSTS.AMAZON, "c");
  assert.equal(server.seen.length, 2);
});

Deno.test("C-CONN-08 a keychain dials no host that is not allowed, and says which", async () => {
  const asked: string[] = [];
  const world = testWorld({
    env: { AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "canary" },
    endpoints: { ecr: () => "https://api.ecr.eu-central-1.amazonaws.com" },
    transport: {
      allowHost: (host) => {
        asked.push(host);
        throw new TransportError("blocked", host, "--offline is on");
      },
    },
  });
  assert.equal(await cloudKeychains(world)(HOSTS.AMAZON, "a"), undefined);
  assert.deepEqual(asked, ["api.ecr.eu-central-1.amazonaws.com"]);
  assert.match(world.lines.at(-1)!, /Cannot reach api\.ecr\..*: --offline is on$/);
});

Deno.test("AU-3 C-CRED other hosts are nobody's", async () => {
  const keychain = cloudKeychains(testWorld({ env: {} }));
  for (const host of ["index.docker.io", "registry.example:5000", "localhost"]) {
    assert.equal(await keychain(host, "a"), undefined);
  }
});

Deno.test("AU-3 C-CRED the first source that has something wins", async () => {
  const none = () => Promise.resolve(undefined);
  const some = (token: string) => () => Promise.resolve({ kind: "bearer" as const, token });
  assert.deepEqual(await firstCredential(none, some("a"), some("b"))("h", "r"), {
    kind: "bearer",
    token: "a",
  });
  assert.equal(await firstCredential(none, none)("h", "r"), undefined);
});
