import assert from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { compileC, compileVariant } from "../../scripts/compile_c.ts";
import { launcherFile, type MetadataEntries, probeFile, Scene, thisArch } from "./scene_testing.ts";

const isRoot = Deno.uid() === 0;

/** VER-1 to VER-3: CNB_PLATFORM_API and what comes of it. */
const PLATFORM_APIS: readonly [string | undefined, number][] = [
  [undefined, 11],
  ["", 11],
  [" \t", 11],
  ["abc", 11],
  ["0.12.1", 11],
  ["0.x", 11],
  ["-0.12", 11],
  ["0.12 ", 11],
  [".12", 11],
  ["0.6", 11],
  ["0.16", 11],
  ["1.0", 11],
  ["0", 11],
  ["99999999999999999999.1", 11],
  ["0.7", 0],
  ["0.9", 0],
  ["0.15", 0],
  ["v0.12", 0],
  ["00.012", 0],
];

for (const [api, code] of PLATFORM_APIS) {
  Deno.test(`VER-3 LA-1 CNB_PLATFORM_API "${api}" gives ${code}`, async () => {
    await using scene = await Scene.make();
    const launched = await scene.launch({ type: "web", env: { CNB_PLATFORM_API: api } });
    assert.equal(launched.code, code, launched.stderr);
    if (code !== 0) assert.match(launched.stderr, /^ERROR: failed to (get|parse|set) platform API/);
  });
}

Deno.test("VER-3 the platform API is checked before anything is read", async () => {
  await using scene = await Scene.make();
  const env = { CNB_PLATFORM_API: "0.3", CNB_LAYERS_DIR: "/nowhere" };
  const { code, stderr } = await scene.launch({ env });
  assert.equal(code, 11);
  assert.equal(
    stderr,
    "ERROR: failed to set platform API: " +
      "platform API version '0.3' is incompatible with the lifecycle\n",
  );
});

/** VER-4: the API of a buildpack. */
const BUILDPACK_APIS: readonly [string, number][] = [
  ["", 12],
  ["0.6", 12],
  ["0.13", 12],
  ["1.0", 12],
  ["0.8a", 12],
  ["0.7", 0],
  ["0.12", 0],
  ["v0.8", 0],
];

for (const [api, code] of BUILDPACK_APIS) {
  Deno.test(`VER-4 LA-1 buildpack API "${api}" gives ${code}`, async () => {
    await using scene = await Scene.make({
      buildpacks: [{ id: "good", api: "0.10" }, { id: "some/bp", api }],
    });
    const launched = await scene.launch({ type: "web" });
    assert.equal(launched.code, code, launched.stderr);
    if (code !== 0) assert.match(launched.stderr, /^ERROR: failed to .* for buildpack 'some\/bp'/);
  });
}

Deno.test("VER-5 deprecated APIs: warn, error, quiet, and anything else warns", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const program = `${dir}/launcher`;
  await compileVariant(program, {
    flags: ["-DDEPRECATED_PLATFORM=9", "-DDEPRECATED_BUILDPACK=8"],
  });
  await using scene = await Scene.make({ buildpacks: [{ id: "some/bp", api: "0.8" }] });
  const run = (mode: string | undefined, platform: string) =>
    scene.launch({ type: "web", program, platform, env: { CNB_DEPRECATION_MODE: mode } });
  const platformWarning = "Warning: Platform requested deprecated API '0.9'\n";
  const buildpackWarning = "Warning: buildpack 'some/bp' requests deprecated API '0.8'\n";
  for (const mode of [undefined, "", "warn", "other"]) {
    const { code, stderr } = await run(mode, "0.9");
    assert.deepEqual([code, stderr], [0, platformWarning + buildpackWarning]);
  }
  assert.deepEqual((await run("quiet", "0.9")).stderr, "");
  assert.equal((await run("error", "0.9")).code, 11);
  assert.equal((await run("error", "0.10")).code, 12);
  assert.deepEqual((await run("warn", "0.10")).stderr, buildpackWarning);
});

