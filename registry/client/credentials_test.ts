import assert from "node:assert/strict";
import { askHelper } from "./credential_helper.ts";
import { credentialsFrom, keysFor, parseRegistryAuth } from "./credentials.ts";
import type { Credential } from "./options.ts";

const b64 = (text: string) => new TextEncoder().encode(text).toBase64();
const basic = (username: string, password = "p"): Credential => ({
  kind: "basic",
  username,
  password,
});

function source(
  files: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string>> = { HOME: "/h" },
  more: Parameters<typeof credentialsFrom>[0] | Record<string, unknown> = {},
) {
  return credentialsFrom({
    env,
    readFile: (path) => Promise.resolve(path in files ? JSON.stringify(files[path]) : undefined),
    ...more,
  });
}

const entry = (user: string) => ({ auths: { "r.io": { auth: b64(`${user}:p`) } } });

Deno.test("AU-2 C-CRED the order of places", async () => {
  const files = {
    "/reg": entry("1"),
    "/dc/config.json": entry("2"),
    "/h/.docker/config.json": entry("3"),
    "/run/u/containers/auth.json": entry("4"),
    "/x/containers/auth.json": entry("5"),
    "/h/.dockercfg": { "r.io": { auth: b64("6:p") } },
  };
  const env: Record<string, string> = {
    HOME: "/h",
    CNB_REGISTRY_AUTH: JSON.stringify({ "r.io": `Basic ${b64("0:p")}` }),
    REGISTRY_AUTH_FILE: "/reg",
    DOCKER_CONFIG: "/dc",
    XDG_RUNTIME_DIR: "/run/u",
    XDG_CONFIG_HOME: "/x",
  };
  const user = async () => {
    const found = await source(files, env)("r.io", "app");
    return found?.kind === "basic" ? found.username : undefined;
  };
  assert.deepEqual(
    await source(files, env, { given: { "r.io": basic("g") } })("r.io", "app"),
    basic("g"),
  );
  assert.equal(await user(), "0");
  delete env["CNB_REGISTRY_AUTH"];
  assert.equal(await user(), "1");
  delete env["REGISTRY_AUTH_FILE"];
  assert.equal(await user(), "2");
  delete env["DOCKER_CONFIG"];
  assert.equal(await user(), "3");
  Reflect.deleteProperty(files, "/h/.docker/config.json");
  assert.equal(await user(), "4");
  delete env["XDG_RUNTIME_DIR"];
  assert.equal(await user(), "5");
  delete env["XDG_CONFIG_HOME"];
  assert.equal(await user(), "6");
  delete env["HOME"];
  assert.equal(await user(), undefined);
});

Deno.test("C-CRED-01 a file that says nothing of a host lets the next one answer", async () => {
  const files = { "/h/.docker/config.json": { auths: { "other.io": {} } }, "/h/.dockercfg": {} };
  assert.equal(await source(files)("r.io", "app"), undefined);
});

Deno.test("C-CRED-02 keys: the longest path wins, components are whole (N-09)", async () => {
  assert.deepEqual(keysFor("h.io", "a/b/img"), ["h.io/a/b/img", "h.io/a/b", "h.io/a", "h.io"]);
  const files = {
    "/h/.docker/config.json": {
      auths: {
        "h.io": { auth: b64("host:p") },
        "h.io/foo": { auth: b64("foo:p") },
        "https://v.io:5000/v2/": { auth: b64("v:p") },
      },
    },
  };
  const find = source(files);
  assert.deepEqual(await find("h.io", "foo/x"), basic("foo"));
  assert.deepEqual(await find("h.io", "foobar/x"), basic("host"));
  assert.deepEqual(await find("v.io:5000", "x"), basic("v"));
  assert.equal(await find("v.io", "x"), undefined);
});

Deno.test.each([["https://index.docker.io/v1/"], ["docker.io"], ["index.docker.io"]])(
  "C-CRED-02 Hub is filed as %s",
  async (key) => {
    const files = { "/h/.docker/config.json": { auths: { [key!]: { auth: b64("u:p") } } } };
    assert.deepEqual(await source(files)("index.docker.io", "library/x"), basic("u"));
  },
);

