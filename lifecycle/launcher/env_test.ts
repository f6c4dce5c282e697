import assert from "node:assert/strict";
import { launcherFile, Scene, sceneWithLayers } from "./scene_testing.ts";

/**
 * ENV-8 to ENV-10: the value of X after one file `X<suffix>` holding "new", for X unset, empty and
 * "old" before; then the same with an `X.delim` of "+" beside it. Undefined: X stays unset.
 */
const SUFFIXES: readonly [
  string,
  readonly (string | undefined)[],
  readonly (string | undefined)[],
][] = [
  ["", ["new", "new", "new"], ["new", "new", "new"]],
  [".override", ["new", "new", "new"], ["new", "new", "new"]],
  [".default", ["new", "new", "old"], ["new", "new", "old"]],
  [".append", ["new", "new", "oldnew"], ["new", "new", "old+new"]],
  [".prepend", ["new", "new", "newold"], ["new", "new", "new+old"]],
  [".", ["new", "new", "new:old"], ["new", "new", "new+old"]],
  [".unknown", [undefined, "", "old"], [undefined, "", "old"]],
  [".append.x", [undefined, "", "old"], [undefined, "", "old"]],
  [".APPEND", [undefined, "", "old"], [undefined, "", "old"]],
  [".delim", [undefined, "", "old"], [undefined, "", "old"]],
];

for (const folder of ["env", "env.launch", "env.launch/web"]) {
  for (const [suffix, bare, delimited] of SUFFIXES) {
    Deno.test(`ENV-8..10 ${folder}/X${suffix}`, async () => {
      for (const [delim, wanted] of [[undefined, bare], ["+", delimited]] as const) {
        await using scene = await sceneWithLayers({
          ...(delim === undefined ? {} : { [`layer/${folder}/X.delim`]: delim }),
          ...(suffix === ".delim" && delim !== undefined
            ? {}
            : { [`layer/${folder}/X${suffix}`]: "new" }),
        });
        for (const [at, before] of [undefined, "", "old"].entries()) {
          const { seen } = await scene.launch({ type: "web", env: { X: before } });
          assert.equal(seen?.env.get("X"), wanted[at], `before ${before}, delim ${delim}`);
        }
      }
    });
  }
}

Deno.test("ENV-9 the delimiter counts only in its own directory", async () => {
  await using scene = await sceneWithLayers({
    "layer/env/X.delim": "+",
    "layer/env.launch/X.append": "new",
  });
  assert.equal(
    (await scene.launch({ type: "web", env: { X: "old" } })).seen?.env.get("X"),
    "oldnew",
  );
});

Deno.test("ENV-11 files apply in byte order, each at once", async () => {
  await using scene = await sceneWithLayers({
    "layer/env/X.append": "a",
    "layer/env/X.default": "d",
    "layer/env/X.prepend": "p",
    "layer/env/Y.default": "d",
    "layer/env/Y.override": "o",
    "layer/env/Y.prepend": "p",
  });
  const { seen } = await scene.launch({ type: "web" });
  assert.equal(seen?.env.get("X"), "pa");
  assert.equal(seen?.env.get("Y"), "po");
});

Deno.test("ENV-11 contents are bytes: newlines stay, invalid UTF-8 survives", async () => {
  await using scene = await Scene.make();
  await scene.write("layers/some_bp/l/env/LINES", "a\n\nb\n");
  await scene.write("layers/some_bp/l/env/EMPTY", "");
  await scene.write("layers/some_bp/l/env/BYTES", new Uint8Array([0xff, 0xc3, 0x28, 0x80]));
  const { seen } = await scene.launch({ type: "web" });
  assert.equal(seen?.env.get("LINES"), "a\n\nb\n");
  assert.equal(seen?.env.get("EMPTY"), "");
  assert.equal(seen?.env.get("BYTES"), "\xff\xc3\x28\x80");
});

Deno.test("ENV-12 a NUL byte is refused, not cut off", async () => {
  await using scene = await sceneWithLayers({ "l/env/X": "a\0b" });
  const { code, stderr } = await scene.launch({ type: "web" });
  assert.equal(code, 82);
  assert.match(stderr, /^ERROR: failed to launch: modify env: .*\/l\/env\/X holds a NUL byte/);
});

Deno.test("ENV-11 sub-directories are skipped, links to files followed", async () => {
  await using scene = await sceneWithLayers({ "l/env/DIR/x": "x", "l/other/value": "linked" });
  const env = `${scene.layers}/some_bp/l/env`;
  await Deno.symlink("../other/value", `${env}/LINK`);
  await Deno.symlink("../other", `${env}/LINKDIR`);
  const { code, seen } = await scene.launch({ type: "web" });
  assert.equal(code, 0);
  assert.equal(seen?.env.get("LINK"), "linked");
  assert.equal(seen?.env.has("DIR"), false);
  assert.equal(seen?.env.has("LINKDIR"), false);
});

Deno.test("ENV-11 a link to nowhere is an error", async () => {
  await using scene = await sceneWithLayers({ "l/env/A": "a" });
  await Deno.symlink("nowhere", `${scene.layers}/some_bp/l/env/X`);
  const { code, stderr } = await scene.launch({ type: "web" });
  assert.equal(code, 82);
  assert.match(stderr, /modify env: open .*\/l\/env\/X: no such file or directory\n$/);
});

