/** `wherry serve` judged by the OCI distribution specification's own program, where Go is. */
import assert from "node:assert/strict";
import { CONFORMANCE, goTool } from "../go_tool.ts";
import { makeScene, ROOT, tool } from "./wherry_testing.ts";

const program = await goTool(CONFORMANCE);
// deno-lint-ignore no-console
if ("why" in program) console.log(`skipped: the OCI conformance program: ${program.why}`);

Deno.test({
  name: "S-CONF the OCI program passes every check, in both its versions",
  ignore: "why" in program,
  async fn() {
    assert("file" in program);
    await using scene = await makeScene();
    const server = scene.start(["serve", "--listen", "127.0.0.1:0"]);
    const host = (await server.until(/127\.0\.0\.1:\d+/))!;
    const said = await tool(Deno.execPath(), [
      ...["run", "-A", "--no-check", `${ROOT}scripts/conform.ts`],
      ...["--program", program.file, "--registry", host],
    ], { env: { HOME: scene.home, DENO_DIR: `${scene.dir}/deno` } });
    for (const version of ["1.1", "dev"]) {
      assert.match(
        said,
        new RegExp(`OCI_VERSION=${version}: \\d{3,} of .* 0 failed, 0 errors, 0 skipped`),
      );
    }
    server.kill("SIGTERM");
    await server.ended;
  },
});
