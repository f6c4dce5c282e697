import assert from "node:assert/strict";
import { tempDir } from "../registry/temp_testing.ts";

Deno.test("compile_c names the missing compiler and the package that brings it", async () => {
  await using temp = await tempDir();
  const empty = temp.path;
  const script = new URL("compile_c.ts", import.meta.url).pathname;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script],
    env: { PATH: empty, NO_COLOR: "1" },
  }).output();
  assert.equal(success, false);
  assert.match(
    new TextDecoder().decode(stderr),
    /Cannot compile launcher for amd64: .*gcc not found; apt-get install gcc/,
  );
});
