import assert from "node:assert/strict";
import { hashSync } from "bcryptjs";
import { dockerRegistry, startDockerRegistry } from "../registry/client/docker_registry_testing.ts";
import { errorBody, type QuirkServer, quirkServer } from "../registry/client/quirk_testing.ts";
import { failureOf } from "./exit.ts";
import type { Io } from "./io.ts";
import { login, type LoginFlags, logout } from "./login.ts";
import { DENO_ENV, FROM_SOURCE } from "./process_testing.ts";
import type { Keyboard } from "./ui/prompt.ts";

const PASSWORD = "canary-5e8d-password";

/** A registry that wants `user` and the password for everything. */
function registry(password = PASSWORD): QuirkServer {
  return quirkServer(({ headers }) =>
    headers.get("authorization") === `Basic ${btoa(`user:${password}`)}`
      ? new Response("{}")
      : errorBody(401, "UNAUTHORIZED", "authentication required", {
        "www-authenticate": `Basic realm="here"`,
      })
  );
}

interface Desk extends AsyncDisposable {
  readonly io: Io;
  readonly home: string;
  readonly path: string;
  readonly said: () => string;
}

async function desk(env: Readonly<Record<string, string>> = {}): Promise<Desk> {
  const home = await Deno.makeTempDir({ prefix: "wherry-desk-" });
  const lines: string[] = [];
  const sink = {
    write: (text: string | Uint8Array) => void lines.push(String(text)),
    isTerminal: false,
    columns: () => 80,
  };
  return {
    home,
    path: `${home}/.docker/config.json`,
    said: () => lines.join(""),
    io: {
      args: [],
      env: { HOME: home, PATH: "", ...env },
      cwd: home,
      user: { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 },
      stdout: sink,
      stderr: sink,
      signal: new AbortController().signal,
    },
    async [Symbol.asyncDispose]() {
      await Deno.remove(home, { recursive: true });
    },
  };
}

function typing(text: string, isTerminal = false): Keyboard {
  const bytes = [...new TextEncoder().encode(text)];
  return {
    isTerminal: () => isTerminal,
    setRaw: () => {},
    read(into) {
      const part = bytes.splice(0, into.byteLength);
      into.set(part);
      return Promise.resolve(part.length === 0 ? null : part.length);
    },
  };
}

const PIPED: LoginFlags = { username: "user", passwordStdin: true, verbose: true };

Deno.test("C-CRED-07 login tries the password, keeps it, and logout forgets it", async () => {
  await using server = registry();
  await using at = await desk();
  await login(at.io, server.host, PIPED, typing(`${PASSWORD}\n`));
  const kept = JSON.parse(await Deno.readTextFile(at.path));
  assert.deepEqual(kept, { auths: { [server.host]: { auth: btoa(`user:${PASSWORD}`) } } });
  assert.match(
    at.said(),
    /^Logged in to 127\.0\.0\.1:\d+ as user; the password is in .*not encrypted$/m,
  );
  await logout(at.io, `https://${server.host}/v2/`, {});
  assert.deepEqual(JSON.parse(await Deno.readTextFile(at.path)), { auths: {} });
  await logout(at.io, server.host, {});
  assert.match(at.said(), /There was no login to 127/);
  assert.doesNotMatch(at.said(), /canary/);
});

Deno.test("C-CRED-07 a wrong password is not kept", async () => {
  await using server = registry("another");
  await using at = await desk();
  await assert.rejects(() => login(at.io, server.host, PIPED, typing(PASSWORD)), {
    code: "UNAUTHORIZED",
  });
  await assert.rejects(() => Deno.stat(at.path), Deno.errors.NotFound);
});

Deno.test("a person is asked for what the flags do not say", async () => {
  await using server = registry();
  await using at = await desk();
  await login(at.io, server.host, {}, typing(`user\n${PASSWORD}\r`, true));
  assert.match(at.said(), /^Username: Password of user: \nLogged in to/);
  assert.doesNotMatch(at.said(), /canary/);
});

const bad: readonly (readonly [string, LoginFlags, string, boolean, RegExp])[] = [
  ["registry", PIPED, "x", false, /^Cannot log in to "registry": want a host such as/],
  ["a.example/Up", PIPED, "x", false, /^Cannot log in to "a\.example\/Up": want a host/],
  ["a.example", { passwordStdin: true }, "x", false, /--password-stdin wants --username$/],
  [
    "a.example",
    { password: "p" },
    "x",
    true,
    /read a password on a command line; want --password-stdin$/,
  ],
  ["a.example", { username: "u" }, "", false, /nobody is there to be asked for a password/],
  ["a.example", { username: "u:v" }, "x\r", true, /a user name has no colon/],
  ["a.example", PIPED, "\n", false, /^Cannot log in to a\.example: want a password$/],
  ["docker.io/team", { username: "" }, "", true, /^Cannot log in to docker\.io\/team: want a user/],
];
for (const [host, flags, typed, terminal, message] of bad) {
  Deno.test(`login ${host} without what it needs: ${message.source}`, async () => {
    await using at = await desk();
    await assert.rejects(() => login(at.io, host, flags, typing(typed, terminal)), (error) => {
      const { code, message: said } = failureOf(error);
      assert.equal(code, 3);
      assert.match(said!, message);
      return true;
    });
  });
}

