/** `wherry run`: what it reads, and signals, of a process of its own. */
import { equal, match } from "node:assert/strict";
import { builderShell, canMakeBuilder } from "./builder_testing.ts";
import { startProcess } from "./process_testing.ts";

const start = (dir: string, ...words: readonly string[]) =>
  startProcess(dir, ["run", "oci:base:1", ...words], {
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  });

const isolations = Deno.uid() === 0 ? ["auto", "chroot"] : ["auto"];

for (const isolation of isolations) {
  Deno.test({
    name: `run --isolation ${isolation}: reads stdin to its end, and what it writes is forgotten`,
    ignore: !canMakeBuilder,
    async fn() {
      await using shell = await builderShell();
      const script = "id -u; test -e /tmp/x && echo old; echo new >/tmp/x; cat; exit 9";
      const words = ["-u", "1000", "--isolation", isolation, "--", "sh", "-c", script];
      for (const text of ["one", "two"]) {
        const child = start(shell.dir, ...words);
        const writer = child.stdin.getWriter();
        await writer.write(new TextEncoder().encode(text));
        await writer.close();
        equal(await child.stdout.text(), `1000\n${text}`);
        equal((await child.status).code, 9);
      }
      equal((await shell.wherry("store", "fsck")).code, 0);
      const work = await Array.fromAsync(Deno.readDir(`${shell.dir}/store/work`));
      equal(work.length, 0, "nothing of it is left");
    },
  });
}

Deno.test({
  name: "run: INT and TERM reach the program, whose exit code is ours; 128+n when one ends it",
  ignore: !canMakeBuilder,
  async fn() {
    await using shell = await builderShell();
    const ends = async (signal: Deno.Signal, script: string) => {
      const child = start(shell.dir, "--", "sh", "-c", script);
      let out = "";
      for await (const chunk of child.stdout) {
        out += new TextDecoder().decode(chunk);
        if (/^ready$/m.test(out) && !out.includes("got")) child.kill(signal);
      }
      await child.stdin.close();
      return { out, code: (await child.status).code };
    };
    const caught = await ends(
      "SIGINT",
      "trap 'echo got; exit 7' INT; echo ready; while :; do read x; done",
    );
    match(caught.out, /got/);
    equal(caught.code, 7);
    equal((await ends("SIGTERM", "echo ready; exec sleep 1000")).code, 143);
    equal((await ends("SIGINT", "echo ready; exec sleep 1000")).code, 130);
  },
});

Deno.test({
  name: "run --isolation chroot: what it cannot keep apart is refused by name",
  ignore: !canMakeBuilder || Deno.uid() !== 0,
  async fn() {
    await using shell = await builderShell();
    const chroot = (...words: readonly string[]) =>
      shell.wherry("run", "oci:base:1", "--isolation", "chroot", ...words, "--", "true");
    match((await chroot("-u", "0")).err, /chroot and root: who is root can leave a chroot/);
    await shell.write({ "data/x": "" });
    match((await chroot("--volume", "data:/data")).err, /--volume: nothing can be mounted/);
    const { code, err } = await chroot("--network", "none");
    equal(code, 3);
    match(err, /--network none: it takes namespaces/);
  },
});
