import assert from "node:assert/strict";
import { HUB } from "../oci/reference.ts";
import { tellHelper } from "./credential_helper.ts";
import { credentialsFrom } from "./credentials.ts";
import { loginFile, type LoginWorld, removeLogin, saveLogin } from "./docker_config_write.ts";

const UID = Deno.uid() ?? 0;
const SECRET = { username: "u", password: "canary:with:colons" };

interface Home extends AsyncDisposable {
  readonly dir: string;
  readonly path: string;
  readonly world: LoginWorld;
}

async function home(text?: string): Promise<Home> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-login-" });
  const path = `${dir}/.docker/config.json`;
  if (text !== undefined) {
    await Deno.mkdir(`${dir}/.docker`);
    await Deno.writeTextFile(path, text, { mode: 0o644 });
  }
  return {
    dir,
    path,
    world: { env: { HOME: dir, PATH: `${dir}/bin` }, uid: UID },
    async [Symbol.asyncDispose]() {
      await Deno.remove(dir, { recursive: true });
    },
  };
}

const read = async (path: string): Promise<Record<string, unknown>> =>
  JSON.parse(await Deno.readTextFile(path));
const mode = async (path: string) => (await Deno.lstat(path)).mode! & 0o777;

Deno.test("C-CRED-07 a login makes file and directory for its owner alone, and is found again", async () => {
  await using at = await home();
  assert.deepEqual(await saveLogin("registry.example:5000", SECRET, at.world), {
    path: at.path,
    helper: undefined,
  });
  assert.equal(await mode(at.path), 0o600);
  assert.equal(await mode(`${at.dir}/.docker`), 0o700);
  const found = await credentialsFrom({ env: at.world.env })("registry.example:5000", "a/b");
  assert.deepEqual(found, { kind: "basic", ...SECRET });
  const names = await Array.fromAsync(Deno.readDir(`${at.dir}/.docker`), ({ name }) => name);
  assert.deepEqual(names, ["config.json"]);
});

Deno.test("C-CRED-07 what wherry does not know stays, and other spellings of the host go", async () => {
  const before = {
    detachKeys: "ctrl-e",
    HttpHeaders: { "X-Meta": "1" },
    auths: {
      "https://Registry.example/v1/": { auth: "b2xk", email: "x" },
      "other.example": { auth: "eA==" },
    },
    plugins: { a: { deep: [1, 2] } },
    ["__proto__x"]: null,
  };
  await using at = await home(JSON.stringify(before));
  await saveLogin("registry.example", SECRET, at.world);
  assert.deepEqual(await read(at.path), {
    ...before,
    auths: {
      "other.example": { auth: "eA==" },
      "registry.example": { auth: btoa("u:canary:with:colons") },
    },
  });
  assert.equal(await mode(at.path), 0o600);
  assert.deepEqual(await removeLogin("registry.example", at.world), {
    path: at.path,
    helper: undefined,
  });
  assert.deepEqual(await read(at.path), {
    ...before,
    auths: { "other.example": { auth: "eA==" } },
  });
  assert.equal(await removeLogin("registry.example", at.world), undefined);
});

Deno.test("C-CRED-02 Docker Hub is filed where docker files it; a namespace stays apart", async () => {
  await using at = await home(`{"auths":{"docker.io":{"auth":"b2xk"}}}`);
  await saveLogin(HUB, SECRET, at.world);
  await saveLogin("registry.example/team", { username: "t", password: "p" }, at.world);
  assert.deepEqual(Object.keys((await read(at.path))["auths"] as object), [
    "https://index.docker.io/v1/",
    "registry.example/team",
  ]);
  const source = credentialsFrom({ env: at.world.env });
  assert.deepEqual(await source(HUB, "library/x"), { kind: "basic", ...SECRET });
  assert.equal((await source("registry.example", "team/app"))?.kind, "basic");
  assert.equal(await source("registry.example", "other/app"), undefined);
  await removeLogin("registry.example", at.world);
  assert.equal(
    (await credentialsFrom({ env: at.world.env })("registry.example", "team/app"))?.kind,
    "basic",
  );
});

Deno.test("C-CRED-07 logins at once are all kept", async () => {
  await using at = await home();
  const hosts = Array.from({ length: 12 }, (_, nth) => `r${nth}.example`);
  await Promise.all(hosts.map((host) => saveLogin(host, SECRET, at.world)));
  assert.deepEqual(Object.keys((await read(at.path))["auths"] as object).sort(), hosts.sort());
});

Deno.test("C-CRED-07 a link of our own is followed, one of another user is refused", async () => {
  await using at = await home("{}");
  await Deno.rename(at.path, `${at.dir}/real.json`);
  await Deno.symlink("../real.json", at.path);
  await saveLogin("a.example", SECRET, at.world);
  assert((await Deno.lstat(at.path)).isSymlink);
  assert.equal(await mode(`${at.dir}/real.json`), 0o600);
  const before = await Deno.readTextFile(`${at.dir}/real.json`);
  await assert.rejects(
    () => saveLogin("b.example", SECRET, { ...at.world, uid: UID + 1 }),
    { message: `Cannot write ${at.path}: ${at.path} is a link that belongs to user ${UID}` },
  );
  await Deno.rename(`${at.dir}/.docker`, `${at.dir}/elsewhere`);
  await Deno.symlink("elsewhere", `${at.dir}/.docker`);
  await assert.rejects(
    () => saveLogin("b.example", SECRET, { ...at.world, uid: UID + 1 }),
    /\.docker is a link that belongs to user/,
  );
  assert.equal(await Deno.readTextFile(`${at.dir}/real.json`), before);
});

