import assert from "node:assert/strict";
import { createVerify, generateKeyPairSync } from "node:crypto";
import { type QuirkServer, quirkServer } from "../quirk_testing.ts";
import { cloudKeychains } from "./keychain.ts";
import { testWorld } from "./keychain_testing.ts";

const NOW = Date.parse("2026-03-01T00:00:00Z");
const now = () => NOW;
const { privateKey, publicKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
});
const SERVICE = JSON.stringify({
  type: "service_account",
  client_email: "ci@project.iam.gserviceaccount.com",
  private_key: privateKey,
  private_key_id: "k1",
  token_uri: "https://oauth2.googleapis.com/token",
});
const PASSWORD = { kind: "basic", username: "oauth2accesstoken", password: "canary-access" };

function tokenServer(check: (form: URLSearchParams) => void): QuirkServer {
  return quirkServer(({ body }) => {
    check(new URLSearchParams(new TextDecoder().decode(body)));
    return Response.json({ access_token: "canary-access", expires_in: 3599 });
  });
}

function jsonPart(text: string | undefined): unknown {
  const bytes = Uint8Array.fromBase64(text ?? "", { alphabet: "base64url" });
  return JSON.parse(new TextDecoder().decode(bytes));
}

Deno.test("C-CRED GCR: a service account's key signs for a token", async () => {
  await using server = tokenServer((form) => {
    assert.equal(form.get("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    const [head, claims, signature] = form.get("assertion")!.split(".");
    assert.deepEqual(jsonPart(head), { alg: "RS256", typ: "JWT", kid: "k1" });
    assert.deepEqual(jsonPart(claims), {
      iss: "ci@project.iam.gserviceaccount.com",
      scope: "https://www.googleapis.com/auth/cloud-platform",
      aud: "https://oauth2.googleapis.com/token",
      iat: NOW / 1000,
      exp: NOW / 1000 + 3600,
    });
    const verify = createVerify("RSA-SHA256").update(`${head}.${claims}`);
    assert(verify.verify(publicKey, signature!, "base64url"));
  });
  const world = testWorld({
    env: { GOOGLE_APPLICATION_CREDENTIALS: "/key.json" },
    endpoints: { googleToken: `http://${server.host}/token` },
    now,
  }, { "/key.json": SERVICE });
  const keychain = cloudKeychains(world);
  for (const host of ["gcr.io", "eu.gcr.io", "europe-west3-docker.pkg.dev", "us-docker.pkg.dev"]) {
    assert.deepEqual(await keychain(host, "p/app"), PASSWORD);
  }
  assert.equal(server.seen.length, 1);
  for (const host of ["gcr.io.evil.example", "evilgcr.io", "docker.pkg.dev", "gcr.io:5000"]) {
    assert.equal(await keychain(host, "p/app"), undefined);
  }
});

Deno.test("C-CRED GCR: a person's own sign-on is refreshed", async () => {
  await using server = tokenServer((form) => {
    assert.equal(form.get("grant_type"), "refresh_token");
    assert.equal(form.get("refresh_token"), "canary-refresh");
  });
  const world = testWorld({
    env: { HOME: "/home/u" },
    endpoints: { googleToken: `http://${server.host}/token` },
    now,
  }, {
    "/home/u/.config/gcloud/application_default_credentials.json": JSON.stringify({
      type: "authorized_user",
      client_id: "c",
      client_secret: "s",
      refresh_token: "canary-refresh",
    }),
  });
  assert.deepEqual(await cloudKeychains(world)("gcr.io", "p/app"), PASSWORD);
});

Deno.test("C-CRED GCR: the metadata service is asked when it is Google's", async () => {
  await using server = quirkServer(({ url, headers }) => {
    assert.equal(headers.get("metadata-flavor"), "Google");
    const flavor = { "metadata-flavor": "Google" };
    if (url === "/") return new Response("computeMetadata/", { headers: flavor });
    assert.equal(url, "/computeMetadata/v1/instance/service-accounts/default/token");
    return Response.json({ access_token: "canary-access", expires_in: 600 }, { headers: flavor });
  });
  const world = testWorld({ env: { GCE_METADATA_HOST: server.host }, now });
  assert.deepEqual(await cloudKeychains(world)("gcr.io", "p/app"), PASSWORD);

  await using other = quirkServer(() => new Response("latest"));
  const elsewhere = testWorld({ env: {}, endpoints: { googleMetadata: `http://${other.host}` } });
  assert.equal(await cloudKeychains(elsewhere)("gcr.io", "p/app"), undefined);
  assert.deepEqual(other.calls(), ["GET /"]);
});

const broken: readonly (readonly [string, string | undefined, RegExp])[] = [
  ["is absent", undefined, /cannot read \/key\.json$/],
  ["is not JSON", "canary-garbage", /\/key\.json is not JSON$/],
  [
    "lacks a key",
    `{"type":"service_account"}`,
    /\/key\.json is not as expected at "client_email"$/,
  ],
  [
    "has a broken key",
    JSON.stringify({ ...JSON.parse(SERVICE), private_key: "canary-key" }),
    /\/key\.json has a private key that cannot be used$/,
  ],
  [
    "is of another type",
    `{"type":"gdch_service_account","secret":"canary"}`,
    /credentials of type "gdch_service_account", which wherry does not use/,
  ],
];
for (const [why, text, message] of broken) {
  Deno.test(`C-CRED GCR: a key file that ${why} is said so, without its text`, async () => {
    const world = testWorld(
      { env: { GOOGLE_APPLICATION_CREDENTIALS: "/key.json" } },
      text === undefined ? {} : { "/key.json": text },
    );
    assert.equal(await cloudKeychains(world)("gcr.io", undefined), undefined);
    assert.match(world.lines.at(-1)!, message);
    assert.doesNotMatch(world.lines.join("\n"), /canary/);
  });
}

Deno.test("N-05 GCR: a key file's token server must have TLS", async () => {
  const world = testWorld({
    env: { GOOGLE_APPLICATION_CREDENTIALS: "/key.json" },
    endpoints: { googleToken: undefined },
  }, {
    "/key.json": JSON.stringify({ ...JSON.parse(SERVICE), token_uri: "http://evil.example/" }),
  });
  assert.equal(await cloudKeychains(world)("gcr.io", undefined), undefined);
  assert.match(world.lines.at(-1)!, /names a token server without TLS$/);
});

const EXTERNAL = {
  type: "external_account",
  audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/g",
  subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
  token_url: "https://sts.googleapis.com/v1/token",
};
const IMPERSONATE =
  "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/ci@p.iam.gserviceaccount.com:generateAccessToken";

Deno.test("C-CRED GCR: an identity from elsewhere is traded, then lent a service account", async () => {
  await using server = quirkServer(({ url, headers, body }) => {
    const text = new TextDecoder().decode(body);
    switch (url) {
      case "/identity?audience=x":
        assert.equal(headers.get("authorization"), "Bearer canary-runner");
        return Response.json({ value: "canary-jwt" });
      case "/sts": {
        const form = new URLSearchParams(text);
        assert.equal(form.get("subject_token"), "canary-jwt");
        assert.equal(form.get("audience"), EXTERNAL.audience);
        return Response.json({ access_token: "canary-sts", expires_in: 3600 });
      }
      default:
        assert.equal(headers.get("authorization"), "Bearer canary-sts");
        assert.deepEqual(JSON.parse(text), {
          scope: ["https://www.googleapis.com/auth/cloud-platform"],
        });
        return Response.json({
          accessToken: "canary-access",
          expireTime: "2026-03-01T01:00:00Z",
        });
    }
  });
  const source = {
    url: `http://${server.host}/identity?audience=x`,
    headers: { Authorization: "Bearer canary-runner" },
    format: { type: "json", subject_token_field_name: "value" },
  };
  const world = testWorld({
    env: { GOOGLE_APPLICATION_CREDENTIALS: "/key.json" },
    endpoints: { googleToken: `http://${server.host}/sts`, googleIam: `http://${server.host}/iam` },
    now,
  }, {
    "/key.json": JSON.stringify({
      ...EXTERNAL,
      service_account_impersonation_url: IMPERSONATE,
      credential_source: source,
    }),
  });
  assert.deepEqual(await cloudKeychains(world)("gcr.io", "p/app"), PASSWORD);
  assert.deepEqual(server.calls(), ["GET /identity", "POST /sts", "POST /iam"]);
  assert.doesNotMatch(world.lines.join("\n"), /canary/);
});

Deno.test("C-CRED GCR: an identity in a file, without a service account", async () => {
  await using server = tokenServer((form) => {
    assert.equal(form.get("subject_token"), "canary-file");
  });
  const world = testWorld({
    env: { GOOGLE_APPLICATION_CREDENTIALS: "/key.json" },
    endpoints: { googleToken: `http://${server.host}/sts` },
    now,
  }, {
    "/key.json": JSON.stringify({ ...EXTERNAL, credential_source: { file: "/token" } }),
    "/token": "canary-file\n",
  });
  assert.deepEqual(await cloudKeychains(world)("gcr.io", "p/app"), PASSWORD);
});

const foreign: readonly (readonly [Record<string, unknown>, RegExp])[] = [
  [
    { token_url: "https://sts.googleapis.com.evil.example/" },
    /token service that is not Google's$/,
  ],
  [{ token_url: "http://sts.googleapis.com/" }, /token service that is not Google's$/],
  [{ token_url: "https://evil.googleapis.com/" }, /token service that is not Google's$/],
  [{ credential_source: { url: "http://evil.example/" } }, /from an address without TLS$/],
  [{ credential_source: { executable: { command: "x" } } }, /from a program or from Amazon/],
  [{ credential_source: { file: "/absent" } }, /cannot read \/absent, which \/key\.json names$/],
];
for (const [change, message] of foreign) {
  Deno.test(`N-03 GCR: a file of identities is checked: ${JSON.stringify(change)}`, async () => {
    const world = testWorld({
      env: { GOOGLE_APPLICATION_CREDENTIALS: "/key.json" },
      endpoints: { googleToken: undefined, googleIam: undefined },
    }, {
      "/key.json": JSON.stringify({
        ...EXTERNAL,
        credential_source: { file: "/token" },
        ...change,
      }),
      "/token": "canary",
    });
    assert.equal(await cloudKeychains(world)("gcr.io", undefined), undefined);
    assert.match(world.lines.at(-1)!, message);
  });
}
