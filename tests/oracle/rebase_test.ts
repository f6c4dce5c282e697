import { deepEqual, ok } from "node:assert/strict";
import { tempDir } from "../../registry/temp_testing.ts";
import { goLifecycle } from "./go_lifecycle.ts";
import { compareRebases, REBASE_CASES } from "./rebase.ts";

Deno.test("the Go rebaser makes the same config, labels and diffIDs, and ends with the same codes", async () => {
  ok(REBASE_CASES.length >= 25);
  // Building it takes minutes: `deno task oracle` does that.
  const home = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME")}/.cache`;
  const there = await Array.fromAsync(Deno.readDir(`${home}/wherry-build`)).catch(() => []);
  if (!there.some(({ name }) => name.startsWith("go-lifecycle-")) || Deno.uid() !== 0) {
    // deno-lint-ignore no-console
    console.log("skipped: the Go rebaser is not built (deno task oracle does), or we are not root");
    return;
  }
  const built = await goLifecycle();
  if (!("file" in built)) throw new Error(built.why);
  await using temp = await tempDir();
  const dir = temp.path;
  await Deno.chmod(dir, 0o755);
  await Deno.copyFile(built.file, `${dir}/rebaser`);
  await Deno.chmod(`${dir}/rebaser`, 0o755);
  deepEqual(await compareRebases(`${dir}/rebaser`), []);
});
