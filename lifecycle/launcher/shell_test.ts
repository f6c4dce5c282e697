import assert from "node:assert/strict";
import { Scene, sceneWithLayers } from "./scene_testing.ts";

const L = "layers/some_bp";

/** A shell process "web" with this command and these arguments. */
async function shellScene(
  command: readonly string[],
  args: readonly string[] = [],
): Promise<Scene> {
  const scene = await Scene.make();
  await scene.metadata({
    processes: [{ type: "web", command, args, direct: false, "buildpack-id": "some/bp" }],
    buildpacks: [{ id: "some/bp", api: "0.8" }],
  });
  return scene;
}

Deno.test("LA-17 without arguments the command is a script", async () => {
  await using scene = await shellScene(['for i in 1 2; do echo "$i $X"; done | cat']);
  const { stdout } = await scene.launch({ type: "web", env: { X: "x" } });
  assert.equal(stdout, "1 x\n2 x\n");
});

Deno.test("LA-17 with arguments each word is expanded once", async () => {
  await using scene = await shellScene(["$PROBE"], [
    "$A",
    "a b",
    "$(echo sub)",
    "it's",
    "*",
    '"q"',
  ]);
  const { seen, stderr } = await scene.launch({
    type: "web",
    env: { A: "x  $B", B: "no", PROBE: scene.probe },
  });
  assert.deepEqual(seen?.argv, [scene.probe, "x  $B", "a b", "sub", "it's", "*", "q"], stderr);
});

Deno.test("LA-17 more than nine arguments keep their places", async () => {
  const words = Array.from({ length: 1200 }, (_, at) => `w${at}`);
  await using scene = await shellScene(["./probe"], words.slice(0, 12));
  assert.deepEqual((await scene.launch({ type: "web" })).seen?.argv.slice(1), words.slice(0, 12));
});

Deno.test("LA-17 a hundred thousand bytes of arguments fit", async () => {
  const words = Array.from({ length: 3000 }, (_, at) => `w${at}`);
  await using scene = await shellScene(["true"], words);
  const { code, stderr } = await scene.launch({ type: "web" });
  assert.equal(code, 0, stderr);
});

Deno.test("LA-17 argv[0] of the launcher is $0 of the profiles", async () => {
  await using scene = await shellScene(["true"]);
  await scene.write(`${L}/l/profile.d/a`, "echo $0");
  const { stdout } = await scene.launch({ type: "web" });
  assert.match(stdout, /^\/.*\/web\n$/);
});

Deno.test("LA-18 profiles per layer in byte order, plain and then typed, .profile last", async () => {
  await using scene = await Scene.make({
    processes: [{ type: "web", command: ["echo $X"], direct: false }],
    buildpacks: [{ id: "z/first", api: "0.7" }, { id: "second", api: "0.9" }],
  });
  for (
    const path of [
      "z_first/a/profile.d/2",
      "z_first/a/profile.d/10",
      "z_first/a/profile.d/web/1",
      "z_first/a/profile.d/worker/1",
      "z_first/b/profile.d/1",
      "second/a/profile.d/1",
    ]
  ) await scene.write(`layers/${path}`, `export X="$X ${path}"`);
  await scene.write("app/.profile", 'export X="$X app $(pwd)"');
  const { stdout } = await scene.launch({ type: "web" });
  assert.equal(
    stdout,
    [
      "z_first/a/profile.d/10",
      "z_first/a/profile.d/2",
      "z_first/a/profile.d/web/1",
      "z_first/b/profile.d/1",
      "second/a/profile.d/1",
      `app ${scene.app}\n`,
    ].join(" "),
  );
});

Deno.test("LA-18 a profile may export variables, exec.d comes before it", async () => {
  await using scene = await shellScene(["./probe"]);
  await scene.script(`${L}/l/exec.d/1`, "echo 'X = \"execd\"' >&3");
  await scene.write(`${L}/l/profile.d/a`, 'export X="$X profile"');
  assert.equal((await scene.launch({ type: "web" })).seen?.env.get("X"), "execd profile");
});

Deno.test("LA-18 a directory called .profile is no profile", async () => {
  await using scene = await shellScene(["echo fine"]);
  await scene.mkdir("app/.profile");
  assert.equal((await scene.launch({ type: "web" })).stdout, "fine\n");
});

Deno.test("LA-23 a direct process sees no profiles, a user's shell command does", async () => {
  await using scene = await sceneWithLayers({ "l/profile.d/a": "export X=profile" });
  await scene.write("app/.profile", "export Y=app");
  assert.equal((await scene.launch({ type: "web" })).seen?.env.has("X"), false);
  const { seen } = await scene.launch({ args: [`${scene.app}/probe`, "$X", "$Y"] });
  assert.deepEqual(seen?.argv.slice(1), ["profile", "app"]);
});

Deno.test("LA-10 working-dir of a shell process, absolute and relative to the app", async () => {
  for (const dir of ["sub", "/tmp", "$WHERE"]) {
    await using scene = await Scene.make();
    await scene.metadata({
      processes: [{ type: "web", command: ["pwd -P"], direct: false, "working-dir": dir }],
    });
    await scene.mkdir("app/sub");
    const { stdout } = await scene.launch({ type: "web", env: { WHERE: "/usr" } });
    const want = { "sub": `${scene.app}/sub`, "/tmp": "/tmp" }[dir] ?? "/usr";
    assert.equal(stdout, `${want}\n`);
  }
});

Deno.test("LA-19 direct counts, not the buildpack API; command entries are one line", async () => {
  await using scene = await Scene.make();
  await scene.metadata({
    processes: [
      { type: "old", command: ["echo", "$X", "b"], direct: false, "buildpack-id": "some/bp" },
      { type: "new", command: ["./probe"], args: ["$X"], direct: true, "buildpack-id": "old/bp" },
    ],
    buildpacks: [{ id: "some/bp", api: "0.9" }, { id: "old/bp", api: "0.7" }],
  });
  const launch = { env: { X: "x" } };
  assert.equal((await scene.launch({ type: "old", platform: "0.9", ...launch })).stdout, "x b\n");
  assert.equal((await scene.launch({ type: "old", platform: "0.12", ...launch })).stdout, "x b\n");
  assert.deepEqual((await scene.launch({ type: "new", ...launch })).seen?.argv, ["./probe", "$X"]);
});

Deno.test("15.5 arguments of a shell process of an unknown buildpack", async () => {
  await using scene = await Scene.make();
  await scene.metadata({
    processes: [{ type: "web", command: ["true"], args: ["x"], "buildpack-id": "gone" }],
  });
  const { code, stderr } = await scene.launch({ type: "web" });
  assert.equal(code, 82);
  assert.equal(
    stderr,
    "ERROR: failed to launch: process type 'web' provided by unknown buildpack 'gone'\n",
  );
});

Deno.test("15.5 the exit code is the process's own", async () => {
  await using scene = await shellScene(["exit 37"]);
  assert.equal((await scene.launch({ type: "web" })).code, 37);
});
