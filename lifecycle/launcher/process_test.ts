import assert from "node:assert/strict";
import { Scene } from "./scene_testing.ts";

const PLATFORMS = ["0.7", "0.8", "0.9", "0.10", "0.11", "0.12", "0.13", "0.14", "0.15"];
const BUILDPACKS = ["0.7", "0.8", "0.9", "0.10", "0.11", "0.12"];

function minor(api: string): number {
  return Number(api.split(".")[1]);
}

/** Section 15.2, row by row: what follows argv[0]. c = command, a = args, u = the user's. */
const ROWS: readonly {
  readonly why: string;
  readonly applies: (platform: number, buildpack: number) => boolean;
  readonly entries: readonly number[];
  readonly users: readonly boolean[];
  readonly want: readonly string[];
}[] = [
  {
    why: "platform <0.10: process args, then the user's",
    applies: (platform) => platform < 10,
    entries: [1, 2],
    users: [false, true],
    want: ["c", "a", "u"],
  },
  {
    why: "platform >=0.10, several command entries, no user args: all",
    applies: (platform) => platform >= 10,
    entries: [2],
    users: [false],
    want: ["c", "a"],
  },
  {
    why: "platform >=0.10, several command entries, user args: they replace args",
    applies: (platform) => platform >= 10,
    entries: [2],
    users: [true],
    want: ["c", "u"],
  },
  {
    why: "platform >=0.10, one command entry, no user args: args",
    applies: (platform) => platform >= 10,
    entries: [1],
    users: [false],
    want: ["c", "a"],
  },
  {
    why: "platform >=0.10, one command entry, buildpack <0.9, user args: both",
    applies: (platform, buildpack) => platform >= 10 && buildpack < 9,
    entries: [1],
    users: [true],
    want: ["c", "a", "u"],
  },
  {
    why: "platform >=0.10, one command entry, buildpack >=0.9, user args: they replace args",
    applies: (platform, buildpack) => platform >= 10 && buildpack >= 9,
    entries: [1],
    users: [true],
    want: ["c", "u"],
  },
];

for (const row of ROWS) {
  Deno.test(`15.2 ${row.why}`, async () => {
    let runs = 0;
    for (const buildpack of BUILDPACKS) {
      await using scene = await Scene.make();
      const command = [[scene.probe], [scene.probe, "c1", "c2"]];
      await scene.metadata({
        processes: command.map((command, at) => ({
          type: `type${at + 1}`,
          command,
          args: ["a1", "a 2"],
          direct: true,
          "buildpack-id": "some/bp",
        })),
        buildpacks: [{ id: "some/bp", api: buildpack }],
      });
      for (const platform of PLATFORMS) {
        if (!row.applies(minor(platform), minor(buildpack))) continue;
        for (const entries of row.entries) {
          for (const given of row.users) {
            const user = given ? ["u1", "--", ""] : [];
            const words: Record<string, readonly string[]> = {
              c: entries === 1 ? [scene.probe] : [scene.probe, "c1", "c2"],
              a: ["a1", "a 2"],
              u: user,
            };
            const { seen, stderr } = await scene.launch({
              type: `type${entries}`,
              platform,
              args: user,
            });
            assert.deepEqual(
              seen?.argv,
              row.want.flatMap((word) => words[word] ?? []),
              `platform ${platform}, buildpack ${buildpack}, ${entries} entries, ${user}: ${stderr}`,
            );
            runs++;
          }
        }
      }
    }
    assert.ok(runs > 0);
  });
}

Deno.test("MDT-2 command may be one string", async () => {
  await using scene = await Scene.make();
  await scene.metadata({ processes: [{ type: "web", command: scene.probe, direct: true }] });
  const { seen } = await scene.launch({ type: "web", platform: "0.9", args: ["x"] });
  assert.deepEqual(seen?.argv, [scene.probe, "x"]);
});

Deno.test("LA-3 the base name of argv[0] selects a process; names with dots work", async () => {
  await using scene = await Scene.make();
  await scene.metadata({
    processes: ["web", "web.1", "a.exe", "-x"].map((type) => ({
      type,
      command: [scene.probe],
      args: [type],
      direct: true,
    })),
  });
  for (const type of ["web", "web.1", "a.exe", "-x"]) {
    assert.deepEqual((await scene.launch({ type })).seen?.argv, [scene.probe, type]);
  }
});

Deno.test("LA-3 an unknown entrypoint is no process: the arguments are the command", async () => {
  await using scene = await Scene.make();
  const { seen } = await scene.launch({ type: "worker", args: ["--", scene.probe, "x"] });
  assert.deepEqual(seen?.argv, [scene.probe, "x"]);
  const bare = await scene.launch({ type: "worker" });
  assert.equal(bare.code, 82);
  assert.equal(
    bare.stderr,
    "ERROR: failed to launch: determine start command: " +
      "when there is no default process a command is required\n",
  );
});

