/** A builder that comes damaged: cut-off archives, layers that are not what they are called. One line, nothing half-stored. */
import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import { builderShell, canMakeBuilder } from "./builder_testing.ts";
import type { Shell } from "./shell_testing.ts";

const names = async (dir: string) =>
  (await Array.fromAsync(Deno.readDir(dir)).catch(() => [])).map(({ name }) => name).sort();

/** A build in `builder` ends with one line that matches, and leaves nothing behind. */
async function refused(shell: Shell, builder: string, error: RegExp): Promise<void> {
  const { code, out, err } = await build(shell, builder);
  notEqual(code, 0, builder);
  equal(out, "");
  const lines = err.trimEnd().split("\n").filter((line) => !/^(Pull|Unpack|Copy)/.test(line));
  equal(lines.length, 1, err);
  match(lines[0]!, error);
  deepEqual(JSON.parse(await shell.ok("ls", "-o", "json")), [], "no image");
  const trees = await names(`${shell.dir}/store/unpacked`);
  deepEqual(trees.filter((name) => !name.endsWith(".lock")), [], "no tree");
  deepEqual(await names(`${shell.dir}/store/work`), []);
  deepEqual(await names(`${shell.dir}/store/ingest`), []);
  await shell.ok("store", "fsck");
}

const build = (shell: Shell, builder: string) =>
  shell.wherry(
    ...["build", "app", "--builder", builder, "--path", "app", "--run-image", "oci:base:1"],
  );

Deno.test({
  name: "build --builder FILE.tar, cut off anywhere: a line that says so; the whole file works",
  ignore: !canMakeBuilder,
  async fn() {
    await using shell = await builderShell();
    for (const kind of ["oci-archive", "docker-archive"]) {
      await shell.ok("copy", "oci:builder", `${kind}:whole.tar`);
      const whole = await Deno.readFile(`${shell.dir}/whole.tar`);
      for (const part of [0, 0.001, 0.3, 0.9, 0.99]) {
        await Deno.writeFile(`${shell.dir}/cut.tar`, whole.subarray(0, whole.length * part));
        await refused(shell, `${kind}:cut.tar`, /^ERROR: Cannot .*cut\.tar.*: /);
      }
      const { code, err } = await build(shell, `${kind}:whole.tar`);
      equal(code, 0, err);
      match(err, /greeter as /);
      await shell.ok("rm", "app");
      await shell.ok("store", "gc", "--grace", "0");
    }
  },
});

Deno.test({
  name: "build --builder, a layer whose bytes are others than its digest says: named, and not kept",
  ignore: !canMakeBuilder,
  async fn() {
    await using shell = await builderShell();
    const read = async (digest: string) =>
      JSON.parse(await Deno.readTextFile(`${shell.dir}/builder/blobs/sha256/${digest.slice(7)}`));
    const index = JSON.parse(await Deno.readTextFile(`${shell.dir}/builder/index.json`));
    const { layers } = await read(index.manifests[0].digest);
    for (const { digest } of [layers[0], layers.at(-1)]) {
      const path = `${shell.dir}/builder/blobs/sha256/${digest.slice(7)}`;
      const right = await Deno.readFile(path);
      const wrong = right.slice();
      wrong[wrong.length >> 1]! ^= 1;
      for (const bytes of [wrong, right.subarray(0, right.length >> 1), new Uint8Array()]) {
        await Deno.remove(path);
        await Deno.writeFile(path, bytes);
        await refused(shell, "oci:builder", new RegExp(`^ERROR: Cannot .*${digest.slice(0, 19)}`));
      }
      await Deno.remove(path);
      await refused(shell, "oci:builder", new RegExp(`^ERROR: Cannot .*${digest.slice(0, 19)}`));
      await Deno.writeFile(path, right);
    }
    const { code, err } = await build(shell, "oci:builder");
    equal(code, 0, err);
  },
});
