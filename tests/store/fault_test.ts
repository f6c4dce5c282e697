/**
 * The store killed, cut off from power, out of space or with a failing disk at every single call that changes a file
 * (ST-01, ST-03, ST-05, ST-06). `WHERRY_FAULTS=all` takes every call; without it some are.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { tempDir } from "../../registry/temp_testing.ts";
import { copyTree, examine, seed } from "./fault_acts_testing.ts";

const ALL = Deno.env.get("WHERRY_FAULTS") === "all";
const here = (name: string) => new URL(name, import.meta.url).pathname;
const haveCompiler = await new Deno.Command("cc", { args: ["--version"], stdout: "null" }).output()
  .then(({ success }) => success, () => false);
const ignore = !haveCompiler || Deno.build.os !== "linux"; // the shim is C and made for glibc

interface Work extends AsyncDisposable {
  readonly dir: string;
  run(
    mode: string,
    ...args: readonly number[]
  ): Promise<{ code: number; out: string; err: string }>;
}

async function work(): Promise<Work> {
  const dir = await Deno.makeTempDir();
  const shim = join(dir, "shim.so");
  const args = ["-O1", "-shared", "-fPIC", "-o", shim, here("fault_shim.c"), "-ldl", "-lpthread"];
  ok((await new Deno.Command("cc", { args, stderr: "inherit" }).output()).success);
  await seed(join(dir, "seed"));
  return {
    dir,
    async run(mode, ...numbers) {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "-A", "--no-check", "--config", here("../../deno.json")],
          ...[here("fault_child_testing.ts"), shim, dir, mode, ...numbers.map(String)],
        ],
        env: { LD_PRELOAD: shim },
      }).output();
      const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      return { code, out: out!, err: err! };
    },
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

Deno.test({
  name:
    "store: ST-01 ST-05 a crash at any write, rename or sync leaves all that was acknowledged, whole",
  ignore,
  async fn() {
    await using made = await work();
    const { code, out, err } = await made.run("pictures", ALL ? 1 : 8);
    equal(code, 0, err);
    ok(Number(/pictures (\d+)/.exec(out)?.[1]) > 30, out);
  },
});

Deno.test({
  name:
    "store: ST-01 ST-03 a process killed in the act: its locks are free, its acknowledged work is there",
  ignore,
  async fn() {
    await using made = await work();
    const counted = await made.run("count");
    const calls = Number(/calls (\d+)/.exec(counted.out)?.[1]);
    ok(calls > 50, counted.err);
    const step = ALL ? 1 : Math.ceil(calls / 5);
    for (let n = ALL ? 1 : 3; n <= calls; n += step) {
      const { code, out } = await made.run("kill", n);
      ok(code === 137 || out.includes("calls"), `call ${n}: exit ${code}`);
      await examine(
        join(made.dir, "store"),
        out.split("\n").filter((line) => /^\d+$/.test(line)).map(Number),
      );
    }
  },
});

for (const mode of ["eio", "eio-from", "enospc", "enospc-from"]) {
  Deno.test({
    name: `store: ST-06 ${mode} at any call is a clear error, and nothing acknowledged is lost`,
    ignore,
    async fn() {
      await using made = await work();
      const { code, out, err } = await made.run(mode, ALL ? 1 : mode.length, ALL ? 1 : 19);
      equal(code, 0, err);
      ok(Number(/calls (\d+)/.exec(out)?.[1]) > 50, out);
    },
  });
}

Deno.test("store: the harness itself sees a blob that is gone", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  await seed(join(dir, "seed"));
  await copyTree(join(dir, "seed"), join(dir, "good"));
  await examine(join(dir, "good"), []);
  await Deno.remove(join(dir, "seed/blobs"), { recursive: true });
  deepEqual(
    await examine(join(dir, "seed"), []).then(() => "nothing", () => "an error"),
    "an error",
  );
});
