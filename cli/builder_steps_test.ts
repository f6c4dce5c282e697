/** A build in a builder that is killed at each of its steps, or whose builder comes only in part: nothing stays, the next one works. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { memoryRegistry } from "../registry/memory.ts";
import { createServer } from "../registry/server/server.ts";
import { serve } from "../registry/server/serve.ts";
import { builderShell, buildpackFiles, canMakeBuilder } from "./builder_testing.ts";
import { startProcess } from "./process_testing.ts";
import type { Shell } from "./shell_testing.ts";

/** A process of its own, killed as soon as it has said `when` or `when` resolves; `false` when it had ended well before. */
async function killed(
  shell: Shell,
  words: readonly string[],
  when: RegExp | Promise<void>,
): Promise<boolean> {
  const child = startProcess(shell.dir, words, { stdout: "null", stderr: "piped" });
  let over = false;
  const end = () => {
    if (over) return;
    over = true;
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended: the status says how.
    }
  };
  if (when instanceof Promise) when.then(end);
  let said = "";
  for await (const chunk of child.stderr) {
    said += new TextDecoder().decode(chunk);
    if (when instanceof RegExp && when.test(said)) end();
  }
  const { signal, success } = await child.status;
  if (!success) equal(signal, "SIGKILL", said);
  return !success;
}

function running(mark: string): boolean {
  return Array.from(Deno.readDirSync("/proc"), ({ name }) => name).some((name) => {
    try {
      return /^\d+$/.test(name) && Deno.readTextFileSync(`/proc/${name}/cmdline`).includes(mark);
    } catch {
      return false; // it has ended
    }
  });
}

/** Nothing runs and nothing is mounted; a process that is being ended by the kernel is waited for. */
async function assertGone(shell: Shell, mark: string): Promise<void> {
  while (running(mark) || running(shell.dir)) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  equal(Deno.readTextFileSync("/proc/self/mountinfo").includes(shell.dir), false, "a mount");
}

const names = async (dir: string) =>
  (await Array.fromAsync(Deno.readDir(dir)).catch(() => [])).map(({ name }) => name).sort();

const ways = Deno.uid() === 0 ? ["namespaces", "chroot"] : ["namespaces"];
for (const way of ways) {
  Deno.test({
    name: `build --builder --isolation ${way}, killed in detect, build and export`,
    ignore: !canMakeBuilder,
    async fn() {
      const mark = `step-${crypto.randomUUID()}`;
      const nap = (step: string) =>
        `test "$STOP" != ${step} || { (setsid sh -c 'trap "" TERM HUP; while :; do sleep 1000; done # ${mark}') & echo now; sleep 1000 # ${mark}\n}`;
      await using shell = await builderShell(buildpackFiles("bp", "test/probe", {
        detect: nap("detect"),
        build: `${nap("build")}\nmkdir -p "$1/l" && head -c "$SIZE" /dev/urandom >"$1/l/x"\n` +
          `printf '[types]\\nlaunch = true\\n' >"$1/l.toml"`,
      }));
      const words = [
        ...["build", "app", "--builder", "oci:builder", "--path", "app"],
        ...["--run-image", "oci:base:1", "--isolation", way],
      ];
      const [tree] = await (async () => {
        equal((await shell.wherry(...words, "--env", "SIZE=1")).code, 0);
        return await names(`${shell.dir}/store/unpacked`).then((all) =>
          all.filter((name) => !name.endsWith(".lock"))
        );
      })();
      const before = await names(`${shell.dir}/store/unpacked/${tree}/root`);
      const steps = [["detect", /now\n|DETECTING/], ["build", /now\n/], ["", /===> EXPORTING/]];
      for (const [step, when] of steps as [string, RegExp][]) {
        const stopping = (size: number) =>
          killed(shell, [...words, "--env", `STOP=${step}`, "--env", `SIZE=${size}`], when);
        // An export may be over before we get to kill it.
        for (let size = 9_000_000; !await stopping(size); size *= 4) ok(step === "" && size < 1e9);
        await assertGone(shell, mark);
        await shell.ok("store", "fsck");
        const { code, err } = await shell.wherry(...words, "--env", "SIZE=1");
        equal(code, 0, err);
        deepEqual(await names(`${shell.dir}/store/work`), [], "what the killed one left is gone");
        deepEqual(await names(`${shell.dir}/store/unpacked/${tree}/root`), before);
      }
    },
  });
}

/** Whole; always cut off; cut off until the rest is asked for; never ending. */
type How = "whole" | "cut" | "once" | "stall";

/** A registry whose large blobs come so. */
async function registryThat(): Promise<
  AsyncDisposable & { readonly host: string; how: How; asked: Promise<void>; resumed: number }
> {
  const inner = createServer(memoryRegistry());
  const asked = Promise.withResolvers<void>();
  const state = { how: "whole" as How, resumed: 0 };
  const server = await serve({
    async fetch(request, ...rest) {
      const response = await inner.fetch(request, ...rest);
      const blob = request.method === "GET" && new URL(request.url).pathname.includes("/blobs/");
      const size = Number(response.headers.get("content-length") ?? 0);
      if (!blob || state.how === "whole" || size < 100_000) return response;
      if (state.how === "once" && /=[1-9]/.test(request.headers.get("range") ?? "")) {
        state.resumed++;
        return response;
      }
      const body = new Uint8Array(await response.arrayBuffer()).slice(0, 50_000);
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(body),
        pull(controller) { // when that has been sent: an error drops what waits
          asked.resolve();
          if (state.how !== "stall") controller.error(new Error("cut"));
          else return new Promise(() => {});
        },
      });
      return new Response(stream, { status: response.status, headers: response.headers });
    },
  }, { listen: { hostname: "127.0.0.1", port: 0 } });
  const { port } = server.address as { readonly port: number };
  return Object.assign(state, {
    host: `127.0.0.1:${port}`,
    asked: asked.promise,
    [Symbol.asyncDispose]: async () => await server.shutdown(),
  });
}

Deno.test({
  name:
    "build --builder, half downloaded: gone on with, or a line that says so, or killed; the next build works",
  ignore: !canMakeBuilder,
  async fn() {
    await using registry = await registryThat();
    await using shell = await builderShell();
    const there = ["--insecure-registry", registry.host];
    await shell.ok("copy", "oci:builder", `${registry.host}/builder:1`, ...there);
    const words = [
      ...["build", "app", "--builder", `${registry.host}/builder:1`, "--path", "app"],
      ...["--run-image", "oci:base:1", ...there],
    ];
    registry.how = "cut";
    const cut = await shell.wherry(...words);
    equal(cut.code === 0, false);
    match(cut.err, /^ERROR: Cannot .*$/m);
    deepEqual(JSON.parse(await shell.ok("ls", "-o", "json")), [], "no half image");
    deepEqual(await names(`${shell.dir}/store/unpacked`), []);
    await shell.ok("store", "fsck");

    registry.how = "stall";
    ok(await killed(shell, words, registry.asked));
    deepEqual(JSON.parse(await shell.ok("ls", "-o", "json")), [], "no half image");
    await shell.ok("store", "fsck");

    for (const how of ["whole", "once"] as const) {
      registry.how = how;
      const { code, err } = await shell.wherry(...words);
      equal(code, 0, err);
      match(err, /greeter as /);
      equal(registry.resumed > 0, how === "once", "from where it was cut off");
      await shell.ok("store", "fsck");
      deepEqual(await names(`${shell.dir}/store/work`), []);
      await Deno.remove(`${shell.dir}/store`, { recursive: true });
    }
  },
});