Deno.test("logout says which credentials are left elsewhere", async () => {
  await using at = await desk({ CNB_REGISTRY_AUTH: `{"a.example":"Basic dTpw"}` });
  await logout(at.io, "a.example", {});
  assert.match(at.said(), /There are other credentials for a\.example in CNB_REGISTRY_AUTH$/m);
});

Deno.test("C-CONN-08 login --offline dials nothing and names the host", async () => {
  await using server = registry();
  await using at = await desk();
  await assert.rejects(
    () => login(at.io, server.host, { ...PIPED, offline: true }, typing("x")),
    /^OciError: Cannot log in to (127\.0\.0\.1:\d+): \1: --offline forbids to dial it/,
  );
  assert.equal(server.seen.length, 0);
});

/** Everything a run says, wherever. */
async function wherry(
  env: Readonly<Record<string, string>>,
  stdin: string,
  ...args: readonly string[]
): Promise<string> {
  const [program, ...first] = FROM_SOURCE;
  const child = new Deno.Command(program, {
    args: [...first, ...args],
    env: { ...env, ...DENO_ENV, PATH: "/usr/bin:/bin", WHERRY_TRACE: "1" },
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return `${args.join(" ")}\n${text(stdout)}${text(stderr)}exit ${code}\n`;
}

Deno.test("N-10 no secret in what the real program says, at debug level, well or badly", async () => {
  await using good = registry();
  await using refuses = registry("another");
  await using cuts = quirkServer(() => errorBody(500, "UNKNOWN", `echo ${PASSWORD.slice(0, 3)}`));
  await using at = await desk();
  const env = {
    HOME: at.home,
    // Secrets of every kind, for hosts that are asked below.
    CNB_REGISTRY_AUTH: JSON.stringify({
      [refuses.host]: `Basic ${btoa("user:canary-from-env")}`,
    }),
    AWS_ACCESS_KEY_ID: "AKIACANARY",
    AWS_SECRET_ACCESS_KEY: "canary-aws",
    AZURE_CLIENT_SECRET: "canary-azure",
    HTTPS_PROXY: "http://proxy:canary-proxy@127.0.0.1:1",
  };
  const ecr = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
  const outputs = [
    await wherry(env, PASSWORD, "login", good.host, "-u", "user", "--password-stdin", "-v"),
    await wherry(env, PASSWORD, "login", refuses.host, "-u", "user", "--password-stdin", "-v"),
    await wherry(env, PASSWORD, "login", cuts.host, "-u", "user", "--password-stdin", "-v"),
    await wherry(env, "", "pull", `${good.host}/app`, "-v"),
    await wherry(env, "", "pull", `${refuses.host}/app`, "-v"),
    await wherry(env, "", "pull", `${ecr}/app`, "-v", "--offline"),
    await wherry(env, "", "logout", good.host, "-v"),
  ];
  const all = outputs.join("");
  assert.match(outputs[0]!, /^Logged in/m);
  assert.match(outputs[0]!, /exit 0\n$/);
  for (const output of outputs.slice(1, 6)) assert.match(output, /exit 1\n$/);
  assert.match(outputs[5]!, /--offline forbids to dial it/);
  for (
    const secret of ["canary", PASSWORD, `user:${PASSWORD}`, "user:canary-from-env", "proxy:canary"]
  ) {
    const found = all.includes(secret) || all.includes(btoa(secret).replace(/=+$/, ""));
    assert(!found, `${secret} is in:\n${all}`);
  }
});

const skopeo = await new Deno.Command("skopeo", { args: ["--version"], stdout: "null" }).output()
  .then(({ success }) => success, () => false);

Deno.test({
  name: "C-CRED-07 what wherry keeps skopeo finds, what skopeo keeps wherry forgets",
  ignore: !skopeo || dockerRegistry === undefined,
}, async () => {
  await using server = await startDockerRegistry({
    htpasswd: `user:${hashSync(PASSWORD, 4)}\n`,
  });
  await using at = await desk();
  const run = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await new Deno.Command("skopeo", {
      args: [...args],
      env: { HOME: at.home, REGISTRY_AUTH_FILE: at.path },
      stdout: "piped",
      stderr: "piped",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, said: text(stdout) + text(stderr) };
  };
  await assert.rejects(() => login(at.io, server.host, PIPED, typing("wrong")), {
    code: "UNAUTHORIZED",
  });
  await login(at.io, server.host, PIPED, typing(PASSWORD));
  const known = await run("login", "--get-login", server.host);
  assert.deepEqual([known.code, known.said.trim()], [0, "user"]);
  const listed = await run("list-tags", "--tls-verify=false", `docker://${server.host}/none`);
  // It was let in: what it wants is only not there.
  assert.match(listed.said, /404|name unknown|repository name not known/);
  await logout(at.io, server.host, {});
  assert.notEqual((await run("login", "--get-login", server.host)).code, 0);

  const theirs = await run(
    ...["login", "--tls-verify=false", "-u", "user", "-p", PASSWORD, server.host],
  );
  assert.equal(theirs.code, 0, theirs.said);
  await logout(at.io, server.host, {});
  assert.match(at.said(), /^Logged out of 127[^]*^Logged out of 127/m);
  assert.notEqual((await run("login", "--get-login", server.host)).code, 0);
});