Deno.test("ENV-13 ENV-16 roots: bin to PATH, lib to LD_LIBRARY_PATH, the last layer first", async () => {
  await using scene = await Scene.make();
  for (const dir of ["a/bin", "a/lib", "b/bin", "c/include", "B/bin"]) {
    await scene.mkdir(`layers/some_bp/${dir}`);
  }
  await scene.write("layers/some_bp/d/lib", "a file counts too");
  const at = `${scene.layers}/some_bp`;
  const { seen } = await scene.launch({ type: "web" });
  assert.equal(seen?.env.get("PATH"), `${at}/b/bin:${at}/a/bin:${at}/B/bin:/usr/bin:/bin`);
  assert.equal(seen?.env.get("LD_LIBRARY_PATH"), `${at}/d/lib:${at}/a/lib`);
  assert.equal(seen?.env.has("CPATH"), false);
});

Deno.test("ENV-15 all roots of a buildpack come before its files, then the next buildpack", async () => {
  await using scene = await Scene.make({
    buildpacks: [{ id: "z/first", api: "0.7" }, { id: "absent", api: "0.9" }, {
      id: "a/second",
      api: "0.12",
    }],
  });
  await scene.write("layers/z_first/a/env/PATH.override", "/over");
  await scene.mkdir("layers/z_first/b/bin");
  await scene.mkdir("layers/a_second/x/bin");
  await scene.write("layers/a_second/x/env/X.append", "2");
  await scene.write("layers/z_first/a/env/X.append", "1");
  const { seen } = await scene.launch({ type: "web" });
  assert.equal(seen?.env.get("PATH"), `${scene.layers}/a_second/x/bin:/over`);
  assert.equal(seen?.env.get("X"), "12");
});

Deno.test("ENV-15 env, env.launch, env.launch/<type> of a layer, in this order", async () => {
  await using scene = await sceneWithLayers({
    "l/env/X.append": "1",
    "l/env.launch/X.append": "2",
    "l/env.launch/web/X.append": "3",
    "l/env.launch/worker/X.append": "4",
    "l/env.build/X.append": "5",
  });
  assert.equal((await scene.launch({ type: "web" })).seen?.env.get("X"), "123");
  const untyped = await scene.launch({ args: ["--", scene.probe] });
  assert.equal(untyped.seen?.env.get("X"), "12");
});

Deno.test("ENV-15 layers are directories, whatever their TOML; links to directories are none", async () => {
  await using scene = await sceneWithLayers({
    "l/env/X": "l",
    "off/env/Y": "off",
    "off.toml": "[types]\nlaunch = false\n",
  });
  await scene.write("elsewhere/env/Z", "z");
  await Deno.symlink(`${scene.dir}/elsewhere`, `${scene.layers}/some_bp/z`);
  const { seen } = await scene.launch({ type: "web" });
  assert.equal(seen?.env.get("X"), "l");
  assert.equal(seen?.env.get("Y"), "off");
  assert.equal(seen?.env.has("Z"), false);
});

/** ENV-17, D12: PATH before and after. */
const STRIPPED: readonly [string, string][] = [
  ["/cnb/process:/cnb/lifecycle:/bin", "/bin"],
  ["/bin:/cnb/process:/usr/bin:/cnb/process", "/bin:/usr/bin"],
  ["/cnb/process", ""],
  ["/cnb/process/:/cnb/processes:/cnb", "/cnb/process/:/cnb/processes:/cnb"],
  ["", ""],
  [":/cnb/lifecycle:", ":"],
  ["::", "::"],
];

for (const [before, after] of STRIPPED) {
  Deno.test(`ENV-17 PATH "${before}" becomes "${after}"`, async () => {
    await using scene = await Scene.make();
    const { seen } = await scene.launch({ type: "web", env: { PATH: before } });
    assert.equal(seen?.env.get("PATH"), after);
  });
}

Deno.test("ENV-17 D13 five variables are hidden, the other CNB ones stay", async () => {
  await using scene = await Scene.make();
  const kept = {
    CNB_EXEC_ENV: "production",
    CNB_STACK_ID: "s",
    CNB_USER_ID: "1",
    CNB_NO_COLOR: "true",
    HOME: "/h",
  };
  const { seen } = await scene.launch({
    type: "web",
    env: { ...kept, PATH: undefined, CNB_PROCESS_TYPE: "x", CNB_DEPRECATION_MODE: "quiet" },
  });
  assert.deepEqual(Object.fromEntries(seen?.env ?? []), kept);
});

Deno.test("ENV-17 a hidden variable may come back from a layer", async () => {
  await using scene = await sceneWithLayers({ "l/env/CNB_PLATFORM_API.append": "x" });
  assert.equal((await scene.launch({ type: "web" })).seen?.env.get("CNB_PLATFORM_API"), "x");
});

Deno.test("ENV-12 invalid UTF-8, odd names and doubles in the environment survive", async () => {
  await using scene = await Scene.make();
  const script = String.raw`exec env -i "A="$'\xff\xfe' $'\x80=b' 'X Y=1=2' "$@"`;
  const entry = await scene.entrypoint("web", await launcherFile());
  const pairs = Object.entries(scene.environment({})).map(([name, value]) => `${name}=${value}`);
  const output = await new Deno.Command("/bin/bash", {
    args: ["-c", script, "bash", ...pairs, entry],
  }).output();
  const bytes = Array.from(output.stdout, (byte) => String.fromCharCode(byte)).join("");
  assert.ok(bytes.includes("\0eA=\xff\xfe\0"));
  assert.ok(bytes.includes("\0e\x80=b\0"));
  assert.ok(bytes.includes("\0eX Y=1=2\0"));
});
