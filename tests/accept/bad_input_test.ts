/** What is wrong is said in one line, with the exit code that scripts know. */
import assert from "node:assert/strict";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import {
  assertOneError,
  EXAMPLES,
  makeScene,
  type Outcome,
  type Scene,
  tool,
} from "./wherry_testing.ts";

const BP = (api = "0.10") =>
  `api = "${api}"\n\n[buildpack]\nid = "test/bp"\nversion = "1.0.0"\n\n[[targets]]\nos = "linux"\n`;
const SH = "#!/bin/sh\n";
const GOOD = {
  "app/file": "x",
  "bp/buildpack.toml": BP(),
  "bp/bin/detect": SH,
  "bp/bin/build": SH,
};

async function build(scene: Scene, ...flags: readonly string[]): Promise<Outcome> {
  return await scene.run(
    ["build", "image", "--path", "app", "-b", "bp", "--run-image", "scratch", ...flags],
  );
}

interface Case {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly code: number;
  readonly error: RegExp;
  readonly flags?: readonly string[];
  /** Must be in stderr, too. */
  readonly log?: RegExp;
}

const CASES: readonly Case[] = [
  {
    name: "no buildpack detects: 20 and the reasons",
    files: { "bp/bin/detect": SH + "echo 'no package.json here'\nexit 100\n" },
    code: 20,
    error: /No buildpack groups passed detection.*check.*path: test\/bp@1\.0\.0 did not pass/,
    log: /no package\.json here[\s\S]*fail: test\/bp@1\.0\.0/,
  },
  {
    name: "a buildpack fails to detect: 21",
    files: { "bp/bin/detect": SH + "echo 'broken detect'\nexit 3\n" },
    code: 21,
    error: /No buildpack groups passed detection: test\/bp@1\.0\.0 had an error/,
    log: /broken detect/,
  },
  {
    name: "a buildpack fails to build: 51",
    files: { "bp/bin/build": SH + "echo 'cannot compile'\nexit 4\n" },
    code: 51,
    error: /test\/bp@1\.0\.0.*4/,
    log: /cannot compile/,
  },
  {
    name: "a buildpack is killed while it builds: 51",
    files: { "bp/bin/build": SH + "kill -9 $$\n" },
    code: 51,
    error: /test\/bp@1\.0\.0.*SIGKILL/,
  },
  {
    name: "unknown buildpack API: 12",
    files: { "bp/buildpack.toml": BP("9.9") },
    code: 12,
    error: /test\/bp@1\.0\.0.*9\.9/,
  },
  {
    name: "malformed buildpack.toml: file and line",
    files: { "bp/buildpack.toml": BP() + "key = = 1\n" },
    code: 1,
    error: /bp\/buildpack\.toml:9:7: /,
  },
  {
    name: "buildpack.toml with a value of the wrong kind: file and key",
    files: { "bp/buildpack.toml": BP().replace('"1.0.0"', "7") },
    code: 1,
    error: /bp\/buildpack\.toml.*buildpack\.version/,
  },
  {
    name: "malformed launch.toml: file and line",
    files: {
      "bp/bin/build": SH + "printf '[[processes]]\\ntype =\\n' >$CNB_LAYERS_DIR/launch.toml\n",
    },
    code: 52,
    error: /launch\.toml:2:/,
  },
  {
    name: "launch.toml with a value of the wrong kind: file and key",
    files: {
      "bp/bin/build": SH +
        "printf '[[processes]]\\ntype = \"web\"\\ncommand = 3\\n' >$CNB_LAYERS_DIR/launch.toml\n",
    },
    code: 52,
    error: /launch\.toml:3: processes\[0\]\.command/,
  },
  {
    name: "malformed order.toml",
    files: { "order.toml": "[[order]]\n[[order.group]]\nversion = '1'\n" },
    flags: ["--order", "order.toml"],
    code: 1,
    error: /order\.toml:2: order\[0\]\.group\[0\]\.id is missing/,
  },
  {
    name: "a build plan that cannot be read",
    files: { "bp/bin/detect": SH + "echo 'not toml' >$CNB_BUILD_PLAN_PATH\n" },
    code: 21,
    error: /test\/bp@1\.0\.0 had an error: Cannot parse .*plan\.toml:1:5/,
  },
  {
    name: "an app that is not there: 3",
    files: {},
    flags: ["--path", "nowhere"],
    code: 3,
    error: /nowhere/,
  },
  {
    name: "a buildpack that is not there: 3",
    files: {},
    flags: ["-b", "./nowhere"],
    code: 3,
    error: /nowhere/,
  },
  {
    name: "an image name with capitals: 3",
    files: {},
    flags: ["--tag", "UPPER/case"],
    code: 3,
    error: /UPPER\/case/,
  },
  {
    name: "an unknown flag: 3, with a suggestion",
    files: {},
    flags: ["--buildpak", "x"],
    code: 3,
    error: /--buildpak.*--buildpack/,
  },
  {
    name: "a flag of pack that would change the image: 3, with what to use",
    files: {},
    flags: ["--sparse"],
    code: 3,
    error: /--sparse.*always whole/,
  },
  {
    name: "a variable without a name: 3",
    files: { env: "# fine\nA=1\n=2\n" },
    flags: ["--env-file", "env"],
    code: 3,
    error: /env:3/,
  },
  {
    name: "a buildpack without bin/build: 51",
    files: {},
    flags: ["-b", "nobuild"],
    code: 51,
    error: /bin\/build/,
  },
];

