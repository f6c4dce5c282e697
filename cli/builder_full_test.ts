/** A disk that is too small for a builder, or that a buildpack fills: one line, nothing half-stored, and it works when there is room. */
import { deepEqual, equal, match } from "node:assert/strict";
import { builderShell, buildpackFiles, canMakeBuilder } from "./builder_testing.ts";
import type { Shell } from "./shell_testing.ts";

/** A file system of its own for the store, which nobody else sees filled. */
async function mountStore(shell: Shell, size: string): Promise<AsyncDisposable> {
  const store = `${shell.dir}/store`;
  await Deno.mkdir(store, { recursive: true });
  const run = async (program: string, ...args: readonly string[]) => {
    const { success, stderr } = await new Deno.Command(program, { args: [...args] }).output();
    equal(success, true, new TextDecoder().decode(stderr));
  };
  await run("mount", "-t", "tmpfs", "-o", `size=${size},mode=700`, "none", store);
  return { [Symbol.asyncDispose]: () => run("umount", store) };
}

const names = async (dir: string) =>
  (await Array.fromAsync(Deno.readDir(dir)).catch(() => [])).map(({ name }) => name).sort();

const WORDS = [
  ...["build", "app", "--builder", "oci:builder", "--path", "app", "--run-image", "oci:base:1"],
];
const ready = canMakeBuilder && Deno.uid() === 0;

Deno.test({
  name: "build --builder, a full disk while unpacking: no half tree, and it works with more room",
  ignore: !ready,
  async fn() {
    await using shell = await builderShell();
    {
      await using _ = await mountStore(shell, "2m");
      const { code, err } = await shell.wherry(...WORDS);
      equal(code === 0, false);
      match(err, /^ERROR: Cannot .*: No space left on device$/m);
      const trees = await names(`${shell.dir}/store/unpacked`);
      deepEqual(trees.filter((name) => !name.endsWith(".lock")), []);
      deepEqual(await names(`${shell.dir}/store/work`), []);
    }
    equal((await shell.wherry(...WORDS)).code, 0);
  },
});

for (const way of ["namespaces", "chroot"]) {
  Deno.test({
    name:
      `build --builder --isolation ${way}, a buildpack that fills the disk: gone with its files`,
    ignore: !ready,
    async fn() {
      await using shell = await builderShell(buildpackFiles("bp", "test/probe", {
        build: `test -z "$FILL" || { mkdir "$1/l"; cat /dev/zero >"$1/l/x"; }`,
      }));
      await using _ = await mountStore(shell, "40m");
      const words = [...WORDS, "--isolation", way];
      const { code, err } = await shell.wherry(...words, "--env", "FILL=yes");
      equal(code, 51, err);
      match(err, /No space left on device/);
      match(err, /ERROR: Cannot build with "test\/probe@1\.0\.0": its bin\/build exited with/);
      deepEqual(await names(`${shell.dir}/store/work`), []);
      await shell.ok("store", "fsck");
      const again = await shell.wherry(...words);
      equal(again.code, 0, again.err);
    },
  });
}

Deno.test({
  name: "build --builder, layers that nobody may change: exported, cached, restored, and removed",
  ignore: !canMakeBuilder,
  async fn() {
    await using shell = await builderShell(buildpackFiles("bp", "test/probe", {
      build: `test -d "$1/l" && echo came back || { mkdir -p "$1/l/a" && echo x >"$1/l/a/b"; }
printf '[types]\\nlaunch = true\\nbuild = true\\ncache = true\\n' >"$1/l.toml"
chmod -R a-w "$1/l"`,
    }));
    const first = await shell.wherry(...WORDS);
    equal(first.code, 0, first.err);
    const second = await shell.wherry(...WORDS);
    equal(second.code, 0, second.err);
    match(second.err, /came back/);
    match(second.err, /Reusing layer 'test\/probe:l'/);
    equal(second.out, first.out);
    deepEqual(await names(`${shell.dir}/store/work`), []);
  },
});
