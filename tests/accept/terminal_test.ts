/** On a terminal: what a person sees and no pipe shows. */
// deno-lint-ignore-file no-control-regex -- what a terminal is sent
import assert from "node:assert/strict";
import { installed, makeScene, tool, WHERRY } from "./wherry_testing.ts";

Deno.test({
  name: "on a terminal there is nothing that wherry did not say, and bars are gone at the end",
  ignore: !installed("script"),
  async fn() {
    await using scene = await makeScene();
    const onTerminal = async (line: string, told: (shown: string) => void = () => {}) => {
      const terminal = new Deno.Command("timeout", {
        args: ["60", "script", "-qec", `${WHERRY} ${line}`, "/dev/null"],
        cwd: scene.dir,
        env: { HOME: scene.home, WHERRY_STORE: scene.store, TERM: "xterm", PATH: "/usr/bin:/bin" },
        clearEnv: true,
        stdin: "null",
        stdout: "piped",
      }).spawn();
      let shown = "";
      for await (const text of terminal.stdout.pipeThrough(new TextDecoderStream())) {
        told(shown += text);
      }
      assert((await terminal.status).success, shown);
      return shown;
    };
    assert.match(await onTerminal("version"), /^\d+\.\d+\.\d+\r\n$/);
    await scene.write({
      "bp/buildpack.toml":
        `api = "0.10"\n[buildpack]\nid = "a/b"\nversion = "1"\n[[targets]]\nos = "linux"\n`,
      "bp/bin/detect": "#!/bin/sh\n",
      "bp/bin/build": "#!/bin/sh\nprintf '\\033[32mgreen\\033[0m\\n'\n",
    });
    await tool("tar", ["-C", `${scene.dir}/bp`, "-czf", `${scene.dir}/bp.tgz`, "."]);
    await scene.write({ "app/file": "1\n" });
    const packed = await Deno.readFile(`${scene.dir}/bp.tgz`);
    const drawn = Promise.withResolvers<void>();
    // Ends when its bar was seen, so that it takes long enough for one on any machine.
    await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => {
      const body = new ReadableStream<Uint8Array>({
        async start(controller) {
          controller.enqueue(packed.subarray(0, 100));
          await drawn.promise;
          controller.enqueue(packed.subarray(100));
          controller.close();
        },
      });
      return new Response(body, { headers: { "content-length": `${packed.byteLength}` } });
    });
    const url = `http://127.0.0.1:${server.addr.port}/bp.tgz`;
    const shown = await onTerminal(
      `build app --path app -b ${url} --run-image scratch`,
      (text) => / 100 B of /.test(text) && drawn.resolve(),
    );
    assert.match(shown, /^\x1b\[36m===> ANALYZING\x1b\[39m\r$/m, "colours are ours");
    assert(shown.includes("\x1b[32mgreen\x1b[0m"), "colours of buildpacks pass");
    assert(
      shown.endsWith(`\r\n`) && !shown.slice(shown.lastIndexOf("Successfully")).includes(" B of "),
    );
    assert(
      shown.lastIndexOf("\x1b[?25h") >= shown.lastIndexOf("\x1b[?25l"),
      "the cursor is visible again",
    );
  },
});
