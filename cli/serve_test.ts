/** `wherry serve` as a process of its own, with other people's clients. */
import { hashSync } from "bcryptjs";
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { join } from "node:path";
import { connectRegistry } from "../registry/client/client.ts";
import type { Credential } from "../registry/client/options.ts";
import { makePki } from "../registry/client/pki_testing.ts";
import { digestOf } from "../registry/oci/digest.ts";
import { isOciError } from "../registry/oci/error.ts";
import { openLayout } from "../registry/store/layout.ts";
import { failureOf } from "./exit.ts";
import { FROM_SOURCE } from "./process_testing.ts";
import { run as runCommand } from "./run.ts";
import { pushSampleImage, sampleBytes } from "../registry/registry_suite_testing.ts";

const POLICY = `
[[rule]]
repositories = ["public/**"]
anonymous = true
actions = ["read"]

[[rule]]
repositories = ["team/**", "public/**"]
users = ["alice"]
actions = ["*"]

[[rule]]
repositories = ["team/**"]
users = ["bob"]
actions = ["read"]
`;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(program: string, ...args: readonly string[]): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

interface Served extends AsyncDisposable {
  readonly url: string;
  readonly host: string;
  /** Asks it to end and waits for that. */
  end(): Promise<Ended>;
}

async function start(...args: readonly string[]): Promise<Served> {
  const [program, ...first] = FROM_SOURCE;
  const child = new Deno.Command(program, {
    args: [...first, "serve", "--listen", "127.0.0.1:0", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const listening = Promise.withResolvers<string>();
  const errors = new Response(child.stderr).text();
  let stdout = "";
  const reading = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      stdout += text;
      if (stdout.includes("\n")) listening.resolve(stdout.slice(0, stdout.indexOf("\n")));
    }
    listening.reject(new Error(`it ended: ${await errors}`));
  })();
  const url = await listening.promise;
  let ended: Promise<Ended> | undefined;
  const end = () =>
    ended ??= (async () => {
      child.kill("SIGTERM");
      const { code } = await child.status;
      await reading;
      return { code, stdout, stderr: await errors };
    })();
  return {
    url,
    host: url.replace(/^[a-z]+:\/\//, ""),
    end,
    [Symbol.asyncDispose]: async () => void await end(),
  };
}

interface Files extends AsyncDisposable {
  readonly dir: string;
  path(name: string): string;
  write(name: string, text: string): Promise<string>;
}

async function files(): Promise<Files> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-serve-" });
  const path = (name: string) => join(dir, name);
  return {
    dir,
    path,
    async write(name, text) {
      await Deno.writeTextFile(path(name), text);
      return path(name);
    },
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

const has = (program: string) => {
  try {
    return Deno.statSync(program).isFile;
  } catch {
    return false;
  }
};
const SKOPEO = "/usr/bin/skopeo";
const users = () =>
  ["alice", "bob"].map((name) => `${name}:${hashSync(`${name}-pw`, 4)}\n`).join("");

async function access(dir: Files): Promise<readonly string[]> {
  return [
    "--store",
    dir.path("store"),
    "--htpasswd",
    await dir.write("htpasswd", users()),
    "--policy",
    await dir.write("policy.toml", POLICY),
    "--access-log",
    dir.path("access.log"),
  ];
}

for (const mode of ["basic", "bearer"] as const) {
  Deno.test({
    name: `S-AUTH skopeo logs in, copies, inspects and is kept out, with ${mode}`,
    ignore: !has(SKOPEO),
    async fn() {
      await using dir = await files();
      const layout = await openLayout(dir.path("layout"), { create: true });
      await pushSampleImage(layout, "", { tags: ["v1"] });
      await using served = await start(
        ...await access(dir),
        ...(mode === "bearer" ? ["--token"] : []),
      );
      const login = (user: string, password: string) =>
        run(
          SKOPEO,
          ...["login", "--tls-verify=false", "--authfile", dir.path(`${user}.json`)],
          ...["-u", user, "-p", password, served.host],
        );
      const wrong = await login("alice", "wrong-secret");
      ok(wrong.code !== 0, wrong.stdout);
      for (const user of ["alice", "bob"]) {
        const { code, stderr } = await login(user, `${user}-pw`);
        equal(code, 0, stderr);
      }
      const as = (user: string) => ["--authfile", dir.path(`${user}.json`)];
      const copy = (user: string, from: string, to: string) =>
        run(
          SKOPEO,
          ...["copy", "--insecure-policy", ...as(user)],
          ...["--src-tls-verify=false", "--dest-tls-verify=false", from, to],
        );
      const inspect = (auth: readonly string[], name: string) =>
        run(SKOPEO, "inspect", "--tls-verify=false", ...auth, `docker://${served.host}/${name}`);
      const oci = `oci:${dir.path("layout")}:v1`;
      for (const name of ["team/app:v1", "public/app:v1"]) {
        const put = await copy("alice", oci, `docker://${served.host}/${name}`);
        equal(put.code, 0, put.stderr);
      }
      const across = await copy(
        "alice",
        `docker://${served.host}/team/app:v1`,
        `docker://${served.host}/team/copy:v2`,
      );
      equal(across.code, 0, across.stderr);
      equal((await inspect(as("bob"), "team/app:v1")).code, 0, "bob may read");
      const denied = await copy("bob", oci, `docker://${served.host}/team/app:v1`);
      ok(denied.code !== 0);
      match(denied.stderr, /denied|unauthorized|authentication required/i);
      ok((await copy("alice", oci, `docker://${served.host}/other/app:v1`)).code !== 0);
      const nobody = ["--no-creds"];
      equal((await inspect(nobody, "public/app:v1")).code, 0, "everybody may read what is public");
      ok((await inspect(nobody, "team/app:v1")).code !== 0);
      const gone = await run(
        SKOPEO,
        ...["delete", "--tls-verify=false", ...as("alice")],
        `docker://${served.host}/team/copy:v2`,
      );
      equal(gone.code, 0, gone.stderr);
      equal((await served.end()).code, 0, "asked to end, it ends well");
      const log = await Deno.readTextFile(dir.path("access.log"));
      for (const secret of ["-pw", "wrong-secret", "$2b$", "eyJ", btoa("alice:alice-pw")]) {
        ok(!log.includes(secret), `${secret} is in the log`);
      }
      const seen = log.trimEnd().split("\n").map((line) => JSON.parse(line));
      ok(
        seen.some(({ user, kind, status }) =>
          user === "alice" && kind === "putManifest" && status === 201
        ),
      );
      ok(seen.some(({ user, status }) => user === "bob" && status === 403) || mode === "bearer");
      ok(seen.some(({ status }) => status === 401));
      ok(seen.every(({ user_agent }) => /skopeo/.test(user_agent)));
    },
  });

  Deno.test(`S-AUTH our own client logs in with ${mode} and is told when it may not`, async () => {
    await using dir = await files();
    const flags = [...await access(dir), ...(mode === "bearer" ? ["--token"] : [])];
    const client = (served: Served, credential: Credential | undefined) =>
      connectRegistry(served.host, { credentials: () => Promise.resolve(credential) });
    const basic = (username: string, password = `${username}-pw`): Credential => ({
      kind: "basic",
      username,
      password,
    });
    await using served = await start(...flags);
    {
      await using alice = client(served, basic("alice"));
      const pushed = await pushSampleImage(alice, "team/app", { tags: ["v1"] });
      equal((await alice.stat("team/app", "v1"))?.digest, pushed.digest);
      await pushSampleImage(alice, "public/app", { tags: ["v1"] });
      await alice.checkAccess("team/app", "write");
    }
    const refusals: readonly (readonly [Credential | undefined, string])[] = [
      [basic("alice", "no"), "team/app"],
      [undefined, "team/app"],
      [basic("alice"), "other/app"],
    ];
    for (const [credential, repository] of refusals) {
      await using refused = client(served, credential);
      const error = await refused.stat(repository, "v1").then(
        () => undefined,
        (error: unknown) => error,
      );
      ok(isOciError(error, "UNAUTHORIZED", "DENIED"), `${error}`);
    }
    await using nobody = client(served, undefined);
    ok(await nobody.stat("public/app", "v1"));
  });
}

Deno.test("R-02 read-only: every route that changes answers 405 and the store stays as it was", async () => {
  await using dir = await files();
  const digest = digestOf(sampleBytes(3));
  {
    await using served = await start("--store", dir.path("store"));
    await using client = connectRegistry(served.host);
    await pushSampleImage(client, "app", { tags: ["v1"] });
  }
  const shape = async (path: string): Promise<readonly string[]> => {
    const found: string[] = [];
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      const { ino, size, mtime } = await Deno.stat(join(path, name));
      if (isDirectory) found.push(...await shape(join(path, name)));
      else if (!/-(wal|shm)$/.test(name)) found.push(`${name} ${ino} ${size} ${mtime?.getTime()}`);
    }
    return found.sort();
  };
  const before = await shape(dir.path("store"));
  {
    await using served = await start("--store", dir.path("store"), "--read-only");
    const upload = "/v2/app/blobs/uploads/";
    const id = "0".repeat(32);
    const routes = [
      "/v2/app/manifests/v1",
      `/v2/app/manifests/${digest}`,
      `/v2/app/blobs/${digest}`,
      upload,
      `${upload}?mount=${digest}&from=app`,
      `${upload}?digest=${digest}`,
      `${upload}${id}`,
      `${upload}${id}?digest=${digest}`,
      "/v2/",
      "/v2/_catalog",
      "/v2/app/tags/list",
      `/v2/app/referrers/${digest}`,
    ];
    for (const route of routes) {
      for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
        const response = await fetch(served.url + route, { method, body: "x" });
        equal(response.status, 405, `${method} ${route}`);
        equal((await response.json()).errors[0].code, "UNSUPPORTED");
      }
    }
    for (const header of ["x-http-method-override", "x-method-override", "x-http-method"]) {
      const response = await fetch(`${served.url}/v2/app/manifests/v1`, {
        headers: { [header]: "DELETE" },
      });
      equal(response.status, 200);
      await response.body?.cancel();
    }
  }
  deepEqual(await shape(dir.path("store")), before);
});