Deno.test("LA-1 no metadata.toml gives 1", async () => {
  await using scene = await Scene.make();
  const { code, stderr } = await scene.launch({ env: { CNB_LAYERS_DIR: "/nowhere" } });
  assert.equal(code, 1);
  assert.equal(
    stderr,
    "ERROR: failed to read metadata: open /nowhere/config/metadata.toml: " +
      "no such file or directory\n",
  );
});

/** LA-1, MDT-1: metadata.toml that is refused, with 1, and where. */
const REFUSED: readonly [string, string][] = [
  ["nonsense", ":1: want = after a key"],
  [
    "[[processes]]\ntype = 'web'\ncommand = 7",
    ":3: command must be a string or an array of strings",
  ],
  ["[[processes]]\ncommand = ['a', 1]", ":2: command must be a string"],
  ["[[processes]]\nargs = 'x'", ":2: args must be an array of strings"],
  ["[[processes]]\ndirect = 'true'", ":2: direct must be true or false"],
  ["\n\n[processes]", ":3: processes must be an array of tables"],
  ["processes = [1]", ":1: processes must be an array of tables"],
  ["buildpacks = 'x'", ":1: buildpacks must be an array of tables"],
  ['[[buildpacks]]\r\nid = "a\\u0000"', ":2: id must be a string without NUL bytes"],
  ["a = 1\na = 2", ":2: a key that is there already"],
];

for (const [toml, message] of REFUSED) {
  Deno.test(`LA-1 refuses ${JSON.stringify(toml)}`, async () => {
    await using scene = await Scene.make();
    const file = await scene.write("layers/config/metadata.toml", toml);
    const { code, stderr } = await scene.launch({ type: "web" });
    assert.equal(stderr, `ERROR: failed to read metadata: ${file}${message}\n`);
    assert.equal(code, 1);
  });
}

Deno.test("MDT-1 reads metadata.toml as the Go lifecycle writes it, and passes over the rest", async () => {
  await using scene = await Scene.make();
  await scene.write(
    "layers/config/metadata.toml",
    `buildpack-default-process-type = "web"

[[bom]]
  name = "x"
  [bom.metadata]
    when = 1979-05-27T07:32:00Z
    size = 18446744073709551
    ratio = 1.5e3
  [bom.buildpack]
    id = "some/bp"

[[buildpacks]]
  api = "0.9"
  homepage = "https://example.test"
  id = "some/bp"
  version = "1.2.3"

[[extensions]]
  api = "9.9"
  id = "ext"

[[labels]]
  key = "k"
  value = "a \\"quoted\\" value"

[[processes]]
  type = "other"
  command = ["false"]
  args = []
  direct = true
  buildpack-id = "some/bp"

[[processes]]
  type = "web"
  command = ["${scene.probe}", "two\\u0026three"]
  args = ["${"\\u00e9"}", "tab\\t"]
  direct = true
  buildpack-id = "some/bp"
  working-dir = "/tmp"

[[slices]]
  paths = ["a/*", "b"]
`,
  );
  const { seen, stderr } = await scene.launch({ type: "web" });
  assert.equal(stderr, "");
  assert.deepEqual(seen?.argv, [scene.probe, "two&three", "\xc3\xa9", "tab\t"]);
  assert.equal(seen?.cwd, "/tmp");
});

Deno.test("LA-7 no app directory gives 82", async () => {
  await using scene = await Scene.make();
  const { code, stderr } = await scene.launch({ type: "web", env: { CNB_APP_DIR: "/no/app" } });
  assert.equal(code, 82);
  assert.equal(
    stderr,
    "ERROR: failed to launch: change to app directory: chdir /no/app: no such file or directory\n",
  );
});

