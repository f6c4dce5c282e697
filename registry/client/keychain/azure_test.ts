import assert from "node:assert/strict";
import { type QuirkServer, quirkServer, type Seen } from "../quirk_testing.ts";
import { cloudKeychains } from "./keychain.ts";
import { testWorld } from "./keychain_testing.ts";

const HOST = "corp.azurecr.io";
const PASSWORD = {
  kind: "basic",
  username: "00000000-0000-0000-0000-000000000000",
  password: "canary-acr-refresh",
};
const formOf = ({ body }: Seen) => new URLSearchParams(new TextDecoder().decode(body));

/** The directory, the machine's identity and the registry on one port. */
function azureCloud(identify: (seen: Seen) => Response): QuirkServer {
  return quirkServer((seen) => {
    if (seen.url !== "/oauth2/exchange") return identify(seen);
    const form = formOf(seen);
    assert.equal(form.get("grant_type"), "access_token");
    if (form.get("access_token") !== "canary-directory") {
      return Response.json({ errors: [{ code: "UNAUTHORIZED", message: "canary" }] }, {
        status: 401,
      });
    }
    return Response.json({ refresh_token: "canary-acr-refresh", service: form.get("service") });
  });
}

function endpoints({ host }: QuirkServer) {
  const here = `http://${host}`;
  return { azureAuthority: () => here, azureMetadata: here, acr: () => here };
}

const granted = () => Response.json({ access_token: "canary-directory", expires_in: 3600 });

Deno.test("C-CRED ACR: a client secret is traded at the directory, then at the registry", async () => {
  await using server = azureCloud((seen) => {
    assert.equal(seen.url, "/tenant-1/oauth2/v2.0/token");
    const form = formOf(seen);
    assert.equal(form.get("client_secret"), "canary-client");
    assert.equal(form.get("scope"), "https://containerregistry.azure.net/.default");
    return granted();
  });
  const env = {
    AZURE_TENANT_ID: "tenant-1",
    AZURE_CLIENT_ID: "client-1",
    AZURE_CLIENT_SECRET: "canary-client",
  };
  const world = testWorld({ env, endpoints: endpoints(server) });
  const keychain = cloudKeychains(world);
  assert.deepEqual(await keychain(HOST, "app"), PASSWORD);
  assert.deepEqual(await keychain(HOST, "other"), PASSWORD);
  assert.equal(server.seen.length, 2);
  for (const host of ["azurecr.io", "corp.azurecr.io.evil.example", "a.b.azurecr.io"]) {
    assert.equal(await keychain(host, "app"), undefined);
  }
  assert.equal(server.seen.length, 2);
  assert.doesNotMatch(world.lines.join("\n"), /canary/);
});

Deno.test("C-CRED ACR: a workload's identity is read from its file", async () => {
  await using server = azureCloud((seen) => {
    assert.equal(formOf(seen).get("client_assertion"), "canary-federated");
    return granted();
  });
  const env = {
    AZURE_TENANT_ID: "t",
    AZURE_CLIENT_ID: "c",
    AZURE_FEDERATED_TOKEN_FILE: "/token",
  };
  const world = testWorld({ env, endpoints: endpoints(server) }, {
    "/token": "canary-federated\n",
  });
  assert.deepEqual(await cloudKeychains(world)(HOST, "app"), PASSWORD);
});

Deno.test("C-CRED ACR: the metadata service is asked with its header, after a probe without", async () => {
  await using server = azureCloud(({ url, headers }) => {
    assert.match(url, /^\/metadata\/identity\/oauth2\/token\?/);
    if (headers.get("metadata") !== "true") return new Response(null, { status: 400 });
    return granted();
  });
  const world = testWorld({ env: {}, endpoints: endpoints(server) });
  assert.deepEqual(await cloudKeychains(world)(HOST, "app"), PASSWORD);
});

Deno.test("C-CRED ACR: an app's identity endpoint", async () => {
  await using server = azureCloud(({ url, headers }) => {
    assert.match(url, /^\/msi\?api-version=2019-08-01&resource=/);
    assert.equal(headers.get("x-identity-header"), "canary-msi");
    return granted();
  });
  const env = { IDENTITY_ENDPOINT: `http://${server.host}/msi`, IDENTITY_HEADER: "canary-msi" };
  const world = testWorld({ env, endpoints: endpoints(server) });
  assert.deepEqual(await cloudKeychains(world)(HOST, "app"), PASSWORD);
});

Deno.test("N-10 ACR: refusals name status and code only", async () => {
  const env = { AZURE_TENANT_ID: "t", AZURE_CLIENT_ID: "c", AZURE_CLIENT_SECRET: "canary-client" };
  await using directory = azureCloud(() =>
    Response.json({
      error: "invalid_client",
      error_description: "AADSTS7000215: Invalid client secret canary-client provided.",
    }, { status: 401 })
  );
  const world = testWorld({ env, endpoints: endpoints(directory) });
  assert.equal(await cloudKeychains(world)(HOST, "app"), undefined);
  assert.match(
    world.lines.at(-1)!,
    /: Azure's directory gave no token \(401 invalid_client AADSTS7000215\)$/,
  );
  await using registry = azureCloud(() => Response.json({ access_token: "canary-wrong" }));
  const refused = testWorld({ env, endpoints: endpoints(registry) });
  assert.equal(await cloudKeychains(refused)(HOST, "app"), undefined);
  assert.match(
    refused.lines.at(-1)!,
    /: corp\.azurecr\.io refused the directory's token \(401 UNAUTHORIZED\)$/,
  );
  assert.doesNotMatch([...world.lines, ...refused.lines].join("\n"), /canary/);
});