Deno.test("R-09 it does not listen beyond this machine without authentication, and flags must fit", async () => {
  await using dir = await files();
  const htpasswd = await dir.write("htpasswd", users());
  const plain = await dir.write("plain", "alice:secret-word\n");
  const policy = await dir.write("policy.toml", "rule = 3\n");
  const key = await dir.write(
    "key.pem",
    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
  );
  const rows: readonly (readonly [readonly string[], RegExp])[] = [
    [["--listen", "0.0.0.0:0"], /Cannot listen on 0\.0\.0\.0:0: everybody who reaches it/],
    [["--listen", "[::]:0"], /everybody who reaches it/],
    [["--listen", "127.0.0.1.evil.test:0"], /everybody who reaches it/],
    [["--listen", "nonsense"], /want HOST:PORT or unix:PATH/],
    [["--token"], /want --htpasswd FILE beside --token/],
    [["--token-key", key], /want --token-issuer/],
    [["--token-key", key, "--token-issuer", "x"], /want --token-realm/],
    [
      ["--token-key", key, "--token-issuer", "x", "--token-realm", "https://a.test/"],
      /it is a private key; want the public one/,
    ],
    [["--token-issuer", "x"], /want --token-key/],
    [["--htpasswd", dir.path("absent")], /Cannot read .*absent: it is not there/],
    [["--htpasswd", plain], /line 1 has no bcrypt hash/],
    [["--policy", policy], /Cannot read policy .*policy\.toml:1: rule cannot be that: /],
    [["--tls-cert", htpasswd], /want both --tls-cert and --tls-key/],
    [["--tls-cert", htpasswd, "--tls-key", key], /want a certificate in PEM/],
    [["--tls-client-ca", key], /want both --tls-cert and --tls-key/],
    [["--htpasswd", htpasswd, "--url", "ftp://x"], /Cannot use --url "ftp:\/\/x"/],
    [["--htpasswd", htpasswd, "--url", "https://a:b@x"], /Cannot use --url/],
    [
      ["--htpasswd", htpasswd, "--token", "--listen", "0.0.0.0:0"],
      /want --url URL/,
    ],
    [["--access-log", dir.path("no/such/dir/log")], /Cannot write .*log/],
    [["--trusted-proxy", "10.0.0.1"], /Cannot trust proxy "10\.0\.0\.1": want ADDRESS\/BITS/],
  ];
  for (const [flags, message] of rows) {
    const { code, stdout, stderr } = await inProcess("serve", "--ephemeral", ...flags);
    equal(code, 3, `${flags}: ${stderr}`);
    equal(stdout, "");
    match(stderr, message);
    ok(!stderr.includes("secret-word") && !stderr.includes("AAAA"));
  }
});