Deno.test("AU-2 C-AUTH-15 forms of an entry", async () => {
  const of = (value: unknown) =>
    source({ "/h/.docker/config.json": { auths: { "r.io": value } } })("r.io", undefined);
  assert.deepEqual(await of({ auth: b64("u:a:b") }), basic("u", "a:b"));
  assert.deepEqual(await of({ username: "u", password: "p" }), basic("u"));
  assert.deepEqual(await of({ auth: b64("u:p"), identitytoken: "t" }), {
    kind: "identity",
    token: "t",
  });
  assert.deepEqual(await of({ registrytoken: "t" }), { kind: "bearer", token: "t" });
  assert.deepEqual(await of({ auth: "!opaque!" }), { kind: "header", value: "Basic !opaque!" });
  assert.equal(await of({}), undefined);
});

Deno.test("AU-1 C-CRED CNB_REGISTRY_AUTH", () => {
  const parsed = parseRegistryAuth(JSON.stringify({
    "R.io": `basic ${b64("u:p")}`,
    "https://index.docker.io/v1/": "Bearer tok",
    "x.io:5000": "X-Identity id",
  }));
  assert.deepEqual(parsed.get("r.io"), basic("u"));
  assert.deepEqual(parsed.get("index.docker.io"), { kind: "bearer", token: "tok" });
  assert.deepEqual(parsed.get("x.io:5000"), { kind: "identity", token: "id" });
  // Docker Hub under its other name, a path of an API, a value that is split at its first blank.
  const more = parseRegistryAuth(JSON.stringify({
    "docker.io": "Bearer hub",
    "http://y.io/v2/": `Basic ${b64("u:a b:c")}`,
  }));
  assert.deepEqual(more.get("index.docker.io"), { kind: "bearer", token: "hub" });
  assert.deepEqual(more.get("y.io"), basic("u", "a b:c"));
  for (
    const bad of ["[]", '{"a":1}', '{"a":"Digest x"}', '{"a":"Basic"}', '{"a":""}', "nonsense"]
  ) {
    assert.throws(() => parseRegistryAuth(bad), /^TypeError: Cannot read CNB_REGISTRY_AUTH: /, bad);
  }
  assert.equal(parseRegistryAuth(" ").size, 0);
});

Deno.test("N-10 broken secrets are not repeated in messages", async () => {
  for (const text of ["{hush", '["hush"]', '{"h":"hush"}', '{"h":{"a":"hush"}}']) {
    assert.throws(
      () => parseRegistryAuth(text),
      (error: Error) => !error.message.includes("hush"),
    );
  }
  const broken = credentialsFrom({
    env: { REGISTRY_AUTH_FILE: "/h/.docker/config.json" },
    readFile: () => Promise.resolve('{"auths":{"r.io":{"auth":["hush"]}}}'),
  });
  await assert.rejects(() => broken("r.io", "x"), (error: Error) => {
    assert.match(
      error.message,
      /^Cannot read \/h\/\.docker\/config\.json: auths\.r\.io\.auth is not/,
    );
    return !error.message.includes("hush");
  });
});

Deno.test("C-CRED-01 a file of docker's or podman's that is broken is warned of once, and the next one asked", async () => {
  const said: string[] = [];
  const ask = credentialsFrom({
    env: { HOME: "/h", XDG_CONFIG_HOME: "/h/.config" },
    readFile: (path) =>
      Promise.resolve(
        {
          "/h/.docker/config.json": `{"auths":{"r.io":{"auth":"hush`,
          "/h/.config/containers/auth.json": `{"auths":{"r.io":{"username":"u","password":"p"}}}`,
        }[path],
      ),
    log: { debug() {}, info() {}, error() {}, warn: (line) => void said.push(line) },
  });
  assert.equal((await ask("r.io", "x"))?.kind, "basic");
  assert.equal(await ask("public.io", "x"), undefined);
  assert.deepEqual(said, [
    "Cannot read /h/.docker/config.json: it is not JSON; going on without its credentials",
  ]);
});

