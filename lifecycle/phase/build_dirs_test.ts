/** Directories that buildpacks see under other paths than we do, and that belong to another user. */
import assert from "node:assert/strict";
import type { Command, Dir, Executor } from "../sandbox/executor.ts";
import { plainExecutor } from "../sandbox/plain_testing.ts";
import { build } from "./build.ts";
import { Bench } from "./buildpacks_testing.ts";
import { detect } from "./detect.ts";
import type { Buildpack, BuildpackInput } from "./detect_types.ts";

/** Runs commands whose paths are below `/virtual` on `base`, and remembers them as they were given. */
function virtualExecutor(base: string, seen: Command[]): Executor {
  const real = (text: string) => text.replaceAll("/virtual/", `${base}/`);
  const plain = plainExecutor();
  return {
    describe: "moves /virtual",
    run(command) {
      seen.push(command);
      const env = Object.fromEntries(
        Object.entries(command.env).map(([name, value]) => [name, real(value)]),
      );
      return plain.run({
        ...command,
        program: real(command.program),
        args: command.args.map(real),
        cwd: real(command.cwd),
        env,
      });
    },
  };
}

function virtualInput(bench: Bench, seen: Command[]): BuildpackInput {
  const move = ({ outside }: Dir): Dir => ({
    inside: outside.replace(bench.base, "/virtual"),
    outside,
  });
  const input = bench.input();
  return {
    ...input,
    executor: virtualExecutor(bench.base, seen),
    store: {
      find(id, version): Buildpack | undefined {
        const found = bench.store.find(id, version);
        return found && { ...found, dir: move(found.dir) };
      },
    },
    appDir: move(input.appDir),
    layersDir: move(input.layersDir),
    platformDir: move(input.platformDir),
    buildConfigDir: move(input.buildConfigDir!),
    tempDir: move(input.tempDir),
  };
}

const order = {
  order: [{
    group: ["a", "b"].map((id) => ({ id, version: "1", optional: false, execEnv: [] })),
  }],
  orderExtensions: [],
};

Deno.test("executables are told paths as they see them, files are read where they lie", async () => {
  await using bench = await Bench.make();
  await Deno.writeTextFile(`${bench.base}/platform/env/GIVEN`, "by the user");
  await Deno.writeTextFile(`${bench.base}/config/env/SET`, "by the operator");
  await bench.add("a", {
    detect: 'printf \'[[provides]]\\nname = "x"\\n\' >"$2"',
    build: `mkdir -p "$1/l/bin" "$1/l/env"; echo v >"$1/l/real"
      ln -s /virtual/layers/a/l/real "$1/l/env/V"
      printf '[types]\\nbuild = true\\n' >"$1/l.toml"`,
  });
  await bench.add("b", {
    detect: 'printf \'[[requires]]\\nname = "x"\\n\' >"$2"',
    build: 'echo "$V $GIVEN $SET"',
  });
  const seen: Command[] = [];
  const input = virtualInput(bench, seen);
  const { group, plan } = await detect({ ...input, order }, bench.context());
  let output = "";
  await build({
    ...input,
    group: group.group,
    plan,
    output: (chunk) => void (output += new TextDecoder().decode(chunk)),
  }, bench.context());
  assert.equal(output, "v\n by the user by the operator\n");
  assert.equal(seen.length, 4);
  for (const { program, args, cwd, env } of seen) {
    const told = JSON.stringify([program, args, cwd, env]);
    assert.ok(!told.includes(bench.base), told);
  }
  assert.equal(seen[3]?.env.PATH, "/virtual/layers/a/l/bin:/usr/local/bin:/usr/bin:/bin");
  assert.equal(seen[3]?.env.CNB_LAYERS_DIR, "/virtual/layers/b");
  assert.equal(seen[3]?.cwd, "/virtual/app");
  assert.match(await bench.read("layers/group.toml"), /id = "b"/);
});

Deno.test({
  name: "what is made for executables belongs to their user",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using bench = await Bench.make();
    const show = 'stat -c "%u:%g %a" "$1" "$3" "$(dirname "$3")"';
    await bench.add("a", {
      detect: 'stat -c "%u:%g" "$2" "$(dirname "$2")" >"$PWD/detect"',
      build: show,
    });
    await bench.add("b", { detect: "true", build: "true" });
    const input = { ...bench.input(), owner: { uid: 1234, gid: 1000 } };
    const { group, plan } = await detect({ ...input, order }, bench.context());
    let output = "";
    await build({
      ...input,
      group: group.group,
      plan,
      output: (chunk) => void (output += new TextDecoder().decode(chunk)),
    }, bench.context());
    assert.equal(await bench.read("app/detect"), "1234:1000\n1234:1000\n");
    assert.equal(output, "1234:1000 755\n1234:1000 644\n1234:1000 755\n");
  },
});