/** The command as `main.ts` runs it, without a process. */
async function inProcess(...args: readonly string[]): Promise<Ended> {
  const texts = { stdout: "", stderr: "" };
  const sink = (name: "stdout" | "stderr") => ({
    write: (text: string | Uint8Array) => {
      texts[name] += typeof text === "string" ? text : new TextDecoder().decode(text);
    },
    isTerminal: false,
    columns: () => 80,
  });
  try {
    const code = await runCommand({
      args,
      env: {},
      cwd: "/",
      user: { uid: 0, gid: 0 },
      stdout: sink("stdout"),
      stderr: sink("stderr"),
      signal: new AbortController().signal,
    });
    return { code, ...texts };
  } catch (error) {
    const { code, message = "" } = failureOf(error);
    return { code, stdout: texts.stdout, stderr: texts.stderr + message };
  }
}

Deno.test("S-AUTH https, metrics for users, a live check for all", async () => {
  const pki = await makePki();
  if (pki === undefined) return;
  await using dir = await files();
  await using served = await start(
    "--ephemeral",
    ...["--htpasswd", await dir.write("htpasswd", users())],
    ...["--tls-cert", await dir.write("cert.pem", pki.server.cert)],
    ...["--tls-key", await dir.write("key.pem", pki.server.key)],
    "--access-log",
    "-",
  );
  match(served.url, /^https:\/\//);
  using client = Deno.createHttpClient({ caCerts: [pki.ca] });
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(served.url + path, { client, headers });
    return { status: response.status, text: await response.text() };
  };
  const alice = { authorization: `Basic ${btoa("alice:alice-pw")}` };
  equal((await get("/healthz")).status, 200);
  equal((await get("/metrics")).status, 401);
  equal((await get("/v2/")).status, 401);
  equal((await get("/v2/", alice)).status, 200);
  const metrics = await get("/metrics", alice);
  equal(metrics.status, 200);
  match(metrics.text, /wherry_http_requests_total\{method="GET",kind="ping",status="401"\} 1\n/);
  const { stdout } = await served.end();
  const lines = stdout.trimEnd().split("\n");
  equal(lines[0], served.url);
  deepEqual(lines.slice(1).map((line) => JSON.parse(line).status), [401, 401, 200, 200]);
});