for (const { name, files, code, error, flags = [], log } of CASES) {
  Deno.test(`bad input: ${name}`, async () => {
    await using scene = await makeScene();
    const more = {
      "nobuild/buildpack.toml": BP().replace("test/bp", "test/nobuild"),
      "nobuild/bin/detect": SH,
    };
    await scene.write({ ...GOOD, ...more, ...files });
    const only = flags.includes("--order") || flags.includes("-b");
    const outcome = only
      ? await scene.run(["build", "image", "--path", "app", "--run-image", "scratch", ...flags])
      : await build(scene, ...flags);
    assertOneError(outcome, code, error);
    if (log) assert.match(outcome.stderr, log);
    assert.equal(outcome.stdout, "");
    await assertNothingLeft(scene);
  });
}

async function assertNothingLeft(scene: Scene): Promise<void> {
  const names = async (dir: string) =>
    await Array.fromAsync(Deno.readDir(`${scene.store}/${dir}`), ({ name }) => name)
      .catch(() => []);
  assert.deepEqual(await names("work"), []);
  assert.deepEqual(await names("ingest"), []);
}

Deno.test({
  name: "a registry that is down: one line with its name; one that goes down during an upload, too",
  ignore: !hasRegistry,
  async fn() {
    await using registry = await startRegistry();
    await using way = stuckAfter(registry.host, 4_000_000);
    const { host } = way;
    await using scene = await makeScene();
    await scene.write({ ...GOOD });
    const noise = new Uint8Array(24_000_000);
    for (let at = 0; at < noise.length; at += 65536) {
      crypto.getRandomValues(noise.subarray(at, at + 65536));
    }
    await Deno.writeFile(`${scene.dir}/app/noise`, noise);
    const args = ["build", `${host}/app`, "--publish", "--path", "app", "-b", "bp"];
    const running = scene.start([...args, "--run-image", "scratch"]);
    await way.stuck; // the large layer is on its way
    await registry.kill();
    way.close();
    assertOneError(await running.ended, 62, new RegExp(host));
    await assertNothingLeft(scene);
    const down = await scene.run([...args, "--run-image", "scratch"]);
    assertOneError(down, 32, new RegExp(`${host}.*(refused|reach|connect)`, "i"));
    // What was made is kept: into the store it goes without the registry.
    await scene.ok(["build", "app", "--path", "app", "-b", "bp", "--run-image", "scratch"]);
  },
});

/** A way to a registry that takes no more than `most` bytes from its clients; once it is closed nobody listens there. */
function stuckAfter(
  to: string,
  most: number,
): AsyncDisposable & { readonly host: string; readonly stuck: Promise<void>; close(): void } {
  const [hostname = "", port = ""] = to.split(":");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections = new Set<Deno.Conn>();
  const stuck = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  let sent = 0;
  const pass = async (client: Deno.Conn) => {
    const server = await Deno.connect({ hostname, port: Number(port) });
    connections.add(client).add(server);
    const there = async () => {
      for await (const chunk of client.readable) {
        sent += chunk.byteLength;
        if (sent > most) {
          stuck.resolve();
          await over.promise;
        }
        for (let at = 0; at < chunk.byteLength;) at += await server.write(chunk.subarray(at));
      }
    };
    const back = server.readable.pipeTo(client.writable);
    await Promise.allSettled([there(), back]);
  };
  const passing: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const client of listener) passing.push(pass(client).catch(() => {}));
  })();
  let isClosed = false;
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    listener.close();
    over.resolve();
    for (const one of connections) {
      try {
        one.close();
      } catch {
        // its streams have closed it
      }
    }
  };
  return {
    host: `127.0.0.1:${listener.addr.port}`,
    stuck: stuck.promise,
    close,
    async [Symbol.asyncDispose]() {
      close();
      await accepting;
      await Promise.all(passing);
    },
  };
}

