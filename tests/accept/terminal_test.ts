/** On a terminal: what a person sees and no pipe shows. */
// deno-lint-ignore-file no-control-regex -- what a terminal is sent
import assert from "node:assert/strict";
import { installed, makeScene, tool, WHERRY } from "./wherry_testing.ts";

Deno.test({
  name: "on a terminal there is nothing that wherry did not say, and bars are gone at the end",
  ignore: !installed("script"),
  async fn() {
    await using scene = await makeScene();
    const onTerminal = async (line: string) =>
      await tool("script", ["-qec", `${WHERRY} ${line}`, "/dev/null"], {
        cwd: scene.dir,
        env: { HOME: scene.home, WHERRY_STORE: scene.store, TERM: "xterm" },
      });
    assert.match(await onTerminal("version"), /^\d+\.\d+\.\d+\r\n$/);
    await scene.write({
      "bp/buildpack.toml":
        `api = "0.10"\n[buildpack]\nid = "a/b"\nversion = "1"\n[[targets]]\nos = "linux"\n`,
      "bp/bin/detect": "#!/bin/sh\n",
      "bp/bin/build": "#!/bin/sh\nprintf '\\033[32mgreen\\033[0m\\n'\n",
    });
    const noise = new Uint8Array(20_000_000);
    for (let at = 0; at < noise.length; at += 65536) {
      crypto.getRandomValues(noise.subarray(at, at + 65536));
    }
    await Deno.mkdir(`${scene.dir}/app`);
    await Deno.writeFile(`${scene.dir}/app/noise`, noise);
    const shown = await onTerminal("build app --path app -b bp --run-image scratch");
    assert.match(shown, /^\x1b\[36m===> ANALYZING\x1b\[39m\r\n/, "the first line is ours");
    assert(shown.includes("\x1b[32mgreen\x1b[0m"), "colours of buildpacks pass");
    assert.match(shown, /slice-1 +\d/, "how far a layer is");
    assert(
      shown.endsWith(`\r\n`) && !shown.slice(shown.lastIndexOf("Successfully")).includes("slice-1"),
    );
    assert(
      shown.lastIndexOf("\x1b[?25h") >= shown.lastIndexOf("\x1b[?25l"),
      "the cursor is visible again",
    );
  },
});
