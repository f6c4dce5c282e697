/** The clouds under their real names: a proxy leads every host to one server that plays them all. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { makeAuthority } from "../registry/client/certs_testing.ts";
import { type QuirkServer, quirkServer } from "../registry/client/quirk_testing.ts";
import { MediaType } from "../registry/oci/media_type.ts";
import { tempDir } from "../registry/temp_testing.ts";
import { connect } from "./connect.ts";
import type { Io } from "./io.ts";

const ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const AR = "europe-docker.pkg.dev";
const ACR = "corp.azurecr.io";
const NAMES = [
  ...[ECR, AR, ACR, "api.ecr.eu-central-1.amazonaws.com", "sts.eu-central-1.amazonaws.com"],
  ...["oauth2.googleapis.com", "login.microsoftonline.com"],
];
const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: { mediaType: MediaType.ociConfig, digest: `sha256:${"0".repeat(64)}`, size: 2 },
  layers: [],
});
const BASIC: Readonly<Record<string, string>> = {
  [ECR]: btoa("AWS:canary-ecr"),
  [AR]: btoa("oauth2accesstoken:canary-google"),
  [ACR]: btoa("00000000-0000-0000-0000-000000000000:canary-acr"),
};

/** All hosts at once; what each is asked is decided by its name. */
function clouds(tls: { readonly cert: string; readonly key: string }): QuirkServer {
  return quirkServer(({ url, headers }) => {
    const host = headers.get("host") ?? "";
    if (host === "api.ecr.eu-central-1.amazonaws.com") {
      assert.match(headers.get("authorization")!, /^AWS4-HMAC-SHA256 Credential=ASIALENT\//);
      return Response.json({ authorizationData: [{ authorizationToken: BASIC[ECR] }] });
    }
    if (host === "sts.eu-central-1.amazonaws.com") {
      return new Response(
        "<r><AccessKeyId>ASIALENT</AccessKeyId><SecretAccessKey>canary</SecretAccessKey></r>",
      );
    }
    if (host === "oauth2.googleapis.com") {
      return Response.json({ access_token: "canary-google", expires_in: 3600 });
    }
    if (host === "login.microsoftonline.com") {
      return Response.json({ access_token: "canary-directory" });
    }
    if (url === "/oauth2/exchange") return Response.json({ refresh_token: "canary-acr" });
    if (headers.get("authorization") !== `Basic ${BASIC[host]}`) {
      return new Response(null, {
        status: 401,
        headers: { "www-authenticate": `Basic realm="${host}"` },
      });
    }
    return new Response(MANIFEST, { headers: { "content-type": MediaType.ociManifest } });
  }, tls);
}

/** Tunnels whatever is asked for to `port`, and remembers the names. */
function proxyTo(port: number) {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const names: string[] = [];
  const serve = async (client: Deno.TcpConn) => {
    const bytes = new Uint8Array(4096);
    const size = await client.read(bytes) ?? 0;
    const head = new TextDecoder().decode(bytes.subarray(0, size));
    names.push(/^CONNECT (\S+) /.exec(head)?.[1] ?? head.split("\r\n")[0]!);
    const server = await Deno.connect({ port, hostname: "127.0.0.1" });
    await client.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n"));
    await Promise.allSettled([
      client.readable.pipeTo(server.writable),
      server.readable.pipeTo(client.writable),
    ]);
  };
  const serving: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const client of listener) serving.push(serve(client).catch(() => {}));
  })();
  return {
    url: `http://proxy-user:canary-proxy@127.0.0.1:${listener.addr.port}`,
    names,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(serving);
    },
  };
}

Deno.test({
  name:
    "C-CRED cloud keychains under real host names: one look, only their own hosts, no secret said",
  ignore: await new Deno.Command("openssl", { args: ["version"], stdout: "null" }).output()
    .then(({ success }) => !success, () => true),
}, async () => {
  await using temp = await tempDir();
  const home = temp.path;
  await Deno.mkdir(`${home}/ca`);
  const authority = await makeAuthority(`${home}/ca`, "Clouds");
  const names = NAMES.map((name) => `DNS:${name}`).join();
  await using server = clouds(await authority.sign("clouds", names));
  await using proxy = proxyTo(Number(server.host.split(":")[1]));
  const { privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  await Deno.writeTextFile(
    `${home}/google.json`,
    JSON.stringify({ type: "service_account", client_email: "a@b", private_key: privateKey }),
  );
  await Deno.writeTextFile(`${home}/token`, "canary-cluster");
  const sink = { write: () => {}, isTerminal: false, columns: () => 80 };
  const io: Io = {
    args: [],
    env: {
      HOME: home,
      HTTPS_PROXY: proxy.url,
      SSL_CERT_FILE: `${home}/ca/ca.pem`,
      AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/ci",
      AWS_WEB_IDENTITY_TOKEN_FILE: `${home}/token`,
      GOOGLE_APPLICATION_CREDENTIALS: `${home}/google.json`,
      AZURE_TENANT_ID: "tenant",
      AZURE_CLIENT_ID: "client",
      AZURE_FEDERATED_TOKEN_FILE: `${home}/token`,
    },
    cwd: home,
    user: { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 },
    stdout: sink,
    stderr: sink,
    signal: new AbortController().signal,
  };
  const lines: string[] = [];
  const say = (line: string) => void lines.push(line);
  const log = { debug: say, info: say, warn: say, error: say };
  {
    await using all = await connect(io, {}, log, "test");
    const found = [ECR, AR, ACR].flatMap((host) =>
      ["a", "b", "c"].map((name) => all.client(host).manifest(`p/${name}`, "1"))
    );
    assert.equal((await Promise.all(found)).filter((one) => one !== undefined).length, 9);
  }
  assert.deepEqual(
    [...new Set(proxy.names)].sort(),
    NAMES.map((name) => `${name}:443`).sort(),
  );
  const looks = server.seen.filter(({ method }) => method === "POST");
  assert.deepEqual(looks.map(({ headers }) => headers.get("host")).sort(), [
    "api.ecr.eu-central-1.amazonaws.com",
    ACR,
    "login.microsoftonline.com",
    "oauth2.googleapis.com",
    "sts.eu-central-1.amazonaws.com",
  ]);
  assert(lines.length > 0);
  assert.doesNotMatch(lines.join("\n"), /canary|Y2FuYXJ5|PRIVATE KEY/);
});