Deno.test("LA-8 buildpacks without a directory are skipped, one that is a file is an error", async () => {
  await using scene = await Scene.make();
  assert.equal((await scene.launch({ type: "web" })).code, 0);
  await scene.write("layers/some_bp", "");
  const { code, stderr } = await scene.launch({ type: "web" });
  assert.equal(code, 82);
  assert.match(stderr, /some_bp': not a directory\n$/);
});

/** LA-10, LA-11: where a direct process runs, and where its command is looked for. */
Deno.test("LA-10 working-dir: default, absolute, relative to the app", async () => {
  for (
    const [dir, want] of [["", ""], ["sub", "/sub"], ["./sub/../sub", "/sub"], ["/tmp", "/tmp"]]
  ) {
    await using scene = await Scene.make();
    await scene.mkdir("app/sub");
    await scene.metadata({
      processes: [{ type: "web", command: [scene.probe], direct: true, "working-dir": dir ?? "" }],
    });
    const { seen } = await scene.launch({ type: "web", cwd: "/" });
    assert.equal(seen?.cwd, dir === "/tmp" ? want : `${scene.app}${want}`);
  }
});

Deno.test("LA-10 a working-dir that is missing gives 82", async () => {
  await using scene = await Scene.make();
  await scene.metadata({
    processes: [{ type: "web", command: [scene.probe], direct: true, "working-dir": "gone" }],
  });
  const { code, stderr } = await scene.launch({ type: "web" });
  assert.equal(code, 82);
  assert.match(stderr, /launch: change directory: chdir gone: no such file or directory\n$/);
});

Deno.test("LA-11 a relative command is relative to the app directory", async () => {
  await using scene = await Scene.make();
  await scene.mkdir("app/sub");
  await scene.metadata({
    processes: [{ type: "web", command: ["./probe"], direct: true, "working-dir": "sub" }],
  });
  const { seen } = await scene.launch({ type: "web" });
  assert.deepEqual(seen?.argv, ["./probe"]);
  assert.equal(seen?.cwd, `${scene.app}/sub`);
});

Deno.test("LA-11 the command is looked up on the PATH that the layers made", async () => {
  await using scene = await Scene.make();
  await scene.mkdir("layers/some_bp/l/bin");
  await Deno.copyFile(scene.probe, `${scene.layers}/some_bp/l/bin/tool`);
  await scene.metadata({ processes: [{ type: "web", command: ["tool"], direct: true }] });
  const { seen } = await scene.launch({ type: "web", env: { PATH: undefined } });
  assert.deepEqual(seen?.argv, ["tool"]);
});

/** LA-11: PATH, command, and the complaint. <app>/probe is executable, <app>/plain is not. */
const NOT_FOUND: readonly [string | undefined, string, string][] = [
  ["/usr/bin", "no-such-command", "executable file not found in $PATH"],
  [undefined, "probe", "executable file not found in $PATH"],
  ["", "probe", "executable file not found in $PATH"],
  ["/usr/bin:", "", "executable file not found in $PATH"],
  [".", ".", "executable file not found in $PATH"],
  [".", "..", "executable file not found in $PATH"],
  [".", "probe", "cannot run executable found relative to current directory"],
  ["::/usr/bin", "probe", "cannot run executable found relative to current directory"],
  ["sub/..", "probe", "cannot run executable found relative to current directory"],
  [".", "plain", "executable file not found in $PATH"],
  ["/usr/bin", "./plain", "permission denied"],
  ["/usr/bin", "./sub", "is a directory"],
  ["/usr/bin", "/no/such", "no such file or directory"],
  ["/usr/bin", "./probe/x", "not a directory"],
];

for (const [path, command, why] of NOT_FOUND) {
  Deno.test(`LA-11 PATH "${path}" and command "${command}": ${why}`, async () => {
    await using scene = await Scene.make();
    await scene.write("app/plain", "#!/bin/sh\n");
    await scene.mkdir("app/sub");
    const { code, stderr } = await scene.launch({ args: ["--", command], env: { PATH: path } });
    assert.equal(code, 82);
    assert.equal(stderr, `ERROR: failed to launch: path lookup: exec: "${command}": ${why}\n`);
  });
}

Deno.test("LA-11 no command, and a file that is no program", async () => {
  await using scene = await Scene.make();
  await scene.write("app/text", "just text", 0o755);
  await scene.metadata({
    processes: [{ type: "none", direct: true }, {
      type: "text",
      command: ["./text"],
      direct: true,
    }],
  });
  const none = await scene.launch({ type: "none" });
  assert.equal(none.code, 82);
  assert.equal(
    none.stderr,
    'ERROR: failed to launch: no command provided for process type "none"\n',
  );
  const text = await scene.launch({ type: "text" });
  assert.equal(text.code, 82);
  assert.equal(text.stderr, "ERROR: failed to launch: direct exec: ./text: exec format error\n");
});

Deno.test("messages carry no control bytes of outside text", async () => {
  await using scene = await Scene.make();
  const { stderr } = await scene.launch({ args: ["--", "a\x1b[31m\nb"] });
  assert.match(stderr, /exec: "a\?\[31m\?b": executable/);
});

Deno.test("SIG-2 the process has the pid of the launcher, and its exit code and signals", async () => {
  await using scene = await Scene.make();
  const { seen, pid } = await scene.launch({ type: "web" });
  assert.equal(seen?.pid, pid);
  for (const code of [0, 1, 77, 82, 255]) {
    const { code: got } = await scene.launch({ type: "web", args: ["exit", String(code)] });
    assert.equal(got, code);
  }
  assert.equal((await scene.launch({ type: "web", args: ["kill", "15"] })).signal, "SIGTERM");
});

Deno.test("SIG-2 ignored signals are not handed on, except those of nohup and job control", async () => {
  await using scene = await Scene.make();
  await scene.script("layers/some_bp/l/exec.d/1", "exit 0"); // a wait with SIGCHLD ignored
  const ignored = async (signals: string) => {
    const { stdout, stderr } = await scene.launch({
      args: ["--", "cat", "/proc/self/status"],
      via: ["/bin/bash", "-c", `trap '' ${signals}; exec "$@"`, "bash"],
    });
    assert.equal(stderr, "");
    return parseInt(/^SigIgn:\s*([0-9a-f]+)$/m.exec(stdout)?.[1] ?? "none", 16);
  };
  const before = await ignored("TERM");
  assert.equal(await ignored("PIPE CHLD USR1 ALRM RTMIN"), before);
  assert.equal(await ignored("HUP INT TSTP"), before | 1 | 1 << 1 | 1 << 19);
});

Deno.test("memory is bounded: metadata that asks for too much is refused", async () => {
  await using scene = await Scene.make();
  const file = await scene.write("layers/config/metadata.toml", `a = [${"[],".repeat(1_500_000)}]`);
  const { code, stderr } = await scene.launch();
  assert.equal(code, 82);
  assert.equal(stderr, "ERROR: failed to launch: more than 64 MiB of memory needed\n");
  await Deno.writeTextFile(file, "#".repeat(9_000_000));
  const larger = await scene.launch();
  assert.equal(larger.code, 1);
  assert.match(larger.stderr, /metadata\.toml: file too large\n$/);
});

Deno.test("a wide metadata.toml is read in less than two seconds of a processor", async () => {
  await using scene = await Scene.make();
  const labels = Array.from({ length: 50_000 }, (_, at) => `key${at} = ${at}`).join("\n");
  const processes = `[[processes]]\ntype = "web"\ncommand = ["${scene.probe}"]\ndirect = true\n`;
  await scene.write("layers/config/metadata.toml", `${processes}[labels]\n${labels}\n`);
  const via = ["/bin/sh", "-c", 'ulimit -t 2; exec "$0" "$@"'];
  assert.equal((await scene.launch({ type: "web", via })).code, 0);
});

Deno.test("15.1 directories given relative to where the launcher starts", async () => {
  await using scene = await Scene.make();
  await scene.mkdir("layers/some_bp/l/bin");
  const env = { CNB_LAYERS_DIR: "layers/", CNB_APP_DIR: "./app" };
  const { seen, stderr } = await scene.launch({ type: "web", env });
  assert.equal(stderr, "");
  assert.equal(seen?.cwd, scene.app);
  assert.equal(seen?.env.get("PATH"), `${scene.layers}/some_bp/l/bin:/usr/bin:/bin`);
});

/** 64-bit program headers: their types. */
function segments(elf: Uint8Array): number[] {
  const view = new DataView(elf.buffer, elf.byteOffset);
  const [start, size, count] = [
    Number(view.getBigUint64(32, true)),
    view.getUint16(54, true),
    view.getUint16(56, true),
  ];
  return Array.from({ length: count }, (_, at) => view.getUint32(start + at * size, true));
}

for (const [arch, machine] of [["amd64", 62], ["arm64", 183]] as const) {
  Deno.test(`LA-21 LA-22 ${arch}: at most 64 KiB, static, no path of this machine`, async () => {
    const elf = await compileC("launcher", arch);
    assert.ok(elf.length <= 64 * 1024, `${elf.length} bytes`);
    assert.equal(new DataView(elf.buffer).getUint16(18, true), machine);
    const types = segments(elf);
    assert.ok(types.includes(1));
    assert.ok(!types.includes(2), "no PT_DYNAMIC");
    assert.ok(!types.includes(3), "no PT_INTERP");
    assert.deepEqual(await compileC("launcher", arch), elf);
    const text = new TextDecoder("latin1").decode(elf);
    for (const word of ["lifecycle/", "GCC", ".c\0", Deno.cwd()]) {
      assert.ok(!text.includes(word), word);
    }
  });
}

Deno.test("LA-22 two compilations give the same bytes", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  await compileVariant(`${dir}/one`, {});
  await compileVariant(`${dir}/two`, {});
  const kept = await compileC("launcher", thisArch());
  assert.deepEqual(await Deno.readFile(`${dir}/one`), kept);
  assert.deepEqual(await Deno.readFile(`${dir}/two`), kept);
});

