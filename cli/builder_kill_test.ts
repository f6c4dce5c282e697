/** A builder whose unpacking is killed: nothing half-stored is ever used, and all of it is collected. */
import { deepEqual, equal, match } from "node:assert/strict";
import { builderShell, buildpackFiles, canMakeBuilder } from "./builder_testing.ts";
import { startProcess } from "./process_testing.ts";

const ROUNDS = 4;
const WORDS = ["build", "app", "--builder", "oci:builder", "--path", "app"];

Deno.test({
  name: "build --builder, killed while it unpacks: the next build works, fsck and gc are clean",
  ignore: !canMakeBuilder,
  async fn() {
    await using shell = await builderShell();
    const words = [...WORDS, "--run-image", "oci:base:1"];
    const trees = async () =>
      (await Array.fromAsync(Deno.readDir(`${shell.dir}/store/unpacked`)).catch(() => []))
        .map(({ name }) => name);
    for (let round = 0; round < ROUNDS; round++) {
      const child = startProcess(shell.dir, words, { stdout: "null", stderr: "null" });
      let over = false;
      const ended = child.status.finally(() => over = true);
      const turns = Math.floor(Math.random() * 40); // about a millisecond each
      while (!over && !(await trees()).some((name) => name.endsWith(".part"))) await turn();
      for (let at = 0; at < turns; at++) await turn();
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended already, which is one of the moments, too.
      }
      await ended;
      if (round % 2 === 0) await shell.ok("store", "gc", "--grace", "0");
      const { code, err } = await shell.wherry(...words);
      equal(code, 0, err);
      match(err, /greeter as /);
      await shell.ok("store", "fsck");
      await shell.ok("store", "gc", "--grace", "0");
      deepEqual(await trees(), [], "nothing of it is left");
      deepEqual(await Array.fromAsync(Deno.readDir(`${shell.dir}/store/work`)), []);
    }
  },
});

Deno.test({
  name:
    "build --builder, SIGINT: a buildpack that ignores every polite signal is ended all the same",
  ignore: !canMakeBuilder,
  async fn() {
    const mark = `deaf-${crypto.randomUUID()}`;
    const deaf = `sh -c 'trap "" TERM INT HUP; while :; do sleep 1000; done # ${mark}'`;
    await using shell = await builderShell(buildpackFiles("bp", "test/probe", {
      build: `setsid ${deaf} &\necho deaf now\n${deaf}`,
    }));
    const words = [...WORDS, "--run-image", "oci:base:1"];
    const child = startProcess(shell.dir, words, { stdout: "null", stderr: "piped" });
    let said = "";
    for await (const chunk of child.stderr) {
      const heard = said.includes("deaf now");
      said += new TextDecoder().decode(chunk);
      if (!heard && said.includes("deaf now")) child.kill("SIGINT");
    }
    equal((await child.status).code, 130, said);
    match(said, /ERROR: Stopped by SIGINT/);
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
      equal(line.includes(mark), false, line);
    }
    deepEqual(await Array.fromAsync(Deno.readDir(`${shell.dir}/store/work`)), []);
  },
});

async function turn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1));
}