Deno.test("bad input: an archive in a directory that is not there is refused before the build", async () => {
  await using scene = await makeScene();
  await scene.write(GOOD);
  const flags = ["--path", "app", "-b", "bp", "--run-image", "scratch"];
  const outcome = await scene.run(["build", "docker-archive:nowhere/x.tar:x", ...flags]);
  assertOneError(outcome, 3, /docker-archive:nowhere\/x\.tar:x: .*nowhere is no directory/);
  assert.doesNotMatch(outcome.stderr, /DETECTING/);
});

Deno.test("bad input: what is not there cannot be inspected, pushed, tagged or copied: one line each", async () => {
  await using scene = await makeScene();
  for (
    const args of [
      ["inspect", "store:nothing"],
      ["inspect", "oci:nowhere"],
      ["inspect", "127.0.0.1:1/nothing", "--offline"],
      ["push", "nothing"],
      ["tag", "nothing", "other"],
      ["copy", "store:nothing", "oci:out"],
      ["rm", "nothing"],
    ]
  ) {
    const outcome = await scene.run(args);
    assertOneError(outcome, outcome.code, /nothing|nowhere/);
    assert.notEqual(outcome.code, 0);
    assert.equal(outcome.stdout, "", args.join(" "));
  }
});

Deno.test({
  name: "bad input: a file of the app that cannot be read is named",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using scene = await makeScene();
    await scene.write({ ...GOOD, "app/dir/secret": "x" });
    await Deno.chmod(`${scene.dir}/app/dir/secret`, 0);
    await Deno.mkdir(`${scene.dir}/own`);
    await Deno.chown(`${scene.dir}/own`, 1000, 1000);
    const outcome = await scene.run([
      ...["build", "image", "--path", "app", "-b", "bp", "--run-image", "scratch"],
    ], { uid: 1000, store: `${scene.dir}/own/store` });
    assertOneError(outcome, 1, /Cannot copy app ".*\/app": Permission denied: .*dir\/secret'$/);
  },
});

Deno.test({
  name: "a full disk: one line, nothing half-written, and the next build works",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using scene = await makeScene();
    await scene.write({ ...GOOD });
    const noise = crypto.getRandomValues(new Uint8Array(65536));
    const large = new Uint8Array(6_000_000).map((_, at) => noise[at % 65521]! ^ (at >> 16));
    const store = `${scene.dir}/small`;
    await Deno.mkdir(store);
    await tool("mount", ["-t", "tmpfs", "-o", "size=8m,mode=700", "none", store]);
    try {
      await Deno.writeFile(`${scene.dir}/app/large`, large);
      const args = ["build", "app", "--path", "app", "-b", "bp", "--run-image", "scratch"];
      const full = await scene.run(args, { store });
      assert.notEqual(full.code, 0);
      assertOneError(full, full.code, /no space left/i);
      await assertNothingLeft({ ...scene, store });
      await Deno.remove(`${scene.dir}/app/large`);
      await scene.ok(args, { store });
    } finally {
      await tool("umount", [store]);
    }
  },
});

Deno.test("pack's flags without a meaning are taken with one warning each", async () => {
  await using scene = await makeScene();
  const outcome = await scene.run([
    ...["build", "k", "--path", `${EXAMPLES}/kinds`, "-b", `${EXAMPLES}/buildpacks/kinds`],
    ...["--run-image", "scratch", "--trust-builder", "--docker-host", "inherit"],
    ...["--lifecycle-image", "x", "--pull-policy", "if-not-present"],
  ]);
  assert.equal(outcome.code, 0, outcome.stderr);
  const warnings = outcome.stderr.split("\n").filter((line) => line.startsWith("Warning: "));
  assert.equal(warnings.length, 3, outcome.stderr);
});