Deno.test("the C of the launcher and its fuzzer has no warning", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const strict = ["-Werror", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wvla"];
  await compileVariant(`${dir}/launcher`, { flags: strict });
  const sources = ["fuzz_toml.c", "toml.c", "toml_scalar.c"];
  const flags = [...strict, "-fsanitize=address"];
  await compileVariant(`${dir}/fuzz`, { sources, libc: true, flags });
});

async function found(command: string): Promise<boolean> {
  const path = Deno.env.get("PATH")?.split(":") ?? [];
  const all = await Promise.all(
    path.map((dir) => Deno.stat(`${dir}/${command}`).catch(() => null)),
  );
  return all.some((each) => each !== null);
}

const emulated = await found("qemu-aarch64-static");

Deno.test({
  name: emulated
    ? "the arm64 launcher runs: arguments, layers, exec.d, shell, refusals"
    : "the arm64 launcher runs (skipped: qemu-aarch64-static not found; apt-get install qemu-user-static)",
  ignore: !emulated,
  fn: async () => {
    await using scene = await Scene.make({
      processes: [{ type: "sh", command: ["echo $X"], direct: false }],
    });
    const program = await launcherFile("arm64");
    const via = ["qemu-aarch64-static"];
    await scene.write("layers/some_bp/l/env/X", "x");
    await scene.script("layers/some_bp/l/exec.d/1", "echo 'Y = \"y\"' >&3");
    const { seen, stderr } = await scene.launch({
      program,
      via,
      args: ["--", scene.probe, "a b", ""],
    });
    assert.equal(stderr, "");
    assert.deepEqual(seen?.argv, [scene.probe, "a b", ""]);
    assert.equal(seen?.env.get("X"), "x");
    assert.equal(seen?.env.get("Y"), "y");
    assert.equal((await scene.launch({ program, via, type: "sh" })).stdout, "x\n");
    assert.equal((await scene.launch({ program, via })).code, 82);
    const wrong = await scene.launch({ program, via, platform: "0.99" });
    assert.equal(wrong.code, 11);
    await scene.script("layers/some_bp/l/exec.d/2", "exit 3");
    assert.match((await scene.launch({ program, via, type: "sh" })).stderr, /exit status 3\n$/);
  },
});

