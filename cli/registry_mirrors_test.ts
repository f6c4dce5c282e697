import assert from "node:assert/strict";
import { parseRegistrySettings } from "../registry/client/registries_conf.ts";
import { tempDir } from "../registry/temp_testing.ts";
import { hostPolicy } from "./host_policy.ts";
import { type Ended, runLine } from "./line_testing.ts";
import { type MirrorEntry, withMirror, withoutMirror } from "./mirror_config.ts";
import { readRegistrySettings } from "./registry_settings.ts";

const ENTRY: MirrorEntry = {
  prefix: "docker.io",
  endpoints: ["registry.corp/hub"],
  fallback: true,
  pull: "all",
  insecure: false,
};

const HAND_WRITTEN = `# mine
default-builder = "x" # keep this

[[mirror]] # for Hub
prefix = "index.docker.io"
endpoints = ["old.corp"]

# about the next table
[[mirror]]
prefix = "quay.io"
endpoints = [
  "a.corp", # first
  "b.corp",
]

[offline]
allow = ["a.corp"]
`;

Deno.test("C-MIRROR a table is replaced, and all else stays as it was written", () => {
  assert.equal(
    withMirror(HAND_WRITTEN, ENTRY),
    `# mine
default-builder = "x" # keep this

# about the next table
[[mirror]]
prefix = "quay.io"
endpoints = [
  "a.corp", # first
  "b.corp",
]

[offline]
allow = ["a.corp"]

[[mirror]]
prefix = "docker.io"
endpoints = [ "registry.corp/hub" ]
`,
  );
  const without = withoutMirror(HAND_WRITTEN, "quay.io")!;
  assert.deepEqual(
    parseRegistrySettings(without, "f").mirrors.map(({ prefix }) => prefix),
    ["docker.io"],
  );
  assert.match(without, /default-builder = "x" # keep this/);
  assert.equal(withoutMirror(HAND_WRITTEN, "ghcr.io"), undefined);
  assert.equal(withoutMirror("", "ghcr.io"), undefined);
});

Deno.test("C-MIRROR every table that was added is read back, and can be taken away", () => {
  let text = "";
  const entries: MirrorEntry[] = ["a.example", "*.b.example", "*", "c.example:5000/x/y"].map(
    (prefix, at) => ({
      prefix,
      endpoints: ["m.corp", "n.corp:5000/x"],
      fallback: at % 2 === 0,
      pull: at === 1 ? "digest-only" : "all",
      insecure: at === 2,
    }),
  );
  for (const entry of entries) text = withMirror(text, entry);
  assert.deepEqual(
    parseRegistrySettings(text, "f").mirrors.map(({ prefix, fallback, mirrors }) => ({
      prefix,
      fallback,
      endpoints: mirrors.map(({ location }) => location),
      pull: mirrors[0]!.pull,
      insecure: mirrors[0]!.insecure,
    })),
    entries.map(({ prefix, fallback, endpoints, pull, insecure }) => ({
      prefix,
      fallback,
      endpoints,
      pull,
      insecure,
    })),
  );
  for (const { prefix } of entries) text = withoutMirror(text, prefix)!;
  assert.equal(text.trim(), "");
});

Deno.test("C-MIRROR what is written in another way is left to the person", () => {
  const inline = `mirror = [{ prefix = "docker.io", endpoints = ["a.corp"] }]\n`;
  assert.throws(() => withMirror(inline, ENTRY), /written in a way that is not changed here$/);
});

function wherry(home: string, ...args: readonly string[]): Promise<Ended> {
  const env = { HOME: home, CONTAINERS_REGISTRIES_CONF: `${home}/registries.conf` };
  return runLine(args, { dir: home, env });
}

Deno.test("C-MIRROR config registry-mirrors add, list and remove", async () => {
  await using temp = await tempDir();
  const home = temp.path;
  await Deno.writeTextFile(
    `${home}/registries.conf`,
    `[[registry]]\nlocation = "q.example"\nblocked = true\n`,
  );
  const mirrors = ["config", "registry-mirrors"];
  const added = await wherry(
    home,
    ...mirrors,
    "add",
    "docker.io",
    "-m",
    "a.corp/hub",
    "--mirror",
    "b.corp",
    "--no-fallback",
  );
  assert.match(added.err, /^docker\.io is read from a\.corp\/hub, then b\.corp only \(/);
  const path = `${home}/.config/wherry/config.toml`;
  assert.match(await Deno.readTextFile(path), /^fallback = false$/m);
  const { out } = await wherry(home, ...mirrors, "list");
  assert.deepEqual(out.trim().split("\n").map((line) => line.split(/\s{2,}/).slice(0, 2)), [
    ["REGISTRY", "READ FROM"],
    ["docker.io", "a.corp/hub, b.corp"],
    ["q.example", "-"],
  ]);
  const json = JSON.parse((await wherry(home, ...mirrors, "list", "-o", "json")).out);
  assert.deepEqual(
    json.map(({ prefix, blocked }: { prefix: string; blocked: boolean }) => [prefix, blocked]),
    [
      ["docker.io", false],
      ["q.example", true],
    ],
  );
  const explain = async (name: string) =>
    (await wherry(home, ...mirrors, "explain", name)).out.trim().split("\n");
  assert.deepEqual(await explain("alpine:3"), [
    "a.corp/hub/library/alpine:3",
    "b.corp/library/alpine:3",
  ]);
  assert.deepEqual(await explain("ghcr.io/a/b"), ["ghcr.io/a/b:latest"]);
  assert.deepEqual(await explain("q.example/a"), [""]);
  await wherry(home, ...mirrors, "remove", "https://index.docker.io/");
  assert.equal((await Deno.readTextFile(path)).trim(), "");
  const refused: readonly (readonly [string[], RegExp])[] = [
    [["remove", "docker.io"], /^Cannot remove mirrors of docker\.io: .* names none$/],
    [["add", "docker.io"], /^Missing --mirror HOST/],
    [["add", "nohost", "-m", "a.corp"], /^Cannot use the registry: "nohost" wants a host/],
    [["add", "a.example", "-m", "*"], /^Cannot use --mirror: "\*" is not a host/],
    [["add", "a.example", "-m", "b.corp", "--pull", "some"], /want all, digest-only, tag-only$/],
  ];
  for (const [words, message] of refused) {
    const { code, err } = await wherry(home, ...mirrors, ...words);
    assert.match(err.replace(/^ERROR: /, "").trimEnd(), message);
    assert.equal(code, 3);
  }
});

Deno.test("C-MIRROR files in order: our own, drop-ins from last to first, the main file", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const write = async (path: string, text: string) => {
    await Deno.mkdir(`${dir}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(`${dir}/${path}`, text);
  };
  const row = (name: string) => `[[registry]]\nlocation = "${name}.example"\n`;
  await write("home/.config/wherry/config.toml", row("own"));
  await write("etc/containers/registries.conf", row("main"));
  await write("etc/containers/registries.conf.d/10-a.conf", row("ten"));
  await write("etc/containers/registries.conf.d/20-b.conf", row("twenty"));
  await write("etc/containers/registries.conf.d/readme", "not TOML [");
  const order = () =>
    readRegistrySettings({ HOME: `${dir}/home` }, `${dir}/etc`).mirrors.map((one) =>
      one.prefix.replace(".example", "")
    );
  assert.deepEqual(order(), ["own", "twenty", "ten", "main"]);
  await write("etc/containerd/certs.d/c.example/hosts.toml", `[host."https://m.example"]`);
  await write("etc/docker/daemon.json", `{"registry-mirrors":["https://m.example"]}`);
  assert.deepEqual(order(), ["own", "twenty", "ten", "main", "c", "docker.io"]);
  await write("home/.config/containers/registries.conf", row("user"));
  await write("home/.config/containers/registries.conf.d/1.conf", row("drop"));
  assert.deepEqual(order(), ["own", "drop", "twenty", "ten", "user", "c", "docker.io"]);
  await write("home/.config/wherry/config.toml", `[[mirror]]\nprefix = 1\n`);
  assert.throws(order, {
    name: "UsageError",
    message: /config\.toml: mirror\[0\]\.prefix: /,
  });
});

Deno.test("C-CONN-08 who may be dialled", () => {
  const rules = { offline: false, allow: [], blocked: [], mirrors: [], path: "/c.toml" };
  assert.equal(hostPolicy(rules), undefined);
  const may = (policy: ReturnType<typeof hostPolicy>, host: string) => {
    try {
      return policy!(host);
    } catch (error) {
      return (error as Error).message;
    }
  };
  const offline = hostPolicy({
    ...rules,
    offline: true,
    allow: ["registry.corp", "*.lab.example", "localhost:5000"],
    mirrors: ["mirror.corp"],
  });
  for (const host of ["registry.corp", "registry.corp:5000", "a.lab.example", "localhost:5000"]) {
    assert.equal(may(offline, host), true);
  }
  for (const host of ["mirror.corp", "lab.example", "localhost:5001", "xregistry.corp"]) {
    assert.equal(
      may(offline, host),
      `Cannot reach ${host}: --offline forbids to dial it ([offline] allow in /c.toml can name it)`,
    );
  }
  const hub = hostPolicy({ ...rules, offline: true, allow: ["docker.io"] });
  assert.equal(may(hub, "registry-1.docker.io"), true);
  assert.match(String(may(hub, "auth.docker.io")), /^Cannot reach auth\.docker\.io: --offline/);
  const blocked = hostPolicy({
    ...rules,
    blocked: ["*"],
    mirrors: ["mirror.corp"],
    allow: ["a.b"],
  });
  assert.deepEqual(["mirror.corp", "a.b"].map((host) => may(blocked, host)), [true, true]);
  assert.match(
    String(may(blocked, "registry-1.docker.io")),
    /\[block\] hosts in \/c\.toml forbids/,
  );
});