Deno.test({
  name: "C-CRED-07 the administrator's login leaves the file its owner's",
  ignore: UID !== 0,
}, async () => {
  await using at = await home("{}");
  await Deno.chown(at.path, 1234, 1235);
  // In a directory of somebody else it may have been put there to get the password.
  await assert.rejects(() => saveLogin("a.example", SECRET, at.world), /it belongs to user 1234$/);
  await Deno.chown(`${at.dir}/.docker`, 1234, 1235);
  await saveLogin("a.example", SECRET, at.world);
  const { uid, gid } = await Deno.lstat(at.path);
  assert.deepEqual([uid, gid], [1234, 1235]);
});

const broken: readonly (readonly [text: string, RegExp])[] = [
  ["canary{", /^Cannot change .*config\.json: it is not JSON$/],
  ["[]", /: it is not what docker keeps there$/],
  [`{"auths":[]}`, /: auths is not what docker keeps there$/],
];
for (const [text, message] of broken) {
  Deno.test(`N-08 a file that is ${text} is left as it is`, async () => {
    await using at = await home(text);
    await assert.rejects(() => saveLogin("a.example", SECRET, at.world), { message });
    assert.equal(await Deno.readTextFile(at.path), text);
    assert.equal((await Array.fromAsync(Deno.readDir(`${at.dir}/.docker`))).length, 1);
  });
}

Deno.test("N-08 no login into a directory, a broken link or a pipe", async () => {
  await using at = await home("{}");
  await Deno.remove(at.path);
  await Deno.symlink("absent", at.path);
  await assert.rejects(() => saveLogin("a.example", SECRET, at.world), /the link leads nowhere$/);
  await Deno.remove(at.path);
  await Deno.mkdir(at.path);
  await assert.rejects(() => saveLogin("a.example", SECRET, at.world), /it is no file$/);
});

Deno.test("C-CRED-03 the helper keeps and forgets, the file only marks", async () => {
  await using at = await home(
    JSON.stringify({ credsStore: "all", credHelpers: { "a.example": "one" } }),
  );
  const told: unknown[] = [];
  const world: LoginWorld = {
    ...at.world,
    helper: (name, server, secret) => Promise.resolve(void told.push([name, server, secret])),
  };
  assert.equal((await saveLogin("a.example", SECRET, world)).helper, "one");
  assert.equal((await saveLogin(HUB, SECRET, world)).helper, "all");
  assert.doesNotMatch(await Deno.readTextFile(at.path), /canary|Y2FuYXJ5/);
  await removeLogin("a.example", world);
  assert.deepEqual(told, [
    ["one", "a.example", SECRET],
    ["all", "https://index.docker.io/v1/", SECRET],
    ["one", "a.example", undefined],
  ]);
  assert.deepEqual((await read(at.path))["auths"], { "https://index.docker.io/v1/": {} });
});

Deno.test("C-CRED-04 a helper is told through its stdin, and its failure quotes nothing", async () => {
  await using at = await home();
  await Deno.mkdir(`${at.dir}/bin`);
  const script = `#!/bin/sh\n/bin/cat > "${at.dir}/told-$1"\n`;
  await Deno.writeTextFile(`${at.dir}/bin/docker-credential-good`, script, { mode: 0o755 });
  await tellHelper("good", "a.example", SECRET, at.world);
  await tellHelper("good", "a.example", undefined, at.world);
  assert.deepEqual(await read(`${at.dir}/told-store`), {
    ServerURL: "a.example",
    Username: "u",
    Secret: SECRET.password,
  });
  assert.equal(await Deno.readTextFile(`${at.dir}/told-erase`), "a.example");
  const bad = `#!/bin/sh\n/bin/cat\nexit 3\n`;
  await Deno.writeTextFile(`${at.dir}/bin/docker-credential-bad`, bad, { mode: 0o755 });
  await assert.rejects(() => tellHelper("bad", "a.example", SECRET, at.world), {
    message: `Cannot let credential helper "bad" keep the secret of a.example: it failed with 3`,
  });
});

Deno.test("C-CRED where a login is written", () => {
  assert.equal(loginFile({ REGISTRY_AUTH_FILE: "/a.json", DOCKER_CONFIG: "/d" }), "/a.json");
  assert.equal(loginFile({ DOCKER_CONFIG: "/d", HOME: "/h" }), "/d/config.json");
  assert.equal(loginFile({ HOME: "/h" }), "/h/.docker/config.json");
  assert.throws(() => loginFile({}), /there is no HOME/);
});
