import assert from "node:assert/strict";
import { Scene, sceneWithLayers } from "./scene_testing.ts";

/** Descriptors that a child of this test has anyway, with some more and without others. */
async function descriptors(scene: Scene, more: number[], without: number[] = []): Promise<string> {
  const { seen } = await scene.launch({ args: ["--", scene.probe] });
  const all = new Set([...seen?.fds.split(",").map(Number) ?? [], ...more]);
  return [...all].filter((fd) => !without.includes(fd)).sort((a, b) => a - b).join(",");
}

const L = "layers/some_bp";

Deno.test("LA-13 D9 exec.d per layer in byte order, plain files and then those of the type", async () => {
  await using scene = await Scene.make({
    buildpacks: [{ id: "z/first", api: "0.7" }, { id: "second", api: "0.10" }],
  });
  for (
    const path of [
      "z_first/a/exec.d/2",
      "z_first/a/exec.d/10",
      "z_first/a/exec.d/web/1",
      "z_first/a/exec.d/worker/1",
      "z_first/b/exec.d/1",
      "second/a/exec.d/1",
    ]
  ) await scene.script(`layers/${path}`, `echo "X = '$X ${path}'" >&3`);
  const { seen } = await scene.launch({ type: "web" });
  assert.equal(
    seen?.env.get("X"),
    [
      "",
      "z_first/a/exec.d/10",
      "z_first/a/exec.d/2",
      "z_first/a/exec.d/web/1",
      "z_first/b/exec.d/1",
      "second/a/exec.d/1",
    ].join(" "),
  );
  const untyped = await scene.launch({ args: ["--", scene.probe] });
  assert.equal(untyped.seen?.env.get("X")?.includes("web"), false);
});

Deno.test("LA-14 runs in the app directory with the environment so far, input at its end", async () => {
  await using scene = await sceneWithLayers({ "l/env/FROM_FILE": "f" });
  await scene.script(
    `${L}/l/exec.d/1`,
    `read line && exit 9
echo out; echo err >&2
printf 'CWD = "%s"\\nSAW = "%s"\\nSELF = "%s"\\n' "$PWD" "$FROM_FILE" "$0" >&3`,
  );
  const { seen, stdout, stderr } = await scene.launch({ type: "web" });
  assert.equal(seen?.env.get("CWD"), scene.app);
  assert.equal(seen?.env.get("SAW"), "f");
  assert.equal(seen?.env.get("SELF"), `${scene.layers}/some_bp/l/exec.d/1`);
  assert.ok(stdout.startsWith("out\n"));
  assert.equal(stderr, "err\n");
});

Deno.test("LA-14 only descriptor 3 is added, and the process gets none of ours", async () => {
  await using scene = await Scene.make();
  await scene.mkdir(`${L}/l/exec.d`);
  await Deno.copyFile(scene.probe, `${scene.layers}/some_bp/l/exec.d/1`);
  const { stdout, seen } = await scene.launch({ type: "web" });
  await using bare = await Scene.make();
  const inside = stdout.split("\0").find((item) => item.startsWith("f"));
  assert.equal(inside, `f${await descriptors(bare, [3])}`);
  assert.equal(seen?.fds, await descriptors(bare, []));
});

Deno.test("LA-14 a descriptor 3 from outside reaches the process, and closed ones do no harm", async () => {
  await using scene = await Scene.make();
  await scene.write("given", "given");
  await scene.script(`${L}/l/exec.d/1`, `echo 'X = "y"' >&3`);
  const fds = async (redirect: string) =>
    (await scene.launch({
      type: "web",
      via: ["/bin/bash", "-c", `exec "$@" ${redirect}`, "bash"],
    })).seen;
  await using bare = await Scene.make();
  const given = await fds(`3<${scene.dir}/given`);
  assert.equal(given?.env.get("X"), "y");
  assert.equal(given?.fds, await descriptors(bare, [3]));
  const closed = await fds("0<&- 2>&-");
  assert.equal(closed?.env.get("X"), "y");
  assert.equal(closed?.fds, await descriptors(bare, [], [0, 2]));
});

Deno.test("LA-15 every form of string; values override; nothing written is nothing set", async () => {
  await using scene = await sceneWithLayers({ "l/env/A": "before" });
  await scene.script(
    `${L}/l/exec.d/1`,
    String.raw`cat >&3 <<'EOF'
# a comment
A = "over\tridden"
B = 'lit\eral'
C = """
two
lines"""
"D.E" = '''x'''
EOF`,
  );
  await scene.script(`${L}/l/exec.d/2`, ":");
  const { seen } = await scene.launch({ type: "web" });
  assert.equal(seen?.env.get("A"), "over\tridden");
  assert.equal(seen?.env.get("B"), "lit\\eral");
  assert.equal(seen?.env.get("C"), "two\nlines");
  assert.equal(seen?.env.get("D.E"), "x");
});