Deno.test({
  name: "S-AUTH skopeo with a certificate is its common name, without one it is nobody",
  ignore: !has(SKOPEO),
  async fn() {
    const pki = await makePki();
    if (pki === undefined) return;
    await using dir = await files();
    await Deno.mkdir(dir.path("certs"));
    await dir.write("certs/ca.crt", pki.ca);
    await dir.write("certs/client.cert", pki.client.cert);
    await dir.write("certs/client.key", pki.client.key);
    await Deno.mkdir(dir.path("bare"));
    await dir.write("bare/ca.crt", pki.ca);
    const layout = await openLayout(dir.path("layout"), { create: true });
    await pushSampleImage(layout, "", { tags: ["v1"], size: 3_000_000 });
    await using served = await start(
      ...["--ephemeral", "--access-log", "-"],
      ...["--tls-cert", await dir.write("cert.pem", pki.server.cert)],
      ...["--tls-key", await dir.write("key.pem", pki.server.key)],
      ...["--tls-client-ca", await dir.write("ca.pem", pki.ca)],
      ...[
        "--policy",
        await dir.write(
          "policy.toml",
          '[[rule]]\nrepositories = ["mine/**"]\nusers = ["client"]\nactions = ["*"]\n',
        ),
      ],
    );
    const copy = (certs: string, name: string) =>
      run(
        SKOPEO,
        ...["copy", "--insecure-policy", "--dest-cert-dir", dir.path(certs)],
        ...[`oci:${dir.path("layout")}:v1`, `docker://${served.host}/${name}`],
      );
    const put = await copy("certs", "mine/app:v1");
    equal(put.code, 0, put.stderr);
    ok((await copy("certs", "other/app:v1")).code !== 0);
    ok((await copy("bare", "mine/app:v1")).code !== 0);
    const back = await run(
      SKOPEO,
      ...["copy", "--insecure-policy", "--src-cert-dir", dir.path("certs")],
      ...[`docker://${served.host}/mine/app:v1`, `oci:${dir.path("back")}:v1`],
    );
    equal(back.code, 0, back.stderr);
    const { code, stdout } = await served.end();
    equal(code, 0);
    const seen = stdout.trimEnd().split("\n").slice(1).map((line) => JSON.parse(line));
    ok(seen.length > 0 && seen.every(({ user }) => user === "client"));
    ok(seen.some(({ status }) => status === 403));
  },
});