Deno.test("LA-5 -- and a command is direct, however it looks", async () => {
  await using scene = await Scene.make();
  for (const args of [["-version"], ["--version"], ["$HOME", "--"]]) {
    const { seen } = await scene.launch({ args: ["--", scene.probe, ...args] });
    assert.deepEqual(seen?.argv, [scene.probe, ...args]);
  }
});

Deno.test("LA-5 a lone -- is a command for the shell, which refuses it", async () => {
  await using scene = await Scene.make();
  const { code, stderr } = await scene.launch({ args: ["--"] });
  assert.equal(code, 2);
  assert.match(stderr, /^bash: .*-c: option requires an argument/);
});

Deno.test("LA-5 the launcher has no flags of its own: --version is the user's", async () => {
  await using scene = await Scene.make();
  await scene.script("bin/--version", "echo mine");
  const env = { PATH: `${scene.dir}/bin:/usr/bin:/bin` };
  assert.equal((await scene.launch({ args: ["--", "--version"], env })).stdout, "mine\n");
  assert.match(
    (await scene.launch({ args: ["--version"], env })).stderr,
    /^bash: --: invalid option/,
  );
  assert.deepEqual(
    (await scene.launch({ type: "web", args: ["--version"] })).seen?.argv,
    [scene.probe, "--version"],
  );
});

Deno.test("LA-6 user arguments need the buildpack of the process", async () => {
  await using scene = await Scene.make();
  const process = { type: "web", command: [scene.probe], direct: true, "buildpack-id": "gone" };
  await scene.metadata({ processes: [process] });
  assert.equal((await scene.launch({ type: "web" })).code, 0);
  const { code, stderr } = await scene.launch({ type: "web", args: ["x"] });
  assert.equal(code, 82);
  assert.equal(
    stderr,
    "ERROR: failed to launch: determine start command: " +
      "failed to find buildpack for process web with buildpack ID gone\n",
  );
});

/** LA-4, EE-1: what `exec-env` of a process and CNB_EXEC_ENV make of it. */
const ELIGIBLE: readonly [string, readonly string[] | undefined, string | undefined, boolean][] = [
  ["0.15", undefined, undefined, true],
  ["0.15", [], "test", true],
  ["0.15", ["*"], "anything", true],
  ["0.15", ["production"], undefined, true],
  ["0.15", ["production"], "", true],
  ["0.15", ["test"], undefined, false],
  ["0.15", ["test"], "test", true],
  ["0.15", ["a", "test"], "test", true],
  ["0.15", ["production"], "test", false],
  ["0.15", ["Test"], "test", false],
  ["0.14", ["production"], "test", true],
  ["0.12", ["test"], undefined, true],
];

for (const [platform, list, env, eligible] of ELIGIBLE) {
  Deno.test(`LA-4 platform ${platform}, exec-env ${JSON.stringify(list)}, CNB_EXEC_ENV ${env}`, async () => {
    await using scene = await Scene.make();
    await scene.metadata({
      processes: [{
        type: "web",
        command: [scene.probe],
        direct: true,
        ...(list === undefined ? {} : { "exec-env": list }),
      }],
    });
    const { code, stderr } = await scene.launch({
      type: "web",
      platform,
      env: { CNB_EXEC_ENV: env },
    });
    assert.equal(code, eligible ? 0 : 82, stderr);
    if (!eligible) {
      assert.equal(
        stderr,
        "ERROR: failed to launch: determine start command: process type web was not found\n",
      );
    }
  });
}

Deno.test("LA-4 the first eligible process of a type is taken", async () => {
  await using scene = await Scene.make();
  await scene.metadata({
    processes: ["test", "production", "*"].map((env) => ({
      type: "web",
      command: [scene.probe],
      args: [env],
      direct: true,
      "exec-env": [env],
    })),
  });
  const of = async (env: Record<string, string>, platform: string) =>
    (await scene.launch({ type: "web", platform, env })).seen?.argv[1];
  assert.equal(await of({}, "0.15"), "production");
  assert.equal(await of({ CNB_EXEC_ENV: "test" }, "0.15"), "test");
  assert.equal(await of({ CNB_EXEC_ENV: "stage" }, "0.15"), "*");
  assert.equal(await of({ CNB_EXEC_ENV: "stage" }, "0.14"), "test");
});

Deno.test("LA-2 CNB_PROCESS_TYPE gives two warnings and is ignored", async () => {
  await using scene = await Scene.make();
  const { seen, stderr } = await scene.launch({ type: "web", env: { CNB_PROCESS_TYPE: "x" } });
  assert.deepEqual(seen?.argv, [scene.probe]);
  assert.equal(
    stderr,
    "Warning: CNB_PROCESS_TYPE is not supported in Platform API 0.12\n" +
      "Warning: Run with ENTRYPOINT 'x' to invoke the 'x' process type\n",
  );
});