Deno.test("LA-15 a background child that holds descriptor 3 is waited for", async () => {
  await using scene = await Scene.make();
  await scene.script(
    `${L}/l/exec.d/1`,
    `(read line <"${scene.dir}/fifo"; echo 'X = "late"' >&3) &`,
  );
  await new Deno.Command("mkfifo", { args: [`${scene.dir}/fifo`] }).output();
  const launched = scene.launch({ type: "web" });
  await Deno.writeTextFile(`${scene.dir}/fifo`, "go\n");
  assert.equal((await launched).seen?.env.get("X"), "late");
});

Deno.test("LA-15 output larger than a pipe arrives whole", async () => {
  await using scene = await Scene.make();
  await scene.script(
    `${L}/l/exec.d/1`,
    `i=0; while [ $i -lt 4000 ]; do echo "# $i 0123456789012345678901234567890123456789"; i=$((i+1)); done >&3
echo 'X = "end"' >&3`,
  );
  assert.equal((await scene.launch({ type: "web" })).seen?.env.get("X"), "end");
});

/** What a file says, and how the launcher complains. All end with 82. */
const FAILURES: readonly [string, string, RegExp][] = [
  ["exit 1", "exit 1", /failed to execute .*: exit status 1\n$/],
  ["exit 100", "exit 100", /exit status 100\n$/],
  ["a signal", "kill -9 $$", /signal 9\n$/],
  ["not TOML", "echo nonsense >&3", /failed to decode .*\/1':1: want = after a key\n$/],
  ["an integer", "echo 'A = \"x\"\nB = 1' >&3", /\/1':2: want a string for B\n$/],
  ["a table", "echo '[a]' >&3", /want a string for a\n$/],
  ["a dotted key", "echo 'a.b = \"x\"' >&3", /want a string for a\n$/],
  ["a double", 'echo \'a = "x"\na = "y"\' >&3', /':2: a key that is there already\n$/],
  ["a NUL", "echo 'a = \"\\u0000\"' >&3", /a NUL byte in a\n$/],
  ["not UTF-8", "printf 'a = \"\\377\"' >&3", /bytes that are not UTF-8\n$/],
];

for (const [why, script, message] of FAILURES) {
  Deno.test(`LA-15 ${why} from exec.d fails the launch`, async () => {
    await using scene = await Scene.make();
    await scene.script(`${L}/l/exec.d/1`, script);
    const { code, stderr, seen } = await scene.launch({ type: "web" });
    assert.equal(code, 82);
    assert.match(stderr, message);
    assert.match(
      stderr,
      /^ERROR: failed to launch: exec\.d: failed to (execute|decode output from)/,
    );
    assert.equal(seen, undefined);
  });
}

Deno.test("LA-15 more than 4 MiB of output is refused", async () => {
  await using scene = await Scene.make();
  await scene.script(`${L}/l/exec.d/1`, "yes '# comment' | head -c 5000000 >&3");
  const { code, stderr } = await scene.launch({ type: "web" });
  assert.equal(code, 82);
  assert.match(stderr, /more than 4 MiB on descriptor 3/);
});

Deno.test("LA-16 a file that cannot be executed is an error", async () => {
  await using scene = await sceneWithLayers({ "l/exec.d/readme": "no program" });
  const { code, stderr } = await scene.launch({ type: "web" });
  assert.equal(code, 82);
  assert.match(stderr, /readme': permission denied\n$/);
  await Deno.chmod(`${scene.layers}/some_bp/l/exec.d/readme`, 0o755);
  assert.match((await scene.launch({ type: "web" })).stderr, /readme': exec format error\n$/);
});

Deno.test("LA-13 exec.d that is a file, and a link to a directory in it, are errors", async () => {
  await using scene = await sceneWithLayers({ "l/exec.d": "" });
  const { code, stderr } = await scene.launch({ type: "web" });
  assert.equal(code, 82);
  assert.match(stderr, /list files in '.*exec\.d': not a directory\n$/);
  await using other = await sceneWithLayers({ "l/other/x": "" });
  await other.mkdir(`${L}/l/exec.d`);
  await Deno.symlink("../other", `${other.layers}/some_bp/l/exec.d/web`);
  assert.match((await other.launch({ type: "web" })).stderr, /exec\.d\/web': permission denied\n$/);
});

Deno.test("LA-9 LA-12 15.3 variables, then exec.d in the app directory, then the working directory, then the shell", async () => {
  await using scene = await Scene.make();
  await scene.metadata({
    processes: [{ type: "web", command: ["../probe"], args: ["$X"], "working-dir": "sub" }],
    buildpacks: [{ id: "some/bp", api: "0.8" }],
  });
  await scene.mkdir("app/sub");
  await scene.write(`${L}/l/env/X`, "file");
  await scene.script(`${L}/l/exec.d/1`, `echo "X = '$X exec.d in $(basename "$(pwd)")'" >&3`);
  await scene.write(`${L}/l/profile.d/1`, 'export X="$X profile in $(basename "$(pwd)")"\n');
  const { seen } = await scene.launch({ type: "web" });
  assert.equal(seen?.env.get("X"), "file exec.d in app profile in app");
  assert.equal(seen?.cwd, `${scene.app}/sub`);
  assert.deepEqual(seen?.argv.slice(1), ["file exec.d in app profile in app"]);
});