Deno.test("R-04 tokens of another issuer: taken when right, else not, and clients are sent there", async () => {
  await using dir = await files();
  const alg = "ES256";
  const ours = await generateKeyPair(alg, { extractable: true });
  const theirs = await generateKeyPair(alg, { extractable: true });
  await using served = await start(
    "--ephemeral",
    ...["--token-key", await dir.write("key.pem", await exportSPKI(ours.publicKey))],
    ...["--token-issuer", "https://issuer.test", "--token-realm", "https://issuer.test/token"],
    ...["--token-service", "shop", "--access-log", dir.path("access.log")],
  );
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: "https://issuer.test",
    aud: "shop",
    sub: "ci",
    exp: now + 60,
    access: [{ type: "repository", name: "app", actions: ["pull", "push"] }],
  };
  const sign = (value: Record<string, unknown>, key = ours.privateKey) =>
    new SignJWT(value).setProtectedHeader({ alg }).sign(key);
  const upload = async (token: string, repository = "app") => {
    const response = await fetch(`${served.url}/v2/${repository}/blobs/uploads/`, {
      method: "POST",
      headers: token === "" ? {} : { authorization: `Bearer ${token}` },
    });
    await response.body?.cancel();
    const challenge = response.headers.get("www-authenticate");
    if (response.status === 401) {
      match(
        challenge ?? "",
        /^Bearer realm="https:\/\/issuer\.test\/token",service="shop",scope="repository:[a-z]+:pull,push"/,
      );
    }
    return response.status;
  };
  const good = await sign(claims);
  equal(await upload(good), 202);
  equal(await upload(good), 202, "again, remembered");
  equal(await upload(good, "other"), 401);
  equal(await upload(""), 401);
  equal(await upload(await sign(claims, theirs.privateKey)), 401);
  equal(await upload(await sign({ ...claims, exp: now - 60 })), 401);
  equal(await upload(await sign({ ...claims, exp: undefined })), 401);
  equal(await upload(await sign({ ...claims, aud: undefined })), 401);
  equal(await upload(await sign({ ...claims, aud: "other" })), 401);
  equal(await upload(new UnsecuredJWT(claims).encode()), 401);
  equal(await upload(good.slice(0, -4)), 401);
  equal(
    (await fetch(`${served.url}/token`).then(async (response) => {
      await response.body?.cancel();
      return response;
    })).status,
    404,
    "it gives out none itself",
  );
  await served.end();
  const log = await Deno.readTextFile(dir.path("access.log"));
  ok(log.includes('"user":"ci"'));
  ok(!log.includes("eyJ"));
});

Deno.test("S-AUTH a changed password file holds without a restart", async () => {
  await using dir = await files();
  const htpasswd = await dir.write("htpasswd", "");
  await using served = await start("--ephemeral", "--htpasswd", htpasswd);
  const status = async () => {
    const response = await fetch(`${served.url}/v2/`, {
      headers: { authorization: `Basic ${btoa("alice:alice-pw")}` },
    });
    await response.body?.cancel();
    return response.status;
  };
  equal(await status(), 401);
  await dir.write("htpasswd", users());
  const until = Date.now() + 300_000;
  let seen = await status();
  while (seen !== 200 && Date.now() < until) seen = await status(); // each wrong one takes its pause
  equal(seen, 200);
});