Deno.test("C-CRED-03 helper of the host, then what is written, then the store", async () => {
  const asked: string[] = [];
  const helper: typeof askHelper = (name, server) => {
    asked.push(`${name} ${server}`);
    return Promise.resolve(name === "empty" ? undefined : basic(name));
  };
  const files = {
    "/h/.docker/config.json": {
      auths: { "a.io": {}, "b.io": { auth: b64("written:p") } },
      credHelpers: { "c.io": "own", "e.io": "empty" },
      credsStore: "store",
    },
  };
  const find = source(files, undefined, { helper });
  assert.deepEqual(await find("a.io", "x"), basic("store"));
  assert.deepEqual(await find("b.io", "x"), basic("written"));
  assert.deepEqual(await find("c.io", "x"), basic("own"));
  assert.deepEqual(await find("d.io", "x"), basic("store"));
  assert.equal(await find("e.io", "x"), undefined);
  assert.deepEqual(await find("docker.io", "x"), basic("store"));
  assert.deepEqual(asked, [
    "store a.io",
    "own c.io",
    "store d.io",
    "empty e.io",
    "store https://index.docker.io/v1/",
  ]);
});

Deno.test("C-CRED-05 a helper is asked once per host and hour, also by many at once", async () => {
  let runs = 0;
  let clock = 0;
  const helper: typeof askHelper = () => {
    runs++;
    return Promise.resolve(basic("u"));
  };
  const find = source({ "/h/.docker/config.json": { credsStore: "s" } }, undefined, {
    helper,
    now: () => clock,
  });
  await Promise.all(Array.from({ length: 20 }, (_, at) => find("r.io", `app${at}`)));
  assert.equal(runs, 1);
  clock = 3_600_001;
  await find("r.io", "app");
  assert.equal(runs, 2);
});

async function helperDir(scripts: Readonly<Record<string, string>>): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-helper-" });
  for (const [name, script] of Object.entries(scripts)) {
    const path = `${dir}/docker-credential-${name}`;
    await Deno.writeTextFile(path, `#!/bin/sh\n${script}\n`);
    await Deno.chmod(path, 0o755);
  }
  return dir;
}

Deno.test("C-CRED-04 the helper protocol", async () => {
  const dir = await helperDir({
    good:
      `read host; echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"$1-$host-$MARK\\",\\"Secret\\":\\"s\\"}"`,
    token: `cat >/dev/null; echo '{"Username":"<token>","Secret":"t"}'`,
    none: `cat >/dev/null; echo "credentials not found in native keychain"; exit 1`,
    broken: `cat >/dev/null; echo "no such session"; exit 3`,
    mute: `cat >/dev/null; exit 2`,
    odd: `cat >/dev/null; echo '{"Secret":"hush"'`,
    long: `cat >/dev/null; yes`,
    deaf: `echo '{"Username":"u","Secret":"s"}'`,
    slow: `exec sleep 60`,
  });
  try {
    const env = { PATH: `${dir}:/usr/bin:/bin`, MARK: "m" };
    const ask = (name: string, more = {}) => askHelper(name, "r.io:5000", { env, ...more });
    assert.deepEqual(await ask("good"), basic("get-r.io:5000-m", "s"));
    assert.deepEqual(await ask("token"), { kind: "identity", token: "t" });
    assert.deepEqual(await ask("deaf"), basic("u", "s"));
    assert.equal(await ask("none"), undefined);
    await assert.rejects(
      () => ask("broken"),
      /credential helper "broken" for r\.io:5000: it failed with 3: no such/,
    );
    await assert.rejects(() => ask("mute"), /it failed with 2$/);
    await assert.rejects(
      () => ask("odd"),
      (error: Error) => !/hush/.test(error.message + error.cause),
    );
    await assert.rejects(() => ask("long"), /more than 65536 bytes/);
    await assert.rejects(() => ask("absent"), /docker-credential-absent is not on the PATH/);
    await assert.rejects(() => ask("slow", { timeoutMs: 50 }), /did not answer in time/);
    await assert.rejects(() => ask("good", { untrusted: [dir] }), /not on the PATH/);
    for (const name of ["../x", "a/b", "-x", "", "a b"]) {
      await assert.rejects(() => ask(name), /letters, digits/, `N-07 ${name}`);
    }
    await assert.rejects(() => askHelper("good", "a\nb", { env }), /control characters/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