/** An empty root that holds the launcher, the probe and metadata, entered with chroot. */
async function emptyRoot(metadata: MetadataEntries): Promise<Scene> {
  const scene = await Scene.make(metadata);
  await Deno.copyFile(await launcherFile(), `${scene.dir}/launcher`);
  await scene.mkdir("cnb/process");
  await Deno.symlink("/launcher", `${scene.dir}/cnb/process/web`);
  await Deno.copyFile(await probeFile(), `${scene.dir}/probe`);
  await Deno.rename(scene.app, `${scene.dir}/workspace`);
  return scene;
}

function inRoot(scene: Scene, via: string[], entry: string, ...args: string[]) {
  return new Deno.Command(via[0] ?? "chroot", {
    args: [...via.slice(1), entry, ...args],
    env: { CNB_PLATFORM_API: "0.12", PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    clearEnv: true,
    cwd: scene.dir,
  }).output();
}

Deno.test({
  name: "LA-20 LA-21 an empty root: no libc, no shell, no /proc, no /dev",
  ignore: !isRoot,
  fn: async () => {
    await using scene = await emptyRoot({
      processes: [
        { type: "web", command: ["/probe"], direct: true, "buildpack-id": "some/bp" },
        { type: "sh", command: ["true"], direct: false },
      ],
    });
    await Deno.mkdir(`${scene.layers}/some_bp/l/exec.d`, { recursive: true });
    await Deno.copyFile(scene.dir + "/probe", `${scene.layers}/some_bp/l/exec.d/1`);
    const chroot = ["chroot", scene.dir];
    const direct = await inRoot(scene, chroot, "/cnb/process/web", "x");
    const said = new TextDecoder().decode(direct.stdout);
    assert.equal(direct.code, 0, new TextDecoder().decode(direct.stderr));
    assert.ok(said.includes("\0a/layers/some_bp/l/exec.d/1\0"));
    assert.ok(said.includes("\0d/workspace\0"));
    assert.ok(said.includes("\0a/probe\0ax\0"));
    const shell = await inRoot(scene, chroot, "/launcher", "echo", "x");
    assert.equal(shell.code, 82);
    assert.equal(
      new TextDecoder().decode(shell.stderr),
      "ERROR: failed to launch: bash exec: /bin/bash: no such file or directory (this image has " +
        "no bash, so it runs only direct processes: put -- before the command)\n",
    );
  },
});

async function mayUnshare(): Promise<boolean> {
  if (!isRoot || !await found("unshare")) return false;
  return (await new Deno.Command("unshare", { args: ["-fp", "true"] }).output()).success;
}

Deno.test({
  name: "SIG-2 as pid 1 of a namespace the process is pid 1",
  ignore: !await mayUnshare(),
  fn: async () => {
    await using scene = await emptyRoot({
      processes: [{ type: "web", command: ["/probe"], direct: true }],
    });
    const via = ["unshare", "-fp", "chroot", scene.dir];
    const output = await inRoot(scene, via, "/cnb/process/web");
    assert.ok(new TextDecoder().decode(output.stdout).includes("\0p1\0"));
  },
});

Deno.test({
  name: "SIG-2 pid 1 can be stopped while exec.d runs",
  ignore: !await mayUnshare(),
  fn: async () => {
    for (const [signal, code] of [["TERM", 143], ["INT", 130]] as const) {
      await using scene = await Scene.make();
      await scene.script("layers/some_bp/l/exec.d/1", `kill -${signal} 1; exec sleep 60`);
      const launched = await scene.launch({ type: "web", via: ["unshare", "-fp"] });
      assert.equal(launched.code, code);
    }
  },
});
